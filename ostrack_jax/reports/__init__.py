"""What is shown of runs: curves, pages."""
