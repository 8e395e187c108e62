"""A wrong command or a wrong config is reported in one line that names the right one."""

import functools
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from convert.backbones import LEFT_OUT
from convert.backbones import from_release as backbone
from convert.ostrack import from_release
from ostrack_jax import config as configs
from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.cli.main import main
from ostrack_jax.errors import UserError
from ostrack_jax.models import weights as of_models
from ostrack_jax.models.interpolate import resize_positions
from tests import standin
from tests.convert.numpy_vits import augreg_tensors
from tests.convert.torch_files import mae_tensors, quick_weights, release_tensors, small_config, write_zip

SMALL = small_config()
FLAGS = ["--config", "tiny", *(f"--config.model.{name}={getattr(SMALL.model, name)}" for name in ("width", "depth"))]
FLAGS += [f"--config.model.{name}={getattr(SMALL.model, name)}" for name in ("heads", "head_channels", "patch")]
FLAGS += ["--config.model.template_size=32", "--config.model.search_size=64"]


def run(*words: object) -> int:
    return main(["convert", "ostrack", *map(str, words)])


def hollow(shapes, kind=np.float32):
    """Tensors of these shapes that take no memory."""
    return {name: np.broadcast_to(kind(0), shape) for name, shape in shapes.items()}


def scaled():
    return mae_tensors(SMALL, 16) | {"blocks.0.ls1.gamma": np.ones(24, np.float32)}


def distilled():
    odd = {"dist_token": np.ones((1, 1, 24), np.float32), "pos_embed": np.ones((1, 198, 24), np.float32)}
    return mae_tensors(SMALL, 16) | odd


FILES = {
    "ostrack": lambda: release_tensors(SMALL),
    "mae": lambda: mae_tensors(SMALL, 16) | {"decoder_blocks.0.norm1.weight": np.ones(16, np.float32)},
    "deit": distilled,
    "augreg": lambda: augreg_tensors(24, 2, 3),
    "dinov2": scaled,
}
READERS = {
    "ostrack": lambda tensors: from_release(tensors, SMALL),
    **{name: functools.partial(backbone, name, config=SMALL, seed=0) for name in LEFT_OUT},
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", FILES)
def test_a_file_for_another_command(monkeypatch, kind, reader):
    if kind == reader:
        monkeypatch.setattr(of_models, "initial_weights", quick_weights)
        if kind != "dinov2":  # which needs another config
            READERS[reader](FILES[kind]())
        return
    with pytest.raises(UserError, match=f"; expected `ostrack convert {kind}`$"):
        READERS[reader](FILES[kind]())


def test_a_backbone_of_two_commands_and_of_none():
    with pytest.raises(UserError, match=r"a plain ViT, .*; expected `ostrack convert mae` or `ostrack convert deit`"):
        from_release(mae_tensors(SMALL, 16), SMALL)
    names = ("vit.embeddings.cls_token", "vit.encoder.layer.0.attention.attention.query.weight")
    with pytest.raises(UserError, match=r"names of another library, .*; expected the file that its authors published"):
        backbone("mae", dict.fromkeys(names, np.ones(3)), SMALL, 0)


B384 = "vitb_384_mae_ce_32x4_ep300"


def test_a_file_of_256_for_a_config_of_384():
    with pytest.raises(UserError) as caught:
        from_release(hollow(standin.shapes(256, 128)), configs.load(B384))
    told = str(caught.value)
    for part in (
        "template_size 128, not 192, search_size 256, not 384",
        "give --config vitb_256_",
        "or --config.model.template_size=128 --config.model.search_size=256; or --resize_positions",
    ):
        assert part in told
    fit = re.findall(r"vit\w+", told)
    assert all(configs.load(name).model.search_size == 256 for name in fit)


def test_a_vit_l_for_a_config_of_vit_b():
    config, shapes = configs.load(B384), standin.shapes(384, 192)
    large = {name: tuple(1024 if n == 768 else n for n in shape) for name, shape in shapes.items()}
    large |= {f"backbone.blocks.{i}.norm1.bias": (1024,) for i in range(24)}
    with pytest.raises(UserError) as caught:
        from_release(hollow(large), config)
    right = "give --config.model.width=1024 --config.model.depth=24 --config.model.heads=16"
    assert str(caught.value).endswith(right)
    fitted = configs.change(config, re.findall(r"--config\.(\S+)", right))
    assert (fitted.model.width, fitted.model.depth, fitted.model.heads) == tuple(configs.VIT_SIZES["large"].values())
    with pytest.raises(UserError, match=r"width 384, not 768; give --config vits14_252_dinov2_ce_32x4_ep300, vits_"):
        backbone("dinov2", hollow(standin.mae_shapes("small", 14)) | {"blocks.0.ls1.gamma": 0}, config, 0)
    with pytest.raises(UserError, match=r"width=192 --config\.model\.depth=2 --config\.model\.heads=3$"):
        backbone("augreg", augreg_tensors(192, 2, 3), config, 0)


def drop_track():
    """The release's tensors, and DropTrack's two."""
    extra = {f"backbone.temporal_pos_embed_{k}": np.full((1, 1, 24), i, np.float32) for i, k in enumerate("zx", 1)}
    return release_tensors(SMALL) | extra


def test_tensors_that_are_settings_here():
    with pytest.raises(UserError, match=r"_embeddings True, not False; give --config.model.identity_embeddings=True"):
        from_release(drop_track(), SMALL)
    named = small_config(identity_embeddings=True)
    weights = from_release(drop_track(), named)
    assert {name: value.shape for name, value in weights.items()} == of_models.weight_shapes(named.model)
    np.testing.assert_array_equal(weights["backbone.identity_template"], np.full(24, 1.0))
    np.testing.assert_array_equal(weights["backbone.identity_search"], np.full(24, 2.0))
    with pytest.raises(UserError, match=r"_embeddings False, not True; give \S*identity_embeddings=False"):
        from_release(release_tensors(SMALL), named)
    twice = drop_track() | {"backbone.template_segment_pos_embed": np.zeros((1, 1, 24), np.float32)}
    with pytest.raises(UserError, match=r"1 unexpected: 'backbone\.temporal_pos_embed_z'"):
        from_release(twice, named)
    table = {"backbone.blocks.0.attn.relative_position_bias_table": np.zeros((3, 9), np.float32)}
    with pytest.raises(UserError, match=r"give --config\.model\.relative_positions=True$"):
        from_release(release_tensors(SMALL) | table, SMALL)


@pytest.mark.slow
def test_positions_are_resized_on_request(tmp_path, capsys):
    tensors = release_tensors(small_config(template_size=48, search_size=96))
    source = write_zip(tmp_path / "in.pth", {"net": tensors})
    assert run(source, *FLAGS, "--output", tmp_path / "w") == 2
    told = capsys.readouterr().err
    assert "--config.model.template_size=48 --config.model.search_size=96; or --resize_positions" in told
    assert run(source, *FLAGS, "--output", tmp_path / "w", "--resize_positions") == 0
    assert "notice: backbone.pos_embed_search resized from 6 x 6 to 4 x 4 patches" in capsys.readouterr().err
    _, weights = load_weights(tmp_path / "w")
    grid = tensors["backbone.pos_embed_x"].reshape(6, 6, 24)
    np.testing.assert_array_equal(weights["backbone.pos_embed_search"], resize_positions(grid, 4))
    np.testing.assert_array_equal(weights["backbone.norm.scale"], tensors["backbone.norm.weight"])
    # what is wrong is still reported
    source = write_zip(
        tmp_path / "odd.pth", {"net": tensors | {"backbone.pos_embed_x": np.zeros((0, 36, 24), np.float32)}}
    )
    assert run(source, *FLAGS, "--output", tmp_path / "x", "--resize_positions") == 2
    assert "backbone.pos_embed_x is (0, 36, 24), expected" in capsys.readouterr().err


def test_a_hub_s_file_under_a_key_and_prefixes(tmp_path, capsys):
    """Two networks in one safetensors file, as a self-distilling training leaves them."""
    tensors = release_tensors(SMALL)
    both = {f"student.module.{name}": np.zeros_like(value) for name, value in tensors.items()}
    both |= {f"teacher._orig_mod.{name}": value for name, value in tensors.items()}
    save_file(both, tmp_path / "x.safetensors")
    assert run(tmp_path / "x.safetensors", *FLAGS, "--output", tmp_path / "w") == 2
    assert "choose one by --key, of 'student', 'teacher'" in capsys.readouterr().err
    assert run(tmp_path / "x.safetensors", *FLAGS, "--output", tmp_path / "w", "--key", "teacher") == 0
    _, weights = load_weights(tmp_path / "w")
    np.testing.assert_array_equal(weights["backbone.norm.scale"], tensors["backbone.norm.weight"])
