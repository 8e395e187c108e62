"""`ostrack data`: folders of data, checked and prepared. Enters: a command and its words. Leaves: its status."""

from __future__ import annotations

from collections.abc import Sequence

from ostrack_jax.cli import command
from ostrack_jax.errors import UserError

COMMANDS = {
    "check": "is a folder what its reader expects? sequence by sequence, with the fix for what is wrong",
    "prepare": "write a set anew for fast reading: a few large files in place of millions of small ones",
}
_DOC = """Look after folders of data.

Example:
  ostrack data check got10k /data/got10k
"""


def main(argv: Sequence[str]) -> int:
    """Run the command that ``argv`` names; the exit status."""
    program = "ostrack data"
    try:
        name = command.choose(COMMANDS, _DOC, argv, program)
    except UserError as e:
        return command.fail(program, e)
    if name is None:
        return 0
    return command.run(command.load(f"ostrack_jax.cli.data_{name}"), argv[1:], f"{program} {name}")
