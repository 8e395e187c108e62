"""The terminal: 80 columns, no bars where there is none, and the time to the end."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from ostrack_jax.config import TrainConfig
from ostrack_jax.training import console

NUMBERS = {
    **{"loss": 12.3456, "giou": 0.5123, "l1": 0.0221, "focal": 10.1012, "iou": 0.7561, "lr": 4e-4, "lr_backbone": 4e-5},
    **{"pairs_per_second": 2210.4, "wait": 0.014, "mfu": 0.338},
}


def _display(train, steps, terminal):
    out = io.StringIO()
    screen = Console(file=out, width=80, force_terminal=terminal, force_interactive=terminal, color_system=None)
    return console.Display(screen, train, steps), out


def test_everything_is_told_in_80_columns_while_an_epoch_runs():
    display, out = _display(TrainConfig(epochs=300), 468, terminal=True)
    with display.epoch(212, 0) as show:
        with display.working("compiling training"):
            display.tell("told above the bar")
        show(312, NUMBERS)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    lines = {line.strip() for line in re.split(r"[\r\n]", text)}
    assert max(map(len, lines)) <= 80
    assert "told above the bar" in lines
    assert "loss 12.346  giou 0.512  l1 0.0221  focal 10.101  IoU 0.756  lr 4.0e-4, 4.0e-5" in lines
    (bar,) = {line for line in lines if "312/468" in line}
    assert bar.startswith("epoch 212/300 ")
    assert bar.endswith("312/468  2210 pairs/s  wait 1%  MFU 34%  ETA 0:39:54")  # 41,340 steps of 128 pairs


def test_a_line_is_left_of_an_epoch_and_fits():
    line = console.summary("epoch 212/300", NUMBERS)
    assert line == "epoch 212/300  loss 12.346  IoU 0.756  2210 pairs/s  wait 1%  MFU 34%"
    known = {name: value for name, value in NUMBERS.items() if name != "mfu"}
    assert console.summary("  validation", known).endswith("2210 pairs/s  wait 1%")


def test_without_a_terminal_there_are_plain_lines_now_and_then(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    display, out = _display(TrainConfig(epochs=3, validate_every=0), 100, terminal=False)
    with display.epoch(1, 0) as show:
        for done in range(10, 101, 10):
            now[0] += 25
            show(done, NUMBERS)
        with display.working("compiling training"):
            pass
    with display.validation(3) as show:
        show(1)
    *told, last = out.getvalue().splitlines()
    assert [line.split("  ")[1] for line in told] == ["10/100", "40/100", "70/100", "100/100"]
    assert all("lr 4.0e-4, 4.0e-5" in line and "ETA 0:00:" in line and "focal" in line for line in told)
    assert last == "compiling training ..."
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()


def test_the_time_to_the_end_counts_steps_and_validations():
    eta = console.Eta(TrainConfig(batch=10, epochs=6, validate_every=4), 100)
    assert eta.seconds(0) == 0  # nothing known yet
    eta.read({"pairs_per_second": 20.0})  # half a second a step
    assert eta.seconds(0) == pytest.approx(600 * 0.5)
    eta.validated(30.0)
    assert eta.seconds(0) == pytest.approx(600 * 0.5 + 2 * 30)  # after epochs 4 and 6
    assert eta.seconds(399) == pytest.approx(201 * 0.5 + 2 * 30)
    assert eta.seconds(400) == pytest.approx(200 * 0.5 + 30)
    eta.read({"pairs_per_second": 10.0})
    assert eta.seconds(500) == pytest.approx(100 * (0.8 * 0.5 + 0.2 * 1.0) + 30)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0:00:00"), (59.6, "0:01:00"), (3725.0, "1:02:05"), (172799.0, "47:59:59"), (190800.0, "2 d 5 h")],
)
def test_the_clock(seconds, text):
    assert console.clock(seconds) == text
