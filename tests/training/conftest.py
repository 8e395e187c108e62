"""The smallest network that trains, and a run of it that tests share."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from ostrack_jax import config as configs
from ostrack_jax.training.trainer import train
from tests.conftest import quick_compilation
from tests.training.small import OPTIONS, OVERRIDES


class Run(NamedTuple):
    """A training that has ended: its workdir, what it returned and what it printed."""

    workdir: Path
    numbers: dict[str, float]
    printed: str


def with_train(config, **changes):
    """``config`` with other settings of its training."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))


def trained(config, workdir, **options) -> Run:
    """Train in this process."""
    out = io.StringIO()
    numbers = train(config, workdir, console=Console(file=out, width=200), **options)
    return Run(workdir, numbers, out.getvalue())


@pytest.fixture(scope="session")
def run_config():
    """Two epochs of two steps of two pairs on synthetic sequences, a validation after each."""
    config = configs.load("tiny", OVERRIDES)
    data = {name: dataclasses.replace(part, options=OPTIONS) for name, part in config.data.items()}
    return dataclasses.replace(config, data=data)


@pytest.fixture(scope="session")
def whole(run_config, tmp_path_factory):
    """The two epochs in one go."""
    with quick_compilation():
        return trained(run_config, tmp_path_factory.mktemp("whole"))
