"""How fast tracking is: the network alone, `update`, and whole videos, for one target and for many at once.

Three figures, each in milliseconds for a tracked frame (one target, one frame after the first), measured in turn:

- ``network``: the compiled step alone, its crops already on the device, until boxes and scores are back;
- ``update``: search regions cut from frames in memory, the network, boxes in the frame: what a program pays that has
  its frames (first frames included);
- ``whole``: `ostrack eval`'s own way from pictures on disk to result files: decoding, `update`, writing.

Pictures are JPEGs of synthetic sequences. Weights are drawn, with a size that stays, unless a checkpoint is given.
With --processes, so many share the sequences of one folder; then ``whole`` alone is measured, over all of them.
``compile_or_load`` is what the executables took: a second run loads them from the cache.

Example:
  python benchmarks/tracking.py --batches 1,8,32,64 --processes 1,2 --output benchmarks/results/tracking_cpu.json
"""

from __future__ import annotations

import io
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
from absl import flags as absl_flags
from rich.console import Console
from timing import define as timing_flags
from timing import interleaved, start, write

from ostrack_jax import config as configs
from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.cli.paths import define_path
from ostrack_jax.config import Config
from ostrack_jax.data.frames import ArrayFrames
from ostrack_jax.data.generated.synthetic import open_synthetic
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.evaluation import benchmarks, results, runner
from ostrack_jax.models.attention import chosen
from ostrack_jax.models.devices import keep_compiled
from ostrack_jax.models.weights import initial_weights
from ostrack_jax.tracking.tracker import Tracker
from ostrack_jax.visualization.table import Table

PROTOCOL = benchmarks.find("otb")


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    absl_flags.DEFINE_string("config", "vitb_256_mae_ce_32x4_ep300", "a named config", flag_values=flags)
    define_path("checkpoint", None, "weights, in place of drawn ones", flags)
    absl_flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "of the computation", flag_values=flags)
    batches = (["1", "8", "32", "64"], "targets at once")
    timing_flags(flags, rounds=3, batches=batches, processes=(["1"], "processes at once"))
    absl_flags.DEFINE_string("frame", "640x360", "width and height of the pictures", flag_values=flags)
    absl_flags.DEFINE_integer("tracked", 128, "tracked frames of a round, at least 2 a target", flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Measure, print a table, write JSON."""
    keep_compiled()
    settings = {name: flags[name].value for name in ("config", "dtype", "frame", "tracked", "rounds")}
    settings["checkpoint"] = None if flags.checkpoint is None else str(flags.checkpoint)
    rows = []
    kernel = chosen(read(settings)[0].model)
    with tempfile.TemporaryDirectory() as place:
        for batch in map(int, flags.batches):
            for processes in map(int, flags.processes):
                data = Path(place, f"{batch}x{processes}")
                length = 1 + max(2, flags.tracked // batch)
                write_pictures(data, batch * processes, length, flags.frame)
                job = (settings, batch, data)
                rows.append(measure(*job) if processes == 1 else measure_shared(job, processes))
                rows[-1] |= {"batch": batch, "processes": processes, "sequences": batch * processes, "frames": length}
                print(f"batch {batch}, {processes} process(es): {rows[-1]['whole_ms']:.1f} ms", file=sys.stderr)
                write(flags.output, "tracking", settings, {"attention": kernel, "rows": rows})
    show(rows, kernel)


def read(settings: dict[str, Any]) -> tuple[Config, dict[str, Any]]:
    """Config and weights. Drawn ones answer boxes of the target's own size, so that crops are as they are in use."""
    config = configs.load(settings["config"], [f"model.dtype={settings['dtype']}"])
    if settings["checkpoint"]:
        return config, dict(load_weights(Path(settings["checkpoint"]))[1])
    weights = dict(initial_weights(config.model, 0))
    share = 1 / config.model.search_factor
    weights["head.size.final.kernel"] = np.zeros_like(weights["head.size.final.kernel"])
    weights["head.size.final.bias"] = np.full_like(weights["head.size.final.bias"], np.log(share / (1 - share)))
    return config, weights


def write_pictures(folder: Path, sequences: int, frames: int, size: str) -> None:
    """Sequences in OTB's layout, all of the same pictures."""
    width, height = map(int, size.split("x"))
    source = open_synthetic(seed=0, sequences=1, frames=frames, width=width, height=height)[0]
    pictures = (source.frames[t][..., ::-1] for t in range(frames))
    encoded = [cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1] for picture in pictures]
    boxes = "".join(",".join(f"{value:.2f}" for value in box) + "\n" for box in source.boxes_xywh)
    for i in range(sequences):
        place = folder / f"made_up_{i:03d}"
        (place / "img").mkdir(parents=True)
        (place / "groundtruth_rect.txt").write_text(boxes)
        for t, data in enumerate(encoded):
            (place / "img" / f"{t + 1:04d}.jpg").write_bytes(data.tobytes())


def measure(settings: dict[str, Any], batch: int, data: Path) -> dict[str, Any]:
    """The three figures of one process, in turn."""
    tracker = Tracker(*read(settings), targets=batch)
    sequences = PROTOCOL.open(data)
    runs: dict[str, Callable[[], object]] = {
        "network": _network(tracker, len(sequences[0]) - 1),
        "update": _update(tracker, _in_memory(sequences)),
        "whole": lambda: _whole(tracker, sequences, Path(tempfile.mkdtemp(dir=data.parent))),
    }
    frames = batch * (len(sequences[0]) - 1)
    tracker.network.predict(_noise(tracker))
    *_, seconds = interleaved(runs, settings["rounds"], warm_up=0)
    times = {name: [1e3 * value / frames for value in values] for name, values in seconds.items()}
    row: dict[str, Any] = {f"{name}_ms": float(np.median(values)) for name, values in times.items()}
    over = np.median(np.array(times["whole"]) / np.array(times["network"]))  # of the same round: machines drift
    picture = sequences[0].frames
    return row | {
        "whole_over_network": float(over),
        "decode_ms": 1e3 * _seconds(lambda: picture[0]),
        "compile_or_load_s": tracker.compile_seconds,
        "rounds_ms": times,
    }


def _noise(tracker: Tracker) -> np.ndarray:
    side = tracker.config.model.search_size
    return np.random.default_rng(0).integers(0, 256, (tracker.targets, side, side, 3), np.uint8)


def measure_shared(job: tuple[dict[str, Any], int, Path], processes: int) -> dict[str, Any]:
    """Whole videos of one folder by several processes: from when all are ready to the last result."""
    out = Path(tempfile.mkdtemp(dir=job[2].parent))
    spawn = multiprocessing.get_context("spawn")
    ready, times = spawn.Barrier(processes + 1, timeout=600), []
    for round_ in range(job[0]["rounds"]):
        workers = [spawn.Process(target=work, args=(*job, out / str(round_), ready)) for _ in range(processes)]
        for worker in workers:
            worker.start()
        ready.wait()
        began = time.time()
        for worker in workers:
            worker.join()
            if worker.exitcode:
                raise RuntimeError(f"a process ended with status {worker.exitcode}")
        sequences = PROTOCOL.open(job[2])
        written = [results.files(out / str(round_), name, PROTOCOL.form).boxes for name in sequences.names]
        frames = len(sequences) * (len(sequences[0]) - 1)
        times.append(1e3 * (max(path.stat().st_mtime for path in written) - began) / frames)
    return {"whole_ms": float(np.median(times)), "rounds_ms": {"whole": times}}


def work(settings: dict[str, Any], batch: int, data: Path, out: Path, ready: Any) -> None:
    """One of the processes of `measure_shared`."""
    keep_compiled()
    tracker = Tracker(*read(settings), targets=batch)
    tracker.network.predict(_noise(tracker))
    ready.wait()
    _whole(tracker, PROTOCOL.open(data), out)


def _network(tracker: Tracker, steps: int) -> Callable[[], object]:
    there = jax.device_put(_noise(tracker))
    return lambda: [tracker.network.predict(there) for _ in range(steps)]


def _update(tracker: Tracker, sequences: list[Sequence]) -> Callable[[], object]:
    def update() -> None:
        with runner.Slots(tracker) as slots:
            for i, sequence in enumerate(sequences):
                slots.begin(i, sequence)
            while slots.passes:
                slots.step()

    return update


def _in_memory(sequences: LazySequences) -> list[Sequence]:
    """The sequences with their frames decoded, which all are the same."""
    first = sequences[0]
    frames = ArrayFrames([first.frames[t] for t in range(len(first))])
    return [Sequence(name, frames, first.boxes_xywh, first.visible) for name in sequences.names]


def _whole(tracker: Tracker, sequences: LazySequences, out: Path) -> None:
    outcomes = runner.evaluate(tracker, PROTOCOL, sequences, out, {}, Console(file=io.StringIO()))
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise RuntimeError(f"{failed[0].name}: {failed[0].reason}")


def _seconds(function: Callable[[], object], times: int = 20) -> float:
    began = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - began) / times


def show(rows: list[dict[str, Any]], kernel: str) -> None:
    """A row for each number of targets and processes."""
    keys = ("network_ms", "update_ms", "whole_ms", "whole_over_network", "decode_ms", "compile_or_load_s")
    cells = [
        [
            *(str(row["batch"]), str(row["processes"])),
            *(f"{row[key]:.2f}" if key in row else "" for key in keys),
            f"{1e3 / row['whole_ms']:.1f}",
        ]
        for row in rows
    ]
    columns = [name.replace("_", " ") for name in ("batch", "processes", *keys, "frames/s")]
    title = f"a tracked frame on {jax.devices()[0].device_kind}; attention by {kernel}"
    Table(title, columns, cells).print(Console(width=130))


if __name__ == "__main__":
    start()
