"""GOT-10k's layout (Huang et al. 2019).

`list.txt` names the sequences; each is a directory of numbered images with `groundtruth.txt`, and where the set has
them `absence.label`, `cover.label` and `meta_info.ini`. The test part has the first box alone.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np

from ostrack_jax.data.annotations import read_annotation, read_names
from ostrack_jax.data.frames import list_images
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import read_published
from ostrack_jax.data.readers.common import annotated, first_that
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError
from ostrack_jax.io import read_text


def open_got10k(directory: Path, part: str = "train", split: str = "all") -> LazySequences:
    """The sequences of one part in the order of its list.

    Args:
      directory: of the part (it holds `list.txt`), or its parent.
      part: train | val | test.
      split: all, or a published list of positions in the train part: train_full | vot_train | vot_val.

    Raises:
      UserError: the list of another part, an unknown split, or one with positions that the directory lacks.
    """
    root = first_that(lambda place: (place / "list.txt").is_file(), (directory / part, directory))
    if root is None:
        return LazySequences({}, functools.partial(_read, directory, part))
    names = read_names(root / "list.txt")
    own = re.match(r"GOT-10k_(Train|Val|Test)_", names[0])
    if part != "train" and own and own[1].lower() != part:  # of the train part, training may be given any
        raise UserError(f"{root} is GOT-10k's {own[1].lower()} part ({names[0]}, ...): expected its {part} part")
    if split != "all":
        positions = [int(position) for position in read_published(f"got10k_{split}")]
        if positions[-1] >= len(names):
            raise UserError(
                f"the split {split} names {len(positions)} sequences at positions up to {positions[-1]}, but "
                f"{root} has {len(names)}: split=all uses everything there is"
            )
        names = [names[i] for i in positions]
    return LazySequences(dict.fromkeys(names), functools.partial(_read, root, part))


def _read(root: Path, part: str, name: str, key: None) -> Sequence:
    """One sequence's boxes and labels."""
    directory = root / name
    images = list_images(directory)
    found = read_annotation(directory / "groundtruth.txt", images, ("absence.label", "cover.label"))
    cover = found.labels.get("cover.label")
    present = np.full(len(found.boxes_xywh), True) if cover is None else cover > 0
    if "absence.label" in found.labels:
        present &= found.labels["absence.label"] == 0
    stated = read_text(directory / "meta_info.ini") if (directory / "meta_info.ini").is_file() else ""
    category = re.search(r"^object_class\s*[:=][ \t]*(\S.*?)\s*$", stated, re.MULTILINE)
    return annotated(
        name,
        images,
        found,
        present,
        cover=cover,
        size_wh=_size(stated),
        missing=found.missing if part != "test" else (),
        category=category[1] if category and category[1] != "unknown" else "",
    )


def _size(text: str) -> tuple[int, int] | None:
    """Width and height that `meta_info.ini` states as `resolution: (w, h)`, or None where it states none."""
    stated = re.search(r"resolution\s*[:=]\s*\(?\s*(\d{1,6})\s*[,x ]\s*(\d{1,6})", text)
    return (int(stated[1]), int(stated[2])) if stated else None
