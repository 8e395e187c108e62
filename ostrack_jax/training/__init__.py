"""From batches to weights: targets, losses, optimizer, the jitted step and the loop around it."""
