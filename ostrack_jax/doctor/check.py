"""Check a data set sequence by sequence.

Nothing here stops at a flaw: each becomes a finding with its fix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ostrack_jax.config import DataConfig, PairConfig
from ostrack_jax.data.annotations import valid
from ostrack_jax.data.box_forms import find_oddity
from ostrack_jax.data.frames import ImageFrames
from ostrack_jax.data.index import each
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import official
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.doctor.finding import Finding, Verdict
from ostrack_jax.doctor.layouts import explain, find_archives
from ostrack_jax.errors import UnknownNameError, UserError, listed
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
      size: of the image decoded last, `32 x 24`.
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


def open_checked(data: DataConfig, directory: Path) -> tuple[LazySequences | None, list[Finding]]:
    """The set's sequences, None if the reader refuses the directory; and the findings on the directory itself.

    Raises:
      UnknownNameError: an unknown reader, part or split.
    """
    try:
        sequences = open_dataset(data)
    except UnknownNameError:
        raise
    except UserError as e:
        return None, [explain(data.reader, directory, e)]
    findings = [Finding("note", note) for note in sequences.notes]
    whole, count = official(data.reader, data.part), len(sequences)
    if whole is not None and data.split in ("all", "otb100") and count < whole:
        text = f"{count:,} of the {whole:,} sequences of the official set are there"
        archives = find_archives(directory)
        chunks = data.reader == "trackingnet" and data.part == "train"
        fix = f"unpack the archives there ({listed(archives, 3)})" if archives else ""
        fix = fix or ("where chunks are missing, say which there are: split=0-3" if chunks else "")
        findings.append(Finding("wrong" if archives else "note", text, fix))
    return sequences, findings


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
    size = None
    for index in np.unique(np.linspace(0, len(sequence) - 1, min(decode or 2, len(sequence))).round().astype(int)):
        if index == 0:
            image, notes = frames.noted()
            checked.notes += [f"{sequence.name}: {note}" for note in notes]
        else:
            image = frames[int(index)]
        height, width = image.shape[:2]
        checked.counts["decoded"] += 1
        checked.size = f"{width} x {height}"
        if size is not None and size != (width, height):
            text = f"frame {index} is {width} x {height}, those before {size[0]} x {size[1]}"
            return [Finding("wrong", text, "images of another video may be among them: unpack its archive again")]
        size = (width, height)
    if size is not None and sequence.size_wh not in (None, size):
        stated = " x ".join(map(str, sequence.size_wh or ()))
        text = f"the images are {size[0]} x {size[1]}, the annotation says {stated}"
        return [Finding("wrong", text, "images that were resized need boxes that were, too")]
    return _check_boxes(sequence, size) if size else []


def _check_boxes(sequence: Sequence, size: tuple[int, int] | None) -> list[Finding]:
    """The form of the boxes, if it is not x,y,width,height in pixels of frames of this size."""
    oddity = find_oddity(sequence.boxes_xywh, size)
    if oddity is None:
        return []
    example = _numbers(sequence.boxes_xywh[valid(sequence.boxes_xywh)][0])
    of = "" if size is None else f" of {size[0]} x {size[1]}"
    return [Finding("wrong", f"the boxes {oddity.text} ({example} in frames{of})", oddity.fix)]


def _numbers(box: np.ndarray) -> str:
    return ",".join(f"{number:g}" for number in box)
