"""Score a tracker on a benchmark: one pass, ground-truth start, results and scores written to a directory.

Complete results are not tracked again, so an interrupted run resumes where it was. The directory gets
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

import sys

from absl import flags as absl_flags

from ostrack_jax.cli import orientation, trackers
from ostrack_jax.cli.paths import define_path


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    text = (
        "lasot, lasot_ext, trackingnet, got10k_val, got10k_test, nfs30, nfs240, uav123, uav20l, uav123_10fps, dtb70, "
        "uavdt, tnl2k, otb100, otb (what there is), tc128, itb, vot2018 .. vot2022, folder (one's own) or synthetic "
        "(generated, needs no data)"
    )
    absl_flags.DEFINE_string("benchmark", None, text, flag_values=flags, required=True)
    text = "the benchmark's directory; without it, from OSTRACK_<READER>_DIR or the paths file"
    define_path("data_dir", None, text, flags)
    orientation.define(flags)
    text = "the directory for results and report, made where it does not exist"
    define_path("output", None, text, flags, writes="directory", required=True)
    absl_flags.DEFINE_list("sequences", None, "some of its sequences alone, as a,b", flag_values=flags)
    text = "sequences tracked at once, in one step of the network; where there are fewer left, slots stay empty"
    absl_flags.DEFINE_integer("batch", 1, text, lower_bound=1, upper_bound=1024, flag_values=flags)
    text = "show how the same results score by these rules too, as a,b; all: by every one (docs/scores.md)"
    absl_flags.DEFINE_list("convention", [], text, flag_values=flags)
    text = "a directory of NAME.txt with a 0 or 1 for each attribute of the benchmark (OTB, LaSOT, UAV123)"
    define_path("attributes", None, text, flags)
    trackers.define(flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Track, score, report; 1 where a sequence failed."""
    from rich.console import Console

    from ostrack_jax.evaluation import benchmarks, report
    from ostrack_jax.evaluation.evaluate import narrow, score
    from ostrack_jax.evaluation.metrics import conventions
    from ostrack_jax.evaluation.report_tables import print_report

    conventions.choose(flags.convention)  # a wrong name is reported before the work
    benchmark = benchmarks.find(flags.benchmark)
    options = orientation.options(flags, benchmark.reader)
    sequences = narrow(benchmark.open(flags.data_dir, options), benchmark, flags.sequences, flags.attributes)
    tracker = trackers.choose(flags, flags.batch)
    stored = options if "stored" in options.values() else {}  # results in other pixels are not mixed with these
    jax = sys.modules.get("jax")  # a baseline runs without it
    if jax is not None and jax.local_device_count() > 1:
        text = (
            f"this process uses one of {jax.local_device_count()} devices: start the same command once for each "
            "(CUDA_VISIBLE_DEVICES=0, =1, ..), and they share the sequences (docs/evaluation.md)"
        )
        print(text, file=sys.stderr)
    made = score(tracker, benchmark, sequences, flags.output, flags.convention, stored)
    print_report(made, Console())
    print(f"report: {flags.output / report.REPORT_FILE}")
    return 1 if made.failed else 0
