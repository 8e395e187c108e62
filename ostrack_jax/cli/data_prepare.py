"""Pack a data set for fast reading: images in a few large files, as they are stored, annotations next to them.

NAME is a reader (got10k, lasot, coco, ...), DIR its directory. Training takes the packed set in its place by its
path: --config.data.NAME.dir=OUTPUT. The files are ArrayRecord in TensorFlow Datasets' layout, which
tfds.builder_from_directory reads; TensorFlow is not needed. Run again after an interruption, the same command
continues; every file is read back and compared.

--crop CONFIG cuts each image to what the training crops of that config can reach, encodes it again as JPEG of quality
95 where that is smaller, and prints the space saved. Such a set serves training only, with crops and jitter of that
config or smaller ones.

Example:
  ostrack data prepare got10k /data/got10k --split vot_train --output /fast/got10k
"""

from __future__ import annotations

import shlex

from absl import flags as absl_flags

from ostrack_jax.cli import orientation
from ostrack_jax.cli.paths import Place, define_path
from ostrack_jax.io import must_be_text

ARGUMENTS = ("NAME", Place("DIR"))


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    define_path("output", None, "a new folder", flags, writes="directory", required=True)
    absl_flags.DEFINE_string("part", "train", "the set's own part: train, val or test", flag_values=flags)
    absl_flags.DEFINE_string("split", "all", "a published list of sequences, or all", flag_values=flags)
    orientation.define(flags)
    define_path("crop", None, "a config: cut images to what its crops can reach", flags)
    absl_flags.DEFINE_integer("per_file", 32768, "images in a file", lower_bound=1, flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Plan, write, report."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ostrack_jax.config import DataConfig, load
    from ostrack_jax.data.packed.writer import Packing, load_libraries, reach_of
    from ostrack_jax.data.readers.registry import open_dataset

    must_be_text(flags.output)
    reader, folder = arguments
    options = orientation.options(flags, reader)
    data = DataConfig(reader=reader, dir=folder, part=flags.part, split=flags.split, options=options)
    reach = reach_of(load(str(flags.crop))) if flags.crop else None
    sequences = open_dataset(data)
    load_libraries()
    console = Console(soft_wrap=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        order = progress.track(range(len(sequences)), description="annotations")
        packing = Packing(data, sequences, order, reach, flags.per_file)
        bar = progress.add_task("images", total=packing.records)
        written = packing.write(flags.output, lambda count: progress.advance(bar, count))
    for note in sequences.notes:
        console.print(f"note: {note}", markup=False)
    for name, why in packing.left_out.items():
        console.print(f"left out: {name}: {why}", markup=False)
    for name in written["named"]:
        console.print(f"unreadable, kept empty: {name}", markup=False)
    size, before = written["after"] / 2**20, written["before"] / 2**20
    saved = f", {1 - size / max(before, 1e-9):.1%} less than the {before:.1f} MiB they were" if reach else ""
    counts = f"{len(packing.names)} sequences, {written['records']} images ({written['unreadable']} unreadable)"
    console.print(f"{counts}, {size:.1f} MiB{saved}, all read again: {flags.output}", markup=False)
    console.print(f"train on it: --config.data.{reader}.dir={shlex.quote(str(flags.output))}", markup=False)
