"""One finding of a check: its verdict, text and fix."""

from __future__ import annotations

import sys
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

    def print(self, before: str = "", with_fix: bool = True) -> None:
        """Print the line with ``before`` in front of its text, and the fix on a line of its own."""
        loud = ("\033[1;31m", "\033[0m") if sys.stdout.isatty() else ("", "")
        verdict = {"ok": "ok   ", "note": "note ", "wrong": f"{loud[0]}WRONG{loud[1]}"}[self.verdict]
        print(f"{verdict}  {before}{self.text}", flush=True)
        if self.fix and with_fix:
            print(f"       -> {self.fix}", flush=True)


def conclude(wrong: int) -> int:
    """Print the last line of a report with this many flaws; the command's exit status."""
    print(f"{wrong} {'thing is' if wrong == 1 else 'things are'} WRONG, see above" if wrong else "all is well")
    return 1 if wrong else 0
