"""From sequences to training batches: sampling, augmentation, loading. Imports no jax (workers are spawned)."""
