"""Compare trackers by their result files: scores with intervals, who wins where, the same results by other rules.

FOLDER holds one tracker's results: one of `ostrack eval`, or raw results as others publish them (pytracking, GOT-10k,
OTB, LaSOT toolkit: NAME.txt or NAME/NAME_001.txt; commas, tabs or blanks; names in any case). NAME=FOLDER names the
tracker. Several runs of a tracker (GOT-10k's NAME_002.txt, directories TRACKER_000, TRACKER_001) are averaged. Only
sequences that all of them have are scored, the others are reported. Writes comparison.json, with the curves. The ground
truth is that of --data_dir or, without images, of --truth, of which the files of the benchmark's sequences are read.

Example:
  ostrack compare results/256 results/nano --data_dir /data/got10k --output compared
  ostrack compare ATOM=raw/ATOM SiamBAN=raw/SiamBAN --benchmark otb100 --truth raw/groundtruth \\
      --attributes raw/attributes --convention published,otb_toolkit,absent_left_out --output compared
"""

from __future__ import annotations

import shlex
import sys

from absl import flags as absl_flags

from ostrack_jax.cli import orientation
from ostrack_jax.cli.paths import Place, define_path
from ostrack_jax.errors import UserError
from ostrack_jax.io import write_json

ARGUMENTS = (Place("FOLDER"), Place("[FOLDER...]"))


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    text = "whose rules are used, see `ostrack eval --help`; without it, what the result directories state they are of"
    absl_flags.DEFINE_string("benchmark", None, text, flag_values=flags)
    text = "the benchmark's directory; without it, from OSTRACK_<READER>_DIR or the paths file"
    define_path("data_dir", None, text, flags)
    orientation.define(flags)
    text = "in place of --data_dir, a directory of ground truth without images: NAME.txt, or NAME/groundtruth.txt"
    define_path("truth", None, text, flags)
    text = "a directory of NAME.txt with a 0 or 1 for each attribute of the benchmark (OTB, LaSOT, UAV123)"
    define_path("attributes", None, text, flags)
    text = "show the same results by these rules too, as a,b; all: by every one, with what each does"
    absl_flags.DEFINE_list("convention", [], text, flag_values=flags)
    absl_flags.DEFINE_list("sequences", None, "some of its sequences alone, as a,b", flag_values=flags)
    define_path("output", None, "the directory for comparison.json", flags, writes="directory", required=True)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Read the results, score them, write and print the comparison."""
    from rich.console import Console

    from ostrack_jax.evaluation import benchmarks, compare
    from ostrack_jax.evaluation.evaluate import narrow
    from ostrack_jax.evaluation.raw_results import open_results
    from ostrack_jax.evaluation.report_tables import print_comparison
    from ostrack_jax.evaluation.truth import open_truth

    if flags.truth is not None and flags.data_dir is not None:
        raise UserError("--truth and --data_dir: expected one of them")
    trackers = [open_results(word) for word in arguments]
    names = [tracker.name for tracker in trackers]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two trackers would be named {twice[0]}: expected NAME=FOLDER for one of them")
    said = sorted({tracker.benchmark for tracker in trackers if tracker.benchmark})
    if flags.benchmark is None and len(said) != 1:
        found = f"are of {' and '.join(said)}" if said else "do not name their benchmark"
        raise UserError(f"the results {found}: expected --benchmark")
    complete = benchmark = benchmarks.find(flags.benchmark or said[0])
    notes = []
    if flags.truth is None:
        sequences = benchmark.open(flags.data_dir, orientation.options(flags, benchmark.reader))
    else:
        benchmark = complete.without_sizes()
        sequences, note = open_truth(benchmark, flags.truth)
        notes += [note] if note else []
    if benchmark.conventions != complete.conventions:
        notes.append("AO, SR0.5 and SR0.75 are left out: GOT-10k's rules need the frame's size, of --data_dir's images")
    sequences = narrow(sequences, benchmark, flags.sequences, flags.attributes)
    comparison = compare.compare(benchmark, sequences, trackers, flags.convention, shlex.join(sys.argv), notes)
    path = flags.output / compare.COMPARISON_FILE
    write_json(path, comparison.to_json(), indent=1)
    print_comparison(comparison, Console())
    print(f"comparison: {path}")
    return 0
