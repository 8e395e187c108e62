"""Is a data set's every sequence sound? Enters: sequences and an index. Leaves: findings, none where all is well."""

from __future__ import annotations

from ostrack_jax.datasets.lazy import LazySequences
from ostrack_jax.doctor.finding import Finding
from ostrack_jax.errors import UserError


def check_sequence(sequences: LazySequences, index: int) -> list[Finding]:
    """What is wrong with one sequence: its annotation, its first and last picture."""
    name = sequences.names[index]
    try:
        sequence = sequences[index]
        if not len(sequence):
            return [Finding("wrong", f"{name}: no frame")]
        for frame in sorted({0, len(sequence) - 1}):
            sequence.frames[frame]
    except (UserError, OSError) as e:
        return [Finding("wrong", f"{name}: {e}")]
    return []
