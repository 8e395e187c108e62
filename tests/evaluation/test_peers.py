"""Other trackers through our evaluator on real frames come out as they were measured elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from ostrack_jax.evaluation import benchmarks, runner
from ostrack_jax.tracking import baselines

# AO, SR0.5, SR0.75 by the GOT-10k toolkit, OpenCV 5.0
PUBLISHED = {
    "still": (0.277, 0.293, 0.094),
    "opencv:nano": (0.678, 0.851, 0.514),
}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("spec", PUBLISHED)
def test_peers_score_as_measured_elsewhere(tmp_path, shared_data, spec):
    files = shared_data.parent / "peers"
    if spec != "still" and not files.is_dir():
        pytest.skip(f"no model files at {files}")
    protocol = benchmarks.find("got10k_val")
    sequences = protocol.open(shared_data / "got10k")
    tracker, quiet = baselines.make(spec, files), Console(file=io.StringIO())
    outcomes = runner.evaluate(tracker, protocol, sequences, tmp_path, tracker.provenance, quiet)
    assert {outcome.state for outcome in outcomes} == {"done"}
    scores = protocol.score([outcome.prediction for outcome in outcomes if outcome.prediction is not None])
    assert tuple(scores.overall.values()) == pytest.approx(PUBLISHED[spec], abs=0.005)
