"""Check a data set sequence by sequence.

Nothing here stops at a flaw: each becomes a finding with its fix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ostrack_jax.config import PairConfig
from ostrack_jax.data.annotations import valid
from ostrack_jax.data.box_forms import find_oddity
from ostrack_jax.data.frames import ImageFrames
from ostrack_jax.data.index import each
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.doctor.finding import Finding, Verdict
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.sampling import is_eligible

# The fix of an error or a flaw that does not carry one, by where it was found.
_FLAW = "an annotation is damaged, or it or the images are incomplete: unpack both again (what fits is used)"
_ANNOTATION = "an annotation is missing or damaged: correct it, or take it from the set's archive again"
_IMAGE = "an image is damaged: unpack its archive again"


@dataclass
class Checked:
    """What a check found in one sequence, or, added up, in all.

    Attributes:
      name: of the sequence.
      findings: what is wrong with it.
      counts: `sequences` checked, `frames` they have, `visible` of these to learn from, `decoded` images, and
        `sampled`: sequences that training would draw from, by its published rules.
      size: of its images, `32 x 24`.
      missing: sequences without a label file, by its name.
      notes: how frames are read that are not read as they are, a line each.
    """

    name: str = ""
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    size: str = ""
    missing: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Checked) -> None:
        """Add the counts and notes of another."""
        self.counts.update(other.counts)
        self.missing.update(other.missing)
        self.notes += other.notes


def check_sequences(sequences: LazySequences, unstarted: Verdict, decode: int | None) -> Iterator[Checked]:
    """Check every sequence, several at a time, results in order; shows a bar on a terminal.

    Args:
      sequences: opened.
      unstarted: what a sequence is whose first frame has no box: wrong where trackers start there, ok in training.
      decode: images of each sequence to decode, evenly spaced, first and last among them; None: these two, and of
        single images only whether they are there.
    """
    size = max(1, min(256, len(sequences) // 200))
    runs = [range(start, min(start + size, len(sequences))) for start in range(0, len(sequences), size)]
    for run in each(runs, lambda run: [check_sequence(sequences, i, unstarted, decode) for i in run], "checking"):
        yield from run


def check_sequence(
    sequences: LazySequences, index: int, unstarted: Verdict = "ok", decode: int | None = None
) -> Checked:
    """Check one sequence; see `check_sequences`."""
    checked = Checked(sequences.names[index], counts=Counter(sequences=1))
    fix = _ANNOTATION
    try:
        sequence = sequences.read(index)
        fix = _IMAGE
        visible, sampled = np.count_nonzero(sequence.visible), is_eligible(sequence, PairConfig())
        checked.counts.update(frames=len(sequence), visible=int(visible), sampled=int(sampled))
        checked.missing.update(sequence.missing)
        findings = [Finding("wrong", flaw, _FLAW) for flaw in sequence.flaws]
        if unstarted != "ok" and not sequence.is_image and not valid(sequence.boxes_xywh[:1]).all():
            text = f"the first frame has no box ({_numbers(sequence.boxes_xywh[0])})"
            findings.append(Finding(unstarted, text, "a tracker starts there: correct the annotation"))
        checked.findings = findings + _check_images(sequence, decode, checked)
    except (UserError, OSError) as e:
        own = e.fix if isinstance(e, UserError) else None
        checked.findings = [Finding("wrong", str(e), fix if own is None else own)]
    return checked


def _check_images(sequence: Sequence, decode: int | None, checked: Checked) -> list[Finding]:
    """Decode some images; compare their size with the stated one, and the boxes with their size."""
    frames = sequence.frames
    if decode is None and sequence.is_image:
        if isinstance(frames, ImageFrames) and not Path(path := frames.name(0)).is_file():
            raise UserError(f"cannot read the image {path}: no such file")
        return _check_boxes(sequence, sequence.size_wh)
    sizes: list[tuple[int, int]] = []
    for index in np.unique(np.linspace(0, len(sequence) - 1, min(decode or 2, len(sequence))).round().astype(int)):
        image, notes = frames.noted() if index == 0 else (frames[int(index)], [])
        sizes.append((image.shape[1], image.shape[0]))
        checked.notes += [f"{sequence.name}: {note}" for note in notes]
        checked.counts["decoded"] += 1
        if sizes[-1] != sizes[0]:
            text = f"frame {index} is {_by(sizes[-1])}, those before {_by(sizes[0])}"
            return [Finding("wrong", text, "images of another video may be among them: unpack its archive again")]
    checked.size = _by(sizes[0])
    if sequence.size_wh not in (None, sizes[0]):
        text = f"the images are {checked.size}, the annotation has {_by(sequence.size_wh)}"
        return [Finding("wrong", text, "images that were resized need boxes that were, too")]
    return _check_boxes(sequence, sizes[0])


def _check_boxes(sequence: Sequence, size: tuple[int, int] | None) -> list[Finding]:
    """The form of the boxes, if it is not x,y,width,height in pixels of frames of this size."""
    oddity = find_oddity(sequence.boxes_xywh, size)
    if oddity is None:
        return []
    example = _numbers(sequence.boxes_xywh[valid(sequence.boxes_xywh)][0])
    of = "" if size is None else f" of {_by(size)}"
    return [Finding("wrong", f"the boxes {oddity.text} ({example} in frames{of})", oddity.fix)]


def _by(size_wh: Iterable[int]) -> str:
    return " x ".join(map(str, size_wh))


def _numbers(box: np.ndarray) -> str:
    return ",".join(f"{number:g}" for number in box)
