"""Checks of the machine, the network's arithmetic and data sets on disk."""
