"""OSTrack in JAX and Flax: train, convert, track, score. Start at docs/architecture.md."""

__version__ = "0.1.0"
