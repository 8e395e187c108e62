"""The published lists of sequences. Enters: a list's name. Leaves: its entries, checked against their SHA-256.

`splits/NAME.txt` holds each as ranges (`0 2-3`; after a class, of its numbers: `airplane 10-12 2`), `splits/SHA256SUMS`
the hash of what they stand for: one entry a line, each ended by a newline. LaSOT's are so the published files byte for
byte. GOT-10k's are published in a shuffled order that means nothing; their positions rise here, and the hash covers
them as they rise.
"""

from __future__ import annotations

import hashlib
from importlib import resources

from ostrack_jax.errors import UserError

LISTS = ("got10k_train_full", "got10k_vot_train", "got10k_vot_val", "lasot_test", "lasot_train")


def read_published(name: str) -> list[str]:
    """The entries of one of `LISTS`: positions in the train part's `list.txt` (GOT-10k), or names of sequences (LaSOT).

    Raises:
      UserError: the list is not what was published (a damaged installation).
    """
    entries = expand(_text(f"{name}.txt"))
    found = hashlib.sha256("".join(f"{entry}\n" for entry in entries).encode()).hexdigest()
    wanted = {file: digest for digest, file in (line.split() for line in _text("SHA256SUMS").splitlines())}
    if found != wanted[name]:
        raise UserError(f"the list {name} of this installation is damaged ({found[:12]}): install ostrack-jax again")
    return entries


def expand(text: str) -> list[str]:
    """Ranges to single entries: `0 2-3` is 0 2 3, and `cat 1 3-4 dog 2` is cat-1 cat-3 cat-4 dog-2."""
    entries, prefix = [], ""
    for item in text.split():
        first, _, last = item.partition("-")
        if not first.isdecimal():
            prefix = f"{item}-"
            continue
        entries += [f"{prefix}{number}" for number in range(int(first), int(last or first) + 1)]
    return entries


def _text(file: str) -> str:
    return resources.files("ostrack_jax.datasets").joinpath("splits", file).read_text("utf-8")
