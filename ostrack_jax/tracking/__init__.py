"""From frames to boxes: the tracker, its network and motion prior, and baselines."""
