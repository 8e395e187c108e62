"""Coordinates: boxes and square crops. Pure functions; nothing here knows of files, models or time."""
