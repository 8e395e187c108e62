"""From sequences to training batches: the only room that rolls dice. Imports no jax (workers are spawned)."""
