"""Files of every form, honest, foreign, damaged and hostile; and a fuzz of torch's two."""

import io
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from convert.files import ALLOWANCE, read_tensors
from ostrack_jax.errors import UserError
from tests.convert.torch_files import Raw, encode, name, pickled, tensor, write_legacy, write_zip

DTYPES = ["<f4", "<f8", "<f2", ml_dtypes.bfloat16, "<i8", "<i4", "i1", "u1", "?"]
WRITERS = {"zip": write_zip, "legacy": write_legacy}


def some_tensors() -> dict[str, np.ndarray]:
    values = {f"t{i}": (np.arange(24) * 1.5).reshape(2, 3, 4).astype(dtype) for i, dtype in enumerate(DTYPES)}
    return values | {"scalar": np.array(7, np.int64), "none": np.zeros((0, 5), np.float32)}


def assert_same(out, expected):
    assert list(out) == list(expected)
    for key, value in expected.items():
        assert out[key].dtype == value.dtype
        assert out[key].shape == value.shape
        np.testing.assert_array_equal(out[key], value)


@pytest.mark.parametrize("form", WRITERS)
def test_tensors_of_every_kind(tmp_path, form):
    path = WRITERS[form](tmp_path / "x.pth.tar", {"epoch": 300, "net": some_tensors(), "stats": None})
    assert_same(read_tensors(path, "net"), some_tensors())


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_of_nothing_but_tensors(tmp_path, form):
    assert_same(read_tensors(WRITERS[form](tmp_path / "x.pth", some_tensors())), some_tensors())


def test_a_safetensors_file_by_its_content(tmp_path):
    """Whatever its name; the library writes names in an order of its own."""
    path = tmp_path / "pytorch_model.bin"
    save_file(some_tensors(), path)
    found = read_tensors(path)
    assert_same({name: found[name] for name in some_tensors()}, some_tensors())
    whole = path.read_bytes()
    for length in (*range(9, len(whole), 37), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="damaged or cut off") as caught:
            read_tensors(path)
        assert str(path) in str(caught.value)
        assert str(caught.value).isprintable()
    save_file({"a": np.ones(1)}, path, {"config": "{}"})
    with pytest.raises(UserError, match=r"converted already: .* --checkpoint or --init"):
        read_tensors(path)


HEADERS = {
    "beyond the file": {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}},
    "another size": {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 8]}},
    "twice the same bytes": {name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"},
    "an unknown type": {"a": {"dtype": "O", "shape": [2], "data_offsets": [0, 8]}},
    "an unknown float": {"a": {"dtype": "F7", "shape": [8], "data_offsets": [0, 8]}},
    "no numbers": {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
}


@pytest.mark.parametrize("kind", HEADERS)
def test_safetensors_headers_that_lie(tmp_path, kind):
    header = json.dumps(HEADERS[kind]).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(UserError, match="damaged or cut off"):
        read_tensors(tmp_path / "x.safetensors")


def test_views_share_a_storage(tmp_path):
    base = np.arange(12, dtype=np.float32)
    identity = ("storage", Raw(name("torch", "FloatStorage")), "0", "cpu", 12)
    net = {
        "all": base,  # storage 0
        "transposed": Raw(tensor(identity, 0, (4, 3), (1, 4))),
        "part": Raw(tensor(identity, 5, (2, 2), (4, 1))),
    }
    out = read_tensors(write_zip(tmp_path / "x.pth", {"net": net}), "net")
    np.testing.assert_array_equal(out["transposed"], base.reshape(3, 4).T)
    np.testing.assert_array_equal(out["part"], [[5, 6], [9, 10]])
    assert not out["part"].flags.writeable


FOREIGN = {
    "empty": (b"", "no checkpoint|not a checkpoint"),
    "JPEG": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "not a checkpoint .* begins with .*JFIF"),
    "page": (b"\n<!DOCTYPE html><html>Quota exceeded", "not a checkpoint .* begins with .*<html>"),
    "text": (b"weights of the tracker", "not a checkpoint"),
    "safetensors": (struct.pack("<Q", 9) + b'{"a": {}}', "damaged or cut off"),
    "safetensors of a long header": (struct.pack("<Q", 1 << 62) + b"{", "damaged or cut off"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n", "begins with .*git-lfs"),
    "pickle": (pickled({"net": {}}), "magic number"),
    "shell in protocol 0": (b"cos\nsystem\n(S'true'\ntR.", "not a checkpoint"),
    "zip": (b"PK\x03\x04", "damaged or cut off"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_files(tmp_path, kind):
    data, message = FOREIGN[kind]
    path = tmp_path / "net.pth.tar"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        read_tensors(path, "net")
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(UserError, match="no checkpoint"):
        read_tensors(tmp_path / "none.pth.tar", "net")
    with pytest.raises(UserError, match=r"no checkpoint .*: expected a file"):
        read_tensors(tmp_path, "net")


@pytest.mark.parametrize("form", WRITERS)
def test_cut_off_files(tmp_path, form):
    path = WRITERS[form](tmp_path / "x.pth", {"net": {"a": np.arange(8, dtype=np.float32)}})
    whole = path.read_bytes()
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_tensors(path, "net")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"a": np.zeros(1, np.float32)}, "epoch": 1}, "holds no 'net' but 'model', 'epoch'"),
        ({}, "holds no 'net' but nothing"),
        ([], "a list"),
        ({"net": None}, "holds no 'net' but 'net'"),
        ({"net": {**{x: np.zeros(1, np.float32) for x in "xy"}, "b": "c"}}, "1 values that are not tensors: 'b'"),
        (
            {"net": {**{x: np.zeros(1, np.float32) for x in "xy"}, "a": Raw(name("lib.x", "Weights") + b")\x81")}},
            r"'a' \(lib.x.Weights\)",
        ),
        ({"net": {1: np.zeros(1, np.float32)}}, "not tensors"),
        ({"net": {"a": Raw(name("posix", "system") + b"X\x01\x00\x00\x00x\x85R")}}, "refused.*posix.system"),
    ],
)
@pytest.mark.parametrize("form", WRITERS)
def test_other_contents(tmp_path, form, content, message):
    path = WRITERS[form](tmp_path / "x.pth", content)
    with pytest.raises(UserError, match=message):
        read_tensors(path, "net")


FLOATS = Raw(name("torch", "FloatStorage"))
IDENTITY = ("storage", FLOATS, "0", "cpu", 12)


@pytest.mark.parametrize(
    ("identity", "offset", "shape", "strides"),
    [
        (IDENTITY, 0, (13,), (1,)),
        (IDENTITY, 1, (12,), (1,)),
        (IDENTITY, 0, (1 << 20, 1 << 20), (0, 0)),
        (IDENTITY, 0, (4, 4), (0, 0)),
        (IDENTITY, 0, (2,), (-1,)),
        (IDENTITY, -1, (2,), (1,)),
        (IDENTITY, 0, (-2,), (1,)),
        (IDENTITY, 0, (2,), (1, 1)),
        (IDENTITY, 0, (1,) * 100, (1,) * 100),
        (IDENTITY, 0.0, (1,), (1,)),
        (("storage", FLOATS, "0", "cpu", 13), 0, (1,), (1,)),
        (("storage", FLOATS, "0", "cpu", -1), 0, (1,), (1,)),
        (("storage", FLOATS, "0", "cpu", 1 << 62), 0, (1,), (1,)),
        (("storage", FLOATS, "7", "cpu", 12), 0, (1,), (1,)),
        (("storage", FLOATS, "../byteorder", "cpu", 12), 0, (1,), (1,)),
        (("storage", FLOATS, "0", "cpu", 12, ("1", 0, 3)), 0, (1,), (1,)),
        (("storage", "torch.FloatStorage", "0", "cpu", 12), 0, (1,), (1,)),
        (("elsewhere", FLOATS, "0", "cpu", 12), 0, (1,), (1,)),
        (("storage",), 0, (1,), (1,)),
        ("storage", 0, (1,), (1,)),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", WRITERS)
def test_tensors_beyond_their_storage(tmp_path, form, identity, offset, shape, strides):
    net = {"a": np.arange(12, dtype=np.float32), "b": Raw(tensor(identity, offset, shape, strides))}
    path = WRITERS[form](tmp_path / "x.pth", {"net": net})
    with pytest.raises(UserError, match="damaged") as caught:
        read_tensors(path, "net")
    assert len(str(caught.value)) < 300


def test_tensors_that_are_no_weights_do_not_hinder(tmp_path):
    identity = ("storage", Raw(name("torch.storage", "UntypedStorage")), "0", "cpu", 48)
    arguments = (Raw(encode(identity, []) + b"Q"), 0, (24,), (1,), False, None, Raw(name("torch", "uint16")))
    other = Raw(name("torch._utils", "_rebuild_tensor_v3") + encode(arguments, []) + b"R")
    path = write_zip(tmp_path / "x.pth", {"net": {"a": np.arange(12, dtype=np.float32)}, "optimizer": other})
    np.testing.assert_array_equal(read_tensors(path, "net")["a"], np.arange(12))


def members_of(path: Path, change) -> Path:
    """The archive ``path`` with ``change`` made to each ZipInfo before it is written again; None leaves it out."""
    with zipfile.ZipFile(path) as archive:
        found = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in found:
            if (changed := change(info)) is not None:
                archive.writestr(changed, data)
    return path


@pytest.fixture
def honest(tmp_path) -> Path:
    return write_zip(tmp_path / "x.pth", {"net": {"a": np.arange(1 << 20, dtype=np.float32)}})


def test_a_decompression_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "x.pth"
    identity = ("storage", FLOATS, "0", "cpu", 32 << 20)
    net = {"a": Raw(tensor(identity, 0, (32 << 20,), (1,)))}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled({"net": net}), zipfile.ZIP_STORED)
        archive.writestr("archive/data/0", bytes(128 << 20))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="larger than the file"):
            read_tensors(path, "net")
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_members_that_lie_over_each_other(tmp_path):
    path = write_zip(tmp_path / "x.pth", {"net": {"a": np.arange(1000, dtype=np.float32)}})
    with zipfile.ZipFile(path, "a") as archive:
        first = archive.getinfo("archive/data/0")
        for i in range(1, 50):  # more entries in the directory for the same bytes
            other = zipfile.ZipInfo(f"archive/data/{i}")
            for field in ("header_offset", "CRC", "compress_size", "file_size", "create_version"):
                setattr(other, field, getattr(first, field))
            archive.filelist.append(other)
        archive._didModify = True
    with pytest.raises(UserError, match="larger than the file"):
        read_tensors(path, "net")


def test_a_flipped_bit_is_noticed(honest):
    data = bytearray(honest.read_bytes())
    data[len(data) // 2] ^= 1
    honest.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged or cut off.*CRC"):
        read_tensors(honest, "net")


def test_archives_that_are_no_checkpoints(honest):
    with pytest.raises(UserError, match=r"no data\.pkl"):
        read_tensors(members_of(honest, lambda m: m if "data.pkl" not in m.filename else None), "net")


def test_big_endian_files(tmp_path):
    content = {"net": {"a": np.zeros(1, np.float32)}}
    for path in (
        write_zip(tmp_path / "z.pth", content, byteorder=b"big"),
        write_legacy(tmp_path / "l.pth", content, little_endian=False),
    ):
        with pytest.raises(UserError, match="big-endian"):
            read_tensors(path, "net")


def test_legacy_storages_are_just_those_of_the_tensors(tmp_path):
    path = write_legacy(tmp_path / "x.pth", {"net": {"a": np.zeros(3, np.float32)}})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(struct.pack("<q", 3) + bytes(12), struct.pack("<q", 4) + bytes(16)))
    with pytest.raises(UserError, match="damaged or cut off"):
        read_tensors(path, "net")
    path.write_bytes(whole.replace(encode(["0"], []) + b".", encode(["1"], []) + b"."))
    with pytest.raises(UserError, match="damaged or cut off"):
        read_tensors(path, "net")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_files_that_torch_writes(tmp_path, zipped, protocol):
    torch = pytest.importorskip("torch")
    base = torch.arange(12.0).reshape(3, 4)
    net = {"base": base, "transposed": base.T, "row": base[1], "half": base.half(), "bfloat16": base.bfloat16()}
    net |= {"parameter": torch.nn.Parameter(base * 2), "count": torch.tensor(5), "empty": torch.zeros(0, 3)}
    extra = {"u16": torch.ones(2, dtype=torch.uint16), "complex": torch.ones(2, dtype=torch.complex64)}
    state = {"net": net, "extra": extra, "size": base.shape, "dtype": torch.float16, "device": torch.device("cpu")}
    path = tmp_path / "x.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    expected = {key: value.detach() for key, value in net.items()}
    expected["bfloat16"] = base.numpy().astype(ml_dtypes.bfloat16)
    assert_same(read_tensors(path, "net"), {key: np.asarray(value) for key, value in expected.items()})


def test_a_checkpoint_as_the_release_writes_it(tmp_path):
    pytest.importorskip("torch")
    from tests import standin

    net = {key: standin.tensor(key, (3, 4)) for key in ("backbone.pos_embed_z", "x.weight", "x.num_batches_tracked")}
    standin.save_checkpoint(str(tmp_path / "x.pth.tar"), net)
    assert_same(read_tensors(tmp_path / "x.pth.tar", "net"), net)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("seeds")
    content = {"net": {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(1, np.int64)}, "epoch": 3}
    content["settings"] = Raw(name("lib.settings", "Settings") + b")\x81}X\x01\x00\x00\x00aK\x01sb")
    return {form: write(folder / form, content).read_bytes() for form, write in WRITERS.items()}


# A change: where (a fraction of the file), what is put there, how many bytes it replaces.
changes = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=5), st.integers(0, 5)), min_size=1, max_size=4)


@pytest.mark.parametrize("form", WRITERS)
@given(changes=changes)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_ends_in_one_error_or_in_arrays(tmp_path, seeds, form, changes):
    data = bytearray(seeds[form])
    for place, new, replaced in changes:
        at = int(place * len(data))
        data[at : at + replaced] = new
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    message, out = "", {}
    try:
        out = read_tensors(path, "net")
    except UserError as e:
        message = str(e)
    assert message.isprintable()
    assert sum(value.nbytes for value in out.values()) <= len(data)


ARRAYS = {
    "a/b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "half": np.ones(3, np.float16),
    "scalar": np.array(7),
    "empty": np.zeros((0, 4), np.float32),
}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_files_that_numpy_writes(tmp_path, save):
    save(tmp_path / "x.npz", **ARRAYS)
    found = read_tensors(tmp_path / "x.npz")
    assert found.keys() == ARRAYS.keys()
    assert_same({key: found[key] for key in ARRAYS}, ARRAYS)


def npy(shape: object, descr: str = "<f4", data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An array's member with any header, honest or not."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.npy": npy((2**40,))}, "damaged or cut off"),
        ({"a.npy": npy((3,), data=b"\0" * 8)}, "damaged or cut off"),
        ({"a.npy": npy((-1, -2), data=b"\0" * 8)}, "damaged or cut off"),
        ({"a.npy": npy((1,), descr="|O", data=b"\0" * 8)}, "damaged or cut off.*allow_pickle"),
        ({"a.npy": npy((1,), data=b"\0" * 4, version=b"\x09\x00")}, "damaged"),
        ({"a.npy": npy("three", data=b"\0" * 4)}, "damaged"),
        ({"a.npy": b"something else"}, "holds no tensors by name but 'a'"),
        ({"archive/data.pkl": b"\x80\x02."}, "holds no tensors by name but 'archive/data.pkl'"),
        ({"../a.py": b""}, "holds no tensors by name"),
    ],
)
def test_npz_files_that_it_does_not_write(tmp_path, members, message):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    with pytest.raises(UserError, match=message) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)


def test_npz_files_of_arrays_far_larger_than_the_file(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(npy((ALLOWANCE // 2,)))
        for _ in range(ALLOWANCE * 2 >> 20):
            member.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(UserError, match="refused: its members together are larger"):
        read_tensors(path)


def test_damaged_npz_files(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, **ARRAYS)
    path = tmp_path / "cut.npz"
    path.write_bytes(buffer.getvalue()[:-30])
    with pytest.raises(UserError, match="cut off"):
        read_tensors(path)
    damaged = bytearray(buffer.getvalue())  # its directory is complete, an array within is not
    damaged[150] ^= 255
    path.write_bytes(bytes(damaged))
    with pytest.raises(UserError, match="damaged"):
        read_tensors(path)
