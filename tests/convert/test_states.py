"""The network's tensors are found under any key and under any training code's prefixes, or the choice is reported."""

import re

import pytest

from convert.files import find, named
from convert.pickles import Inert
from ostrack_jax.errors import UserError

NET, OTHER = {"a.weight": 1, "b.weight": 2}, {"a.weight": 3, "b.weight": 4}
Net = type("Net", (Inert,), {"full": "lib.Net"})
OPTIMIZER = {"state": {0: {"step": 1, "exp_avg": 2}}, "param_groups": [{"lr": 0.1}]}


@pytest.mark.parametrize(
    "content",
    [
        NET,
        {"net": NET, "epoch": 300.0, "optimizer": OPTIMIZER},
        {"model": NET, "model_ema": OTHER, "args": Inert()},
        {"state_dict": NET, "state_dict_ema": OTHER},
        {"teacher": OTHER, "net": NET, "model": OTHER},
        {"weights": NET, "meta": {"time": "now"}, "optimizer": OPTIMIZER},
        {"model_ema": NET, "epoch": 1.0},
        {"teacher": NET},
        {"checkpoint": {"model": {"state_dict": NET}}, "step": 1.0},
        {"model": {"module": NET, "updates": {}}},
    ],
)
def test_where_the_tensors_lie(content):
    assert find(content, "", int) == NET


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"model": OTHER, "model_ema": NET}, "model_ema"),
        ({"state": {"student": OTHER, "teacher": NET}}, "state.teacher"),
        ({"a.b": NET, "a": {"b": OTHER}}, "a.b"),
        (
            {
                f"{name}.{key}": value
                for name, of in (("student", OTHER), ("teacher", NET))
                for key, value in of.items()
            },
            "teacher",
        ),
        (
            {"state_dict": {f"module.teacher.{key}": value for key, value in NET.items()} | {"module.head": 3}},
            "teacher",
        ),
    ],
)
def test_a_key_chooses(content, key):
    assert find(content, key, int) == NET


@pytest.mark.parametrize(
    ("content", "key", "message"),
    [
        ({"student": NET, "teacher": OTHER}, "", "choose one by --key, of 'student', 'teacher'"),
        ({"model": {"online": NET, "target": OTHER}}, "", "of 'model.online', 'model.target'"),
        ({"model": NET, "epoch": 1.0}, "net", "holds no 'net' but 'model', 'epoch'"),
        ({"model": NET, "epoch": 1.0}, "model.net", "holds no 'model.net' but 'model', 'epoch'"),
        ({"net": Net(), "epoch": 1.0}, "", "holds no tensors by name but 'net', 'epoch' (of a net"),
        ({"net": Net()}, "net", "holds no 'net' but 'net' (of a network, save its"),
        ({"net": {**NET, "c": "text"}}, "", "holds 1 values that are not tensors: 'c'"),
        ({"net": {1: 1}}, "", "holds 1 values that are not tensors"),
        ({}, "", "holds no tensors by name but nothing"),
        ([NET], "", "holds no tensors by name but a list"),
        ({"a\n" * 1000: "x"}, "", r"'a\na\n"),
    ],
)
def test_what_is_reported(content, key, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        find(content, key, int)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_containers_that_hold_themselves():
    content: dict = {"a": {}}
    content["a"] |= {str(i): content["a"] for i in range(2000)} | {"again": content}
    with pytest.raises(UserError, match="holds no tensors"):
        find(content, "", int)
    content["a"]["net"] = NET
    assert find(content, "", int) == NET


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.module.", "model.", "_orig_mod.model.module.", "encoder.backbone."],
)
def test_prefixes(prefix):
    assert named({f"{prefix}{name}": value for name, value in NET.items()}, "a.weight") == NET


def test_prefixes_in_the_middle_and_of_some():
    assert named({"a._orig_mod.weight": 1, "module.b.module.weight": 2}, "a.weight") == NET
    assert named({"backbone.a.weight": 1, "backbone.b.weight": 2, "head.weight": 3}, "a.weight") == {
        **NET,
        "head.weight": 3,
    }
    assert named({"b.weight": 2}, "a.weight") == {"b.weight": 2}


def test_names_that_meet_are_reported():
    for twice in ({"a.weight": 1, "module.a.weight": 2}, {"x.a.weight": 1, "x.b": 2, "b": 3}):
        with pytest.raises(UserError, match="there twice"):
            named(twice, "a.weight")
    both = {f"{name}.{key}": value for name in ("student", "teacher") for key, value in NET.items()}
    with pytest.raises(UserError, match="several networks: choose one by --key, of 'student', 'teacher'"):
        named(both, "a.weight")
