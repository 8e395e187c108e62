"""Generated videos with exact boxes."""
