"""`ostrack convert ostrack` from end to end: published file to weights and back, its messages and errors."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convert.files import read_tensors
from convert.ostrack import to_release
from ostrack_jax import config as configs
from ostrack_jax.checkpoint.files import load_weights
from ostrack_jax.cli.main import main
from tests import standin
from tests.convert.torch_files import Raw, name, release_tensors, small_config, write_legacy, write_zip

SMALL = small_config()
CONFIG = ["--config", "tiny", *(f"--config.model.{k}={getattr(SMALL.model, k)}" for k in ("width", "depth", "heads"))]
CONFIG += [f"--config.model.{k}={getattr(SMALL.model, k)}" for k in ("head_channels", "patch", "template_size")]
CONFIG += ["--config.model.search_size=64", "--config.model.eliminate_at=1", "--config.model.keep_ratio=0.7"]


def run(*words: object) -> int:
    return main(["convert", "ostrack", *map(str, words)])


def assert_same(out, expected):
    assert list(out) == list(expected)
    for key, value in expected.items():
        assert (out[key].dtype, out[key].shape) == (value.dtype, value.shape)
        assert out[key].tobytes() == value.tobytes()


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize("form", ["weights", "weights.safetensors"])
def test_a_file_to_weights(tmp_path, write, form, capsys):
    tensors = release_tensors(SMALL)
    source, output = write(tmp_path / "OSTrack_ep0300.pth.tar", {"epoch": 300, "net": tensors}), tmp_path / form
    assert run(source, *CONFIG, "--output", output) == 0
    assert f"{len(tensors)} tensors" in capsys.readouterr().out
    config, weights = load_weights(output)
    assert config.model == SMALL.model
    assert_same(to_release(weights, config), tensors)


@pytest.mark.parametrize("form", ["weights", "weights.safetensors"])
def test_there_and_back_through_files(tmp_path, form):
    torch = pytest.importorskip("torch")
    tensors = release_tensors(SMALL)
    source, again = write_zip(tmp_path / "in.pth", {"net": tensors}), tmp_path / "new" / "out.pth.tar"
    assert run("--output", tmp_path / form, *CONFIG, source) == 0
    assert run("--export", tmp_path / form, *CONFIG, "--output", again) == 0
    content = torch.load(again, weights_only=True)
    assert (content["net_type"], content["epoch"]) == ("OSTrack", SMALL.train.epochs)
    assert_same({key: value.numpy() for key, value in content["net"].items()}, tensors)
    assert_same(read_tensors(again, "net"), tensors)
    assert [path.name for path in again.parent.iterdir()] == ["out.pth.tar"]


def test_export_says_which_extra_is_missing(tmp_path, capsys, monkeypatch):
    source = write_zip(tmp_path / "in.pth", {"net": release_tensors(SMALL)})
    assert run(source, *CONFIG, "--output", tmp_path / "w") == 0
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run("--export", tmp_path / "w", *CONFIG, "--output", tmp_path / "out.pth") == 2
    assert "ostrack-jax[torch]" in capsys.readouterr().err
    assert not (tmp_path / "out.pth").exists()


def test_mistakes_end_in_one_line(tmp_path, capsys):
    source = write_zip(tmp_path / "in.pth", {"net": release_tensors(SMALL)})
    evil = write_zip(tmp_path / "evil.pth", {"net": Raw(name("posix", "system") + b"X\x01\x00\x00\x00x\x85R")})
    (tmp_path / "file").write_text("")
    for words, part in (
        (["--output", "w", *CONFIG], "either a file to convert or --export"),
        ([source, "--export", "w", "--output", "w", *CONFIG], "either a file to convert or --export"),
        ([source, source, "--output", "w", *CONFIG], "unexpected argument"),
        ([source, *CONFIG], "--output is required"),
        ([source, "--output", "w"], "--config is required"),
        ([source, "--output", "w", "--config", "vitb_256"], "unknown config"),
        ([source, "--output", tmp_path / "w", "--config", "tiny"], f"{source}: the tensors do not fit the config"),
        ([source, "--output", tmp_path / "w.pth.tar", *CONFIG], "expected a directory or X.safetensors"),
        ([source, "--output", tmp_path / "file", *CONFIG], "expected a directory"),
        ([tmp_path / "none.pth", "--output", tmp_path / "w", *CONFIG], "no checkpoint"),
        ([evil, "--output", tmp_path / "w", *CONFIG], "refused: the file asks to run posix.system"),
        (["--export", tmp_path / "w", "--output", tmp_path / "x.pth", *CONFIG], "no checkpoint at"),
        (["--export", tmp_path / "w", "--output", tmp_path / "x", *CONFIG], "expected a file X.pth.tar"),
    ):
        assert run(*words) == 2, words
        error = capsys.readouterr().err
        assert part in error
        assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.pth", "file", "in.pth"]


def test_reading_needs_no_torch(tmp_path, monkeypatch):
    source = write_zip(tmp_path / "in.pth", {"net": release_tensors(SMALL)})
    monkeypatch.setitem(sys.modules, "torch", None)
    assert run(source, *CONFIG, "--output", tmp_path / "w") == 0
    assert (tmp_path / "w").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("size", [256, 384])
def test_the_published_network_there_and_back_and_forward(tmp_path, golden, size):
    torch = pytest.importorskip("torch")
    from ostrack_jax.models.weights import model_of

    tensors = standin.weights(standin.shapes(size, size // 2))
    source = tmp_path / "OSTrack_ep0300.pth.tar"
    standin.save_checkpoint(str(source), tensors)
    config = ["--config", f"vitb_{size}_mae_ce_32x4_ep300"]
    assert run(source, *config, "--output", tmp_path / "w") == 0
    assert run("--export", tmp_path / "w", *config, "--output", tmp_path / "out.pth.tar") == 0
    net = torch.load(tmp_path / "out.pth.tar", weights_only=True)["net"]
    assert len(net) == 242
    assert_same({key: value.numpy() for key, value in net.items()}, tensors)

    loaded, weights = load_weights(tmp_path / "w")
    assert loaded == configs.load(config[1])
    reference = golden(f"forward_{size}")
    model = model_of(loaded.model, weights)
    out = jax.jit(model)(jnp.asarray(reference["template"]), jnp.asarray(reference["search"]))
    np.testing.assert_allclose(out.score_map, reference["ctr_point/score_map"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(out.boxes, reference["ctr_point/boxes"], rtol=0, atol=1e-5)
