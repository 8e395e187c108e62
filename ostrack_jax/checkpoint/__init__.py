"""Weights and training states on disk: `files` (weights alone), `steps` (the checkpoints of a run)."""
