"""`convert.mae`: the backbone is the file's, positions are interpolated, the head is left to itself."""

import numpy as np
import pytest

import convert.mae
from convert.mae import from_release
from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.cli import command
from ostrack_jax.errors import UserError
from ostrack_jax.models import weights as of_models
from ostrack_jax.models.interpolate import resize_grid, resize_positions
from tests.convert.torch_files import mae_tensors, quick_weights, small_config, write_zip

SMALL = small_config()
DECODER = {"mask_token": np.zeros((1, 1, 16), np.float32), "decoder_blocks.0.norm1.weight": np.ones(16, np.float32)}
CLASSIFIER = {"head.weight": np.zeros((10, 24), np.float32), "fc_norm.weight": np.ones(24, np.float32)}


@pytest.fixture(autouse=True)
def initialise_quickly(request, monkeypatch):
    if request.node.name != "test_the_command":
        monkeypatch.setattr(of_models, "initial_weights", quick_weights)


@pytest.fixture
def tensors():
    return mae_tensors(SMALL, 16)


def grid_of(tensors):
    return tensors["pos_embed"][0, 1:].reshape(14, 14, 24)


def test_a_pretraining_file(tensors):
    weights, notices = from_release(tensors | DECODER, SMALL, 3)
    assert notices == []
    assert {name: value.shape for name, value in weights.items()} == of_models.weight_shapes(SMALL.model)
    np.testing.assert_array_equal(weights["backbone.blocks.1.mlp.fc1.kernel"], tensors["blocks.1.mlp.fc1.weight"].T)
    np.testing.assert_array_equal(weights["backbone.norm.scale"], tensors["norm.weight"])
    np.testing.assert_array_equal(
        weights["backbone.patch_embed.kernel"], tensors["patch_embed.proj.weight"].transpose(2, 3, 1, 0)
    )
    # 32 and 64 pixels of 16-pixel patches; the class token's position is dropped
    np.testing.assert_array_equal(weights["backbone.pos_embed_template"], resize_positions(grid_of(tensors), 2))
    np.testing.assert_array_equal(weights["backbone.pos_embed_search"], resize_positions(grid_of(tensors), 4))
    # unused, but carried along
    np.testing.assert_array_equal(weights["backbone.cls_token"], tensors["cls_token"])
    np.testing.assert_array_equal(weights["backbone.pos_embed"], tensors["pos_embed"])


def test_the_head_is_initialised_by_the_seed(tensors):
    weights, _ = from_release(tensors, SMALL, 3)
    initial = quick_weights(SMALL.model, 3)
    heads = [name for name in weights if name.startswith("head.")]
    assert len(heads) == 3 * (4 * 7 + 2)
    for name in heads:
        np.testing.assert_array_equal(weights[name], initial[name])
    other, _ = from_release(tensors, SMALL, 4)
    assert (other["head.score.convs.0.kernel"] != weights["head.score.convs.0.kernel"]).any()


def test_a_fine_tuned_file_leaves_the_norm_as_it_was_and_says_so(tensors):
    del tensors["norm.weight"], tensors["norm.bias"]
    weights, notices = from_release(tensors | CLASSIFIER, SMALL, 3)
    assert len(notices) == 1
    assert "fc_norm" in notices[0]
    initial = quick_weights(SMALL.model, 3)
    np.testing.assert_array_equal(weights["backbone.norm.scale"], initial["backbone.norm.scale"])
    np.testing.assert_array_equal(weights["backbone.norm.bias"], initial["backbone.norm.bias"])


def test_another_patch_size_resizes_the_kernel_and_all_positions(tensors):
    config = small_config(patch=8)
    weights, _ = from_release(tensors, config, 3)
    kernel = resize_grid(tensors["patch_embed.proj.weight"].transpose(2, 3, 1, 0), 8)
    np.testing.assert_array_equal(weights["backbone.patch_embed.kernel"], kernel)
    np.testing.assert_array_equal(weights["backbone.pos_embed_search"], resize_positions(grid_of(tensors), 8))
    np.testing.assert_array_equal(weights["backbone.pos_embed"][0, 0], tensors["pos_embed"][0, 0])
    np.testing.assert_array_equal(weights["backbone.pos_embed"][0, 1:], resize_positions(grid_of(tensors), 28))


def test_half_precision_and_a_wrapper(tensors):
    half = {f"module.{name}": value.astype(np.float16) for name, value in tensors.items()}
    weights, _ = from_release(half, SMALL, 3)
    np.testing.assert_array_equal(weights["backbone.norm.bias"], tensors["norm.bias"].astype(np.float16))


def test_all_misfits_are_told_at_once(tensors):
    del tensors["blocks.0.norm1.bias"], tensors["norm.weight"]
    tensors["pos_embed"] = tensors["pos_embed"][:, 1:12]
    tensors["patch_embed.proj.weight"] = tensors["patch_embed.proj.weight"][:12]
    tensors["rel_pos"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as caught:
        from_release(tensors, SMALL, 3)
    for part in (
        "2 missing: blocks.0.norm1.bias (24,), norm.weight (24,)",
        "1 unexpected: 'rel_pos' (3,)",
        "pos_embed is (1, 11, 24), expected (1, 197, 24)",
        "patch_embed.proj.weight is (12, 3, 16, 16), expected (24, 3, 16, 16)",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["pos_embed", "patch_embed.proj.weight"])
@pytest.mark.parametrize("odd", [np.zeros(3, np.float32), np.zeros((1, 1, 24), np.float32), np.zeros((0, 0, 0, 0))])
def test_odd_shapes_are_told(tensors, name, odd):
    with pytest.raises(UserError, match=f"{name} is"):
        from_release(tensors | {name: odd}, SMALL, 3)
    del tensors[name]
    with pytest.raises(UserError, match=f"missing: {name}"):
        from_release(tensors, SMALL, 3)


def test_the_command(tmp_path, tensors, capsys):
    del tensors["norm.weight"], tensors["norm.bias"]
    source = write_zip(tmp_path / "mae.pth", {"model": tensors | CLASSIFIER})
    model = ["width=24", "depth=2", "heads=3", "head_channels=16", "patch=16", "eliminate_at=1", "keep_ratio=0.7"]
    words = [str(source), "--config=tiny", *(f"--config.model.{text}" for text in model), "--seed=3"]

    def run(*more: str) -> int:
        return command.run(convert.mae, [*words, *more], "convert.mae")

    assert run("--output", str(tmp_path / "w")) == 0
    assert "notice: a fine-tuned file" in capsys.readouterr().err
    config, weights = load_weights(tmp_path / "w")
    assert {name: value.shape for name, value in weights.items()} == of_models.weight_shapes(config.model)
    np.testing.assert_array_equal(weights["backbone.blocks.0.norm1.bias"], tensors["blocks.0.norm1.bias"])
    np.testing.assert_array_equal(weights["backbone.norm.scale"], np.ones(24))
    assert weights["head.size.norms.0.count"] == 0
    assert 0.01 < weights["head.score.convs.0.kernel"].std() < 0.2
    assert run("--output", str(tmp_path / "w.pth")) == 2
    assert "expected a directory" in capsys.readouterr().err
    assert command.run(convert.mae, ["--help"], "convert.mae") == 0
    assert "Example" in capsys.readouterr().out
