"""DeiT, AugReg and DINOv2: the converted backbone is the network that each release's layouts mean."""

import jax
import numpy as np
import pytest

import convert.augreg
import convert.deit
import convert.dinov2
from convert import augreg, deit, dinov2, mae
from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.cli import command
from ostrack_jax.errors import UserError
from ostrack_jax.models import weights as of_models
from ostrack_jax.models.interpolate import resize_grid, resize_positions
from ostrack_jax.models.weights import model_of
from tests.convert.numpy_vits import augreg_tensors, augreg_vit, torch_vit
from tests.convert.torch_files import mae_tensors, quick_weights, small_config, write_zip

SMALL = small_config()
SCALED = small_config(layer_scale=1e-5, pretraining_size=56, patch=14, template_size=28, search_size=56)
CLASSIFIER = {"head.weight": np.zeros((10, 24), np.float32), "head.bias": np.zeros(10, np.float32)}


@pytest.fixture(autouse=True)
def initialise_quickly(monkeypatch):
    monkeypatch.setattr(of_models, "initial_weights", quick_weights)


def dinov2_tensors():
    """The release's names: patches of 14 pixels, a grid of 5 x 5, LayerScale, a mask token."""
    rng = np.random.RandomState(1)
    tensors = mae_tensors(SCALED, 14)
    tensors["pos_embed"] = rng.standard_normal((1, 26, 24)).astype(np.float32)
    for i in range(2):
        tensors |= {f"blocks.{i}.ls{k}.gamma": rng.standard_normal(24).astype(np.float32) for k in (1, 2)}
    return tensors | {"mask_token": np.zeros((1, 24), np.float32)}


def distilled(tensors):
    positions = tensors["pos_embed"]
    odd = np.full((1, 1, 24), 9.0, np.float32)
    both = {name.replace("head", "head_dist"): value for name, value in CLASSIFIER.items()}
    with_token = np.concatenate([positions[:, :1], odd, positions[:, 1:]], axis=1)
    return tensors | CLASSIFIER | both | {"dist_token": odd, "pos_embed": with_token}


def plain(weights, config):
    """The converted backbone's tokens of one picture, and the picture."""
    side = config.model.pretraining_size
    image = np.random.default_rng(3).integers(0, 256, (side, side, 3), np.uint8)
    return np.asarray(jax.jit(model_of(config.model, weights).backbone.plain)(image[None]))[0], image


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.parametrize("release", ["mae", "deit", "deit, distilled"])
def test_mae_and_deit_as_plain_networks(release):
    tensors = mae_tensors(SMALL, 16)
    if release == "mae":
        weights, notices = mae.from_release(tensors, SMALL, 3)
    elif release == "deit":
        weights, notices = deit.from_release(tensors | CLASSIFIER, SMALL, 3)
    else:
        weights, notices = deit.from_release(distilled(tensors), SMALL, 3)
    assert [("distillation token" in notice) for notice in notices] == [True] * (release == "deit, distilled")
    found, image = plain(weights, SMALL)
    assert_close(found, torch_vit(image, tensors, 3))


def test_dinov2_as_a_plain_network():
    tensors = dinov2_tensors()
    config = small_config(layer_scale=1e-5, pretraining_size=70, patch=14, template_size=28, search_size=56)
    weights, notices = dinov2.from_release(tensors, config, 3)
    assert notices == []
    found, image = plain(weights, config)
    assert_close(found, torch_vit(image, tensors, 3))


def test_dinov2_at_another_size():
    tensors = dinov2_tensors()
    weights, notices = dinov2.from_release(tensors, SCALED, 3)
    assert len(notices) == 1
    assert "17 in place of the file's 26" in notices[0]
    grid = tensors["pos_embed"][0, 1:].reshape(5, 5, 24)
    resized = np.concatenate([tensors["pos_embed"][:, :1], resize_positions(grid, 4)[None]], axis=1)
    found, image = plain(weights, SCALED)
    assert_close(found, torch_vit(image, tensors | {"pos_embed": resized}, 3))
    np.testing.assert_array_equal(weights["backbone.pos_embed_template"], resize_positions(grid, 2))
    np.testing.assert_array_equal(weights["backbone.pos_embed_search"], resize_positions(grid, 4))
    np.testing.assert_array_equal(weights["backbone.cls_token"], tensors["cls_token"])


def test_dinov2_at_another_patch_keeps_an_evenly_coloured_patch():
    tensors = dinov2_tensors()
    config = small_config(layer_scale=1e-5, pretraining_size=80)
    weights, notices = dinov2.from_release(tensors, config, 3)
    assert notices == ["its patch kernel of 14 pixels is resized to 16"]
    kernel = tensors["patch_embed.proj.weight"].transpose(2, 3, 1, 0)
    found = weights["backbone.patch_embed.kernel"]
    np.testing.assert_allclose(found, resize_grid(kernel, 16) * (14 / 16) ** 2, rtol=1e-6)
    smooth = dict(tensors, **{"patch_embed.proj.weight": np.ones((24, 3, 14, 14), np.float32)})
    weights, _ = dinov2.from_release(smooth, config, 3)
    np.testing.assert_allclose(weights["backbone.patch_embed.kernel"].sum((0, 1)), 14 * 14, rtol=1e-5)


def test_augreg_as_a_plain_network():
    tensors = augreg_tensors(24, 2, 3)
    weights, notices = augreg.from_release(tensors, SMALL, 3)
    assert len(notices) == 1
    assert {name: value.shape for name, value in weights.items()} == of_models.weight_shapes(SMALL.model)
    found, image = plain(weights, SMALL)
    assert_close(found, augreg_vit(image, tensors, 2))


def test_augreg_at_another_patch():
    """Patches of 32 pixels, the grid of a file tuned at 384."""
    tensors = augreg_tensors(24, 2, 3, patch=32, grid=12)
    weights, _ = augreg.from_release(tensors, SMALL, 3)
    grid = tensors["Transformer/posembed_input/pos_embedding"][0, 1:].reshape(12, 12, 24)
    np.testing.assert_array_equal(weights["backbone.pos_embed_search"], resize_positions(grid, 4))
    std = np.array([0.229, 0.224, 0.225])[:, None]
    expected = resize_grid(tensors["embedding/kernel"], 16) * 2 * std
    np.testing.assert_allclose(weights["backbone.patch_embed.kernel"], expected, rtol=1e-5)


def test_all_misfits_of_an_augreg_file_are_told_in_its_own_names():
    tensors = augreg_tensors(24, 2, 3)
    attention = "Transformer/encoderblock_1/MultiHeadDotProductAttention_1"
    tensors[f"{attention}/query/kernel"] = tensors[f"{attention}/query/kernel"].reshape(24, 2, 12)
    del tensors[f"{attention}/key/bias"]
    tensors["conv_root/kernel"] = np.zeros((7, 7, 3, 24), np.float32)
    tensors["embedding/kernel"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as caught:
        augreg.from_release(tensors, SMALL, 3)
    for part in (
        f"1 missing: {attention}/key/bias (3, 8)",
        "1 unexpected: 'conv_root/kernel'",
        f"{attention}/query/kernel is (24, 2, 12), expected (24, 3, 8)",
        "embedding/kernel is (3,), expected (16, 16, 3, 24)",
    ):
        assert part in str(caught.value)


def test_misfits_of_the_others():
    with pytest.raises(UserError, match=r"1 unexpected: 'blocks.0.gamma_1'"):
        deit.from_release(mae_tensors(SMALL, 16) | {"blocks.0.gamma_1": np.ones(24, np.float32)}, SMALL, 3)
    tensors = dinov2_tensors()
    del tensors["blocks.1.ls2.gamma"], tensors["pos_embed"]
    with pytest.raises(UserError, match=r"2 missing: pos_embed .*, blocks\.1\.ls2\.gamma \(24,\)"):
        dinov2.from_release(tensors, SCALED, 3)


def test_layer_scale_must_be_the_networks():
    with pytest.raises(UserError, match=r"has LayerScale: expected config\.model\.layer_scale above 0"):
        dinov2.from_release(dinov2_tensors(), SMALL, 3)
    for release, tensors in ((mae, mae_tensors(SCALED, 14)), (deit, mae_tensors(SCALED, 14)), (augreg, {})):
        with pytest.raises(UserError, match=r"has no LayerScale: expected config\.model\.layer_scale 0, not 1e-05"):
            release.from_release(tensors, SCALED, 3)


def test_registers_are_left_out_and_gated_networks_refused():
    tensors = dinov2_tensors()
    expected, _ = dinov2.from_release(tensors, SCALED, 3)
    weights, notices = dinov2.from_release(tensors | {"register_tokens": np.ones((1, 4, 24), np.float32)}, SCALED, 3)
    assert any("register tokens" in notice for notice in notices)
    for name, value in expected.items():
        np.testing.assert_array_equal(weights[name], value)
    with pytest.raises(UserError, match="gated"):
        dinov2.from_release(tensors | {"blocks.0.mlp.w12.weight": np.ones((192, 24), np.float32)}, SCALED, 3)


@pytest.mark.parametrize("release", ["deit", "augreg", "dinov2", "dinov2 .npz"])
def test_the_commands(tmp_path, capsys, release):
    """From file to file: a checkpoint that torch has written, or an .npz."""
    if release == "deit":
        module, source = convert.deit, write_zip(tmp_path / "in.pth", {"model": mae_tensors(SMALL, 16) | CLASSIFIER})
    elif release == "augreg":
        module, source = convert.augreg, tmp_path / "in.npz"
        np.savez(source, **augreg_tensors(24, 2, 3))
    elif release == "dinov2":  # the file is nothing but its tensors
        module, source = convert.dinov2, write_zip(tmp_path / "in.pth", dinov2_tensors())
    else:
        module, source = convert.dinov2, tmp_path / "in.npz"
        np.savez_compressed(source, **dinov2_tensors())
    model = ["width=24", "depth=2", "heads=3", "head_channels=16", "patch=16"]
    model += ["layer_scale=0.1"] * release.startswith("dinov2")
    words = [str(source), "--config=tiny", *(f"--config.model.{text}" for text in model), "--output", str(tmp_path)]
    assert command.run(module, words, f"convert.{release}") == 0
    out, err = capsys.readouterr()
    assert f"{source}: the backbone -> {tmp_path}" in out
    assert err.count("notice: ") == {"deit": 0, "augreg": 1, "dinov2": 2, "dinov2 .npz": 2}[release]
    config, weights = load_weights(tmp_path)
    assert {name: value.shape for name, value in weights.items()} == of_models.weight_shapes(config.model)
    assert command.run(module, [*words, "--config.model.width=48"], "convert") == 2
    _, err = capsys.readouterr()
    assert f"{source}: the tensors do not fit" in err
