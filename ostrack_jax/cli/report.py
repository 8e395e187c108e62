"""Draw measurements into files that need no server.

Example:
  ostrack report train runs/tiny
  ostrack report eval results/256 results/nano
"""

PREFIX = "ostrack_jax.cli.report_"
COMMANDS = {
    "eval": "evaluations: scores next to the paper's, curves, best and worst sequences; to HTML, Markdown, JSON, PNG",
    "train": "the curves and images of training runs, to PNG and one HTML file",
}
