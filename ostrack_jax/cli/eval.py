"""Score a tracker on a benchmark: one pass, ground-truth start, results and scores written to a folder.

Results that are there and whole are not tracked again, so an interrupted run goes on where it was. The folder gets
the result files of the benchmark's own format, report.json with the scores and what made them, and run.json, by
which results of different trackers are never mixed. Ends with status 1 where a sequence failed.

The same command may run several times at once, on one machine or on hosts that see the same --output: they share the
sequences, one takes over what another that was killed has left, and all end when all is done.

Example:
  ostrack eval --checkpoint weights/256 --benchmark got10k_val --data_dir /data/got10k --output results/256
  ostrack eval --tracker opencv:nano --tracker_files peers --benchmark otb --data_dir /data/otb --output results/nano
  python eval.py --config configs/vitb_256_mae_ce_32x4_ep300.py --checkpoint weights/256 \\
      --benchmark otb --data_dir /data/otb --output results/otb --sequences Girl,Crossing
  ostrack eval --checkpoint weights/256 --benchmark otb --data_dir /data/otb --output results/otb --batch 32
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags as absl_flags

from ostrack_jax.cli import orientation, trackers
from ostrack_jax.cli.paths import define_path
from ostrack_jax.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from ostrack_jax.data.lazy import LazySequences
    from ostrack_jax.evaluation.benchmarks import Benchmark


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    text = (
        "lasot, lasot_ext, trackingnet, got10k_val, got10k_test, nfs30, nfs240, uav123, uav20l, uav123_10fps, dtb70, "
        "uavdt, tnl2k, otb100, otb (what there is), tc128, itb, vot2018 .. vot2022, folder (one's own) or synthetic "
        "(generated, needs no data)"
    )
    absl_flags.DEFINE_string("benchmark", None, text, flag_values=flags, required=True)
    text = "the benchmark's folder; without it, where OSTRACK_<READER>_DIR or the file of paths says"
    define_path("data_dir", None, text, flags)
    orientation.define(flags)
    text = "the folder for results and report, made where it is not there"
    define_path("output", None, text, flags, writes="directory", required=True)
    absl_flags.DEFINE_list("sequences", None, "some of its sequences alone, as a,b", flag_values=flags)
    text = "sequences tracked at once, in one step of the network; where there are fewer left, slots stay empty"
    absl_flags.DEFINE_integer("batch", 1, text, lower_bound=1, upper_bound=1024, flag_values=flags)
    text = "show how the same results score by these rules too, as a,b; all: by every one (docs/scores.md)"
    absl_flags.DEFINE_list("convention", [], text, flag_values=flags)
    text = "a folder of NAME.txt with a 0 or 1 for each attribute of the benchmark (OTB, LaSOT, UAV123)"
    define_path("attributes", None, text, flags)
    trackers.define(flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Track, score, report; 1 where a sequence failed."""
    from rich.console import Console

    from ostrack_jax.data import attributes
    from ostrack_jax.evaluation import benchmarks as protocols
    from ostrack_jax.evaluation import report
    from ostrack_jax.evaluation.metrics import conventions

    conventions.choose(flags.convention)  # a wrong name is told before the work
    protocol = protocols.find(flags.benchmark)
    options = orientation.options(flags, protocol.reader)
    sequences = protocol.open(flags.data_dir, options)
    if flags.attributes is not None:
        sequences = attributes.by_files(sequences, flags.attributes, protocol.reader)
    if flags.sequences is not None:
        sequences = sequences.select(dict.fromkeys(flags.sequences))
    if not len(sequences):
        raise UserError(f"--sequences: expected names of {flags.benchmark}, as a,b")
    chosen = trackers.choose(flags, flags.batch)
    if "stored" in options.values():  # results in other pixels are not mixed with these
        chosen = dataclasses.replace(chosen, provenance={**chosen.provenance, **options})
    tell_idle_devices(Console(stderr=True))
    told = score(chosen, protocol, sequences, flags.output, flags.convention)
    report.show(told, Console())
    print(f"report: {flags.output / report.REPORT_FILE}")
    return 1 if told["failed"] else 0


def tell_idle_devices(console: Console) -> None:
    """Say so where there are more devices than the one that a process uses."""
    jax = sys.modules.get("jax")  # a baseline runs without it
    if jax is not None and jax.local_device_count() > 1:
        console.print(
            f"this process uses one of {jax.local_device_count()} devices: start the same command once for each "
            "(CUDA_VISIBLE_DEVICES=0, =1, ..), and they share the sequences (docs/evaluation.md)",
            soft_wrap=True,
        )


def score(
    chosen: trackers.LoadedTracker,
    protocol: Benchmark,
    sequences: LazySequences,
    output: Path,
    other_rules: Sequence[str] = (),
) -> dict[str, Any]:
    """Track what is not yet tracked, and write the report; see `report.build` for its keys."""
    from ostrack_jax.evaluation import locks, report, runner

    about = {
        "command": shlex.join(sys.argv),
        "config": chosen.config,
        "compile_seconds": chosen.compile_seconds,
    }
    locks.read_records(output)  # a record that is none is told before the work
    outcomes = runner.evaluate(chosen.tracker, protocol, sequences, output, chosen.provenance, about=about)
    told = report.build(
        protocol,
        outcomes,
        chosen.provenance,
        processes=locks.read_records(output),
        other_rules=other_rules,
        **about,
    )
    report.write(output, told)
    return told
