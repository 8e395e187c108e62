"""From trackers and sequences to results and scores."""
