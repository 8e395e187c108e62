"""The parser of text files: tolerant of separators, strict about contents, bounded."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostrack_jax.data import annotations as an
from ostrack_jax.errors import UserError


@pytest.mark.parametrize(
    "text",
    [
        b"1,2,3,4\n5,6,7,8\n",
        b"1\t2\t3\t4\n5\t6\t7\t8",
        b"1 2 3 4\r\n5 6 7 8\r\n",
        b"1, 2,  3;4\n 5;6;7;8 \n\n\n",
        b"\xef\xbb\xbf1.0,2e0,3,4\n5.,6,7,8\n",
        b"1,2,3,4\r5,6,7,8\r",
    ],
)
def test_every_separator_is_understood(tmp_path, text):
    path = tmp_path / "boxes.txt"
    path.write_bytes(text)
    np.testing.assert_array_equal(an.read_boxes(path), [[1, 2, 3, 4], [5, 6, 7, 8]])


def test_scores_of_tracked_boxes_are_left_out(tmp_path):
    """A fifth number is a score where the first line's is NaN; else it may be a frame's or class's number and a box."""
    path = tmp_path / "boxes.txt"
    path.write_text("1,2,3,4,nan\n5,6,7,8,0.75\n9,9,9,9,nan\n")
    np.testing.assert_array_equal(an.read_boxes(path), [[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 9, 9]])
    assert an.written_by_track(path)
    path.write_text("1,2,3,4,nan\n5,6,7,8\n")
    with pytest.raises(UserError, match=r"line 2: expected x,y,width,height,score, found '5,6,7,8'"):
        an.read_boxes(path)
    for text in ("0,5,6,7,8\n1,5,6,7,8\n", "1,2,3,4,0.5\n5,6,7,8,nan\n", "1,2,3,4\n1,2,3,4,nan\n"):
        path.write_text(text)
        assert not an.written_by_track(path)
        with pytest.raises(UserError, match=r"expected four numbers x,y,width,height, found"):
            an.read_boxes(path)


@settings(deadline=None)
@given(table=st.lists(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), min_size=1, max_size=5))
def test_numbers_come_back_as_written(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("boxes") / "boxes.txt"
    path.write_text("\n".join(",".join(repr(v) for v in row) for row in table))
    np.testing.assert_array_equal(an.read_boxes(path), table)


def test_unannotated_and_empty_boxes_are_not_valid(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_text("1,2,3,4\nNaN,NaN,NaN,NaN\n0,0,0,0\n1,2,-3,4\n-5,-5,1,1\n1,nan,3,4\n")
    assert an.valid(an.read_boxes(path)).tolist() == [True, False, False, False, True, False]


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("1,2,3,4\n1,2,3\n", 2, "'1,2,3'"),
        ("1,2,3,4\n\n1,2,3,4\n", 2, "''"),
        ("1,2,3,4\n5\n", 2, "'5'"),
        ("x,y,w,h\n1,2,3,4\n", 1, "'x,y,w,h'"),
        ("1,2,3,4,5,6,7,8\n", 1, "'1,2,3,4,5,6,7,8'"),
        ("1,2,3,inf\n", 1, "'1,2,3,inf'"),
        ("1,2,3,-1e308\n", 1, "'1,2,3,-1e308'"),  # whose square overflows
        ("\0\0\0", 1, r"'\\x00"),
    ],
)
def test_errors_name_file_and_line(tmp_path, text, line, found):
    path = tmp_path / "boxes.txt"
    path.write_text(text)
    with pytest.raises(
        UserError, match=rf"boxes.txt line {line}: expected four numbers x,y,width,height, found {found}"
    ):
        an.read_boxes(path)


def test_missing_empty_and_oversized_files_are_told(tmp_path, monkeypatch):
    path = tmp_path / "boxes.txt"
    with pytest.raises(UserError, match=r"cannot read .*boxes.txt: No such file"):
        an.read_boxes(path)
    with pytest.raises(UserError, match="cannot read"):
        an.read_boxes(tmp_path)
    path.write_text("\n \n")
    with pytest.raises(UserError, match=r"boxes.txt is empty"):
        an.read_boxes(path)
    os.mkfifo(tmp_path / "pipe.txt")  # nobody writes to it: to open it as a file is opened waits for ever
    with pytest.raises(UserError, match=r"cannot read .*pipe.txt: not a regular file"):
        an.read_boxes(tmp_path / "pipe.txt")
    monkeypatch.setattr("ostrack_jax.io._MOST_BYTES", 10)
    path.write_text("1,2,3,4\n" * 2)
    with pytest.raises(UserError, match=r"boxes.txt is larger than"):
        an.read_boxes(path)


def test_labels_are_whole_numbers_in_a_column_or_a_line(tmp_path):
    path = tmp_path / "cover.label"
    for text in ("8\n0\r\n3\n", "8,0,3", "8 0 3\n\n", "8.0\n0\n3\n"):
        path.write_text(text)
        assert an.read_labels(path).tolist() == [8, 0, 3]
    for text in ("1\n0.5\n1", "1\nnan\n1", "1\n1e30\n1", "1\n99999999999999999999\n1", "1\nx\n1", "1\n-inf"):
        path.write_text(text)
        with pytest.raises(UserError, match=r"cover.label line 2: expected whole numbers"):
            an.read_labels(path)


def test_names_stay_in_their_folder(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("a\r\n b c \n\n")
    assert an.read_names(path) == ["a", "b c"]
    for name in ("../a", "/etc", "..", ".", "a\\b", "a/../b"):
        path.write_text(f"ok\n{name}\n")
        with pytest.raises(UserError, match="is not the name of a folder next to it"):
            an.read_names(path)
    path.write_text("a\na\n")
    with pytest.raises(UserError, match="names 'a' twice"):
        an.read_names(path)
    path.write_text("\n")
    with pytest.raises(UserError, match="is empty"):
        an.read_names(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_as_windows_saves_it(tmp_path, encoding):
    mark = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}.get(encoding, "")
    (tmp_path / "a.txt").write_bytes((mark + "1,2,3,4\r\n5,6,7,8\r\n").encode(encoding))
    np.testing.assert_array_equal(an.read_boxes(tmp_path / "a.txt"), [[1, 2, 3, 4], [5, 6, 7, 8]])
