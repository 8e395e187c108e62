"""Every flag and argument that names a file or directory, in every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import cv2
import jax
import numpy as np
import pytest
from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.cli import main as ostrack
from ostrack_jax.cli.main import COMMANDS, main
from ostrack_jax.cli.paths import PathParser, Place

# Flags and arguments of text that name no place. A new flag is declared by `define_path`, or listed here.
NO_PLACES = {
    *(
        "benchmark",
        "box",
        "config_override",
        "convention",
        "coordinator",
        "decode",
        "frame_size",
        "frames",
        "key",
        "name",
    ),
    *("part", "sequences", "split", "tracker"),
}
NO_PLACE_ARGUMENTS = {"NAME", "SERVER", "SEQUENCE"}  # the last is one without --benchmark, which its command sees to


def every_command():
    """Words -> module, of each that does something."""
    found = {}
    for name in COMMANDS:
        module = command.load(ostrack, name)
        if hasattr(module, "COMMANDS"):
            found |= {f"{name} {each}": command.load(module, each) for each in module.COMMANDS}
        else:
            found[name] = module
    return found


EVERY = every_command()


def flags_of(words):
    flags = absl_flags.FlagValues()
    EVERY[words].define(flags)
    return flags


def names_of(words):
    return getattr(EVERY[words], "ARGUMENTS", ())


FLAGS = [
    (words, name) for words in EVERY for name in flags_of(words) if isinstance(flags_of(words)[name].parser, PathParser)
]
OUTPUTS = [(words, name) for words, name in FLAGS if flags_of(words)[name].parser.writes]
PLACES = [(words, i) for words in EVERY for i, name in enumerate(names_of(words)) if isinstance(name, Place)]
ADDRESSES = ["gs://bucket/run", "s3://bucket/run", "http://host/run", "rtsp://host:554/run"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def refused(capsys, here):
    """One line that holds all ``parts``, status 2, and nothing new in the working directory."""

    def check(words, *parts):
        before = sorted(here.rglob("*"))
        assert main(list(map(str, words))) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1, err
        for part in parts:
            assert part in err
        assert sorted(here.rglob("*")) == before

    return check


def filled(words, places="place", **given):
    """The words of a command with all that it requires, arguments and flags; ``places`` stands for what is read."""
    out = words.split()
    for name in names_of(words):
        if not name.startswith("["):
            out.append(places if isinstance(name, Place) else "name")
    flags = flags_of(words)
    needed = [name for name in flags if any(command._REQUIRED in str(v.message) for v in flags[name].validators)]
    out += [f"--{name}=new" for name in needed if name not in given]
    return [*out, *(f"--{name}={value}" for name, value in given.items())]


def not_reached(flags, arguments):
    raise AssertionError("the work began")


@pytest.mark.parametrize("words", EVERY)
def test_no_other_flag_or_argument_names_a_place(words):
    flags = flags_of(words)
    text = {
        name
        for name in flags
        if flags[name].flag_type() in ("string", "multi string", "comma separated list of strings")
    }
    assert text <= NO_PLACES
    assert {name.strip("[].") for name in names_of(words) if not isinstance(name, Place)} <= NO_PLACE_ARGUMENTS
    assert len(FLAGS) > 30


@pytest.mark.parametrize(("words", "name"), FLAGS)
def test_a_flag_knows_homes_and_no_addresses(words, name, here, refused):
    flags = flags_of(words)
    flags(["ostrack", *filled(words, **{name: "~/x"})])
    (value,) = flags[name].value if isinstance(flags[name].value, list) else [flags[name].value]
    assert value == here.parent / "home/x"
    for address in ADDRESSES:
        refused(
            [*words.split(), f"--{name}={address}"], f"--{name}={address}: an address, expected a file or directory"
        )
        refused([*words.split(), f"--{name}", address], f"--{name}={address}: an address")
    refused([*words.split(), f"--{name}=~nobody_here/x"], "no such home directory")
    refused([*words.split(), f"--{name}="], "expected the name of a file or directory")


@pytest.mark.parametrize(("words", "i"), PLACES)
def test_an_argument_knows_homes_and_no_addresses(words, i, here, refused, monkeypatch):
    seen = []
    monkeypatch.setattr(EVERY[words], "main", lambda flags, arguments: seen.append(arguments[i]))
    arguments = ["name" if not isinstance(name, Place) else "place" for name in names_of(words)]
    flags = [word for word in filled(words) if word.startswith("--")]
    for address in ADDRESSES:
        refused([*words.split(), *arguments[:i], address, *flags], f"error: {address}: an address")
    assert main([*words.split(), *arguments[:i], "~/x", *flags]) == 0
    assert seen == [str(here.parent / "home/x")]


@pytest.mark.parametrize("source", [*ADDRESSES, "0", "1"])
def test_live_sources_are_refused_as_typed(source, refused):
    for words in (["track"], ["visualize", "--checkpoint", "small"]):
        line = [*words, source, "--box", "1,2,3,4", "--output", "out.mp4"]
        refused(
            line, f"{source}: an address" if "://" in source else f"no video or directory {source}, and cameras are not"
        )


def test_the_folders_of_a_comparison(refused, here):
    refused(["compare", "ours=gs://bucket/run", "--output", "out"], "error: gs://bucket/run: an address")
    refused(["compare", "ours=~/run", "--output", "out"], f"{here.parent}/home/run")


def test_the_directories_of_a_config(refused, here):
    train = ["train", "--config", "tiny", "--workdir", "run"]
    own = ["--config.data.synthetic.reader=got10k", "--config.data.synthetic.options.seed=0"]
    refused([*train, *own, "--config.data.synthetic.dir=gs://bucket/got10k"], "gs://bucket/got10k: an address")
    refused([*train, *own, "--config.data.synthetic.dir=~/got10k"], f"no folder {here.parent}/home/got10k")


@pytest.mark.parametrize(("words", "name"), OUTPUTS)
def test_an_output_that_cannot_be_made_is_told_before_the_work(words, name, here, refused, monkeypatch):
    monkeypatch.setattr(EVERY[words], "main", not_reached)
    (here / "file").touch()
    (here / "place").mkdir()
    kind = flags_of(words)[name].parser.writes
    if kind == "directory":
        refused(filled(words, **{name: "file"}), f"--{name} file is a file: expected a directory")
    if kind == "file":
        refused(filled(words, **{name: "."}), f"--{name} . is a directory: expected the name of a file")
    refused(filled(words, **{name: "file/x/y"}), f"--{name} file/x/y cannot be made: file is not a directory")
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(filled(words, **{name: "new/x"}), f"--{name} new/x cannot be made: no permission to write in {here}")


READ_AND_WRITTEN = [
    (words, output, name)
    for words, output in OUTPUTS
    for name in [*(name for other, name in FLAGS if other == words and (words, name) not in OUTPUTS), ""]
    if name or any(other == words for other, _ in PLACES)
]


@pytest.mark.parametrize(("words", "output", "name"), READ_AND_WRITTEN)
def test_an_output_is_no_input(words, output, name, here, refused, monkeypatch):
    monkeypatch.setattr(EVERY[words], "main", not_reached)
    if flags_of(words)[output].parser.writes == "file":
        (here / "same").touch()
    else:
        (here / "same").mkdir()
    (here / "link").symlink_to("same")
    line = filled(words, "same", **{output: "link"}, **({name: "./same"} if name else {}))
    if not name and "same" not in line:
        line.insert(len(words.split()) + sum(not word.startswith("[") for word in names_of(words)), "same")
    refused(line, f"--{output} link would overwrite the input same")


def test_the_frames_that_are_drawn_are_not_overwritten(here, refused):
    (here / "frames").mkdir()
    line = ["visualize", "frames", "--box", "1,2,3,4", "--checkpoint", "small", "--output", "frames/"]
    refused(line, "--output frames would overwrite the input frames")


def test_a_name_that_begins_with_a_dash(here, refused):
    (here / "-clip.mp4").touch()
    refused(
        ["track", "-clip.mp4", "--box", "1,2,3,4", "--output", "out.mp4"],
        "-clip.mp4 is a file here: give it as ./-clip",
    )
    refused(["track", "-other.mp4"], "Unknown command line flag")


ODD = [
    "a:b.mp4",
    "%d.mp4",
    "-x.mp4",
    " a  b .mp4",
    "é中.mp4",
    "x..mp4",
    "[red]x.mp4",
    "pipe:1.mp4",
    "中" * 80 + ".mp4",
]


@pytest.mark.parametrize("name", [*ODD, os.fsdecode(b"\xff.mp4")])
def test_a_video_of_any_name_is_written_and_read(name, here, capsys):
    (here / "frames:%d.").mkdir()
    for t in range(3):
        image = np.full((40, 60, 3), 50 * t, np.uint8)
        (here / f"frames:%d./{t}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    still = ["--tracker", "still", "--box", "10,10,20,20"]
    assert main(["track", "frames:%d.", *still, "--output", name]) == 0, capsys.readouterr().err
    assert sorted(os.listdir()) == sorted([name, name[:-3] + "txt", "frames:%d."])
    with open(name, "rb") as file, av.open(file) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
    assert main(["track", f"./{name}", *still, "--output", "out.mp4"]) == 0, capsys.readouterr().err
    assert len(Path("out.txt").read_text().splitlines()) == 3


RESULTS, COMPARED, SAMPLES = (
    os.fsdecode(f"{name}: %d [b]é中".encode() + b"\xff") for name in ("ours", "both", "drawn")
)


def test_results_under_any_name(here, capsys):
    """Read, scored, compared, checked."""
    name = os.fsdecode("a:b %d [red]é中".encode() + b"\xff.")
    for sequence in ("Biker", "Bird1"):
        (here / name / "data" / sequence / "img").mkdir(parents=True)
        for t in range(1, 4):
            image = cv2.imencode(".jpg", np.full((40, 60, 3), 50 * t, np.uint8))[1].tobytes()
            (here / name / f"data/{sequence}/img/{t:04d}.jpg").write_bytes(image)
        (here / name / f"data/{sequence}/groundtruth_rect.txt").write_text("10,10,20,20\n" * 3)
    data = ["--data_dir", f"{name}/data"]
    for words in (
        ["eval", "--benchmark", "otb", *data, "--tracker", "still", "--output", RESULTS],
        ["compare", RESULTS, f"{name}={RESULTS}", *data, "--output", COMPARED],
        ["data", "check", "otb", f"{name}/data", "--samples", SAMPLES],
    ):
        assert main(words) == 0, capsys.readouterr().err
    assert len(list((here / SAMPLES).iterdir())) == 2
    told = json.loads((here / COMPARED / "comparison.json").read_text())
    assert sorted(told["trackers"]) == ["a:b %d [red]é中\\udcff.", "ours: %d [b]é中\\udcff"]  # what can be drawn


def test_checkpoints_and_records_need_a_name_in_text(here, refused):
    name = os.fsdecode(b"run\xff")
    refused(["train", "--config", "tiny", "--workdir", name], "run\\udcff is not UTF-8 text: expected another name")
    refused(["data", "prepare", "synthetic", ".", "--output", name], "run\\udcff is not UTF-8 text: expected another")
    (here / name).mkdir()
    words = ["eval", "--benchmark", "synthetic", "--output", "out", "--checkpoint"]
    refused([*words, name], "run\\udcff is not UTF-8 text: expected another name")


COMPUTE = {
    "train": ["--config", "tiny", "--workdir", "new"],
    "eval": ["--benchmark", "synthetic", "--checkpoint", "small", "--output", "new"],
    "profile": ["--config", "tiny", "--output", "new"],
    "vot": ["new", "--checkpoint", "small"],
    "convert ostrack": ["--export", "small", "--config", "tiny", "--output", "new.pth"],
    "convert mae": ["x.pth", "--config", "tiny", "--output", "new"],
    "convert deit": ["x.pth", "--config", "tiny", "--output", "new"],
    "convert augreg": ["x.npz", "--config", "tiny", "--output", "new"],
    "convert dinov2": ["x.pth", "--config", "tiny", "--output", "new"],
    "track": ["frames", "--box", "1,1,9,9", "--checkpoint", "small", "--output", "new.mp4"],
    "visualize": ["frames", "--box", "1,1,9,9", "--checkpoint", "small", "--output", "new"],
    "demo": ["--output", "new"],
    "demo --train": ["--output", "new"],
    "train --replay": ["x.safetensors"],
}


@pytest.mark.parametrize("words", COMPUTE)
def test_no_device_for_what_is_asked_is_one_line(words, here, refused, monkeypatch):
    def none():
        raise RuntimeError("Unable to initialize backend 'banana'")

    (here / "frames").mkdir()
    for t in range(2):
        (here / f"frames/{t}.png").write_bytes(cv2.imencode(".png", np.zeros((40, 60, 3), np.uint8))[1].tobytes())
    monkeypatch.setattr(jax, "local_devices", none)
    monkeypatch.setattr("ostrack_jax.integrations.vot.check", lambda *_: None)
    refused([*words.split(), *COMPUTE[words]], "JAX finds no device for JAX_PLATFORMS=", "unset JAX_PLATFORMS")


@pytest.mark.slow
def test_the_package_is_the_command(here):
    """And JAX itself is asked for a platform that is not there."""
    words = [sys.executable, "-m", "ostrack_jax", "profile", "--config", "tiny"]
    environment = {**os.environ, "JAX_PLATFORMS": "banana"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ostrack profile: error: JAX finds no device for JAX_PLATFORMS=banana, but ")
    assert done.stderr.count("\n") == 1
