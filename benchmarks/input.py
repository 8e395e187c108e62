"""How many pairs a second the loader makes, next to reading, decoding and resizing alone.

All run in turn in one process (and its workers), so that their ratios hold on a shared machine. ``bare`` is what no
loader can do without: for both frames of each pair, read the file, decode it, resize a piece to the crop's size; on one
core, as OpenCV's own threads are off. The loader reads the directory and the same set packed, with no, one and two
worker processes. Then what reduced decoding gains, and does to pixels, on real frames brought to two sizes. First of
all how a loader starts: seconds from opening the data to the first batch and memory of a worker process, for the
directory and for generated sets of a million sequences.

Example:
  python benchmarks/input.py --data_dir /data/got10k --rounds 8 --output benchmarks/results/input_cpu.json
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from absl import flags as absl_flags
from rich.progress import track
from timing import Run, interleaved, show, start, write
from timing import define as timing_flags

from ostrack_jax import config as configs
from ostrack_jax.cli.paths import define_path
from ostrack_jax.config import Config, DataConfig
from ostrack_jax.data.frames import REDUCTIONS, ArrayFrames, ImageFrames
from ostrack_jax.data.lazy import LazySequences
from ostrack_jax.data.packed import writer
from ostrack_jax.data.readers.registry import open_dataset
from ostrack_jax.data.sequence import Sequence
from ostrack_jax.geometry.crops import crop_side, square_crop
from ostrack_jax.pipeline.loader import Batches, open_sources
from ostrack_jax.pipeline.sampling import Source, draw_pair, jitter_box
from ostrack_jax.profiling.latency import write_jpegs

SIZES = ((400, 225), (1920, 1080))
_CHECKED = 400  # pairs whose pixels are compared
_AHEAD_S = 2  # in which a loader makes all that it makes ahead
_VIDEOS, _LENGTH = 12, 24  # of the sets brought to a size

Rows = dict[str, dict[str, float]]  # numbers of what has a name


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the flags."""
    define_path("data_dir", None, "a GOT-10k folder", flags, required=True)
    text = "a folder in COCO's layout: the start of `pasted` is measured too"
    define_path("coco_dir", None, text, flags)
    absl_flags.DEFINE_string("config", "vitb_256_mae_ce_32x4_got10k_ep100", "whose crops", flag_values=flags)
    timing_flags(flags, rounds=8, least=3, workers=(["0", "1", "2"], "worker processes"))
    absl_flags.DEFINE_integer("pairs", 320, "pairs in each run", lower_bound=32, flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Measure, print tables, write JSON."""
    cv2.setNumThreads(0)
    config = configs.load(flags.config, ["train.batch=32"])
    data_dir, pairs = str(flags.data_dir), flags.pairs
    settings = {"config": flags.config, "rounds": flags.rounds, "pairs": pairs}
    starts: list[dict[str, Any]] = []
    rates: dict[str, Rows] = {}
    pixels: dict[str, Rows] = {}
    result = {"starts": starts, "pairs_per_second": rates, "pixels": pixels}
    million = {"sequences": 1_000_000}
    sets = {"got10k": DataConfig(dir=data_dir), "synthetic": DataConfig(reader="synthetic", options=million)}
    if flags.coco_dir is not None:
        sets["pasted"] = DataConfig(reader="pasted", dir=str(flags.coco_dir), options=million)
    for (name, data), workers in itertools.product(sets.items(), map(int, flags.workers)):
        starts.append({"set": name, "workers": workers, **time_start(config, data, workers)})
        write(flags.output, "input", settings, result)
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        packed = pack(data_dir, Path(scratch) / "packed")
        runs: dict[str, Run] = {"bare": bare(sources_of(config, data_dir), config, pairs)}
        places = {"folder": data_dir, "packed": packed}
        for (name, directory), workers in itertools.product(places.items(), map(int, flags.workers)):
            runs[f"{name} {workers}"] = loader(stack, config, sources_of(config, str(directory)), workers, pairs)
        rates["loader"] = measure(runs, pairs, flags.rounds)
        write(flags.output, "input", settings, result)
        few = max(config.train.batch, pairs // 4)
        for size in SIZES:
            name = f"{size[0]} x {size[1]}"
            sources = at_size(data_dir, size, Path(scratch) / name)
            runs = {"bare": bare(sources, config, few)}
            for decoding, reduced in (("whole", False), ("reduced", True)):
                changed = dataclasses.replace(config, pairs=dataclasses.replace(config.pairs, reduced_decode=reduced))
                runs[decoding] = loader(stack, changed, sources, 0, few)
            rates[name] = measure(runs, few, flags.rounds)
            pixels[name] = compare(config, sources)
            write(flags.output, "input", settings, result)
    show("start of a loader", "set workers first_batch_s worker_mb", starts)
    for title, rows in rates.items():
        shown = [{"what": name, **row} for name, row in rows.items()]
        show(f"{title}, pairs/s; {os.cpu_count()} cores", "what median best of_bare", shown)
    crops = [{"size": size, "crop": crop, **row} for size, rows in pixels.items() for crop, row in rows.items()]
    show("reduced decoding, levels of 255", "size crop share levels levels_same_place levels_moved", crops)


def time_start(config: Config, data: DataConfig, workers: int) -> dict[str, float]:
    """Seconds from opening the data to the first batch, and the largest worker's own memory then, in MB."""
    began = time.perf_counter()
    with Batches(config, sources=open_sources(dataclasses.replace(config, data={"set": data})), workers=workers) as got:
        next(got)
        seconds = time.perf_counter() - began
        memory = [private_memory(child.pid) for child in multiprocessing.active_children() if child.pid]
    return {"first_batch_s": seconds, "worker_mb": max(memory, default=0.0)}


def private_memory(pid: int) -> float:
    """Memory in MB that would be free without the process: shared memory is not counted (Linux)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1e3


def sources_of(config: Config, directory: str) -> tuple[Source, ...]:
    """The set in ``directory``, every annotation read before anything is measured."""
    sources = open_sources(dataclasses.replace(config, data={"got10k": DataConfig(dir=directory)}))
    for sequence in sources[0].sequences:  # pyright: ignore[reportGeneralTypeIssues] (a list by its protocol)
        assert len(sequence)
    return sources


def pack(directory: str, output: Path) -> Path:
    """The set packed, as `ostrack data prepare` does it."""
    data = DataConfig(dir=directory)
    sequences = open_dataset(data)
    order = track(range(len(sequences)), "packing", transient=True)
    writer.Packing(data, sequences, order).write(output, lambda count: None)
    return output


def bare(sources: tuple[Source, ...], config: Config, pairs: int) -> Run:
    """Read, decode and resize the frames of ``pairs`` pairs drawn beforehand, and nothing else."""
    rng = np.random.default_rng(0)
    crops = [crop for _ in range(pairs) for crop in draw(sources, config, rng)]
    wanted = [(frames.name(index), crop_side(around, factor), size) for frames, index, around, factor, size in crops]

    def run() -> None:
        for path, side, size in wanted:
            with open(path, "rb", buffering=0) as file:
                image = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_COLOR_RGB)
            assert image is not None
            side = min(side, *image.shape[:2])
            cv2.resize(image[:side, :side], (size, size), interpolation=cv2.INTER_LINEAR)

    return run


def draw(sources: tuple[Source, ...], config: Config, rng: np.random.Generator) -> list[Any]:
    """A pair as the loader draws it: frames, index, the box to crop around, its factor and size, of both crops."""
    pair, model, jitters = draw_pair(sources, config.pairs, rng), config.model, config.pairs
    around = jitter_box(pair.search_box_xywh, jitters.centre_jitter, jitters.scale_jitter, rng)
    return [
        (pair.sequence.frames, pair.template_index, pair.template_box_xywh, model.template_factor, model.template_size),
        (pair.sequence.frames, pair.search_index, around, model.search_factor, model.search_size),
    ]


def loader(stack: contextlib.ExitStack, config: Config, sources: tuple[Source, ...], workers: int, pairs: int) -> Run:
    """Take ``pairs`` pairs from a loader that stays open between the rounds; the seconds without what lay ready."""
    stream = stack.enter_context(Batches(config, sources=sources, workers=workers))
    steps = pairs // config.train.batch

    def take() -> float:
        for _ in range(2 * (workers + 2)):  # what was made ahead while others ran, and once more to be at full speed
            next(stream)
        began = time.perf_counter()
        for _ in range(steps):
            next(stream)
        spent = time.perf_counter() - began
        time.sleep(_AHEAD_S)  # or it would take time from what is measured next
        return spent * pairs / (steps * config.train.batch)

    return take


def at_size(directory: str, size: tuple[int, int], place: Path) -> tuple[Source, ...]:
    """Videos of real frames brought to ``size`` (width, height), as JPEGs of quality 90 in ``place``."""
    made = {}
    found = (s for s in open_dataset(DataConfig(dir=directory)) if int(s.visible[:_LENGTH].sum()) >= _LENGTH)
    for sequence in itertools.islice(found, _VIDEOS):
        frames = [sequence.frames[i] for i in range(_LENGTH)]
        resized = ArrayFrames([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in frames])
        (place / sequence.name).mkdir(parents=True)
        paths = write_jpegs(resized, place / sequence.name, quality=90)
        boxes = sequence.boxes_xywh[:_LENGTH] * np.tile(np.divide(size, frames[-1].shape[1::-1]), 2)
        made[sequence.name] = Sequence(sequence.name, ImageFrames(paths), boxes, sequence.visible[:_LENGTH])
    return (Source("sized", LazySequences(made, lambda name, sequence: sequence), 1.0),)


def measure(runs: dict[str, Run], pairs: int, rounds: int) -> Rows:
    """Pairs a second of each of ``runs`` in turn: median, best, and the median over that of ``bare``."""
    *_, times = interleaved(runs, rounds, warm_up=1)
    # Ratios within a round: the machine's speed drifts between them.
    return {
        name: {
            "median": pairs / float(np.median(spent)),
            "best": pairs / min(spent),
            "of_bare": float(np.median(np.divide(times["bare"], spent))),
        }
        for name, spent in times.items()
    }


def compare(config: Config, sources: tuple[Source, ...]) -> Rows:
    """What reduced decoding does to crops: by crop the share it touches and, there, mean differences in levels.

    ``levels``: as trained on, which may lie up to half a pixel elsewhere; ``levels_same_place``: of the same square of
    the frame; for scale, ``levels_moved``: how much a crop differs from itself moved by one pixel.
    """
    rng = np.random.default_rng(0)
    found: dict[str, list[list[float]]] = {"template": [], "search": []}
    for _ in track(range(_CHECKED), "comparing", transient=True):
        for name, (frames, index, around, factor, size) in zip(found, draw(sources, config, rng), strict=True):
            side = crop_side(around, factor)
            by = max(by for by in REDUCTIONS if by == 1 or by <= side / size)
            if by == 1:
                continue
            full, (small, _) = frames[index], frames.reduced(index, by)
            corner = np.round((around[:2] + around[2:] / 2 - side / 2) / by)
            square = np.r_[corner, np.full(2, np.ceil(side / by))]
            trained = square_crop(full, around, factor, size), square_crop(small, around / by, factor, size)
            placed = square_crop(full, square * by, 1, size), square_crop(small, square, 1, size)
            differences = [np.subtract(*(crop.image.astype(np.int16) for crop in both)) for both in (trained, placed)]
            moved = np.diff(trained[0].image.astype(np.int16), axis=1)
            found[name].append([float(np.abs(levels).mean()) for levels in (*differences, moved)])
    keys, rows = ("levels", "levels_same_place", "levels_moved"), {}
    for name, levels in found.items():
        means = np.mean(levels, axis=0).tolist() if levels else [0.0] * 3
        rows[name] = {**dict(zip(keys, means, strict=True)), "share": len(levels) / _CHECKED}
    return rows


if __name__ == "__main__":
    start()
