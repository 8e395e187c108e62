"""One thing the doctor found. Enters: nothing. Leaves: `Finding`, a line with a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "wrong"]


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Attributes:
      verdict: ok; note, worth knowing; or wrong, which makes the command fail.
      text: what was found.
      fix: what would mend it, empty where there is nothing to mend.
    """

    verdict: Verdict
    text: str
    fix: str = ""
