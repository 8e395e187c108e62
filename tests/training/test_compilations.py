"""A whole schedule of keep ratios compiles at most 8 steps, and nothing else once it is under way."""

from __future__ import annotations

import dataclasses
import io

import jax
import pytest
from rich.console import Console

from ostrack_jax.training.schedule import kept_in_epoch
from ostrack_jax.training.trainer import train

pytestmark = pytest.mark.usefixtures("quickly_compiled")

EVENT = "/jax/core/compile/backend_compile_duration"


@pytest.mark.slow
def test_a_run_compiles_at_most_eight_steps(small_config, tmp_path, monkeypatch):
    options = {"width": 96, "height": 72, "frames": 24, "sequences": 6}
    data = {name: dataclasses.replace(part, options=options) for name, part in small_config.data.items()}
    settings = {"batch": 4, "bn_group": 0, "pairs_per_epoch": 8, "epochs": 20, "validate_every": 1, "picture_every": 10}
    settings |= {"keep_from_epoch": 2, "keep_until_epoch": 18, "save_every": 1, "log_every": 1, "validation_pairs": 4}
    config = dataclasses.replace(small_config, data=data, train=dataclasses.replace(small_config.train, **settings))
    told: list[str] = []

    def hear(event: str, seconds: float, **about: str) -> None:
        if event == EVENT:
            told.append(about["fun_name"])

    class Terminal(io.StringIO):
        def write(self, text: str) -> int:
            told.extend(line for line in text.splitlines() if line.startswith("epoch "))
            return len(text)

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        train(config, tmp_path, console=Console(file=Terminal(), width=200))
    finally:
        jax.monitoring.clear_event_listeners()
    kept = [kept_in_epoch(config, epoch) for epoch in range(1, 21)]
    wanted = len({(k.sizes, k.valid is None) for k in kept})
    assert len({k.exact for k in kept}) > wanted  # so it is worth something
    assert wanted <= 8
    assert told.count("jit(step)") == told.count("jit(validate)") == wanted
    assert told.count("jit(look)") == 1
    first = next(i for i, line in enumerate(told) if line.startswith("epoch 2/"))
    others = [
        line for line in told[first:] if not line.startswith(("epoch ", "jit(step)", "jit(validate)", "jit(look)"))
    ]
    assert not others, "compiled in the midst of a run"
    assert sum(line.startswith("epoch ") and "kept" in line for line in told) == 20
