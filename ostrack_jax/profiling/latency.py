"""What a model costs. Enters: a config. Leaves: its counts, memory and times, with and without elimination.

Three things are timed, because published speeds are of the first and users see the last: the network alone, on crops
that lie on the device; `Tracker.update`, which crops, copies and computes; and a whole video, whose JPEG files a thread
reads ahead. The target's box is put back after each frame: untrained weights serve as well as trained ones, and all
crops are of one size.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
from jaxtyping import Float, UInt8
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from ostrack_jax.config import Config, DataConfig, ModelConfig
from ostrack_jax.data.frames import ImageFrames, read_ahead
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.data.sequence import Frames
from ostrack_jax.models.attention import chosen
from ostrack_jax.models.weights import weight_shapes
from ostrack_jax.profiling.forward import Forward, compile_forward
from ostrack_jax.profiling.macs import as_the_paper_counts, macs, parameters
from ostrack_jax.tracking.track import Track
from ostrack_jax.tracking.tracker import Tracker

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
STAGES = {"network": "network alone", "update": "update of the tracker", "video": "whole video"}
PARTS = {
    "embed": "patch embedding",
    "attention": "attention: q, k, v, projection",
    "mlp": "MLPs",
    "head": "head",
    "products": "attention's two products, not counted above",
}
MEMORY = {"arguments": "weights and crops, MB", "beside": "beside them, MB"}
_PUBLISHED = {"eliminate_at": (3, 6, 9), "keep_ratio": (0.7, 0.7, 0.7)}
_BLOCK = 5  # calls of the network, then frames of the video, of one variant before it is the next one's turn


def variants(config: Config) -> dict[str, Config]:
    """The config with and without elimination; a deep enough one that has none gets the published blocks and ratio."""
    model = config.model
    if model.eliminate_at:
        without = dataclasses.replace(model, eliminate_at=(), keep_ratio=())
        return {"with elimination": config, "without": dataclasses.replace(config, model=without)}
    if model.depth > max(_PUBLISHED["eliminate_at"]):
        with_it = dataclasses.replace(model, **_PUBLISHED)
        return {"with elimination": dataclasses.replace(config, model=with_it), "without": config}
    return {"without": config}


def measure(
    config: Config, frames: int = 100, size_wh: tuple[int, int] = (1280, 720), console: Console | None = None
) -> dict[str, Any]:
    """Count and time every variant of a config, in turn.

    Args:
      config: of the model; its dtype and attention kernel too.
      frames: how often each thing is timed, in blocks of five that alternate between variants.
      size_wh: of the video's frames in pixels.
      console: for the progress bar.

    Returns:
      by variant: ``parameters``, ``macs`` (by part, see `profiling.macs`), ``macs_paper``, ``compile_seconds``,
      ``memory_bytes`` (see `profiling.forward`), ``attention`` (the kernel), and ``times``: by stage of `STAGES`
      ``p50_ms``, ``p95_ms``, ``p99_ms`` and ``fps`` (one over the median).
    """
    console = console or Console(stderr=True)
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    with tempfile.TemporaryDirectory() as folder, progress:
        chosen_variants = variants(config)
        video, box = make_video(Path(folder), size_wh)
        task = progress.add_task("compiling", total=len(chosen_variants) * (frames + 1))
        weights = make_weights(config.model)
        rows, timed = {}, {}
        for name, variant in chosen_variants.items():
            rows[name], timed[name] = _prepare(variant, weights, video, box)
            progress.advance(task)
        progress.update(task, description="measuring")
        for _ in range(-(-frames // _BLOCK)):
            for each in timed.values():
                each.block()
                progress.advance(task, _BLOCK)
    return {name: row | {"times": timed[name].summary()} for name, row in rows.items()}


def make_video(folder: Path, size_wh: tuple[int, int]) -> tuple[Frames, Float[np.ndarray, " 4"]]:
    """Frames of a synthetic sequence as JPEG files, and the target's first box."""
    options = {"frames": _BLOCK + 1, "width": size_wh[0], "height": size_wh[1]}
    sequence = open_dataset(DataConfig(reader="synthetic", part="test", options=options))[0]
    paths = [folder / f"{t:08d}.jpg" for t in range(len(sequence))]
    for t, path in enumerate(paths):
        cv2.imwrite(str(path), cv2.cvtColor(sequence.frames[t], cv2.COLOR_RGB2BGR))
    return ImageFrames(paths), sequence.boxes_xywh[0]


def make_weights(model: ModelConfig) -> dict[str, np.ndarray]:
    """Small random weights, the same for every variant. (To draw real initial ones takes a compilation.)"""
    rng, made = np.random.default_rng(0), {}
    for name, shape in weight_shapes(model).items():
        if name.endswith("count"):
            made[name] = np.zeros(shape, np.int32)
        elif name.endswith(("scale", "var")):
            made[name] = np.ones(shape, np.float32)
        else:
            made[name] = np.float32(0.02) * rng.standard_normal(shape, np.float32)
    return made


class HeldTracker(Tracker):
    """A tracker whose target stays where it was started, whatever the network says."""

    def update(self, frame: UInt8[np.ndarray, "h w 3"]) -> Track:
        """As a tracker does; then the box is put back."""
        before = dict(self._boxes_xywh)
        track = super().update(frame)
        self._boxes_xywh.update(before)
        return track


class Timed:
    """One variant's times in seconds, by stage."""

    def __init__(self, forward: Forward, tracker: Tracker, video: Frames):
        self._forward, self._tracker, self._video = forward, tracker, video
        self.seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
        for _ in range(2):  # unmeasured: what a first call sets up
            forward.run()
            tracker.update(video[0])

    def block(self) -> None:
        """`_BLOCK` calls of the network, then as many frames of the video."""
        for _ in range(_BLOCK):
            self.seconds["network"].append(_seconds(self._forward.run))
        frames = read_ahead(self._video)
        next(frames)  # which nobody could read ahead
        before = time.perf_counter()
        for frame in frames:
            self.seconds["update"].append(_seconds(lambda frame=frame: self._tracker.update(frame)))
            now = time.perf_counter()
            self.seconds["video"].append(now - before)
            before = now

    def summary(self) -> dict[str, dict[str, float]]:
        """Quantiles in milliseconds and frames a second, by stage."""
        out = {}
        for stage, seconds in self.seconds.items():
            marks = {f"{name}_ms": 1e3 * float(np.quantile(seconds, share)) for name, share in QUANTILES.items()}
            out[stage] = marks | {"fps": 1e3 / marks["p50_ms"]}
        return out


def _prepare(
    config: Config, weights: Mapping[str, Any], video: Frames, box: Float[np.ndarray, " 4"]
) -> tuple[dict[str, Any], Timed]:
    """What is known of a variant before it runs, and what runs it."""
    model = config.model
    forward, tracker = compile_forward(model, weights), HeldTracker(config, weights)
    tracker.init(video[0], box)
    row = _counts(model) | {
        "compile_seconds": forward.compile_seconds,
        "memory_bytes": forward.memory_bytes,
        "attention": chosen(model),
    }
    return row, Timed(forward, tracker, video)


def _counts(model: ModelConfig) -> dict[str, Any]:
    parts = macs(model)
    return {"parameters": parameters(model), "macs": parts, "macs_paper": as_the_paper_counts(parts)}


def _seconds(function: Any) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def show(profile: Mapping[str, Any], console: Console) -> None:
    """Print the table: a line for each quantity, a column for each variant, and what elimination changes."""
    columns = profile["variants"]
    rows = list(columns.values())
    table = Table(title=escape(profile["config"]), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    if len(rows) == 2:
        table.add_column("change", justify="right")

    def add(label: str, values: list[float], digits: int = 1) -> None:
        change = [f"{100 * (values[0] / values[1] - 1):+.1f} %"] if len(values) == 2 and values[1] else []
        table.add_row(label, *(f"{value:.{digits}f}" for value in values), *change)

    add("parameters, M", [row["parameters"] / 1e6 for row in rows])
    add("MACs, G (the paper's count)", [row["macs_paper"] / 1e9 for row in rows], 2)
    for part, label in PARTS.items():
        add(f"  {label}", [row["macs"][part] / 1e9 for row in rows], 2)
    add("compile, s", [row["compile_seconds"] for row in rows])
    for key, label in MEMORY.items():
        if all(key in row["memory_bytes"] for row in rows):
            add(label, [row["memory_bytes"][key] / 1e6 for row in rows])
    for stage, label in STAGES.items():
        table.add_section()
        for mark in QUANTILES:
            add(f"{label}, ms {mark}", [row["times"][stage][f"{mark}_ms"] for row in rows])
        add("  frames/s", [row["times"][stage]["fps"] for row in rows])
    console.print(table)
    hardware = profile["hardware"]
    where = ", ".join(hardware["jax_devices"]) if jax.default_backend() != "cpu" else hardware["cpu"]
    console.print(
        f"{escape(where)}, {hardware['cores']} cores; {profile['dtype']}, batch 1, attention by "
        f"{rows[0]['attention']}; {profile['frames']} frames of {profile['frame_size']}; "
        f"jax {profile['versions']['jax']}"
    )
