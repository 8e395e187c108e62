"""What JAX computes on, and the line where there is nothing."""

from __future__ import annotations

import jax
import pytest

from ostrack_jax.errors import UserError
from ostrack_jax.models.devices import devices


@pytest.fixture
def asked(monkeypatch):
    """JAX_PLATFORMS, as if JAX had not looked for devices yet; where it may choose it finds those of this machine."""
    before, found = jax.config.jax_platforms, jax.local_devices()

    def ask(platforms, error):
        def local_devices():
            if jax.config.jax_platforms == platforms:
                raise error
            return found

        monkeypatch.setattr(jax, "local_devices", local_devices)
        jax.config.update("jax_platforms", platforms)

    yield ask
    jax.config.update("jax_platforms", before)


def test_there_are_some():
    assert devices() == jax.local_devices()


@pytest.mark.parametrize(
    ("platforms", "error", "reason", "install"),
    [
        ("cuda", AssertionError(), "(no such device here)", ", or pip install 'ostrack-jax[cuda]'"),
        ("gpu", RuntimeError("no rocm\nmore"), "(no rocm)", ", or pip install 'ostrack-jax[cuda]'"),
        (
            "tpu",
            RuntimeError("no libtpu (set JAX_PLATFORMS='' to)"),
            "(no libtpu)",
            ", or pip install 'ostrack-jax[tpu]'",
        ),
        ("banana", RuntimeError("unknown"), "(unknown)", ""),
    ],
)
def test_none_for_what_is_asked(asked, platforms, error, reason, install):
    here = jax.local_devices()[0].platform
    asked(platforms, error)
    with pytest.raises(UserError) as raised:
        devices()
    line = f"JAX finds no device for JAX_PLATFORMS={platforms}, but {here} {reason}: unset JAX_PLATFORMS{install}"
    assert str(raised.value) == line
    assert jax.config.jax_platforms == platforms


def test_none_at_all(asked):
    asked(None, RuntimeError("the plugin is broken"))
    with pytest.raises(UserError, match=r"^JAX finds no device: the plugin is broken$"):
        devices()
