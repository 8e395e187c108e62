"""What goes where in a packed set. Enters: sequences. Leaves: `Plan`, the arrays of its index and its records.

Sequences that share pictures (COCO's annotations, two targets of one video) share records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ostrack_jax.data.frames import StoredFrames
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.packed.reader import INDEX
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError


@dataclass(frozen=True, eq=False)
class Plan:
    """All of a packed set but its pictures.

    Attributes:
      places: of each packed sequence among those given.
      names: of each packed sequence.
      arrays: `packed.INDEX`, boxes as the reader gave them.
      shown: sequence (among the packed) and frame where each record occurs first.
      left_out: names of sequences that could not be read, with the reason.
    """

    places: list[int]
    names: list[str]
    arrays: dict[str, np.ndarray]
    shown: Int[np.ndarray, "r 2"]
    left_out: dict[str, str]

    def signature(self) -> str:
        """A hash of it all: equal plans pack equal sets."""
        digest = hashlib.sha256()
        for name in sorted(self.arrays):
            array = self.arrays[name]
            digest.update(f"{name} {array.dtype.str} {array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def boxes_of_records(self) -> list[Float[np.ndarray, "k 4"]]:
        """The visible boxes in each record, of all sequences that show it."""
        rows = np.flatnonzero(self.arrays["visible"])
        rows = rows[np.argsort(self.arrays["record"][rows], kind="stable")]
        edges = np.searchsorted(self.arrays["record"][rows], np.arange(1, len(self.shown)))
        return np.split(self.arrays["box"][rows], edges)


def make_plan(sequences: LazySequences, order: Iterator[int]) -> Plan:
    """Read every annotation.

    Args:
      sequences: of the set.
      order: 0 to the last, perhaps shown as it goes.

    Raises:
      UserError: no sequence could be read, or a name cannot be kept.
    """
    places, names, found, pictures, left_out = [], [], [], [], {}
    for place in order:
        name = sequences.names[place]
        try:
            sequence = sequences.read(place)
            if not len(sequence):
                raise UserError("no frame")
            pictures.append(_pictures(sequence))
        except (UserError, OSError) as e:
            left_out[name] = str(e)
            continue
        if "\n" in name:
            raise UserError(f"the sequence {name!r} has a line break in its name: rename it")
        places.append(place)
        names.append(name)
        found.append(_rows(sequence))
    if not names:
        raise UserError(f"none of {len(sequences)} sequences could be read: {next(iter(left_out.values()), '')}")
    arrays = {key: np.concatenate([rows[key] for rows in found]) for key in found[0]}
    first = np.cumsum([0, *(len(keys) for keys in pictures)])
    _, seen, inverse = np.unique(np.concatenate(pictures), return_index=True, return_inverse=True)
    rank = np.empty(len(seen), np.int64)  # records in the order in which their pictures occur
    rank[np.argsort(seen)] = np.arange(len(seen))
    arrays |= {"first": first, "record": rank[inverse]}
    arrays["name"] = np.frombuffer("".join(f"{name}\n" for name in names).encode(), np.uint8)
    rows = np.sort(seen)
    which = np.searchsorted(first, rows, side="right") - 1
    arrays = {key: np.asarray(arrays[key], kind) for key, (kind, _) in INDEX.items()}
    return Plan(places, names, arrays, np.stack([which, rows - first[which]], axis=1), left_out)


def _rows(sequence: Sequence) -> dict[str, np.ndarray]:
    """What the index says of one sequence and its frames."""
    frames = len(sequence)
    cover = np.full(frames, -1) if sequence.cover is None else np.clip(sequence.cover, -1, 127)
    rows = {"box": sequence.boxes_xywh, "visible": sequence.visible, "cover": cover}
    if any(len(row) != frames for row in rows.values()):
        raise UserError(f"sequence {sequence.name}: {len(sequence.boxes_xywh)} boxes for {frames} frames")
    size = np.array([sequence.size_wh or (0, 0)])
    return {**rows, "size": size, "picture": np.array([sequence.is_image])}


def _pictures(sequence: Sequence) -> np.ndarray:
    """A number for each frame, equal for equal files. (Of 64 bits: two of 10^7 fall together 3 times in a million.)"""
    frames = sequence.frames
    named = frames.name if isinstance(frames, StoredFrames) else lambda i: f"{sequence.name}\n{i}"
    names = (named(i).encode("utf-8", "surrogateescape") for i in range(len(frames)))
    return np.frombuffer(b"".join(hashlib.blake2b(name, digest_size=8).digest() for name in names), np.uint64)
