"""A run's numbers: averages and waiting; 80 columns, no bars where there is no terminal, and the time to the end."""

from __future__ import annotations

import io
import re

import jax.numpy as jnp
import pytest
from rich.console import Console

from ostrack_jax.config import TrainConfig
from ostrack_jax.training import progress
from ostrack_jax.training.progress import Averages, NotFiniteError, Progress

NUMBERS = {
    **{"loss": 12.3456, "giou": 0.5123, "l1": 0.0221, "focal": 10.1012, "iou": 0.7561, "lr": 4e-4, "lr_backbone": 4e-5},
    **{"pairs_per_second": 2210.4, "wait": 0.014, "mfu": 0.338},
}


def step(loss, finite=True):
    return {"loss": jnp.float32(loss), "finite": jnp.array(finite)}


def test_numbers_are_means_over_the_steps_that_are_finished():
    averages = Averages(4)
    finished = []
    for number in (1, 2, 3):
        averages.add(number, {}, step(number))
        finished.append(list(averages.finished(but=1)))
    assert finished == [[], [1], [2]]  # a step is read when the next one is under way
    first = averages.read()
    assert first["loss"] == 1.5
    assert "finite" not in first
    assert list(averages.finished()) == [3]
    assert averages.read()["loss"] == 3


def test_the_rate_and_the_share_of_time_waited(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    averages = Averages(4)
    for number in (1, 2):
        averages.add(number, {}, step(number))
        now[0] += 2
    list(averages.finished())
    averages.waited += 1
    numbers = averages.read()
    assert (numbers["pairs_per_second"], numbers["wait"]) == (2.0, 0.25)


def test_the_devices_are_idle_when_the_last_step_is_done():
    class Running:
        def __init__(self, ready):
            self.is_ready = lambda: ready

    averages = Averages(4)
    assert averages.idle()
    averages.add(1, {}, {"loss": Running(True)})
    averages.add(2, {}, {"loss": Running(False)})
    assert not averages.idle()


def test_the_first_step_that_is_not_finite_is_reported_with_its_batch():
    averages = Averages(4)
    averages.add(7, {"search": 7}, step(1, finite=False))
    averages.add(8, {"search": 8}, step(1, finite=False))
    with pytest.raises(NotFiniteError) as e:
        list(averages.finished())
    assert (e.value.step, e.value.batch) == (7, {"search": 7})
    assert list(averages.finished()) == []


def progress_on(train, steps, terminal):
    out = io.StringIO()
    screen = Console(file=out, width=80, force_terminal=terminal, force_interactive=terminal, color_system=None)
    return Progress(screen, train, steps), out


def test_all_is_printed_in_80_columns_while_an_epoch_runs():
    display, out = progress_on(TrainConfig(epochs=300), 468, terminal=True)
    with display.working("compiling training"):
        pass
    with display.bar("epoch 212/300", 0, 468, before=211 * 468) as show:
        display.print("printed above the bar")
        show(312, NUMBERS)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    lines = {line.strip() for line in re.split(r"[\r\n]", text)}
    assert max(map(len, lines)) <= 80
    assert "printed above the bar" in lines
    assert "loss 12.346  giou 0.512  l1 0.0221  focal 10.101  IoU 0.756  lr 4.0e-04, 4.0e-05" in lines
    (bar,) = {line for line in lines if "312/468" in line}
    assert bar.startswith("epoch 212/300 ")
    assert bar.endswith("312/468  2210 pairs/s  wait 1%  MFU 34%  ETA 0:39:54")  # 41,340 steps of 128 pairs


def test_a_line_is_left_of_an_epoch_and_fits():
    line = progress.summary("epoch 212/300", NUMBERS)
    assert line == "epoch 212/300  loss 12.346  IoU 0.756  2210 pairs/s  wait 1%  MFU 34%"
    known = {name: value for name, value in NUMBERS.items() if name != "mfu"}
    assert progress.summary("  validation", known).endswith("2210 pairs/s  wait 1%")


def test_without_a_terminal_there_are_plain_lines_now_and_then(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    display, out = progress_on(TrainConfig(epochs=3, validate_every=0), 100, terminal=False)
    with display.bar("epoch 1/3", 0, 100) as show:
        for done in range(10, 101, 10):
            now[0] += 25
            show(done, NUMBERS)
    with display.working("compiling training"), display.bar("validation", 0, 3) as show:
        show(1, None)
    *lines, last = out.getvalue().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["10/100", "40/100", "70/100", "100/100"]
    assert all("lr 4.0e-04, 4.0e-05" in line and "ETA 0:00:" in line and "focal" in line for line in lines)
    assert last == "compiling training ..."
    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()
