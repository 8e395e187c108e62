"""What a config may say, and that every mistake in one is told in one line that names the place."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from ostrack_jax import config
from ostrack_jax.config import Config, DataConfig
from ostrack_jax.errors import UserError

SMALL = '''"""A small config."""
from ostrack_jax.config import DataConfig, default

def get_config():
    config = default("small", got10k=DataConfig(part="train"), toy=DataConfig(reader="synthetic", options={"seed": 3}))
    config.train.batch = 16
    config.model.eliminate_at = (3, 6)
    config.model.keep_ratio = (0.7, 0.7)
    return config
'''


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    return str(path)


def test_defaults_are_the_published_values():
    whole = Config()
    assert (whole.model.width, whole.model.depth, whole.model.heads) == (768, 12, 12)
    assert (whole.train.batch, whole.train.lr, whole.train.backbone_lr_scale) == (128, 4e-4, 0.1)
    assert (whole.train.epochs, whole.train.drop_epoch, whole.train.pairs_per_epoch) == (300, 240, 60_000)


@pytest.mark.parametrize("name", config.names())
def test_every_named_config_is_valid_and_documented(name):
    whole = config.load(name)
    assert whole.name == name
    text = (config.directory() / f"{name}.py").read_text()
    assert text.startswith('"""')
    assert "--config" in text.split('"""')[1], "the docstring shows the command"


def test_a_file_changes_fields_and_overrides_change_them_again(small):
    whole = config.load(small, ["train.lr=1e-3", "model.eliminate_at=(2, 4)", "data.got10k.dir=/some where/x=y"])
    assert whole.train.batch == 16
    assert whole.train.lr == 1e-3
    assert whole.model.eliminate_at == (2, 4)
    assert whole.data["got10k"].dir == "/some where/x=y"
    assert whole.data["toy"].options == {"seed": 3}


@pytest.mark.parametrize(
    ("override", "at", "value"),
    [
        ("train.lr=1", "train.lr", 1.0),
        ("train.batch=32", "train.batch", 32),
        ("track.window=false", "track.window", False),
        ("track.window=True", "track.window", True),
        ("name=12", "name", "12"),
        ("name=", "name", ""),
        ("data.toy.options.frames=7", "data.toy.options", {"seed": 3, "frames": 7}),
        ("model.keep_ratio=[1, 0.5]", "model.keep_ratio", (1.0, 0.5)),
        ("model.keep_ratio=1,0.5", "model.keep_ratio", (1.0, 0.5)),
    ],
)
def test_override_values_are_read_as_the_field_wants_them(small, override, at, value):
    found = config.load(small, [override])
    for part in at.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("first", ["data.mine.reader=folder", "data.mine.dir=/my clips"])
def test_a_data_set_is_added_by_its_reader(small, first):
    """In any order of the flags; the others stay."""
    overrides = {"data.mine.reader=folder", "data.mine.dir=/my clips", "data.mine.use=validation"} - {first}
    whole = config.load(small, [first, *sorted(overrides), "data.mine.options.orientation=stored"])
    expected = DataConfig(reader="folder", dir="/my clips", use="validation", options={"orientation": "stored"})
    assert whole.data["mine"] == expected
    assert whole.data.keys() == {"got10k", "toy", "mine"}
    changed = config.change(whole, ["data.mine.weight=0", "data.more.reader=lasot", "data.more.part=test"])
    assert changed.data["mine"] == dataclasses.replace(expected, weight=0.0)
    assert changed.data["more"] == DataConfig(reader="lasot", part="test")


def test_one_value_stands_for_a_tuple_of_one(small):
    whole = config.load(small, ["model.eliminate_at=3", "model.keep_ratio=1"])
    assert (whole.model.eliminate_at, whole.model.keep_ratio) == ((3,), (1.0,))


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.bacth=3", ("config.train", "bacth", "'batch'")),
        ("trian.batch=3", ("config", "trian", "'train'")),
        ("data.got10.dir=x", ("data set", "got10", "'got10k'", "got10k, toy")),
        ("data.mine.dir=x", ("for a new one, give its layout: --config.data.mine.reader=READER",)),
        ("data..reader=folder", ("data set", "''")),
        ("data.reader=folder", ("config.data.reader", "group")),
        ("data.a.b.reader=folder", ("data set", "'a'")),
        ("data.got10k.dri=x", ("config.data.got10k", "'dir'")),
        ("train.batch", ("--config.train.batch=VALUE",)),
        ("train.batch.x=3", ("config.train.batch", "one value")),
        ("train=3", ("config.train", "group")),
        ("train.batch=many", ("config.train.batch", "int", "'many'")),
        ("train.batch=2.5", ("config.train.batch", "int", "2.5")),
        ("train.batch=True", ("config.train.batch", "int", "True")),
        ("train.batch=0", ("config.train.batch", "above 0")),
        ("train.batch=-3", ("config.train.batch", "above 0")),
        ("train.lr=nan", ("config.train.lr", "finite")),
        ("train.lr=1e999", ("config.train.lr", "finite")),
        ("train.workers=-1", ("config.train.workers", "0 or more")),
        ("train.bn_group=-1", ("config.train.bn_group", "0 or more")),
        ("train.bn_group=3", ("config.train.bn_group", "divide")),
        ("train.keep_from_epoch=200", ("config.train.keep_from_epoch", "keep_until_epoch")),
        ("train.schedule=cosin", ("config.train.schedule", "'cosine'")),
        ("pairs.flip=1.5", ("config.pairs.flip", "between 0 and 1")),
        ("track.window=maybe", ("config.track.window", "bool", "'maybe'")),
        ("data.toy.weight=-1", ("config.data.toy.weight", "0 or more")),
        ("data.toy.use=training", ("config.data.toy.use", "'train'")),
        ("model.heads=5", ("config.model.heads", "768")),
        ("model.search_size=250", ("config.model.search_size", "multiple", "16")),
        ("model.head_channels=12", ("config.model.head_channels", "halve")),
        ("model.keep_ratio=0.7", ("config.model.keep_ratio", "1 ratios for 2 blocks")),
        ("model.keep_ratio=0.7,1.2", ("config.model.keep_ratio", "(0, 1]")),
        ("model.eliminate_at=6,3", ("config.model.eliminate_at", "rise")),
        ("model.eliminate_at=3,12", ("config.model.eliminate_at", "below 12")),
        ("model.init_std=0", ("config.model.init_std", "(0, 1]")),
        ("model.drop_path=1", ("config.model.drop_path", "[0, 1)")),
        ("model.template_rows=ctr_points", ("config.model.template_rows", "'ctr_point'")),
        ("model.dtype=float16", ("config.model.dtype", "bfloat16")),
        ("model.attention=cudnn", ("config.model.attention", "bfloat16", "float32")),
        ("model.dtype=" + "(" * 5000, ("config.model.dtype",)),
        ("train.batch=" + "(" * 5000, ("config.train.batch",)),
    ],
)
def test_a_wrong_override_is_one_line_that_names_the_place(small, override, words):
    with pytest.raises(UserError) as caught:
        config.load(small, [override])
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def get_config(:\n", ("SyntaxError",)),
        ("x = 1\n", ("expected a function get_config()",)),
        ("def get_config():\n    return 1 / 0\n", ("line 2", "ZeroDivisionError")),
        ("def get_config():\n    return 3\n", ("int", "ConfigDict")),
        (SMALL.replace("train.batch = 16", "train.bacth = 16"), ("config.train", "'batch'")),
        (SMALL.replace("train.batch = 16", "train.batch = 'x'"), ("TypeError",)),
        ("", ("get_config",)),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(tmp_path, text, words):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        config.load(str(path))
    for word in words:
        assert word in str(caught.value)


def test_no_such_file_and_no_such_name(tmp_path, small, monkeypatch):
    monkeypatch.setattr(config, "directory", lambda: tmp_path)
    assert config.names() == ["small"]
    assert config.load("small").name == "small"
    with pytest.raises(UserError, match="unknown config 'smal': did you mean 'small'"):
        config.load("smal")
    other = tmp_path / "other"
    (other / "small").mkdir(parents=True)
    (other / "small.txt").write_text(SMALL)
    for wrong in ("small.py", "small.txt", "small"):
        with pytest.raises(UserError, match=rf"unknown config '.*other/{wrong}': .*one of small"):
            config.load(str(other / wrong))
    monkeypatch.chdir(other)  # a folder of a config's name, such as a run's
    assert config.load("small").name == "small"


def test_a_config_survives_the_way_through_plain_values(small):
    whole = config.load(small)
    assert config.freeze(config.to_dict(whole)) == whole


def test_freeze_tells_what_is_wrong_with_values_from_elsewhere(small):
    values = config.to_dict(config.load(small))
    with pytest.raises(UserError, match=r"unknown key in config 'optimiser'"):
        config.freeze({**values, "optimiser": {}})
    with pytest.raises(UserError, match=r"config\.data: expected"):
        config.freeze({**values, "data": [1]})
    with pytest.raises(UserError, match=r"config\.data\.a: expected a group"):
        config.freeze({**values, "data": {"a": 1}})


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().name = "x"  # pyright: ignore[reportAttributeAccessIssue]
    assert DataConfig().use == "train"


def test_reading_a_config_does_not_load_jax(small):
    code = f"import sys; from ostrack_jax import config; config.load({small!r}); assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
