"""What a network costs: multiply-accumulates, memory, time."""
