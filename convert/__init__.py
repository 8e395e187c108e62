"""Weights of other projects to ours and back. Inside the wheel this package is `ostrack_jax.convert`."""
