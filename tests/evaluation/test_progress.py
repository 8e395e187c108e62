"""How far a run is, told where there is no terminal."""

from __future__ import annotations

import io

from rich.console import Console

from ostrack_jax.evaluation.progress import Meter


def test_without_a_terminal_a_line_tells_how_far_it_is_now_and_then(monkeypatch):
    now = 0.0
    monkeypatch.setattr("ostrack_jax.evaluation.progress.time.monotonic", lambda: now)
    out = io.StringIO()
    meter = Meter(9, Console(file=out))
    meter.says("a [b]")
    meter.frame(0.1)
    assert not out.getvalue()
    now = 61.0
    meter.ended()
    meter.frame(0.1)
    assert out.getvalue() == "1 of 9 sequences, 10.0 frames/s: a [b]\n"
