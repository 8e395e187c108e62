"""Scores by published rules, a module for each published analysis."""
