"""Check this machine: versions, devices, free memory and disk, data sets, and the network's arithmetic.

Says so when an accelerator is present and unused. Ends with status 1 where something is wrong. Data sets are looked
for in the folders given here, and in those that the environment or the file of paths names (docs/data.md).

Example:
  ostrack doctor
  ostrack doctor /data/got10k /data/otb
"""

from __future__ import annotations

import sys
from pathlib import Path

from absl import flags as absl_flags

from ostrack_jax.cli.paths import Place, define_paths
from ostrack_jax.doctor.finding import Finding
from ostrack_jax.errors import UserError

ARGUMENTS = (Place("[DATA_DIR...]"),)


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    text = "a folder to look for data sets in, as an argument is; may be repeated"
    define_paths("data_dir", text, flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Print every finding as it comes; 1 where one is wrong."""
    folders = [*flags.data_dir, *map(Path, arguments)]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"no folder {folder}: expected one with data sets")

    from ostrack_jax.doctor import data, machine, reference

    wrong = _say(machine.versions())
    wrong += _say([machine.memory(), machine.disk(Path.cwd())])
    for folder in folders:
        wrong += _say(data.find_datasets(folder))
    wrong += _say(data.configured())
    wrong += _say(machine.devices())
    wrong += _say([reference.check_forward()])
    print(f"{wrong} {'thing is' if wrong == 1 else 'things are'} WRONG, see above" if wrong else "all is well")
    return 1 if wrong else 0


def _say(findings: list[Finding]) -> int:
    """Print the lines; how many are wrong."""
    loud = ("\033[1;31m", "\033[0m") if sys.stdout.isatty() else ("", "")
    for finding in findings:
        verdict = {"ok": "ok   ", "note": "note ", "wrong": f"{loud[0]}WRONG{loud[1]}"}[finding.verdict]
        print(f"{verdict}  {finding.text}", flush=True)
        if finding.fix:
            print(f"{loud[0] * (finding.verdict == 'wrong')}       -> {finding.fix}{loud[1]}", flush=True)
    return sum(finding.verdict == "wrong" for finding in findings)
