"""A checkpoint for every test of a command."""

from __future__ import annotations

import pytest

from tests.checkpoints import save_random_weights


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory):
    """A weights directory of a very small untrained model named `small`, and the weights' hash."""
    directory = tmp_path_factory.mktemp("weights")
    return directory, save_random_weights(directory)
