"""Coordinates: boxes and square crops. Pure functions, independent of files, models and time."""
