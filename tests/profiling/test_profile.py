"""What a model costs: the counts are those of `macs`, every stage is timed, the table has the paper's shape."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import jax
import pytest
from rich.console import Console

from ostrack_jax import config as configs
from ostrack_jax.cli.main import main
from ostrack_jax.profiling import latency
from ostrack_jax.profiling.macs import as_the_paper_counts, macs
from ostrack_jax.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def little():
    """As little as compiles fast."""
    sizes = ["width=16", "depth=1", "heads=2", "patch=8", "head_channels=8", "template_size=16", "search_size=32"]
    more = ["eliminate_at=(0,)", "keep_ratio=(0.7,)"]
    return configs.load("tiny", [f"model.{pair}" for pair in (*sizes, *more)])


@pytest.fixture(scope="module")
def measured(little, quickly_compiled):
    return latency.measure(little, frames=11, size_wh=(160, 120), console=Console(file=io.StringIO()))


def test_variants_differ_in_elimination_alone(little):
    with_it, without = latency.variants(little).values()
    assert with_it == little
    assert without.model.eliminate_at == ()
    assert dataclasses.replace(without.model, eliminate_at=(0,), keep_ratio=(0.7,)) == little.model
    plain = configs.load("vitb_256_mae_32x4_ep300")
    published = configs.load("vitb_256_mae_ce_32x4_ep300")
    assert latency.variants(plain)["with elimination"].model == published.model
    assert list(latency.variants(configs.load("tiny"))) == ["without"]  # three blocks: the published ones are not there


@pytest.mark.slow
def test_counts_and_times_of_every_variant(measured, little):
    assert list(measured) == ["with elimination", "without"]
    for name, row in measured.items():
        model = latency.variants(little)[name].model
        assert row["macs"] == macs(model)
        assert row["macs_paper"] == as_the_paper_counts(macs(model))
        assert row["compile_seconds"] > 0
        assert row["memory_bytes"]["arguments"] > 4 * row["parameters"]
        assert row["attention"] == "xla"
        for stage in ("network", "update", "video"):
            times = row["times"][stage]
            assert 0 < times["p50_ms"] <= times["p95_ms"] <= times["p99_ms"]
            assert times["fps"] == pytest.approx(1e3 / times["p50_ms"])
        assert row["times"]["update"]["p50_ms"] < row["times"]["video"]["p50_ms"]  # which holds it
    assert measured["with elimination"]["macs_paper"] < measured["without"]["macs_paper"]


def test_the_target_stays_where_it_is(tmp_path):
    """The box that was given is searched around in every frame."""

    class Recorder(Tracker):
        def __init__(self):
            self.calls = []

        def update(self, frame):
            self.calls.append(frame.shape)

        def search_around(self, slot, box_xywh):
            self.calls.append((slot, *box_xywh))

    video, box = latency.make_video(tmp_path, (160, 120))
    tracker = Recorder()
    latency.time_block(latency.Forward(lambda: None, 0.0, {}), tracker, video, box)
    assert tracker.calls == [(120, 160, 3), (0, *box)] * 5


def test_compiling_is_timed_without_the_cache():
    """What is compiled inside is not in the cache afterwards, what is compiled after it is."""
    least = "jax_persistent_cache_min_compile_time_secs"
    before = jax.config.values[least]
    jax.config.update(least, 0)
    try:
        with latency.without_cache():
            jax.jit(lambda x: x * 3.1415).lower(1.0).compile()
        without = kept()
        jax.jit(lambda x: x * 3.1415).lower(1.0).compile()
        assert kept() > without
    finally:
        jax.config.update(least, before)


def kept():
    return len(list(Path(jax.config.values["jax_compilation_cache_dir"]).glob("*-cache")))


@pytest.mark.slow
def test_the_command_prints_and_writes_the_same(measured, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(latency, "measure", lambda config, frames, size_wh: measured)
    words = ["--config", "tiny", "--frames", "11", "--frame_size", "160x120", "--output", str(tmp_path / "p.json")]
    assert main(["profile", *words]) == 0
    out = capsys.readouterr().out
    written = json.loads((tmp_path / "p.json").read_text())
    assert written["variants"] == measured
    assert written["versions"]["jax"] == jax.__version__
    assert written["hardware"]["cores"] > 0
    for words in ("with elimination", "change", "MACs, G", "network alone, ms p99", "whole video, ms p50", "160x120"):
        assert words in out
    row = next(line for line in out.splitlines() if "whole video, ms p50" in line)
    assert f"{measured['without']['times']['video']['p50_ms']:.1f}" in row


@pytest.mark.parametrize(
    ("words", "say"),
    [
        (["--frame_size", "big"], "1280x720"),
        (["--frame_size", "9x9"], "synthetic width"),
        (["--frames", "0"], "--frames"),
        (["--config", "tini"], "did you mean 'tiny'"),
        (["--output", "/"], "--output / is a directory"),
        (["--output", "/dev/null/p.json"], "/dev/null is not a directory"),
    ],
)
def test_mistakes_are_one_line(words, say, capsys):
    assert main(["profile", "--config", "tiny", *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert say in err
