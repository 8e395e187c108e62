"""What is compiled on GPUs and TPUs, lowered for them on the CPU from shapes alone: what JAX refuses there shows here.

A network has one block for each kind of its blocks (so many tokens, template and search joint or apart): the others
are the same computation again.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax._src.cudnn import fused_attention_stablehlo

from ostrack_jax import config as configs
from ostrack_jax.models.attention import Attention
from ostrack_jax.models.weights import structure
from ostrack_jax.training.schedule import kept_in_epoch
from ostrack_jax.training.sharding import make_mesh
from ostrack_jax.training.step import abstract_state, make_step

NAMES = sorted(path.stem for path in (Path(__file__).parents[2] / "configs").glob("*.py"))
KERNELS = {"cudnn": ("cuda",), "xla": ("cuda", "tpu")}


@pytest.fixture(autouse=True)
def a_gpu_to_lower_for(monkeypatch):
    """What JAX asks of the machine when cuDNN's kernel is traced: an A100 with cuDNN 9.10."""
    monkeypatch.setattr(fused_attention_stablehlo, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(fused_attention_stablehlo, "check_compute_capability", lambda least: float(least) <= 8.0)
    monkeypatch.setattr(fused_attention_stablehlo, "is_cuda_compute_capability_equal", lambda exact: exact == "8.0")


def thin(model: configs.ModelConfig) -> configs.ModelConfig:
    """In bfloat16, one block of each kind, narrow."""
    last = {*model.eliminate_at, model.depth - 1, *([model.joint_from - 1] if model.joint_from else [])}
    place = {block: i for i, block in enumerate(sorted(last))}
    return dataclasses.replace(
        model,
        depth=len(last),
        eliminate_at=tuple(place[block] for block in model.eliminate_at),
        joint_from=place[model.joint_from - 1] + 1 if model.joint_from else 0,
        dtype="bfloat16",
        **{"width": 128, "heads": 2, "head_channels": 32, "init_std": 0.02, "pretraining_size": 224},
    )


def distinct() -> list[configs.Config]:
    """Of the named configs with crops and patches of one size, one whose network has the most kinds of blocks."""
    found: dict[tuple[int, ...], configs.Config] = {}
    for name in NAMES:
        config = configs.load(name)
        model = thin(config.model)
        train = dataclasses.replace(config.train, freeze=())  # it names blocks that are left out
        sizes = model.template_size, model.search_size, model.patch
        if sizes not in found or found[sizes].model.depth < model.depth:
            found[sizes] = dataclasses.replace(config, model=model, train=train)
    return list(found.values())


def token_counts() -> set[tuple[int, bool]]:
    """Every count of tokens in a block of every named config's schedule, and whether all of them count."""
    found = set()
    for config in filter(lambda config: config.model.eliminate_at, distinct()):
        templates = (config.model.template_size // config.model.patch) ** 2
        for epoch in range(1, config.train.epochs + 1):
            kept = kept_in_epoch(config, epoch)
            found |= {(templates + size, kept.valid is None) for size in kept.sizes}
    return found


def crops(model: configs.ModelConfig, batch: int) -> dict[str, jax.ShapeDtypeStruct]:
    sizes = {"template": model.template_size, "search": model.search_size}
    images = {name: jax.ShapeDtypeStruct((batch, size, size, 3), jnp.uint8) for name, size in sizes.items()}
    return images | {"template_box": jax.ShapeDtypeStruct((batch, 4), jnp.float32)}


def lower(traced: Any, kernel: str, backward: bool) -> None:
    for platform in KERNELS[kernel]:
        text = traced.lower(lowering_platforms=(platform,)).as_text()
        assert ("@__cudnn$fmhaSoftmax(" in text) == (kernel == "cudnn")
        assert ("@__cudnn$fmhaSoftmaxBackward(" in text) == (kernel == "cudnn" and backward)


@pytest.mark.slow
@pytest.mark.parametrize("config", distinct(), ids=lambda config: config.name)
def test_every_network_lowers(config):
    """The training step at its final keep ratio, and the forward pass of a tracker."""
    mesh, kept = make_mesh(config), kept_in_epoch(config, config.train.epochs)
    assert kept.valid is None
    state, batch = abstract_state(config, mesh), crops(config.model, config.train.batch)
    batch["search_box"] = batch["template_box"]
    for kernel in KERNELS if config.model.search_size == 256 else ("cudnn",):
        model = dataclasses.replace(config.model, attention=kernel)
        step = make_step(dataclasses.replace(config, model=model), mesh)
        lower(step.trace(state, batch, None, kept=kept.sizes), kernel, backward=True)
        graph, weights = structure(model)
        forward = jax.jit(lambda weights, *inputs, graph=graph: nnx.merge(graph, weights)(*inputs))
        lower(forward.trace(weights, *crops(model, 1).values()), kernel, backward=False)


@pytest.mark.slow
def test_every_size_of_a_schedule_lowers():
    """Attention and its gradient by cuDNN's kernel, which takes fewer shapes than XLA's."""
    model = dataclasses.replace(thin(configs.load("vitb_256_mae_ce_32x4_ep300").model), attention="cudnn")
    graph, weights = nnx.split(nnx.eval_shape(lambda: Attention(model, jnp.dtype(jnp.bfloat16), nnx.Rngs(0))))
    counts = token_counts()
    assert len(counts) > 40
    for tokens, all_count in counts:
        x = jax.ShapeDtypeStruct((32, tokens, model.width), jnp.bfloat16)
        length = None if all_count else jax.ShapeDtypeStruct((), jnp.int32)

        def total(x, weights, length):
            return jnp.square(nnx.merge(graph, weights)(x, length=length)[0].astype(jnp.float32)).sum()

        lower(jax.jit(jax.grad(total)).trace(x, weights, length), "cudnn", backward=True)
