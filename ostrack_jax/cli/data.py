"""Check data sets, or pack them for fast reading.

Example:
  ostrack data check got10k /data/got10k
"""

PREFIX = "ostrack_jax.cli.data_"
COMMANDS = {
    "check": "is a directory what its reader expects? sequence by sequence, with the fix for what is wrong",
    "prepare": "rewrite a set for fast reading: a few large files in place of millions of small ones",
}
