"""`ostrack report`: what was measured, drawn. Enters: a command and its words. Leaves: its status."""

from __future__ import annotations

from collections.abc import Sequence

from ostrack_jax.cli import command
from ostrack_jax.errors import UserError

COMMANDS = {
    "eval": "evaluations: scores beside the paper's, curves, best and worst sequences, to HTML, Markdown, JSON, PNG",
    "train": "the curves and pictures of training runs, to PNG and one HTML file",
}
_DOC = """Draw what was measured, to files that need no server.

Example:
  ostrack report train runs/tiny
  ostrack report eval results/256 results/nano
"""


def main(argv: Sequence[str]) -> int:
    """Run the command that ``argv`` names; the exit status."""
    program = "ostrack report"
    try:
        name = command.choose(COMMANDS, _DOC, argv, program)
    except UserError as e:
        return command.fail(program, e)
    if name is None:
        return 0
    return command.run(command.load(f"ostrack_jax.cli.report_{name}"), argv[1:], f"{program} {name}")
