"""Synthetic videos with exact boxes."""
