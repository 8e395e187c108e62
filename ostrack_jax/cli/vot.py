"""Set up a tracker in a workspace of the VOT toolkit: an entry in trackers.ini and the script that it runs.

The toolkit is a program of its own: pip install 'ostrack-jax[vot]', or vot-toolkit in another environment and vot-trax
in this one. The model is compiled now and kept, and loaded before the handshake. See docs/vot.md.

Example:
  vot initialize vot2022/shorttermbox --workspace vot2022
  ostrack vot vot2022 --checkpoint weights/256 --name ostrack256
  vot evaluate --workspace vot2022 ostrack256
  vot analysis --workspace vot2022 ostrack256
"""

from __future__ import annotations

import shlex
from pathlib import Path

from absl import flags as absl_flags

from ostrack_jax.cli import trackers
from ostrack_jax.cli.paths import Place

ARGUMENTS = (Place("WORKSPACE"),)


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    absl_flags.DEFINE_string("name", "ostrack", "the tracker's name for the toolkit", flag_values=flags)
    trackers.define(flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Check that the tracker can be made, then write the entry."""
    from ostrack_jax.integrations import vot as vot_entry

    workspace = Path(arguments[0])
    vot_entry.check(workspace, flags.name)
    provenance = trackers.choose(flags).provenance
    path = vot_entry.add(workspace, flags.name, f"{provenance['tracker']} (JAX)", trackers.words(flags))
    print(f"{path}: [{flags.name}], run by {path.with_name(vot_entry.SCRIPT)}")
    place = f"--workspace {shlex.quote(str(workspace))}"
    if not (workspace / "config.yaml").is_file():
        print(f"next, for the sequences and the experiments: vot initialize vot2022/shorttermbox {place}")
    print(f"then: vot evaluate {place} {flags.name}; vot analysis {place} {flags.name}")
