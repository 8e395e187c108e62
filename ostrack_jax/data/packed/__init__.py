"""Data sets repacked for fast reading."""
