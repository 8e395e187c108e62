"""MAE, DeiT, AugReg and DINOv2: the converted backbone is the network that each release's layouts mean."""

import jax
import numpy as np
import pytest

from convert.backbones import from_release
from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.cli.main import main
from ostrack_jax.errors import UserError
from ostrack_jax.models import weights as of_models
from ostrack_jax.models.interpolate import resize_grid, resize_positions
from ostrack_jax.models.weights import model_of
from tests.convert.numpy_vits import augreg_tensors, augreg_vit, torch_vit
from tests.convert.torch_files import mae_tensors, quick_weights, small_config, write_zip

SMALL = small_config()
SCALED = small_config(layer_scale=1e-5, pretraining_size=56, patch=14, template_size=28, search_size=56)
CLASSIFIER = {"head.weight": np.zeros((10, 24), np.float32), "head.bias": np.zeros(10, np.float32)}
DECODER = {"mask_token": np.zeros((1, 1, 16), np.float32), "decoder_blocks.0.norm1.weight": np.ones(16, np.float32)}
FINE_TUNED = {"head.weight": np.zeros((10, 24), np.float32), "fc_norm.weight": np.ones(24, np.float32)}


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
    """The converted backbone's tokens of one image, and the image."""
    side = config.model.pretraining_size
    image = np.random.default_rng(3).integers(0, 256, (side, side, 3), np.uint8)
    return np.asarray(jax.jit(model_of(config.model, weights).backbone.plain)(image[None]))[0], image


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("release", ["deit", "deit, distilled"])
def test_mae_and_deit_as_plain_networks(release):
    """One table serves both."""
    tensors = mae_tensors(SMALL, 16)
    given = distilled(tensors) if "," in release else tensors | CLASSIFIER
    weights, notices = from_release("deit", given, SMALL, 3)
    assert [("distillation token" in notice) for notice in notices] == [True] * (release == "deit, distilled")
    for name, value in from_release("mae", tensors, SMALL, 3)[0].items():
        np.testing.assert_array_equal(weights[name], value)
    if release == "deit":
        found, image = plain(weights, SMALL)
        assert_close(found, torch_vit(image, tensors, 3))


@pytest.mark.slow
def test_dinov2_as_a_plain_network():
    tensors = dinov2_tensors()
    config = small_config(layer_scale=1e-5, pretraining_size=70, patch=14, template_size=28, search_size=56)
    weights, notices = from_release("dinov2", tensors, config, 3)
    assert notices == []
    found, image = plain(weights, config)
    assert_close(found, torch_vit(image, tensors, 3))


@pytest.mark.slow
def test_dinov2_at_another_size():
    tensors = dinov2_tensors()
    weights, notices = from_release("dinov2", tensors, SCALED, 3)
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
    weights, notices = from_release("dinov2", tensors, config, 3)
    assert notices == ["its patch kernel of 14 pixels is resized to 16"]
    kernel = tensors["patch_embed.proj.weight"].transpose(2, 3, 1, 0)
    found = weights["backbone.patch_embed.kernel"]
    np.testing.assert_allclose(found, resize_grid(kernel, 16) * (14 / 16) ** 2, rtol=1e-6)
    smooth = dict(tensors, **{"patch_embed.proj.weight": np.ones((24, 3, 14, 14), np.float32)})
    weights, _ = from_release("dinov2", smooth, config, 3)
    np.testing.assert_allclose(weights["backbone.patch_embed.kernel"].sum((0, 1)), 14 * 14, rtol=1e-5)


@pytest.mark.slow
def test_augreg_as_a_plain_network():
    tensors = augreg_tensors(24, 2, 3)
    weights, notices = from_release("augreg", tensors, SMALL, 3)
    assert len(notices) == 1
    assert {name: value.shape for name, value in weights.items()} == of_models.weight_shapes(SMALL.model)
    found, image = plain(weights, SMALL)
    assert_close(found, augreg_vit(image, tensors, 2))


def test_augreg_at_another_patch():
    """Patches of 32 pixels, the grid of a file tuned at 384."""
    tensors = augreg_tensors(24, 2, 3, patch=32, grid=12)
    weights, _ = from_release("augreg", tensors, SMALL, 3)
    grid = tensors["Transformer/posembed_input/pos_embedding"][0, 1:].reshape(12, 12, 24)
    np.testing.assert_array_equal(weights["backbone.pos_embed_search"], resize_positions(grid, 4))
    std = np.array([0.229, 0.224, 0.225])[:, None]
    expected = resize_grid(tensors["embedding/kernel"], 16) * 2 * std
    np.testing.assert_allclose(weights["backbone.patch_embed.kernel"], expected, rtol=1e-5)


def test_all_misfits_of_an_augreg_file_are_reported():
    tensors = augreg_tensors(24, 2, 3)
    attention = "Transformer/encoderblock_1/MultiHeadDotProductAttention_1"
    del tensors[f"{attention}/key/bias"]
    tensors["conv_root/kernel"] = np.zeros((7, 7, 3, 24), np.float32)
    tensors["embedding/kernel"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as caught:
        from_release("augreg", tensors, SMALL, 3)
    for part in (
        "1 missing: blocks.1.attn.qkv.bias (72,)",
        "3 unexpected: 'blocks.1.attn.query.bias' (24,), 'blocks.1.attn.value.bias' (24,), 'conv_root/kernel'",
        "patch_embed.proj.weight is (3,), expected (24, 3, 16, 16)",
    ):
        assert part in str(caught.value)


def test_misfits_of_the_others():
    with pytest.raises(UserError, match=r"1 unexpected: 'blocks.0.gamma_1'"):
        from_release("deit", mae_tensors(SMALL, 16) | {"blocks.0.gamma_1": np.ones(24, np.float32)}, SMALL, 3)
    tensors = dinov2_tensors()
    del tensors["blocks.1.ls2.gamma"], tensors["pos_embed"]
    with pytest.raises(UserError, match=r"2 missing: pos_embed .*, blocks\.1\.ls2\.gamma \(24,\)"):
        from_release("dinov2", tensors, SCALED, 3)


def test_layer_scale_must_be_the_networks():
    with pytest.raises(UserError, match=r"has LayerScale: expected config\.model\.layer_scale above 0"):
        from_release("dinov2", dinov2_tensors(), SMALL, 3)
    for release, tensors in (("mae", mae_tensors(SCALED, 14)), ("deit", mae_tensors(SCALED, 14)), ("augreg", {})):
        with pytest.raises(UserError, match=r"has no LayerScale: expected config\.model\.layer_scale 0, not 1e-05"):
            from_release(release, tensors, SCALED, 3)


def test_registers_are_left_out_and_gated_networks_refused():
    tensors = dinov2_tensors()
    expected, _ = from_release("dinov2", tensors, SCALED, 3)
    weights, notices = from_release("dinov2", tensors | {"register_tokens": np.ones((1, 4, 24), np.float32)}, SCALED, 3)
    assert any("register tokens" in notice for notice in notices)
    for name, value in expected.items():
        np.testing.assert_array_equal(weights[name], value)
    with pytest.raises(UserError, match="gated"):
        from_release("dinov2", tensors | {"blocks.0.mlp.w12.weight": np.ones((192, 24), np.float32)}, SCALED, 3)


@pytest.fixture
def tensors():
    return mae_tensors(SMALL, 16)


def grid_of(tensors):
    return tensors["pos_embed"][0, 1:].reshape(14, 14, 24)


def test_a_pretraining_file_of_mae(tensors):
    weights, notices = from_release("mae", tensors | DECODER, SMALL, 3)
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
    # unused, kept for export
    np.testing.assert_array_equal(weights["backbone.cls_token"], tensors["cls_token"])
    np.testing.assert_array_equal(weights["backbone.pos_embed"], tensors["pos_embed"])


def test_the_head_is_initialised_by_the_seed(tensors):
    weights, _ = from_release("mae", tensors, SMALL, 3)
    initial = quick_weights(SMALL.model, 3)
    heads = [name for name in weights if name.startswith("head.")]
    assert len(heads) == 3 * (4 * 7 + 2)
    for name in heads:
        np.testing.assert_array_equal(weights[name], initial[name])
    other, _ = from_release("mae", tensors, SMALL, 4)
    assert (other["head.score.convs.0.kernel"] != weights["head.score.convs.0.kernel"]).any()


def test_a_fine_tuned_file_of_mae_leaves_the_norm_as_it_was_and_says_so(tensors):
    del tensors["norm.weight"], tensors["norm.bias"]
    weights, notices = from_release("mae", tensors | FINE_TUNED, SMALL, 3)
    assert len(notices) == 1
    assert "fc_norm" in notices[0]
    initial = quick_weights(SMALL.model, 3)
    np.testing.assert_array_equal(weights["backbone.norm.scale"], initial["backbone.norm.scale"])
    np.testing.assert_array_equal(weights["backbone.norm.bias"], initial["backbone.norm.bias"])


def test_another_patch_size_resizes_the_kernel_and_all_positions(tensors):
    config = small_config(patch=8)
    weights, _ = from_release("mae", tensors, config, 3)
    kernel = resize_grid(tensors["patch_embed.proj.weight"].transpose(2, 3, 1, 0), 8)
    np.testing.assert_array_equal(weights["backbone.patch_embed.kernel"], kernel)
    np.testing.assert_array_equal(weights["backbone.pos_embed_search"], resize_positions(grid_of(tensors), 8))
    np.testing.assert_array_equal(weights["backbone.pos_embed"][0, 0], tensors["pos_embed"][0, 0])
    np.testing.assert_array_equal(weights["backbone.pos_embed"][0, 1:], resize_positions(grid_of(tensors), 28))


def test_half_precision_and_a_wrapper(tensors):
    half = {f"module.{name}": value.astype(np.float16) for name, value in tensors.items()}
    weights, _ = from_release("mae", half, SMALL, 3)
    np.testing.assert_array_equal(weights["backbone.norm.bias"], tensors["norm.bias"].astype(np.float16))


def test_all_misfits_of_a_mae_file_are_reported_at_once(tensors):
    del tensors["blocks.0.norm1.bias"], tensors["norm.weight"]
    tensors["pos_embed"] = tensors["pos_embed"][:, 1:12]
    tensors["patch_embed.proj.weight"] = tensors["patch_embed.proj.weight"][:12]
    tensors["rel_pos"] = np.zeros(3, np.float32)
    with pytest.raises(UserError) as caught:
        from_release("mae", tensors, SMALL, 3)
    for part in (
        "2 missing: blocks.0.norm1.bias (24,), norm.weight (24,)",
        "1 unexpected: 'rel_pos' (3,)",
        "pos_embed is (1, 11, 24), expected (1, 197, 24)",
        "patch_embed.proj.weight is (12, 3, 16, 16), expected (24, 3, 16, 16)",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["pos_embed", "patch_embed.proj.weight"])
@pytest.mark.parametrize("odd", [np.zeros(3, np.float32), np.zeros((1, 1, 24), np.float32), np.zeros((0, 0, 0, 0))])
def test_odd_shapes_are_reported(tensors, name, odd):
    with pytest.raises(UserError, match=f"{name} is"):
        from_release("mae", tensors | {name: odd}, SMALL, 3)
    del tensors[name]
    with pytest.raises(UserError, match=f"missing: {name}"):
        from_release("mae", tensors, SMALL, 3)


@pytest.mark.parametrize("release", ["mae", "deit", "augreg", "dinov2", "dinov2 .npz"])
def test_the_commands(tmp_path, capsys, release):
    """From file to file: a checkpoint that torch has written, or an .npz."""
    if release in ("mae", "deit"):
        source = write_zip(tmp_path / "in.pth", {"model": mae_tensors(SMALL, 16) | CLASSIFIER})
    elif release == "augreg":
        source = tmp_path / "in.npz"
        np.savez(source, **augreg_tensors(24, 2, 3))
    elif release == "dinov2":  # the file is nothing but its tensors
        source = write_zip(tmp_path / "in.pth", dinov2_tensors())
    else:
        source = tmp_path / "in.npz"
        np.savez_compressed(source, **dinov2_tensors())
    model = ["width=24", "depth=2", "heads=3", "head_channels=16", "patch=16"]
    model += ["layer_scale=0.1"] * release.startswith("dinov2")
    words = ["convert", release.split()[0], str(source), "--config=tiny", *(f"--config.model.{text}" for text in model)]
    assert main([*words, "--output", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert f"{source}: the backbone -> {tmp_path}" in out
    assert err.count("notice: ") == {"mae": 0, "deit": 0, "augreg": 1, "dinov2": 2, "dinov2 .npz": 2}[release]
    config, weights = load_weights(tmp_path)
    assert {name: value.shape for name, value in weights.items()} == of_models.weight_shapes(config.model)
    assert main([*words, "--output", str(tmp_path), "--config.model.width=48"]) == 2
    _, err = capsys.readouterr()
    assert f"{source}: the tensors do not fit" in err
    if release == "mae":
        assert main([*words, "--output", str(tmp_path / "w.pth")]) == 2
        assert "expected a directory" in capsys.readouterr().err
