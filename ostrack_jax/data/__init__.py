"""Annotated videos, on disk or generated: the `Sequence` record and the readers that fill it."""
