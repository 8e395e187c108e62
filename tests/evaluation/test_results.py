"""SequenceResult files: the two layouts, whole or not there, and when an old one is taken for a result."""

from __future__ import annotations

import errno
import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ostrack_jax import io
from ostrack_jax.errors import UserError
from ostrack_jax.evaluation import results
from ostrack_jax.evaluation.results import SequenceResult


def result(frames=5):
    rng = np.random.default_rng(frames)
    scores = rng.uniform(0, 1, frames)
    scores[0] = np.nan
    return SequenceResult(rng.uniform(-20, 900, (frames, 4)), rng.uniform(1e-4, 2, frames), scores)


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("form", "names"),
    [
        ("got10k", ["Ball/Ball_001.txt", "Ball/Ball_score.txt", "Ball/Ball_time.txt"]),
        ("otb", ["Ball.txt", "Ball_score.txt", "Ball_time.txt"]),
    ],
)
def test_a_result_comes_back(tmp_path, form, names):
    written = result()
    results.write(tmp_path, "Ball", form, written)
    assert files_below(tmp_path) == names
    assert (tmp_path / names[0]).read_text().splitlines()[2] == ",".join(f"{v:.4f}" for v in written.boxes_xywh[2])
    found = results.read(tmp_path, "Ball", form)
    np.testing.assert_allclose(found.boxes_xywh, written.boxes_xywh, atol=5.1e-5)
    np.testing.assert_allclose(found.times_s, written.times_s, atol=5.1e-9)
    np.testing.assert_allclose(found.scores, written.scores, atol=5.1e-7)


@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.just(4)), elements=st.floats(-1e7, 1e7)))
def test_boxes_keep_four_decimals(tmp_path_factory, boxes):
    folder = tmp_path_factory.getbasetemp() / "boxes"
    results.write(folder, "a", "otb", SequenceResult(boxes, np.ones(len(boxes)), np.ones(len(boxes))))
    np.testing.assert_allclose(results.read(folder, "a", "otb").boxes_xywh, boxes, atol=5.1e-5, rtol=0)


def test_the_boxes_are_written_last(tmp_path, monkeypatch):
    written = []
    write = io.write_atomically

    def stop(path, content):
        if len(written) == 2:
            raise OSError("disk full")
        written.append(path.name)
        write(path, content)

    monkeypatch.setattr(results, "write_atomically", stop)
    with pytest.raises(OSError, match="disk full"):
        results.write(tmp_path, "a", "otb", result())
    assert sorted(written) == ["a_score.txt", "a_time.txt"]
    assert results.read_complete(tmp_path, "a", "otb", result().boxes_xywh) is None


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "a" / "b.txt"
    io.write_text(path, "one\n")
    io.write_text(path, "two\n")
    assert path.read_text() == "two\n"

    def fails(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a/b\.txt'"):
        io.write_text(path, "three\n")
    assert path.read_text() == "two\n"
    assert files_below(tmp_path) == ["a/b.txt"]


def test_processes_of_one_number_write_one_file_at_once(tmp_path, monkeypatch):
    """Containers and machines on one disk count their processes alike."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    texts, barrier, failed = [str(i) * 100_000 for i in range(4)], threading.Barrier(4), []

    def write(text):
        barrier.wait()
        for _ in range(20):
            try:
                io.write_text(tmp_path / "a.txt", text)
            except OSError as e:
                failed.append(e)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert (tmp_path / "a.txt").read_text() in texts
    assert files_below(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a\\b", "/etc/passwd", "a\0b"])
def test_names_cannot_leave_the_folder(tmp_path, name):
    with pytest.raises(UserError, match="expected a name"):
        results.files(tmp_path, name, "otb")


def test_sequences_that_would_share_a_file_are_told(tmp_path):
    results.check_names(["a", "b", "a-1"], "otb")
    results.check_names(["a", "a_time"], "got10k")
    with pytest.raises(UserError, match="'a' and 'a_time'"):
        results.check_names(["a", "a_time"], "otb")
    with pytest.raises(UserError, match="'Girl' and 'girl'"):
        results.check_names(["Girl", "girl"], "otb")
    with pytest.raises(UserError, match="did you mean 'got10k'"):
        results.check_names(["a"], "got10")


@pytest.mark.parametrize("form", results.FORMS)
def test_only_a_whole_result_of_this_sequence_counts(tmp_path, form):
    written = result()
    truth = written.boxes_xywh

    def complete(truth=truth):
        return results.read_complete(tmp_path, "a", form, truth) is not None

    assert not complete()
    results.write(tmp_path, "a", form, written)
    assert complete()
    assert not complete(np.concatenate([truth, truth[:1]]))
    assert not complete(truth + 0.01)
    paths = results.files(tmp_path, "a", form)
    for path in (paths.boxes, paths.times, paths.scores):
        text = path.read_text()
        for broken in (text[: len(text) // 2], "", "x\n" * 5, text.replace("1", "\0")):
            path.write_text(broken)
            assert not complete(), (path.name, broken)
        path.unlink()
        assert not complete()
        path.write_text(text)
        assert complete()
    paths.boxes.write_text("\n".join(["nan,nan,nan,nan"] * 5))
    assert not complete()


def test_reading_a_broken_result_names_the_file(tmp_path):
    results.write(tmp_path, "a", "otb", result())
    (tmp_path / "a_time.txt").write_text("0.1\n")
    with pytest.raises(UserError, match=r"a\.txt has 5 boxes, but there are 1 times, 5 scores"):
        results.read(tmp_path, "a", "otb")
    (tmp_path / "a.txt").write_text("1,2,3\n" * 5)
    with pytest.raises(UserError, match=r"a\.txt: expected 4 numbers a line"):
        results.read(tmp_path, "a", "otb")
