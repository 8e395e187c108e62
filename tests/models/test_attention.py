"""cuDNN's kernel for attention: an odd number of tokens, and when it is chosen. By XLA's implementation of the same."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ostrack_jax.models import attention
from ostrack_jax.models.weights import from_flat, structure

pytestmark = pytest.mark.usefixtures("quickly_compiled")
BY_XLA = functools.partial(attention.cudnn, implementation="xla")


def plain(q, k, v, length):
    """`attend` with the axes of cuDNN's kernel."""
    return attention.attend(*(x.transpose(0, 2, 1, 3) for x in (q, k, v)), length).transpose(0, 2, 1, 3)


def plain_for_jax(q, k, v, *, key_value_seq_lengths, implementation):
    """The same in place of `jax.nn.dot_product_attention`, whose softmax is in float32 even for float64."""
    assert q.shape[1] % 2 == 0
    return plain(q, k, v, None if key_value_seq_lengths is None else key_value_seq_lengths[0])


def outputs_and_gradients(kernel, q, k, v, weights, length):
    def total(q, k, v):
        mixed = kernel(q, k, v, length)
        return (mixed * weights).sum(), mixed

    gradients, mixed = jax.jit(jax.grad(total, (0, 1, 2), has_aux=True))(q, k, v)
    return mixed, *gradients


@pytest.mark.parametrize(("dtype", "atol"), [("float32", 2e-6), ("float64", 4e-15)])
@pytest.mark.parametrize("length", [None, 9])
def test_the_token_added_to_an_odd_number_changes_no_output_and_no_gradient(length, dtype, atol, monkeypatch):
    monkeypatch.setattr(jax.nn, "dot_product_attention", plain_for_jax)
    with jax.enable_x64(dtype == "float64"):
        drawn = list(map(jnp.asarray, np.random.default_rng(0).normal(size=(4, 2, 13, 3, 8)).astype(dtype)))
        length = None if length is None else jnp.int32(length)
        found, right = (outputs_and_gradients(kernel, *drawn, length) for kernel in (attention.cudnn, plain))
        for a, b in zip(found, right, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.slow
def test_a_network_by_it_has_the_same_outputs_and_gradients(small_config, small_weights, monkeypatch):
    """16 template tokens and 49 of the search region: odd, of which four are a surplus."""
    by_jax = jax.nn.dot_product_attention
    monkeypatch.setattr(
        jax.nn, "dot_product_attention", lambda *qkv, **options: by_jax(*qkv, **(options | {"implementation": "xla"}))
    )
    rng = np.random.default_rng(0)
    crops = [jnp.asarray(rng.integers(0, 256, (2, size, size, 3), np.uint8)) for size in (32, 64)]
    params = {name: jnp.asarray(value) for name, value in small_weights.items() if value.dtype == np.float32}

    def evaluated(kernel):
        model = dataclasses.replace(small_config.model, attention=kernel)

        def total(params):
            network = nnx.merge(structure(model)[0], from_flat(model, small_weights | params))
            out = network(*crops, kept_counts=(49,), valid_counts=jnp.array([45]))
            return jnp.square(out.score_map - 0.1).sum() + out.boxes.sum(), out.score_map

        return jax.jit(jax.grad(total, has_aux=True))(params)

    (found, found_map), (right, right_map) = map(evaluated, ("cudnn", "xla"))
    np.testing.assert_allclose(found_map, right_map, atol=2e-6)
    for name, value in right.items():
        scale = max(float(jnp.abs(value).max()), 1e-3)
        np.testing.assert_allclose(found[name] / scale, value / scale, atol=3e-5, err_msg=name)


@jax.custom_vjp
def wrong_backward(x):
    return x


wrong_backward.defvjp(lambda x: (x, None), lambda _, gradient: (1.1 * gradient,))


@jax.custom_vjp
def no_backward(x):
    return x


def _refuse(_, gradient):
    raise NotImplementedError("Unsupported sequence length Q 153, KV 153.")


no_backward.defvjp(lambda x: (x, None), _refuse)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "serves", "said"),
    [
        (lambda x: x, True, ""),
        (wrong_backward, False, "gives other numbers here"),
        (no_backward, False, "does not run here (Unsupported sequence length Q 153"),
    ],
    ids=["right", "wrong gradient", "no gradient"],
)
def test_auto_tries_the_kernel_with_its_gradient(changed, serves, said, monkeypatch, caplog, small_config):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(attention, "cudnn", lambda q, k, v, length: BY_XLA(changed(q), k, v, length))
    attention._cudnn_serves.cache_clear()
    model = dataclasses.replace(small_config.model, dtype="bfloat16")
    assert jax.jit(lambda: jnp.int32(attention.chosen(model) == "cudnn"))() == serves  # in the midst of a trace
    assert said in caplog.text
    assert len(caplog.records) == (not serves)
    attention._cudnn_serves.cache_clear()
    assert attention.chosen(dataclasses.replace(model, dtype="float32")) == "xla"


def test_relative_positions_are_xlas(small_config):
    model = dataclasses.replace(small_config.model, relative_positions=True, attention="cudnn")
    assert attention.chosen(model) == "xla"
