"""Speed of tracking: the network alone, `update`, and complete videos, for one target and for many at once.

Three figures, each in milliseconds for a tracked frame (one target, one frame after the first), measured in turn:

- ``network``: the compiled step alone, its crops already on the device, until boxes and scores are back;
- ``update``: search regions cut from frames in memory, the network, boxes in the frame: the cost for a program that has
  its frames (first frames included);
- ``whole``: `ostrack eval`'s own way from images on disk to result files: decoding, `update`, writing.

Images are JPEGs of synthetic sequences. Weights are drawn, with a size that stays, unless a checkpoint is given.
With --processes, so many share the sequences of one folder; then ``whole`` alone is measured, over all of them.
``compile_or_load`` is what the executables took: a second run loads them from the cache.

Example:
  python benchmarks/tracking.py --batches 1,8,32,64 --processes 1,2 --output benchmarks/results/tracking_cpu.json
"""

from __future__ import annotations

import io
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags as absl_flags
from rich.console import Console
from timing import define as timing_flags
from timing import interleaved, show, start, write

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
from ostrack_jax.profiling.latency import make_weights, random_crops, write_jpegs
from ostrack_jax.tracking.tracker import Tracker

PROTOCOL = benchmarks.find("otb")
COLUMNS = "batch processes network_ms update_ms whole_ms whole_over_network decode_ms compile_or_load_s"


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    absl_flags.DEFINE_string("config", "vitb_256_mae_ce_32x4_ep300", "a named config", flag_values=flags)
    define_path("checkpoint", None, "weights, in place of drawn ones", flags)
    absl_flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "of the computation", flag_values=flags)
    batches = (["1", "8", "32", "64"], "targets at once")
    timing_flags(flags, rounds=3, batches=batches, processes=(["1"], "processes at once"))
    absl_flags.DEFINE_string("frame", "640x360", "width and height of the images", flag_values=flags)
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
                write_sequences(data, batch * processes, length, flags.frame)
                job = (settings, batch, data)
                rows.append(measure(*job) if processes == 1 else measure_shared(*job, processes))
                rows[-1] |= {"batch": batch, "processes": processes, "sequences": batch * processes, "frames": length}
                print(f"batch {batch}, {processes} process(es): {rows[-1]['whole_ms']:.1f} ms", file=sys.stderr)
                write(flags.output, "tracking", settings, {"attention": kernel, "rows": rows})
    show(f"a tracked frame on {jax.devices()[0].device_kind}; attention by {kernel}", COLUMNS, rows)


def read(settings: dict[str, Any]) -> tuple[Config, dict[str, Any]]:
    """Config and weights. Random ones predict boxes of the target's own size, so that crops are realistic."""
    config = configs.load(settings["config"], [f"model.dtype={settings['dtype']}"])
    if settings["checkpoint"]:
        return config, dict(load_weights(Path(settings["checkpoint"]))[1])
    weights = make_weights(config.model)
    share = 1 / config.model.search_factor
    weights["head.size.final.kernel"] = np.zeros_like(weights["head.size.final.kernel"])
    weights["head.size.final.bias"] = np.full_like(weights["head.size.final.bias"], np.log(share / (1 - share)))
    return config, weights


def write_sequences(directory: Path, sequences: int, frames: int, size: str) -> None:
    """Write sequences in OTB's layout, all of the same images."""
    width, height = map(int, size.split("x"))
    source = open_synthetic(seed=0, sequences=1, frames=frames, width=width, height=height)[0]
    for i in range(sequences):
        place = directory / f"synthetic_{i:03d}"
        if i:
            shutil.copytree(directory / "synthetic_000", place)
            continue
        (place / "img").mkdir(parents=True)
        write_jpegs(source.frames, place / "img", quality=90)
        np.savetxt(place / "groundtruth_rect.txt", source.boxes_xywh, "%.2f", ",")


def measure(settings: dict[str, Any], batch: int, data: Path) -> dict[str, Any]:
    """The three figures of one process, in turn."""
    tracker = ready_tracker(settings, batch)
    sequences = PROTOCOL.open(data)
    first, steps = sequences[0], len(sequences[0]) - 1
    crops = jax.device_put(random_crops(tracker.config.model, batch)["search"])
    decoded = ArrayFrames([first.frames[t] for t in range(len(first))])  # all sequences are of the same images
    in_memory = [Sequence(name, decoded, first.boxes_xywh, first.visible) for name in sequences.names]

    def update() -> None:
        with runner.Slots(tracker) as slots:
            for i, sequence in enumerate(in_memory):
                slots.begin(i, sequence)
            while slots.passes:
                slots.step()

    runs: dict[str, Callable[[], object]] = {
        "network": lambda: [tracker.network.predict(crops) for _ in range(steps)],
        "update": update,
        "whole": lambda: whole(tracker, sequences, Path(tempfile.mkdtemp(dir=data.parent))),
    }
    *_, seconds = interleaved(runs, settings["rounds"], warm_up=0)
    *_, decoding = interleaved({"decode": lambda: first.frames[0]}, 20, warm_up=0)
    times = {name: [1e3 * value / (batch * steps) for value in values] for name, values in seconds.items()}
    medians = {f"{name}_ms": float(np.median(values)) for name, values in times.items()}
    return medians | {
        # Within a round, as machines drift.
        "whole_over_network": float(np.median(np.divide(times["whole"], times["network"]))),
        "decode_ms": 1e3 * float(np.mean(decoding["decode"])),
        "compile_or_load_s": tracker.compile_seconds,
        "rounds_ms": times,
    }


def ready_tracker(settings: dict[str, Any], batch: int) -> Tracker:
    """A tracker whose network is compiled."""
    tracker = Tracker(*read(settings), targets=batch)
    tracker.network.predict(random_crops(tracker.config.model, batch)["search"])
    return tracker


def whole(tracker: Tracker, sequences: LazySequences, out: Path) -> None:
    """Track sequences as `ostrack eval` does."""
    outcomes = runner.evaluate(tracker, PROTOCOL, sequences, out, {}, Console(file=io.StringIO()))
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise RuntimeError(f"{failed[0].name}: {failed[0].reason}")


def measure_shared(settings: dict[str, Any], batch: int, data: Path, processes: int) -> dict[str, Any]:
    """Whole videos of one directory by several processes: from when all are ready to the last result."""
    root, sequences = Path(tempfile.mkdtemp(dir=data.parent)), PROTOCOL.open(data)
    frames, times = len(sequences) * (len(sequences[0]) - 1), []
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Barrier(processes + 1, timeout=600)
    for i in range(settings["rounds"]):
        out = root / str(i)
        workers = [spawn.Process(target=work, args=(settings, batch, data, out, ready)) for _ in range(processes)]
        for worker in workers:
            worker.start()
        ready.wait()
        began = time.time()
        for worker in workers:
            worker.join()
            if worker.exitcode:
                raise RuntimeError(f"a process ended with status {worker.exitcode}")
        written = [results.files(out, name, PROTOCOL.form).boxes for name in sequences.names]
        times.append(1e3 * (max(path.stat().st_mtime for path in written) - began) / frames)
    return {"whole_ms": float(np.median(times)), "rounds_ms": {"whole": times}}


def work(settings: dict[str, Any], batch: int, data: Path, out: Path, ready: Any) -> None:
    """Track as one of the processes of `measure_shared`."""
    keep_compiled()
    tracker = ready_tracker(settings, batch)
    ready.wait()
    whole(tracker, PROTOCOL.open(data), out)


if __name__ == "__main__":
    start()
