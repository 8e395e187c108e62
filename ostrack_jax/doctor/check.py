"""Is a data set sound, sequence by sequence? Enters: a reader's name, a folder. Leaves: findings, their fix, counts.

Nothing here stops at a flaw: each is a line for a person who wants to mend the folder.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ostrack_jax.config import DataConfig, PairConfig
from ostrack_jax.data.annotations import valid
from ostrack_jax.data.box_forms import find_oddity
from ostrack_jax.data.frames import ImageFrames, NotedFrames
from ostrack_jax.data.index import each
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.lists.published import official
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.doctor.finding import Finding, Verdict
from ostrack_jax.doctor.layouts import find_archives, why_not
from ostrack_jax.errors import UnknownNameError, UserError
from ostrack_jax.pipeline.sampling import is_eligible

# What mends an error of a reader, by its words; the first that fits.
_FIXES = (
    (r": convert (it|them) to ", ""),  # the error says what mends it
    (r"cannot list .*No such file|no folder of", "its folder is missing: unpack its archive again, or unlist it"),
    (
        r"counts differ",
        "pictures or annotation are incomplete: unpack both again (the common frames are used)",
    ),
    (r"annotation .* cannot be read", "an annotation is damaged: take it from the set's archive again"),
    (r"no pictures? ", "its pictures are missing: unpack its archive again"),
    (r"cannot read .*(\.txt|\.label): ", "an annotation is missing or locked: take it from the set's archive again"),
    (
        r" line \d+: expected|is empty: expected",
        "an annotation is damaged: correct that line, or take it from the set's archive again",
    ),
    (r"cannot (read|decode) the picture", "a picture is damaged: unpack its archive again"),
    (r"cannot (read|decode|open) .*video", "a video is damaged: copy it again"),
)


@dataclass
class Checked:
    """What a check has counted so far.

    Attributes:
      sequences: looked at; ``frames`` they have, ``visible`` of these to learn from, ``decoded`` pictures.
      missing: sequences without a label file, by its name.
      sampled: sequences that training would draw from, by its published rules.
      size: of the picture decoded last, `32 x 24`.
      notes: how frames are read that are not read as they are, a line each.
    """

    sequences: int = 0
    frames: int = 0
    visible: int = 0
    decoded: int = 0
    sampled: int = 0
    size: str = ""
    missing: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Checked) -> None:
        """Count what another has counted, too."""
        for name in ("sequences", "frames", "visible", "decoded", "sampled"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.missing.update(other.missing)
        self.notes += other.notes


def open_checked(data: DataConfig, directory: Path) -> tuple[LazySequences | None, list[Finding]]:
    """The set's sequences, None where the reader refuses the folder; and what is wrong with the folder as a whole.

    Raises:
      UnknownNameError: an unknown reader, part or split.
    """
    try:
        sequences = open_dataset(data)
    except UnknownNameError:
        raise
    except UserError as e:
        return None, [why_not(data.reader, directory, e)]
    notes = [Finding("note", note) for note in sequences.notes]
    return sequences, notes + _whole(data, directory, len(sequences))


def _whole(data: DataConfig, directory: Path, count: int) -> list[Finding]:
    """Whether all of the official set is there."""
    whole = official(data.reader, data.part)
    if whole is None or data.split not in ("all", "otb100") or count >= whole:
        return []
    text = f"{count:,} of the {whole:,} sequences of the official set are there"
    if archives := find_archives(directory):
        return [Finding("wrong", text, f"unpack the archives there ({', '.join(archives[:3])}, ...)")]
    if data.reader == "trackingnet" and data.part == "train":
        return [Finding("note", text, "where chunks are missing, say which there are: split=0-3")]
    return [Finding("note", text)]


def check_sequences(
    sequences: LazySequences, unstarted: Verdict, decode: int | None, total: Checked
) -> Iterator[tuple[str, Finding]]:
    """Look at every sequence, several at a time, a bar on a terminal; yields (sequence, what is wrong) in order.

    Args:
      sequences: opened.
      unstarted: what a sequence is whose first frame has no box: wrong where trackers start there, ok in training.
      decode: pictures of each sequence to decode, evenly spaced, first and last among them; None: these two, and of
        single pictures only whether they are there.
      total: the counts go there.
    """
    size = max(1, min(256, len(sequences) // 200))
    runs = [range(start, min(start + size, len(sequences))) for start in range(0, len(sequences), size)]

    def look(run: range) -> list[tuple[str, list[Finding], Checked]]:
        return [(sequences.names[i], *check_sequence(sequences, i, unstarted, decode)) for i in run]

    for looks in each(runs, look, "checking"):
        for name, findings, counted in looks:
            total.add(counted)
            for finding in findings:
                yield name, finding


def check_sequence(
    sequences: LazySequences, index: int, unstarted: Verdict = "ok", decode: int | None = None
) -> tuple[list[Finding], Checked]:
    """What is wrong with one sequence, and its counts; see `check_sequences`."""
    counted = Checked(sequences=1)
    try:
        sequence = sequences.read(index)
        counted.frames, counted.visible = len(sequence), int(np.count_nonzero(sequence.visible))
        counted.sampled = int(is_eligible(sequence, PairConfig()))
        counted.missing.update(sequence.missing)
        findings = [Finding("wrong", flaw, _fix(flaw)) for flaw in sequence.flaws]
        findings += _first_box(sequence, unstarted)
        findings += _pictures(sequence, decode, counted)
        if isinstance(sequence.frames, NotedFrames) and counted.decoded:
            counted.notes += [f"{sequence.name}: {note}" for note in sequence.frames.notes()]
    except (UserError, OSError) as e:
        findings = [Finding("wrong", str(e), _fix(str(e)))]
    return findings, counted


def _first_box(sequence: Sequence, unstarted: Verdict) -> list[Finding]:
    if unstarted == "ok" or sequence.is_image or valid(sequence.boxes_xywh[:1]).all():
        return []
    box = ",".join(f"{number:g}" for number in sequence.boxes_xywh[0])
    return [Finding(unstarted, f"the first frame has no box ({box})", "a tracker starts there: correct the annotation")]


def _pictures(sequence: Sequence, decode: int | None, counted: Checked) -> list[Finding]:
    """Decode some pictures; compare their size with what is said, and the boxes with their size."""
    if decode is None and sequence.is_image:
        if isinstance(sequence.frames, ImageFrames) and not Path(path := sequence.frames.name(0)).is_file():
            raise UserError(f"cannot read the picture {path}: no such file")
        return _boxes(sequence, sequence.size_wh)
    size = None
    for frame in np.unique(np.linspace(0, len(sequence) - 1, min(decode or 2, len(sequence))).round().astype(int)):
        height, width = sequence.frames[int(frame)].shape[:2]
        counted.decoded, counted.size = counted.decoded + 1, f"{width} x {height}"
        if size is not None and size != (width, height):
            text = f"frame {frame} is {width} x {height}, those before {size[0]} x {size[1]}"
            return [Finding("wrong", text, "pictures of another video may be among them: unpack its archive again")]
        size = (width, height)
    if size is None:
        return []
    if sequence.size_wh not in (None, size):
        said = " x ".join(map(str, sequence.size_wh or ()))
        text = f"the pictures are {size[0]} x {size[1]}, the annotation says {said}"
        return [Finding("wrong", text, "pictures that were resized need boxes that were, too")]
    return _boxes(sequence, size)


def _boxes(sequence: Sequence, size: tuple[int, int] | None) -> list[Finding]:
    """What the boxes are, where they are no x,y,width,height in pixels of frames of this size."""
    oddity = find_oddity(sequence.boxes_xywh, size)
    if oddity is None:
        return []
    example = ",".join(f"{number:g}" for number in sequence.boxes_xywh[valid(sequence.boxes_xywh)][0])
    of = "" if size is None else f" of {size[0]} x {size[1]}"
    return [Finding("wrong", f"the boxes {oddity.text} ({example} in frames{of})", oddity.fix)]


def _fix(text: str) -> str:
    return next((fix for pattern, fix in _FIXES if re.search(pattern, text)), "")
