"""VOT's regions: the box around each kind, and what is no region."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ostrack_jax.data.readers.vot import box_around, read_regions
from ostrack_jax.errors import UserError


@pytest.mark.parametrize(
    ("region", "box"),
    [
        ("1,2,10.5,8", (1, 2, 10.5, 8)),
        ("10,2,14,6,8,12,4,8", (4, 2, 10, 10)),  # a turned rectangle
        ("0,0,4,0,4,-3", (0, -3, 4, 3)),  # a triangle
        ("m5,6,3,2,0,6", (5, 6, 3, 2)),  # whole
        ("m5,6,3,2,1,1", (6, 6, 1, 1)),  # a single pixel; the zeros at the end are left out
        ("m-2,6,3,2,2,2,2", (-2, 6, 3, 2)),  # last of one row and first of the next
        ("m5,6,3,3,4,0,2,1,2", (5, 8, 1, 1)),  # a run of no pixels
    ],
)
def test_boxes_around_regions(region, box):
    assert box_around(region) == box


@pytest.mark.parametrize("region", ["0", "1", "nan,nan,nan,nan", "1,2,nan,4", "m0,0,0,0,0", "m3,4,5,6,30", "m3,4,5,6"])
def test_no_region_is_nan(region):
    assert np.isnan(box_around(region)).all()


@given(arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))), st.integers(-3, 9), st.integers(-3, 9))
def test_masks_as_numpy_sees_them(mask, x, y):
    turns = np.flatnonzero(np.diff(np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1]]])))
    runs = np.diff(np.concatenate([[0], turns])).tolist()
    box = box_around(",".join(map(str, [f"m{x}", y, mask.shape[1], mask.shape[0], *runs])))
    rows, columns = np.nonzero(mask)
    if not len(rows):
        assert np.isnan(box).all()
    else:
        assert box == (x + columns.min(), y + rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


@pytest.mark.parametrize(
    "region",
    [
        *("1,2,3", "1,2,3,4,5", "", "a,b", "1,inf,3,4", "m1,2", "m1,2,3,x", "m1,2,-3,4,1,1", "m1,2,3,2,7"),
        *("1,2,1e300,4", "m1,2,99999999,99999999,1", f"m1,2,3,2,{2**70}", f"m{2**70},2,3,2,1", "m1,2,3,2,0,-1"),
    ],
)
def test_what_is_no_region_is_told_by_its_line(tmp_path, region):
    path = tmp_path / "groundtruth.txt"
    path.write_text(f"1,2,3,4\n{region}\n1,2,3,4\n")
    with pytest.raises(UserError, match=r"groundtruth.txt line 2: expected a rectangle"):
        read_regions(path)
    path.write_text("")
    with pytest.raises(UserError, match="is empty: expected a rectangle"):
        read_regions(path)
