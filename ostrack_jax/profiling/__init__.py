"""The cost of a network: multiply-accumulates, memory, time."""
