"""What a run leaves to read: JSON lines without repetition, TensorBoard's files, images, Weights & Biases."""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import types

import cv2
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from ostrack_jax.errors import UserError
from ostrack_jax.training import logging
from ostrack_jax.training.logging import LOG_FILE, RunLog, read_events

IMAGE = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def _board(workdir):
    """TensorBoard's events: length (8 bytes), its checksum (4), the message, its checksum (4)."""
    for path in sorted((workdir / logging.TENSORBOARD).glob("events*")):
        content = path.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            yield event_pb2.Event.FromString(content[12 : 12 + size])
            content = content[16 + size :]


def test_a_line_cut_short_is_dropped_on_resume(tmp_path):
    lines = [json.dumps({"kind": "train", "step": step, "loss": 1.0}) for step in (1, 2, 3)]
    (tmp_path / LOG_FILE).write_text("\n".join(lines) + '\n{"kind": "tr')
    assert [event["step"] for event in read_events(tmp_path)] == [1, 2, 3]
    with RunLog(tmp_path, 2) as log:
        log.write("train", 3, {"loss": 0.5})
    found = [(event["step"], event["loss"]) for event in read_events(tmp_path, "train")]
    assert found == [(1, 1.0), (2, 1.0), (3, 0.5)]


def test_json_lines_tensorboard_and_images_hold_the_same(tmp_path):
    with RunLog(tmp_path, 0) as log:
        log.write_run(0)
        log.write("train", 10, {"loss": 1.5, "iou": 0.25})
        log.write("validation", 10, {"loss": 2.5})
        path = log.write_image("epoch_0001", 10, IMAGE)
    run, train, validation = read_events(tmp_path)
    assert run.keys() == {"kind", "step", "began", "command", "versions", "hardware", "commit"}
    assert run["versions"]["numpy"] == np.__version__
    assert train == {"kind": "train", "step": 10, "loss": 1.5, "iou": 0.25}
    assert validation == {"kind": "validation", "step": 10, "loss": 2.5}
    assert path == tmp_path / "pictures" / "epoch_0001.png"
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], IMAGE)
    values = {value.tag: (event.step, value) for event in _board(tmp_path) for value in event.summary.value}
    points = {tag: value.simple_value for tag, (_, value) in values.items() if tag != "pictures"}
    assert points == {"train/loss": 1.5, "train/iou": 0.25, "validation/loss": 2.5}
    assert {step for step, _ in values.values()} == {10}
    image = values["pictures"][1].image
    assert (image.height, image.width) == (4, 6)
    assert image.encoded_image_string == path.read_bytes()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no log.jsonl in"),
        (b'{"kind": "train", "step": 1}\nnonsense\n', ":2: expected a JSON object"),
        (b'{"kind": "train", "step": 1}\n' + b"[" * 100_000 + b"\n", ":2: expected a JSON object"),
        (b'["train", 1]\n', ":1: expected a JSON object with kind and step"),
        (b'{"kind": "train", "step": "1"}\n', ":1: expected a JSON object with kind and step"),
        (b'\xff\xfe{"kind"}\n', ":1: expected a JSON object"),
    ],
)
def test_an_invalid_log_is_reported_in_one_line(tmp_path, content, words):
    if content is not None:
        (tmp_path / LOG_FILE).write_bytes(content)
    with pytest.raises(UserError, match=words) as e:
        read_events(tmp_path)
    assert "\n" not in str(e.value)


class FakeRun:
    def __init__(self):
        self.calls = []

    def define_metric(self, name, step_metric=None):
        self.calls.append(("define_metric", name, step_metric))

    def log(self, numbers):
        self.calls.append(("log", numbers))

    def finish(self):
        self.calls.append(("finish",))


@pytest.fixture
def wandb(monkeypatch):
    """A module in the place of the real one: `inits` has the arguments of each run begun, `runs` its calls."""
    fake = types.ModuleType("wandb")
    fake.inits, fake.runs, fake.Error = [], [], type("Error", (Exception,), {})
    fake.Image = lambda image: ("image", image.shape)

    def init(**arguments):
        fake.inits.append(arguments)
        fake.runs.append(FakeRun())
        return fake.runs[-1]

    fake.init = init
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


@pytest.fixture
def config(small_config):
    return dataclasses.replace(small_config, train=dataclasses.replace(small_config.train, wandb="trackers"))


def test_weights_and_biases_get_the_same_and_continue_with_a_resumed_run(wandb, config, tmp_path):
    for resumed_at in (0, 10):
        with RunLog(tmp_path, resumed_at, config) as log:
            log.write("train", resumed_at + 10, {"loss": 1.5})
            log.write_image("epoch_0001", resumed_at + 10, IMAGE)
    first, second = wandb.inits
    assert first["project"] == "trackers"
    assert first["name"] == config.name
    assert first["config"]["train"]["batch"] == config.train.batch
    assert first["id"] == second["id"] == (tmp_path / logging.WANDB_ID).read_text()
    assert first["resume"] == "allow"
    assert wandb.runs[1].calls == [
        ("define_metric", "step", None),
        ("define_metric", "*", "step"),
        ("log", {"train/loss": 1.5, "step": 20}),
        ("log", {"pictures": ("image", (4, 6, 3)), "step": 20}),
        ("finish",),
    ]


def test_without_a_project_weights_and_biases_are_not_touched(wandb, small_config, tmp_path):
    with RunLog(tmp_path, 0, small_config) as log:
        log.write("train", 1, {"loss": 1.5})
    assert wandb.inits == []


def test_weights_and_biases_missing_or_unwilling_is_reported_in_one_line(wandb, config, tmp_path, monkeypatch):
    def fails(**_):
        raise wandb.Error("api_key not configured\n(no-tty)")

    wandb.init = fails
    with pytest.raises(UserError, match=r"config\.train\.wandb=trackers: api_key not configured \(no-tty\)"):
        RunLog(tmp_path, 0, config)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"pip install 'ostrack-jax\[wandb\]'"):
        RunLog(tmp_path, 0, config)


def _write_much(workdir):
    """Under a limit of file sizes, which fails as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with RunLog(workdir, 0) as log:
            for step in range(200):
                log.write("train", step, {"loss": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_in_an_error_and_not_in_waiting(tmp_path):
    with pytest.raises(UserError, match=r"cannot write to .*log\.jsonl: File too large"):
        _write_much(tmp_path)


def test_a_full_disk_names_the_file_and_hides_no_other_error(tmp_path):
    def full():
        log = RunLog(tmp_path, 0)
        log._file.close()
        log._file = open("/dev/full", "a")  # noqa: SIM115 (closed by the log)
        return log

    with pytest.raises(UserError, match="cannot write to /dev/full: No space left on device"), full() as log:
        log.write("train", 1, {"loss": 1.0})
    with pytest.raises(UserError, match=f"cannot write the logs in {tmp_path}: No space left"), full() as log:
        log._file.write("a line")
