"""Draw training pairs of frames.

The published "causal" rule: a data set by its weight, a sequence uniformly among the eligible, a template frame
uniformly among the visible ones, a search frame uniformly among the visible ones soon after. Of a still image both are
the same. Every random number comes from the generator passed in, so a pair is a function of that generator's state.
"""

from __future__ import annotations

import errno
import math
import resource
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Real, UInt8

from ostrack_jax.config import PairConfig
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.errors import UserError

_MAX_SEQUENCES = 10_000  # drawn in a row without one eligible; a set with 1 in 500 still passes (2e-9)
_GAP_STEP = 5  # frames by which the release widens the window where no search frame was found


# An image, and by how much it was reduced while it was decoded.
Reduced = tuple[UInt8[np.ndarray, "_ _ 3"], int]


class UnusablePairError(Exception):
    """This draw gives no pair to learn from; draw again from the data set on.

    Attributes:
      kind: for counting: unreadable | box | padding.
      detail: what was found and where.
      source: name of the data set drawn from.
    """

    def __init__(self, kind: str, detail: str, source: str):
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.source = kind, detail, source


@runtime_checkable
class Sequences(Protocol):
    """A list of sequences, each of which may be read only when it is asked for."""

    def __len__(self) -> int:
        """Number of sequences."""
        ...

    def __getitem__(self, index: int, /) -> Sequence:
        """Sequence ``index``; a `UserError` names the file if its annotation cannot be read."""
        ...


@dataclass(frozen=True, eq=False)
class Source:
    """One data set of the mix.

    Attributes:
      name: the config's.
      sequences: of the set.
      weight: share of the mix before normalisation, above 0.
    """

    name: str
    sequences: Sequences
    weight: float


@dataclass(frozen=True, eq=False)
class Pair:
    """Two frames of one target, not read yet.

    Attributes:
      source: name of the data set.
      sequence: within it.
      template_index: frame number within the sequence, from 0; ``search_index`` likewise (the same for a still image).
    """

    source: str
    sequence: Sequence
    template_index: int
    search_index: int

    @property
    def template_box_xywh(self) -> Float[np.ndarray, " 4"]:
        """The target in the template frame, pixels of the full frame."""
        return np.asarray(self.sequence.boxes_xywh[self.template_index], np.float64)

    @property
    def search_box_xywh(self) -> Float[np.ndarray, " 4"]:
        """The target in the search frame, pixels of the full frame."""
        return np.asarray(self.sequence.boxes_xywh[self.search_index], np.float64)

    def read(self, template_factor: int = 1, search_factor: int = 1) -> tuple[Reduced, Reduced]:
        """Decode template and search frame; once where they are the same.

        Args:
          template_factor: by which the frame may be reduced, see `data.frames.REDUCTIONS`; ``search_factor``
            likewise.

        Returns:
          Each frame (RGB) with the factor it was in fact reduced by.

        Raises:
          UnusablePairError: one could not be read (kind "unreadable").
          UserError: too many files are open.
        """
        frames = self.sequence.frames
        try:
            if self.search_index == self.template_index:
                both = frames.reduced(self.template_index, min(template_factor, search_factor))
                return both, both
            template = frames.reduced(self.template_index, template_factor)
            return template, frames.reduced(self.search_index, search_factor)
        except (UserError, OSError) as e:
            raise _unreadable(e, self.source) from e


def draw_pair(sources: tuple[Source, ...], config: PairConfig, rng: np.random.Generator) -> Pair:
    """Draw a pair by the published rules.

    Raises:
      UnusablePairError: an annotation could not be read (kind "unreadable").
      UserError: a data set has no eligible sequence.
    """
    source = pick_source(sources, rng)
    sequence = pick_sequence(source, config, rng)
    first, second = (0, 0) if sequence.is_image else pick_frames(sequence.visible, config.max_gap, rng)
    return Pair(source.name, sequence, first, second)


def pick_source(sources: tuple[Source, ...], rng: np.random.Generator) -> Source:
    """Draw a data set with probability weight / sum of weights."""
    left = rng.random() * sum(source.weight for source in sources)
    for source in sources[:-1]:
        left -= source.weight
        if left < 0:
            return source
    return sources[-1]


def pick_sequence(source: Source, config: PairConfig, rng: np.random.Generator) -> Sequence:
    """Draw a sequence uniformly among the eligible: others are drawn again, so that annotations may be read lazily.

    Raises:
      UnusablePairError: its annotation could not be read (kind "unreadable").
      UserError: none of many draws was eligible.
    """
    for _ in range(_MAX_SEQUENCES):
        try:
            sequence = source.sequences[int(rng.integers(len(source.sequences)))]
        except (UserError, OSError) as e:
            raise _unreadable(e, source.name) from e
        if is_eligible(sequence, config):
            return sequence
    frames, visible = len(sequence.visible), np.count_nonzero(sequence.visible)
    alone = " (a box for the first frame alone is enough to track, not to train)" if visible == 1 else ""
    raise UserError(
        f"data set {source.name}: no sequence to train on among {_MAX_SEQUENCES} drawn of its "
        f"{len(source.sequences)}; expected videos of {config.min_frames} frames or more, {config.min_visible} "
        "of them with the target visible (config.pairs.min_frames, min_visible); sequence "
        f"{sequence.name} has {frames}, {visible} of them{alone}"
    )


def _unreadable(error: UserError | OSError, source: str) -> Exception:
    """Make the error for a frame or an annotation that could not be read."""
    return too_many_files(error) or UnusablePairError("unreadable", str(error), source)


def too_many_files(error: BaseException) -> UserError | None:
    """The `UserError` of a process that can open no more files, where that is the cause of ``error``."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.EMFILE, errno.ENFILE):
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return UserError(
                f"too many open files (a process may have {most}): raise that limit (`ulimit -n`), or read with fewer "
                "loader processes (config.train.workers)"
            )
        cause = cause.__cause__
    return None


def is_eligible(sequence: Sequence, config: PairConfig) -> bool:
    """Whether pairs are drawn from it: a still image, or a video of enough frames and visible frames (two or more)."""
    if sequence.is_image:
        return True
    frames, visible = len(sequence.visible), int(np.count_nonzero(sequence.visible))
    return frames >= config.min_frames and visible >= max(config.min_visible, 2)


def pick_frames(visible: Bool[np.ndarray, " t"], max_gap: int, rng: np.random.Generator) -> tuple[int, int]:
    """Draw template and search frame of a video (the release's "causal" sampling).

    The template is uniform among the visible frames other than the last frame, the search frame uniform among
    the visible ones 1 .. max_gap - 1 after it. Where there is none, the window grows and the template is drawn
    again.

    Args:
      visible: with two or more True.
      max_gap: frames.
    """
    shown = np.flatnonzero(visible)
    templates = int(np.searchsorted(shown, len(visible) - 1))
    while True:
        template = int(rng.integers(templates))
        stop = int(np.searchsorted(shown, shown[template] + max_gap))
        if template + 1 < stop:
            return int(shown[template]), int(shown[rng.integers(template + 1, stop)])
        max_gap += _GAP_STEP


def jitter_box(
    box_xywh: Real[np.ndarray, " 4"], centre_jitter: float, scale_jitter: float, rng: np.random.Generator
) -> Real[np.ndarray, " 4"]:
    """Move and resize the target's box at random: the search region is cropped around the result.

    Each side is multiplied by exp(N(0, 1) * scale_jitter); then each coordinate of the centre moves by
    sqrt(area of the resized box) * centre_jitter * (U(0, 1) - 0.5).

    Args:
      box_xywh: pixels; sides of 0 or more.
      centre_jitter: in mean sides of the resized box, over both directions.
      scale_jitter: standard deviation of the logarithm.

    Returns:
      left, top, width, height in pixels.
    """
    # Plain floats: an absurd box ends as inf or NaN without a warning, and no crop is made around it.
    x, y, w, h = (float(v) for v in box_xywh)
    grow_w, grow_h = (math.exp(n * scale_jitter) for n in rng.standard_normal(2).tolist())
    move_x, move_y = (rng.random(2) - 0.5).tolist()
    new_w, new_h = w * grow_w, h * grow_h
    reach = math.sqrt(max(0.0, new_w * new_h)) * centre_jitter
    left, top = x + 0.5 * (w - new_w) + reach * move_x, y + 0.5 * (h - new_h) + reach * move_y
    return np.array([left, top, new_w, new_h])
