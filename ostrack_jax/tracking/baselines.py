"""Baseline trackers: one that never moves, and OpenCV's.

OpenCV's trackers predict integer pixels. Where one of them reports that it lost the target, its box is OpenCV's own: an
empty one (0, 0, 0, 0), which scores as a miss.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from ostrack_jax.errors import UserError, unknown
from ostrack_jax.tracking.track import Track

# kind -> for each file of its model: words that its name holds
MODEL_FILES: dict[str, dict[str, tuple[str, ...]]] = {
    "mil": {},
    "nano": {"backbone": ("nano", "backbone"), "neckhead": ("nano", "head")},
    "vit": {"net": ("vit", "track")},
}
SPECS = ("still", *(f"opencv:{kind}" for kind in MODEL_FILES))
# Of the box's part inside the frame, in pixels: area and side. MIL draws its features until one covers 9 pixels; with
# hardly any target it never ends (seen at 4x4 and 25x1).
_LEAST = {"mil": (25, 2)}


class StillTracker:
    """Predicts the first box in every frame: the lower bound of a benchmark.

    Attributes:
      provenance: what the predictions follow from, for a report.
    """

    provenance: ClassVar[dict[str, Any]] = {"tracker": "still"}

    def __init__(self) -> None:
        self._box_xywh: Float[np.ndarray, " 4"] | None = None

    def init(self, frame: UInt8[np.ndarray, "h w 3"], box_xywh: Float[np.ndarray, " 4"]) -> None:
        """Start with the target's box in pixels; the frame is not used."""
        self._box_xywh = np.asarray(box_xywh, np.float64).copy()

    def update(self, frame: UInt8[np.ndarray, "h w 3"]) -> Track:
        """The first box again."""
        if self._box_xywh is None:
            raise RuntimeError("StillTracker.update before StillTracker.init: there is no target yet")
        return Track(self._box_xywh.copy(), float("nan"))


class OpenCVTracker:
    """One of OpenCV's trackers behind our interface: RGB frames and float boxes in, BGR and integer pixels inside."""

    def __init__(self, kind: str, files: dict[str, Path] | None = None, seed: int = 0) -> None:
        """Load the model once, to know that its files are valid.

        Args:
          kind: mil | nano | vit.
          files: the model's files as `find_files` has them.
          seed: of MIL, which draws: over 14 videos, 16 seeds spread by 0.024 in AO (standard deviation).
            The same seed repeats them where C's `rand` is in reach (POSIX).

        Raises:
          UserError: this build of OpenCV has no such tracker, or it cannot read the files.
        """
        self.kind, self._files, self._seed = kind, dict(files or {}), seed
        self._tracker: Any = None
        try:
            self._new()
        except (cv2.error, AttributeError) as e:
            names = ", ".join(str(path) for path in self._files.values())
            reason = " ".join(str(e).split())[:200]
            what = f"its tracker {kind}{f' from {names}' if names else ''}"
            raise UserError(f"OpenCV {cv2.__version__} cannot make {what}: {reason}") from e

    @property
    def provenance(self) -> dict[str, Any]:
        """What the predictions depend on, for a report: OpenCV's version, hashes of the model files."""
        hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in self._files.items()}
        return {"tracker": f"opencv:{self.kind}", "opencv": cv2.__version__, "model_files_sha256": hashes}

    def init(self, frame: UInt8[np.ndarray, "h w 3"], box_xywh: Float[np.ndarray, " 4"]) -> None:
        """Start (again) on RGB ``frame``; the box is rounded to integer pixels and clipped to the frame.

        Raises:
          UserError: the box lies outside the frame, or it is too small for MIL (OpenCV's would never return).
        """
        height, width = frame.shape[:2]
        x, y, w, h = (round(float(v)) for v in box_xywh)
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + max(w, 1), width), min(y + max(h, 1), height)
        box = (left, top, right - left, bottom - top)
        area, side = _LEAST.get(self.kind, (1, 1))
        if min(box[2:]) < side or box[2] * box[3] < area:
            raise UserError(
                f"opencv:{self.kind} cannot start on the box {x},{y},{w},{h} in a frame of {width}x{height}: "
                f"expected at least {area} pixels of it inside, and {side} a side"
            )
        cv2.setRNGSeed(self._seed)  # MIL draws its samples by OpenCV's generator
        if os.name == "posix":
            ctypes.CDLL(None).srand(self._seed)  # and its features by C's `rand`
        tracker = self._new()
        tracker.init(_bgr(frame), box)
        self._tracker = tracker

    def update(self, frame: UInt8[np.ndarray, "h w 3"]) -> Track:
        """Where OpenCV sees the target; 0, 0, 0, 0 where it is lost. MIL has no score."""
        if self._tracker is None:
            raise RuntimeError("OpenCVTracker.update before OpenCVTracker.init: there is no target yet")
        found, box = self._tracker.update(_bgr(frame))
        score = float("nan") if self.kind == "mil" else float(self._tracker.getTrackingScore())
        return Track(np.array(box if found else (0, 0, 0, 0), np.float64), score)

    def _new(self) -> Any:
        with _quiet():
            if self.kind == "mil":
                return cv2.TrackerMIL.create()  # type: ignore[attr-defined]
            maker = {"nano": "TrackerNano", "vit": "TrackerVit"}[self.kind]
            parameters = getattr(cv2, f"{maker}_Params")()
            for name, path in self._files.items():
                setattr(parameters, name, os.fspath(path))
            return getattr(cv2, maker).create(parameters)


Baseline = StillTracker | OpenCVTracker


def make(spec: str, files: Path | None = None) -> Baseline:
    """Make the baseline named by ``spec``, one of `SPECS`; ``files`` is the directory of OpenCV's model files.

    Raises:
      UserError: an unknown spec, missing or invalid model files.
    """
    if spec not in SPECS:
        raise unknown("tracker", spec, SPECS)
    if spec == "still":
        return StillTracker()
    kind = spec.removeprefix("opencv:")
    return OpenCVTracker(kind, find_files(kind, files))


def find_files(kind: str, directory: Path | None) -> dict[str, Path]:
    """Return the model files of a kind of tracker, by the parameter they are for, in ``directory`` or one level below.

    Raises:
      UserError: no directory, no file or several files that fit.
    """
    wanted = MODEL_FILES[kind]
    if not wanted:
        return {}
    if directory is None or not directory.is_dir():
        found = "none was given" if directory is None else f"{directory} is none"
        raise UserError(f"opencv:{kind} needs the directory of its model files (--tracker_files): {found}")
    models = sorted([*directory.glob("*.onnx"), *directory.glob("*/*.onnx")])
    out = {}
    for parameter, words in wanted.items():
        fitting = [path for path in models if all(word in path.name.lower() for word in words)]
        if len(fitting) != 1:
            names = "*".join(["", *words, ".onnx"])
            found = ", ".join(str(path) for path in fitting[:4]) or "none"
            raise UserError(f"opencv:{kind} needs one file {names} in {directory}: found {found}")
        out[parameter] = fitting[0]
    return out


def _bgr(frame: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without OpenCV's warnings of each load, which do not matter and would break a progress bar."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
