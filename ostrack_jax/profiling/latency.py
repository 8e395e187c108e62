"""Memory and time of a model, with and without elimination.

Three things are timed, because published speeds are of the first and users see the last: the network alone, on crops
already on the device; `Tracker.update`, which crops, copies and computes; and a video, whose JPEG files a thread
reads ahead. The target's box is put back after each frame: untrained weights serve as well as trained ones, and all
crops are of one size.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental.compilation_cache import compilation_cache
from jaxtyping import Float, UInt8
from rich.console import Console
from rich.progress import Progress

from ostrack_jax.config import Config, DataConfig, ModelConfig
from ostrack_jax.data.frames import Frames, ImageFrames, read_ahead
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.models.attention import chosen
from ostrack_jax.models.ostrack import Prediction
from ostrack_jax.models.weights import model_of, weight_shapes
from ostrack_jax.profiling.macs import as_the_paper_counts, macs, parameters
from ostrack_jax.tracking.tracker import Tracker
from ostrack_jax.visualization.table import Table

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
STAGES = {"network": "network alone", "update": "update of the tracker", "video": "whole video"}
PARTS = {
    "embed": "patch embedding",
    "attention": "attention: q, k, v, projection",
    "mlp": "MLPs",
    "head": "head",
    "products": "attention's two products, not counted above",
}
MEMORY = {"arguments": "weights and crops, MB", "beside": "in addition to them, MB"}
_PUBLISHED = {"eliminate_at": (3, 6, 9), "keep_ratio": (0.7, 0.7, 0.7)}
_BLOCK = 5  # calls of the network, then frames of the video, of one variant before it is the next one's turn


@dataclass(frozen=True)
class Forward:
    """A forward pass of template and search crops that lie on the device.

    Attributes:
      run: computes it once and waits for it.
      compile_seconds: what the compiler took, without any cache of executables.
      memory_bytes: as the compiler reports it, empty if it does not: ``arguments``, weights and crops; ``beside``,
        what the device needs in addition to them.
    """

    run: Callable[[], object]
    compile_seconds: float
    memory_bytes: dict[str, int]


def compile_forward(config: ModelConfig, weights: Mapping[str, Any], batch: int = 1) -> Forward:
    """Compile the network for ``batch`` pairs of crops, as the paper counts and times it."""
    graph, state = nnx.split(model_of(config, weights))
    crops = jax.device_put(list(random_crops(config, batch).values()))
    box = jnp.tile(jnp.array([0.25, 0.25, 0.5, 0.5]), (batch, 1))

    def forward(state: nnx.State, *crops: jax.Array) -> Prediction:
        return nnx.merge(graph, state)(*crops)

    compiled, seconds = timed_compile(jax.jit(forward), state, *crops, box)
    memory, found = {}, compiled.memory_analysis()
    if found is not None:
        memory["arguments"] = found.argument_size_in_bytes
        memory["beside"] = found.temp_size_in_bytes + found.output_size_in_bytes
    return Forward(lambda: jax.block_until_ready(compiled(state, *crops, box)), seconds, memory)


def random_crops(model: ModelConfig, batch: int) -> dict[str, UInt8[np.ndarray, "b _ _ 3"]]:
    """Noise of the sizes of template and search crops."""
    rng = np.random.default_rng(0)
    sizes = {"template": model.template_size, "search": model.search_size}
    return {name: rng.integers(0, 256, (batch, size, size, 3), np.uint8) for name, size in sizes.items()}


def timed_compile(function: Any, *arguments: Any, **static: Any) -> tuple[Any, float]:
    """Trace and compile a jitted function without any cache of executables; the executable and the seconds."""
    with without_cache():
        began = time.perf_counter()
        compiled = function.lower(*arguments, **static).compile()
        return compiled, time.perf_counter() - began


@contextlib.contextmanager
def without_cache() -> Iterator[None]:
    """Compile without the cache of executables that the user's environment may name."""
    enabled = jax.config.values["jax_enable_compilation_cache"]
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()


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
      ``memory_bytes`` (see `Forward`), ``attention`` (the kernel), and ``times``: by stage of `STAGES`
      ``p50_ms``, ``p95_ms``, ``p99_ms`` and ``fps`` (one over the median).
    """
    console = console or Console(stderr=True)
    progress = Progress(console=console, transient=True, disable=not console.is_terminal)
    with tempfile.TemporaryDirectory() as directory, progress:
        configs = variants(config)
        video, box = make_video(Path(directory), size_wh)
        task = progress.add_task("compiling", total=len(configs) * (frames + 1))
        weights, rows = make_weights(config.model), {}
        blocks: dict[str, Callable[[], dict[str, list[float]]]] = {}
        seconds: dict[str, dict[str, list[float]]] = {name: {stage: [] for stage in STAGES} for name in configs}
        for name, variant in configs.items():
            model = variant.model
            forward, tracker = compile_forward(model, weights), Tracker(variant, weights)
            tracker.init(video[0], box)
            parts = macs(model)
            rows[name] = {
                "parameters": parameters(model),
                "macs": parts,
                "macs_paper": as_the_paper_counts(parts),
                "compile_seconds": forward.compile_seconds,
                "memory_bytes": forward.memory_bytes,
                "attention": chosen(model),
            }
            blocks[name] = functools.partial(time_block, forward, tracker, video, box)
            blocks[name]()  # unmeasured: what a first call sets up
            progress.advance(task)
        progress.update(task, description="measuring")
        for _ in range(-(-frames // _BLOCK)):
            for name, block in blocks.items():
                for stage, times in block().items():
                    seconds[name][stage] += times
                progress.advance(task, _BLOCK)
    return {name: row | {"times": summary(seconds[name])} for name, row in rows.items()}


def make_video(directory: Path, size_wh: tuple[int, int]) -> tuple[Frames, Float[np.ndarray, " 4"]]:
    """Frames of a synthetic sequence as JPEG files, and the target's first box."""
    options = {"frames": _BLOCK + 1, "width": size_wh[0], "height": size_wh[1]}
    sequence = open_dataset(DataConfig(reader="synthetic", part="test", options=options))[0]
    return ImageFrames(write_jpegs(sequence.frames, directory)), sequence.boxes_xywh[0]


def write_jpegs(frames: Frames, directory: Path, quality: int = 95) -> list[Path]:
    """Write frames as `00000001.jpg` and so on."""
    paths = [directory / f"{t:08d}.jpg" for t in range(1, len(frames) + 1)]
    for t, path in enumerate(paths):
        image = cv2.cvtColor(frames[t], cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return paths


def make_weights(model: ModelConfig) -> dict[str, np.ndarray]:
    """Small random weights, the same for every variant. (To draw real initial ones takes a compilation.)"""
    rng, weights = np.random.default_rng(0), {}
    for name, shape in weight_shapes(model).items():
        if name.endswith("count"):
            weights[name] = np.zeros(shape, np.int32)
        elif name.endswith(("scale", "var")):
            weights[name] = np.ones(shape, np.float32)
        else:
            weights[name] = np.float32(0.02) * rng.standard_normal(shape, np.float32)
    return weights


def time_block(
    forward: Forward, tracker: Tracker, video: Frames, box_xywh: Float[np.ndarray, " 4"]
) -> dict[str, list[float]]:
    """Time `_BLOCK` calls of the network, then as many frames of the video; seconds by stage.

    The target stays at ``box_xywh``, whatever the network predicts.
    """
    seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for _ in range(_BLOCK):
        began = time.perf_counter()
        forward.run()
        seconds["network"].append(time.perf_counter() - began)
    frames = read_ahead(video)
    next(frames)  # which nobody could read ahead
    before = time.perf_counter()
    for frame in frames:
        began = time.perf_counter()
        tracker.update(frame)
        tracker.search_around(0, box_xywh)
        now = time.perf_counter()
        seconds["update"].append(now - began)
        seconds["video"].append(now - before)
        before = now
    return seconds


def summary(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Quantiles in milliseconds and frames a second, by stage."""
    out = {}
    for stage, times in seconds.items():
        marks = {f"{name}_ms": 1e3 * float(np.quantile(times, share)) for name, share in QUANTILES.items()}
        out[stage] = marks | {"fps": 1e3 / marks["p50_ms"]}
    return out


def table(profile: Mapping[str, Any]) -> Table:
    """A line for each quantity, a column for each variant, and the change by elimination."""
    columns = profile["variants"]
    variants = list(columns.values())
    rows: list[list[str]] = []

    def add(label: str, values: list[float], digits: int = 1) -> None:
        change = [f"{100 * (values[0] / values[1] - 1):+.1f} %" if values[1] else "-"] if len(values) == 2 else []
        rows.append([label, *(f"{value:.{digits}f}" for value in values), *change])

    add("parameters, M", [row["parameters"] / 1e6 for row in variants])
    add("MACs, G (the paper's count)", [row["macs_paper"] / 1e9 for row in variants], 2)
    for part, label in PARTS.items():
        add(f"  {label}", [row["macs"][part] / 1e9 for row in variants], 2)
    add("compile, s", [row["compile_seconds"] for row in variants])
    for key, label in MEMORY.items():
        if all(key in row["memory_bytes"] for row in variants):
            add(label, [row["memory_bytes"][key] / 1e6 for row in variants])
    for stage, label in STAGES.items():
        for mark in QUANTILES:
            add(f"{label}, ms {mark}", [row["times"][stage][f"{mark}_ms"] for row in variants])
        add("  frames/s", [row["times"][stage]["fps"] for row in variants])
    hardware = profile["hardware"]
    where = ", ".join(hardware["jax_devices"]) if jax.default_backend() != "cpu" else hardware["cpu"]
    note = (
        f"{where}, {hardware['cores']} cores; {profile['dtype']}, batch 1, attention by {variants[0]['attention']}; "
        f"{profile['frames']} frames of {profile['frame_size']}; jax {profile['versions']['jax']}"
    )
    change = ["change"] if len(variants) == 2 else []
    return Table(profile["config"], ["", *columns, *change], rows, [note])
