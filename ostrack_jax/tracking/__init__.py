"""From frames to boxes: the tracker that remembers the last one, its motion prior, baselines, video files."""
