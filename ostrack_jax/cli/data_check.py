"""Is a folder what its reader expects? Looks at every sequence, and says what would mend each thing that is wrong.

NAME is a reader (got10k, otb, folder, ...), DIR its folder. Of each sequence the annotation and the first and last
picture are read. Ends with status 1 where something is wrong.

Example:
  ostrack data check got10k /data/got10k --part train --split vot_train
"""

from __future__ import annotations

from absl import flags as absl_flags

ARGUMENTS = ("NAME", "DIR")


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    absl_flags.DEFINE_string("part", "train", "the set's own part: train, val or test", flag_values=flags)
    absl_flags.DEFINE_string("split", "all", "a published list of sequences, or all", flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Print each flaw as it is found; 1 where there is one."""
    from rich.console import Console
    from rich.progress import track

    from ostrack_jax.config import DataConfig
    from ostrack_jax.datasets.readers import open_dataset
    from ostrack_jax.doctor.check import check_sequence

    reader, folder = arguments
    sequences = open_dataset(DataConfig(reader=reader, dir=folder, part=flags.part, split=flags.split))
    console = Console(soft_wrap=True, highlight=False)
    wrong = 0
    for i in track(range(len(sequences)), f"checking {reader}", console=console, transient=True):
        for finding in check_sequence(sequences, i):
            console.print(f"WRONG  {finding.text}", markup=False)
            wrong += 1
    console.print(f"{len(sequences)} sequences of {reader} in {folder}: {wrong or 'nothing'} wrong", markup=False)
    return 1 if wrong else 0
