"""What can be known before a run begins: names that name nothing, sets without a pair, times that never come."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from rich.console import Console

from ostrack_jax.config import DataConfig
from ostrack_jax.errors import UserError
from ostrack_jax.pipeline.loader import open_sources
from ostrack_jax.training import checks
from ostrack_jax.training.trainer import train
from tests import layouts


def with_train(config, **changes):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("backbone.block.0.attn.qkv", "'backbone.blocks.0.attn.qkv."),
        ("", ""),
    ],
)
def test_a_pattern_that_names_no_parameter_is_refused_with_the_nearest(small_config, pattern, near):
    with pytest.raises(UserError, match=r"config\.train\.freeze") as caught:
        list(checks.check_settings(with_train(small_config, freeze=("head.", pattern))))
    assert repr(pattern) in str(caught.value)
    assert near in str(caught.value)


def described(config):
    return checks.describe(config, Path("run"), "fresh weights", 0, 1, {})


def test_what_is_frozen_is_counted_and_something_must_be_left(small_config):
    assert "; 0 of " in described(small_config)
    frozen = with_train(small_config, freeze=("backbone.blocks.1.norm1.", "backbone.pos_embed"))
    assert list(checks.check_settings(frozen)) == list(checks.check_settings(small_config))
    assert "; 3,936 of " in described(frozen)  # 2 * 48, and 48 for each of 16 + 64 patches
    with pytest.raises(UserError, match="leaves no parameter to train"):
        list(checks.check_settings(with_train(small_config, freeze=("head.", "backbone."))))


def test_what_never_happens_is_noticed(small_config):
    few = {"epochs": 2, "pairs_per_epoch": 80, "batch": 8, "warmup_epochs": 0.0}
    assert list(checks.check_settings(with_train(small_config, **few))) == []
    late = {"schedule": "step", "drop_epoch": 2, "keep_until_epoch": 3, "save_minutes": 5.0, "log_every": 10}
    notices = checks.check_settings(with_train(small_config, **few | late | {"warmup_epochs": 2.0}))
    assert [notice.partition("=")[0] for notice in notices] == [
        f"config.train.{name}" for name in ("drop_epoch", "warmup_epochs", "keep_until_epoch", "save_minutes")
    ]
    with pytest.raises(UserError, match="validation_pairs: 4 pairs make no batch of 8"):
        list(checks.check_settings(with_train(small_config, **few, validation_pairs=4)))


@pytest.mark.parametrize("use", ["train", "validation"])
@pytest.mark.parametrize("kind", ["short", "listed only"])
def test_a_set_without_a_pair_is_refused_before_anything_is_made(small_config, tmp_path, use, kind):
    layouts.got10k(tmp_path / "set" / "train", ("a", "b"), count=15)
    if kind == "listed only":
        (tmp_path / "set" / "train" / "list.txt").write_text("c\nd\n")
    bad = DataConfig(reader="got10k", dir=str(tmp_path / "set"), use=use)
    config = dataclasses.replace(small_config, data={**small_config.data, "bad": bad})
    expected = {"short": "expected videos of 20 frames or more", "listed only": "cannot list .*set/train/[cd]"}
    with pytest.raises(UserError, match=rf"config\.data\.bad gives no pair: .*{expected[kind]}"):
        train(config, tmp_path / "run", console=Console(file=io.StringIO()))
    assert not (tmp_path / "run").exists()


def test_sequences_that_the_rules_leave_are_counted_in_a_large_set_by_a_sample(small_config, tmp_path, monkeypatch):
    layouts.got10k(tmp_path / "train", ("a", "b", "c"), count=20)
    (tmp_path / "train/c/groundtruth.txt").write_text("0,0,0,0\n" * 20)
    config = dataclasses.replace(small_config, data={"mine": DataConfig(reader="got10k", dir=str(tmp_path))})
    (source,) = open_sources(config)
    assert checks.eligible(config, source) == "mine 2 of 3 sequences"
    monkeypatch.setattr(checks, "_SAMPLE", 2)
    assert checks.eligible(config, source) in [f"mine {n}% of 3 sequences (by 2 of them)" for n in (50, 100)]
