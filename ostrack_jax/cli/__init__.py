"""The `ostrack` command: one file per subcommand, flags and one call each."""
