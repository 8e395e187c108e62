"""Readers by name, and where their folders are looked up."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ostrack_jax import config
from ostrack_jax.config import DataConfig
from ostrack_jax.data.lists import published
from ostrack_jax.data.readers.registry import READERS, knows_parts, open_dataset
from ostrack_jax.errors import UserError
from tests import layouts


@pytest.fixture(autouse=True)
def _nobody_says_where(monkeypatch, tmp_path):
    for reader in READERS:
        monkeypatch.delenv(f"OSTRACK_{reader.upper()}_DIR", raising=False)
    monkeypatch.delenv("OSTRACK_PATHS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def got10k(tmp_path) -> Path:
    for part, names in (("train", "a\nb\n"), ("val", "c\n")):
        (tmp_path / "got10k" / part).mkdir(parents=True)
        (tmp_path / "got10k" / part / "list.txt").write_text(names)
    return tmp_path / "got10k"


def test_the_configs_folder_comes_first(got10k, monkeypatch):
    monkeypatch.setenv("OSTRACK_GOT10K_DIR", "/nowhere")
    assert open_dataset(DataConfig(dir=str(got10k))).names == ("a", "b")
    assert open_dataset(DataConfig(dir=str(got10k), part="val")).names == ("c",)


def test_then_the_environment_then_the_file(got10k, monkeypatch, tmp_path):
    home = tmp_path / "home" / ".config" / "ostrack"
    home.mkdir(parents=True)
    (home / "paths.toml").write_text('[data]\ngot10k = "/nowhere"\n')
    with pytest.raises(UserError, match=r"no folder /nowhere \(.*paths.toml\): expected the got10k data"):
        open_dataset(DataConfig())
    (tmp_path / "mine.toml").write_text('[data]\ngot10k = "got10k"\n')  # counted from the file
    monkeypatch.setenv("OSTRACK_PATHS", str(tmp_path / "mine.toml"))
    assert open_dataset(DataConfig()).names == ("a", "b")
    monkeypatch.setenv("OSTRACK_GOT10K_DIR", str(got10k / "val"))
    assert open_dataset(DataConfig(part="val")).names == ("c",)


def test_without_any_all_three_ways_are_told():
    with pytest.raises(UserError, match=r"--config.data.NAME.dir=.* set OSTRACK_OTB_DIR, .*\[data\] in .*paths.toml"):
        open_dataset(DataConfig(reader="otb"))


def test_a_missing_folder_is_told(monkeypatch):
    with pytest.raises(UserError, match=r"no folder /no/where \(as given\)"):
        open_dataset(DataConfig(dir="/no/where"))
    monkeypatch.setenv("OSTRACK_FOLDER_DIR", "/no/where")
    with pytest.raises(UserError, match=r"no folder /no/where \(OSTRACK_FOLDER_DIR\)"):
        open_dataset(DataConfig(reader="folder"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data = [", "is not valid TOML"),
        ("[data]\ngot10k = 3", r'expected a table \[data\] with got10k = "PATH", found 3'),
        ('data = "x"', r"expected a table \[data\] with .*, found 'x'"),
        ('[data]\notb = "x"', "no directory is configured for the got10k data"),
    ],
)
def test_a_broken_paths_file_is_told(monkeypatch, tmp_path, text, message):
    path = tmp_path / "paths.toml"
    path.write_text(text)
    monkeypatch.setenv("OSTRACK_PATHS", str(path))
    with pytest.raises(UserError, match=message):
        open_dataset(DataConfig())
    monkeypatch.setenv("OSTRACK_PATHS", str(tmp_path / "other.toml"))
    with pytest.raises(UserError, match=r"no file .*other.toml \(OSTRACK_PATHS\)"):
        open_dataset(DataConfig())


def test_wrong_names_are_told(got10k):
    with pytest.raises(UserError, match="unknown reader 'got10': did you mean 'got10k'"):
        open_dataset(DataConfig(reader="got10"))
    with pytest.raises(UserError, match="unknown option of the synthetic reader 'widht': did you mean 'width'"):
        open_dataset(DataConfig(reader="synthetic", options={"widht": 9}))
    with pytest.raises(UserError, match="synthetic option height: expected int, found '9'"):
        open_dataset(DataConfig(reader="synthetic", options={"height": "9"}))
    with pytest.raises(UserError, match="the got10k reader takes no options, found 'part'"):
        open_dataset(DataConfig(dir=str(got10k), options={"part": "val"}))
    with pytest.raises(UserError, match="unknown part of synthetic 'tests': did you mean 'test'"):
        open_dataset(DataConfig(reader="synthetic", part="tests"))
    with pytest.raises(UserError, match="the synthetic reader has no split 'vot_val': expected split=all"):
        open_dataset(DataConfig(reader="synthetic", split="vot_val"))
    with pytest.raises(UserError, match="unknown published list 'got10k_some'"):
        open_dataset(DataConfig(dir=str(got10k), split="some"))


@pytest.mark.parametrize("name", [name for name in config.names() if name.endswith(("_ep300", "_ep100"))])
def test_the_published_configs_open_their_sets(name, tmp_path, monkeypatch):
    monkeypatch.setenv("OSTRACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OSTRACK_PATHS", str(tmp_path / "paths.toml"))
    sets = {"lasot": layouts.lasot, "trackingnet": layouts.trackingnet, "coco": layouts.coco}
    for reader, make in sets.items():
        make(tmp_path / reader)
    for part in ("train", "val"):
        (tmp_path / "got10k" / part).mkdir(parents=True)
        (tmp_path / "got10k" / part / "list.txt").write_text("".join(f"s{i}\n" for i in range(9335)))
    listed = "\n".join(f'{reader} = "{tmp_path / reader}"' for reader in (*sets, "got10k"))
    (tmp_path / "paths.toml").write_text(f"[data]\n{listed}\n")
    counts = {"lasot": {1120}, "trackingnet": {2}, "coco": {4}, "got10k": {9335, 7086, 1249}}
    for data in config.load(name).data.values():
        assert len(open_dataset(data)) in counts[data.reader]


@pytest.mark.parametrize("reader", sorted(published.SHAPES))
def test_a_foreign_folder_and_an_unknown_part_are_told(reader, tmp_path, monkeypatch):
    monkeypatch.setenv("OSTRACK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "set/other/images").mkdir(parents=True)
    part = next(iter(published.OFFICIAL.get(reader, {"": None}))) or "train"
    data = DataConfig(reader, str(tmp_path / "set"), part=part)
    with pytest.raises(UserError, match=rf"^no (sequence of {reader}( .*)?|file .*) in {tmp_path}/set: expected "):
        open_dataset(data)
    if knows_parts(reader):
        with pytest.raises(UserError, match=f"unknown part of {reader} '{part}s': did you mean '{part}'"):
            open_dataset(dataclasses.replace(data, part=f"{part}s"))


def test_options_reach_the_reader():
    options = {"seed": 3, "sequences": 2, "frames": 5, "width": 64, "height": 48}
    sequences = open_dataset(DataConfig(reader="synthetic", part="test", options=options))
    assert len(sequences) == 2
    assert len(sequences[1]) == 5
    assert sequences[1].frames[4].shape == (48, 64, 3)


def test_a_training_set_of_ones_own_is_read_as_its_option_says(tmp_path):
    (tmp_path / "1.jpg").write_bytes(layouts.tagged("jpg", 6, np.zeros((8, 24, 3), np.uint8)))
    (tmp_path / "boxes.txt").write_text("1,2,3,4")
    mine = ["data.mine.reader=folder", f"data.mine.dir={tmp_path}"]
    for words, shape in (([], (24, 8, 3)), (["data.mine.options.orientation=stored"], (8, 24, 3))):
        data = config.load("tiny", [*mine, *words]).data["mine"]
        assert open_dataset(data)[0].frames[0].shape == shape
    with pytest.raises(UserError, match="unknown orientation 'up'"):
        open_dataset(config.load("tiny", [*mine, "data.mine.options.orientation=up"]).data["mine"])
