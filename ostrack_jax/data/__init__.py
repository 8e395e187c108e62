"""Annotated videos, on disk or made up: the `Sequence` record and the readers that fill it. No dice."""
