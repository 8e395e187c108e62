"""Check this machine: versions, devices, free memory and disk, data sets, and the network's arithmetic.

Reports an accelerator that is present and unused. Ends with status 1 where something is wrong. Data sets are looked
for in the directories given here, and in those that the environment or the file of paths names (docs/data.md).

Example:
  ostrack doctor
  ostrack doctor /data/got10k /data/otb
"""

from __future__ import annotations

from pathlib import Path

from absl import flags as absl_flags

from ostrack_jax.cli.paths import PathParser, Place
from ostrack_jax.doctor.finding import Finding, conclude
from ostrack_jax.errors import UserError

ARGUMENTS = (Place("[DATA_DIR...]"),)


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    text = "a directory to look for data sets in, as an argument is; may be repeated"
    absl_flags.DEFINE_multi(PathParser(), absl_flags.ArgumentSerializer(), "data_dir", [], text, flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Print every finding as it comes; 1 where one is wrong."""
    folders = [*flags.data_dir, *map(Path, arguments)]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"no directory {folder}: expected one with data sets")

    from ostrack_jax.doctor import data, machine, reference

    wrong = _print(machine.versions())
    wrong += _print([machine.memory(), machine.disk(Path.cwd())])
    for folder in folders:
        wrong += _print(data.find_datasets(folder))
    wrong += _print(data.configured())
    wrong += _print(machine.devices())
    wrong += _print([reference.check_forward()])
    return conclude(wrong)


def _print(findings: list[Finding]) -> int:
    """Print the findings; returns how many are wrong."""
    for finding in findings:
        finding.print()
    return sum(finding.verdict == "wrong" for finding in findings)
