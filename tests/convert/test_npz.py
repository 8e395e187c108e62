"""Files of numpy arrays: read as numpy reads them, refused where they lie."""

import io
import zipfile

import numpy as np
import pytest

from convert.files import read_tensors
from convert.npz import ALLOWANCE, read_arrays
from ostrack_jax.errors import UserError

ARRAYS = {
    "a/b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "half": np.ones(3, np.float16),
    "scalar": np.array(7),
    "empty": np.zeros((0, 4), np.float32),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes(tmp_path, save):
    save(tmp_path / "x.npz", **ARRAYS)
    found = read_arrays(tmp_path / "x.npz")
    assert found.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


def npy(shape: object, descr: str = "<f4", data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An array's member with any header, honest or not."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.npy": npy((2**40,))}, "not the size that its header says"),
        ({"a.npy": npy((3,), data=b"\0" * 8)}, "not the size"),
        ({"a.npy": npy((-1, -2), data=b"\0" * 8)}, "not the size"),
        ({"a.npy": npy((1,), descr="|O", data=b"\0" * 8)}, "of 'object', not numbers"),
        ({"a.npy": npy((1,), descr="|V4", data=b"\0" * 4)}, "not numbers"),
        ({"a.npy": npy((1,), data=b"\0" * 4, version=b"\x09\x00")}, "format"),
        ({"a.npy": npy("three", data=b"\0" * 4)}, "damaged"),
        ({"a.npy": b"something else"}, "damaged"),
        ({"archive/data.pkl": b"\x80\x02."}, "'archive/data.pkl' is no array"),
        ({"../a.py": b""}, "is no array"),
    ],
)
def test_what_it_does_not_write(tmp_path, members, message):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(UserError, match=message) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)


def test_arrays_far_larger_than_their_file(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(npy((ALLOWANCE // 2,)))
        for _ in range(ALLOWANCE * 2 >> 20):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UserError, match=r"refused: .* more than weights can be packed"):
        read_arrays(path)


def test_other_files(tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        read_tensors(tmp_path / "none.npz")
    with pytest.raises(UserError, match="is no file"):
        read_tensors(tmp_path)
    buffer = io.BytesIO()
    np.savez(buffer, **ARRAYS)
    path = tmp_path / "cut.npz"
    path.write_bytes(buffer.getvalue()[:-30])
    with pytest.raises(UserError, match="cut off"):
        read_arrays(path)
    # its directory is whole, an array within is not
    damaged = bytearray(buffer.getvalue())
    damaged[150] ^= 255
    path.write_bytes(bytes(damaged))
    with pytest.raises(UserError, match="damaged"):
        read_arrays(path)
