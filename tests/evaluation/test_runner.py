"""One-pass evaluation: what the tracker is given, what is written, skipped, told as failed, and never mixed."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import benchmarks, results, runner
from ostrack_jax.evaluation.locks import Locks
from ostrack_jax.tracking.track import Track

MADE_BY = {"tracker": "oracle"}


@pytest.fixture
def evaluate(tmp_path):
    def call(tracker, sequences, benchmark="got10k_val", made_by=MADE_BY, folder=tmp_path / "out"):
        console = Console(file=io.StringIO())
        return runner.evaluate(tracker, benchmarks.find(benchmark), sequences, folder, made_by, console)

    return call


def slow(one, seconds):
    """The sequence, each of whose pictures but the first takes so long to read."""

    class Slow:
        def __len__(self):
            return len(one.frames)

        def __getitem__(self, index):
            time.sleep(seconds if index else 0.0)
            return one.frames[index]

    return dataclasses.replace(one, frames=Slow())


def states(outcomes):
    return {outcome.name: outcome.state for outcome in outcomes}


@pytest.mark.parametrize("benchmark", ["folder", "got10k_val", "lasot", "otb", "vot2022"])
def test_one_pass_from_the_true_box(tmp_path, evaluate, oracle, sequence, listed, benchmark):
    tracker, one, two = oracle(off=1.5), sequence("one", 6, 1), sequence("two", 4, 2)
    outcomes = evaluate(tracker, listed(one, two), benchmark)
    assert states(outcomes) == {"one": "done", "two": "done"}
    assert len(tracker.started) == 2
    assert tracker.updated == 5 + 3
    protocol = benchmarks.find(benchmark)
    for outcome, source in zip(outcomes, (one, two), strict=True):
        found = results.read(tmp_path / "out", outcome.name, protocol.form)
        expected = source.boxes_xywh + np.array([1.5, 0, 0, 0])
        expected[0] = source.boxes_xywh[0]
        np.testing.assert_array_equal(found.boxes_xywh, expected)
        assert np.isnan(found.scores[0])
        assert (found.scores[1:] == 0.5).all()
        assert (found.times_s >= 0).all()
        assert outcome.prediction.size_wh == (100, 80)
        np.testing.assert_array_equal(outcome.prediction.result_xywh, expected)
    assert 0.5 < next(iter(protocol.score([o.prediction for o in outcomes]).overall.values())) <= 1


def test_whole_results_are_skipped_and_score_the_same(tmp_path, evaluate, oracle, sequence, listed):
    sequences = listed(sequence("one", 6, 1), sequence("two", 4, 2))
    first = evaluate(oracle(off=1), sequences)
    again = oracle(off=50)
    outcomes = evaluate(again, sequences)
    assert states(outcomes) == {"one": "skipped", "two": "skipped"}
    assert (again.started, again.updated) == ([], 0)
    score = benchmarks.find("got10k_val").score
    assert score([o.prediction for o in outcomes]).sequences == score([o.prediction for o in first]).sequences

    cut = tmp_path / "out/two/two_001.txt"
    cut.write_text("".join(cut.read_text().splitlines(keepends=True)[:-1]))
    assert states(evaluate(oracle(off=1), sequences)) == {"one": "skipped", "two": "done"}
    assert len(cut.read_text().splitlines()) == 4


def test_an_interrupted_run_goes_on(evaluate, oracle, sequence, listed):
    sequences = listed(sequence("one", 4, 1), sequence("two", 4, 2), sequence("three", 4, 3))

    class Interrupted(oracle):
        def update(self, frame):
            if self.updated == 4:
                raise KeyboardInterrupt
            return super().update(frame)

    with pytest.raises(KeyboardInterrupt):
        evaluate(Interrupted(), sequences)
    assert states(evaluate(oracle(), sequences)) == {"one": "skipped", "two": "done", "three": "done"}


def test_a_failure_is_told_and_stops_nothing(tmp_path, evaluate, oracle, sequence, listed):
    sequences = listed(sequence("good", 4, 1), sequence("bad", 4, 2, broken=2), sequence("last", 4, 3))
    outcomes = evaluate(oracle(), sequences)
    assert states(outcomes) == {"good": "done", "bad": "failed", "last": "done"}
    assert outcomes[1].reason == "cannot read the picture 2.jpg"
    assert (outcomes[1].result, outcomes[1].prediction) == (None, None)
    assert not (tmp_path / "out/bad").exists()
    assert states(evaluate(oracle(), sequences)) == {"good": "skipped", "bad": "failed", "last": "skipped"}


def test_a_sequence_that_cannot_be_opened_fails_alone(evaluate, oracle, sequence):
    from ostrack_jax.data.lazy import LazySequences

    def build(name, key):
        if name == "bad":
            raise UserError("groundtruth.txt line 3: expected x,y,width,height")
        return sequence(name, 4)

    outcomes = evaluate(oracle(), LazySequences({"bad": None, "good": None}, build))
    assert states(outcomes) == {"bad": "failed", "good": "done"}
    assert "line 3" in outcomes[0].reason


@pytest.mark.parametrize("error", [ValueError("a"), OSError("b"), RuntimeError("c\nd"), MemoryError("9 GiB")])
def test_what_a_tracker_can_fail_by(evaluate, oracle, sequence, listed, error):
    class Fails(oracle):
        def update(self, frame):
            raise error

    (outcome,) = evaluate(Fails(), listed(sequence("one", 3)))
    assert outcome.reason == f"{type(error).__name__}: {' '.join(str(error).split())}"


def test_mistakes_of_the_program_are_not_swallowed(evaluate, oracle, sequence, listed):
    class Wrong(oracle):
        def update(self, frame):
            raise KeyError("a mistake")

    with pytest.raises(KeyError):
        evaluate(Wrong(), listed(sequence("one", 3)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_box_that_is_none_is_a_failure(evaluate, oracle, sequence, listed, value):
    class Lost(oracle):
        def update(self, frame):
            return Track(np.array([1, 2, value, 4.0]), 0.5)

    (outcome,) = evaluate(Lost(), listed(sequence("one", 3)))
    assert outcome.state == "failed"
    assert outcome.reason.startswith("ValueError: frame 1: the tracker predicted the box")


@pytest.mark.parametrize("box", [(np.nan,) * 4, (3, 4, 0, 9)])
def test_a_sequence_without_a_first_box_fails(evaluate, oracle, sequence, listed, box):
    bad = sequence("one", 3)
    bad.boxes_xywh[0] = box
    (outcome,) = evaluate(oracle(), listed(bad))
    assert "frame 0 has no box to start with" in outcome.reason


def test_a_truth_that_the_rules_refuse_fails_its_sequence_alone(evaluate, oracle, sequence, listed):
    unknown = sequence("b", 3)
    unknown.boxes_xywh[2] = np.nan
    for _ in range(2):  # the second time its result is there
        a, b = evaluate(oracle(), listed(sequence("a", 3), unknown), "tnl2k")
        assert (a.reason, b.prediction) == ("", None)
        assert b.reason.startswith("sequence b: the ground truth of frame 2 is NaN")


def test_a_sequence_of_no_frames_fails(evaluate, oracle, sequence, listed):
    assert evaluate(oracle(), listed(sequence("a", 0)))[0].reason == "sequence a has no frames"


@pytest.mark.parametrize("text", ["[]", "3", "[" * 100_000, "{"])
def test_a_run_file_that_is_none_is_told(tmp_path, evaluate, oracle, sequence, listed, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/run.json").write_text(text)
    with pytest.raises(UserError, match=r"run.json.* JSON.*: give another --output"):
        evaluate(oracle(), listed(sequence("a", 3)))


def test_results_of_different_makers_are_never_mixed(tmp_path, evaluate, oracle, sequence, listed):
    one, two = listed(sequence("one", 3)), listed(sequence("two", 3))
    made_by = {"tracker": "a", "weights_sha256": "1" * 64, "model": {"eliminate_at": (3, 6), "keep": 0.7}}
    evaluate(oracle(), one, made_by=made_by)
    assert states(evaluate(oracle(), two, made_by=made_by)) == {"two": "done"}
    with pytest.raises(UserError, match=r"another run \(weights_sha256 1111.* there, 2222.* here\)"):
        evaluate(oracle(), one, made_by={**made_by, "weights_sha256": "2" * 64})
    with pytest.raises(UserError, match=r"another run \(model "):
        evaluate(oracle(), one, made_by={**made_by, "model": {"eliminate_at": (3, 6), "keep": 0.8}})
    with pytest.raises(UserError, match=r"another run \(benchmark got10k_val there, otb here\)"):
        evaluate(oracle(), one, "otb", made_by=made_by)
    run = tmp_path / "out" / runner.RUN_FILE
    assert json.loads(run.read_text())["tracker"] == "a"
    run.write_text("{")
    with pytest.raises(UserError, match="is not valid JSON"):
        evaluate(oracle(), one, made_by=made_by)
    run.unlink()
    with pytest.raises(UserError, match=r"without a run\.json that says whose"):
        evaluate(oracle(), one, made_by=made_by)


def test_of_different_makers_that_begin_at_once_one_gets_the_folder(tmp_path, sequence, listed):
    barrier, got = threading.Barrier(8), []

    def begin(name):
        barrier.wait()
        try:
            runner.check_run_file(tmp_path, benchmarks.find("otb"), ["one"], {"tracker": name})
            got.append(name)
        except UserError as e:
            assert "results of another run" in str(e)  # noqa: PT017 - some of the threads

    threads = [threading.Thread(target=begin, args=(str(i),)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [json.loads((tmp_path / runner.RUN_FILE).read_text())["tracker"]]
    assert [path.name for path in tmp_path.iterdir()] == [runner.RUN_FILE]


def test_names_that_are_no_file_names_are_refused(tmp_path, evaluate, oracle, sequence, listed):
    with pytest.raises(UserError, match="expected a name"):
        evaluate(oracle(), listed(sequence("../one", 3)))
    assert not (tmp_path / "out").exists()


def test_the_size_comes_from_the_picture_where_nothing_states_it(evaluate, oracle, sequence, listed):
    unstated = dataclasses.replace(sequence("one", 3), size_wh=None)
    (outcome,) = evaluate(oracle(), listed(unstated))
    assert outcome.prediction.size_wh == (100, 80)


def test_reading_pictures_is_not_timed(evaluate, sequence, oracle, listed):
    class Works(oracle):
        def update(self, frame):
            time.sleep(0.01)
            return super().update(frame)

    (outcome,) = evaluate(Works(), listed(slow(sequence("one", 4), 0.05)))
    times = outcome.result.times_s
    assert times.shape == (4,)
    assert np.median(times[1:]) >= 0.01
    assert min(times[1:]) < 0.05


def test_many_sequences_at_once(tmp_path, evaluate, oracle, oracles, sequence, listed):
    lengths = {"a": 5, "b": 9, "c": 4, "d": 7, "e": 1}
    sequences = listed(*(sequence(name, length, i) for i, (name, length) in enumerate(lengths.items())))
    many = oracles(off=1.5)
    found = evaluate(many, sequences)
    assert states(found) == dict.fromkeys(lengths, "done")
    # the longest first (b, d, a), then whoever is next as soon as one ends
    assert [len(each.started) for each in many.oracles] == [1, 2, 2]
    assert many.moved == [3, 3, 3, 3, 2, 3, 2, 2]
    alone = evaluate(oracle(off=1.5), sequences, folder=tmp_path / "alone")
    for one, other in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one.result.boxes_xywh, other.result.boxes_xywh)
        np.testing.assert_array_equal(one.result.scores, other.result.scores)


def test_an_interrupt_ends_it_though_threads_wait_for_pictures(tmp_path, evaluate, oracles, sequence, listed):
    three = (slow(sequence(name, 4), 0.4) for name in "abc")
    main = threading.main_thread().ident
    timer = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background inherits deafness
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            evaluate(oracles(), listed(*three))
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    with Locks(tmp_path / "out") as locks:
        assert all(map(locks.take, "abc"))


def test_no_video_stays_open(tmp_path, evaluate, oracles, sequence, listed):
    from ostrack_jax.data.video import VideoFrames
    from ostrack_jax.visualization.video import write_video

    class Blind(oracles):  # the codec changes the boxes in the first pixels
        def init_slot(self, slot, frame, box_xywh):
            pass

        def predict_slots(self):
            frames, self.frames = self.frames, {}
            return {slot: Track(np.ones(4), 0.5) for slot in frames}

    class Cut(VideoFrames):
        def __getitem__(self, frame):
            if frame == 3:
                raise UserError("the pictures end before it")
            return super().__getitem__(frame)

    made = [sequence(name, 6) for name in ("a", "b", "c", "d", "cut")]
    videos = [tmp_path / f"{one.name}.mp4" for one in made]
    for one, video in zip(made, videos, strict=True):
        write_video(video, list(one.frames))
    frames = [(Cut if one.name == "cut" else VideoFrames)(video) for one, video in zip(made, videos, strict=True)]
    unsized = [dataclasses.replace(one, frames=f, size_wh=None) for one, f in zip(made, frames, strict=True)]
    for state in ("done", "skipped"):
        told = states(evaluate(Blind(), listed(*unsized), "folder"))
        assert told == {**dict.fromkeys("abcd", state), "cut": "failed"}
        assert not {Path(os.readlink(fd)).name for fd in _open_files()} & {video.name for video in videos}


def _open_files():
    place = Path("/proc/self/fd")
    if not place.is_dir():
        pytest.skip("this system has no list of open files")
    return [fd for fd in place.iterdir() if fd.is_symlink()]


def test_one_of_many_fails_alone(evaluate, oracles, sequence, listed):
    bad = sequence("no start", 4, 5)
    bad.boxes_xywh[0] = np.nan
    unreadable = [sequence(f"broken {i}", 6, i, broken=i) for i in (0, 3)]
    good = [sequence(f"good {i}", 6, i) for i in range(4)]
    found = evaluate(oracles(), listed(bad, *unreadable, *good))
    assert states(found) == {s.name: "done" if "good" in s.name else "failed" for s in (bad, *unreadable, *good)}
    assert found[1].reason == "cannot read the picture 0.jpg"


def test_a_step_that_fails_fails_all_that_are_in_it(evaluate, oracles, sequence, listed):
    class OutOfMemory(oracles):
        def predict_slots(self):
            if len(self.moved) == 2:
                self.moved.append(0)
                raise RuntimeError("RESOURCE_EXHAUSTED")
            return super().predict_slots()

    found = evaluate(OutOfMemory(), listed(*(sequence(name, 6) for name in "abcd")))
    assert states(found) == {"a": "failed", "b": "failed", "c": "failed", "d": "done"}
    assert {outcome.reason for outcome in found[:3]} == {"RuntimeError: RESOURCE_EXHAUSTED"}


def test_without_a_terminal_a_line_reports_progress_now_and_then(monkeypatch):
    now = 0.0
    monkeypatch.setattr("ostrack_jax.evaluation.runner.time.monotonic", lambda: now)
    out = io.StringIO()
    meter = runner._Meter(9, Console(file=out))
    meter.update(0, ["a [b]"], 1, 0.1)
    assert not out.getvalue()
    now = 61.0
    meter.update(1, ["a [b]"], 1, 0.1)
    meter.update(1, ["a [b]", "c"], 2, 0.2)
    assert out.getvalue() == "1 of 9 sequences, 10.0 frames/s: a [b]\n"
