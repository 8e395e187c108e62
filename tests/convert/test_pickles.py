"""The pickle reader runs nothing, refuses what asks for it, and agrees with Python's own on plain values."""

import builtins
import contextlib
import copyreg
import enum
import io
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.pickles import Inert, load
from ostrack_jax.errors import UserError
from tests.convert.torch_files import Raw, encode, tensor


def read(data: bytes):
    return load(io.BytesIO(data))[0]


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def named(text: str) -> bytes:
    module, name = text.split(" ")
    return f"c{module}\n{name}\n".encode()


def stack_named(module: str, name: str) -> bytes:
    return b"".join(b"\x8c" + bytes([len(t)]) + t.encode() for t in (module, name)) + b"\x93"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("function", [os.system, subprocess.getoutput])
def test_a_call_of_the_shell_is_refused_and_not_made(tmp_path, function, protocol):
    marker = tmp_path / "ran"
    data = pickle.dumps({"net": Call(function, f"touch {marker}")}, protocol)
    with pytest.raises(UserError, match=r"^refused: the file asks to run \w+\.\w+ on loading$"):
        read(data)
    assert not marker.exists()
    pickle.loads(data)  # the attack is a live one
    assert marker.exists()


@pytest.mark.parametrize("function", [eval, exec, compile, getattr, setattr, open, __import__, print, breakpoint])
def test_a_call_of_a_builtin_is_refused(function):
    with pytest.raises(UserError, match=f"refused.*{function.__name__}"):
        read(pickle.dumps(Call(function, "1 + 1")))


@pytest.mark.parametrize(
    "name",
    """os system|posix system|nt system|subprocess Popen|sys exit|importlib import_module|runpy run_path|ctypes CDLL
    shutil rmtree|socket socket|pickle loads|_pickle loads|marshal loads|types CodeType|types FunctionType|code interact
    operator attrgetter|functools partial|webbrowser open|pty spawn|asyncio.unix_events _X|builtins eval|builtins vars
    __builtin__ eval|__builtin__ apply|__main__ f|commands getoutput|os.path os.system|collections OrderedDict.fromkeys
    collections abc.sys.exit|collections namedtuple|_codecs lookup|copyreg add_extension|torch load|torch.hub load
    torch.serialization load|torch._utils _import_dotted_name|torch._utils _rebuild_tensor_v2.__globals__
    torch.jit._script script|torch._utils sys.exit|torch.FloatStorage from_file|numpy load
    numpy.core.multiarray fromfile|numpy.f2py.crackfortran myeval
    numpy.testing runstring|pip main|setuptools setup|argparse Namespace.__init__
    """.replace("\n", "|").split("|"),
)
def test_names_that_could_run_something_are_refused(name):
    name = name.strip()
    if not name:
        return
    module, attribute = name.split(" ")
    for reference in (named(name), stack_named(module, attribute)):
        with pytest.raises(UserError, match="refused"):
            read(b"\x80\x04" + reference + b"\x8c\x01x\x85R.")
        with pytest.raises(UserError, match="refused"):
            read(b"\x80\x04" + reference + b")\x81.")
    with pytest.raises(UserError, match="refused"):
        read(b"(\x8c\x01xi" + f"{module}\n{attribute}\n.".encode())


def test_what_the_file_has_built_is_never_called():
    for first in ("lib.admin Factory", "collections OrderedDict", "torch._utils _rebuild_parameter"):
        for call in (b")R", b")\x81", b")}\x92"):
            with pytest.raises(UserError, match="damaged pickle"):
                read(b"\x80\x04" + named(first) + b")R" + call + b".")


@pytest.mark.parametrize("data", [b"\x80\x02\x82\x01.", b"\x80\x02\x83\x01\x00."])
def test_extension_codes_import_nothing(data, monkeypatch):
    with pytest.raises(UserError, match="unregistered"):
        read(data)
    monkeypatch.setitem(copyreg._inverted_registry, 1, ("os", "system"))
    with pytest.raises(UserError, match=r"refused.*os\.system"):
        read(data)


IDENTITY = ("storage", Raw(named("torch FloatStorage")), "0", "cpu", 4)
STORAGE, TENSOR = encode(IDENTITY, []) + b"Q", tensor(IDENTITY, 0, (4,), (1,))
TARGETS = {
    "a name": named("lib.admin Factory"),
    "an object": named("lib.admin Factory") + b")R",
    "a known name": named("torch._utils _rebuild_tensor_v2"),
    "a dict": named("collections OrderedDict") + b")R",
    "a storage": STORAGE,
    "a tensor": TENSOR,
}


@pytest.mark.parametrize("target", TARGETS)
def test_attributes_are_ignored_or_refused(target):
    """Those in the state's dict and those by `setattr`; a tensor moved after it was made could reach anywhere."""
    for attribute in ("full", "offset", "count", "__class__"):
        state = encode({attribute: 1 << 20}, [])
        for text in (state, b"N" + state + b"\x86"):
            with contextlib.suppress(UserError):
                found = read(b"\x80\x02" + TARGETS[target] + text + b"b.")
                assert target not in ("a storage", "a tensor")
                assert getattr(found, attribute, None) != 1 << 20
    assert Inert.full == ""


@pytest.fixture
def foreign(monkeypatch):
    """A module that is there when the pickle is written and gone when it is read."""
    module = types.ModuleType("lib_of_the_release")
    monkeypatch.setitem(sys.modules, "lib_of_the_release", module)

    def add(cls):
        cls.__module__, cls.__qualname__ = module.__name__, cls.__name__
        setattr(module, cls.__name__, cls)
        return cls

    return add


@pytest.mark.parametrize("protocol", [2, 4])
def test_foreign_objects_become_records(foreign, protocol):
    @foreign
    class Meter:
        pass

    @foreign
    class Slots:
        __slots__ = ("a",)

    @foreign
    class Settings(dict):
        pass

    @foreign
    class History(list):
        pass

    @foreign
    class Phase(enum.Enum):
        TRAIN = 1

    @foreign
    class Odd:
        def __reduce__(self):
            return Odd, (), 7

    meter, slots, settings = Meter(), Slots(), Settings(lr=1.0)
    meter.avg, slots.a, settings.more = 0.5, [1], True
    values = [meter, slots, settings, History([1, 2]), Phase.TRAIN, Odd(), Meter, {meter: 1}, {Phase.TRAIN: 2}]
    out = read(pickle.dumps(values, protocol))
    names = ["Meter", "Slots", "Settings", "History", "Phase", "Odd"]
    assert [value.full for value in out[:7]] == [f"lib_of_the_release.{name}" for name in (*names, "Meter")]
    assert all(isinstance(value, Inert) for value in out[:6])
    assert issubclass(out[6], Inert)
    assert (out[7], list(out[8].values())) == ({out[0]: 1}, [2])


def test_values_that_settings_hold_become_records():
    import argparse
    import collections
    import datetime
    import pathlib

    values = [
        np.float64(4e-4),
        np.arange(3),
        argparse.Namespace(lr=1),
        pathlib.PurePosixPath("a"),
        datetime.date.today(),
    ]
    values += [collections.defaultdict(list, a=[1]), range(3) and slice(1, 2), complex(1, 2)]
    for protocol in (2, 4):
        assert all(isinstance(value, Inert) for value in read(pickle.dumps(values, protocol)))


keys = st.text() | st.integers(-(2**59), 2**59) | st.booleans() | st.none() | st.floats(allow_nan=False)
keys |= st.tuples(keys, keys)
scalars = keys | st.floats() | st.integers(-(2**63), 2**63)


def nested(scalars):
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.lists(inner, max_size=5).map(tuple),
        max_leaves=20,
    )


@pytest.mark.slow
@given(value=nested(scalars), protocol=st.integers(2, 5))
def test_plain_values_are_read_as_python_reads_them(value, protocol):
    data = pickle.dumps(value, protocol)
    assert repr(read(data)) == repr(pickle.loads(data))


@pytest.mark.slow
@given(value=nested(scalars | st.binary() | st.sets(keys) | st.frozensets(keys)), protocol=st.integers(4, 5))
def test_sets_and_bytes_too_where_the_protocol_has_them(value, protocol):
    data = pickle.dumps(value, protocol)
    assert repr(read(data)) == repr(pickle.loads(data))


def test_ordered_dicts_are_dicts_and_their_attributes_are_left_out():
    import collections

    value = collections.OrderedDict(a=1)
    value._metadata = collections.OrderedDict({"": {"version": 1}})
    out = read(pickle.dumps({"net": value}, 2))
    assert out == {"net": {"a": 1}}
    assert not vars(out["net"])
    in_pairs = named("collections OrderedDict") + b"](X\x01\x00\x00\x00aK\x01\x86e\x85R"  # as Python 2 wrote them
    assert read(b"\x80\x02" + in_pairs + b".") == {"a": 1}


def test_containers_that_hold_themselves():
    value: dict = {"a": []}
    value["a"].append(value)
    out = read(pickle.dumps(value, 2))
    assert out["a"][0] is out


DAMAGE = {
    "bytes that are not there": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.", "damaged pickle"),
    "text that is not there": (b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.", "damaged pickle"),
    "memo far away": (b"\x80\x02Nr\xff\xff\xff\x7f.", None),
    "depth": (b"\x80\x02" + b"]" * 9_000 + b"a" * 8_999 + b".", None),
    "protocol 0": (b"I1\n.", None),
    "a key that is a list": (b"\x80\x02}]Ns.", "unhashable"),
    "marks": (b"\x80\x02" + b"(" * 12_000 + b".", "damaged pickle"),
    "a key without a value": (b"\x80\x02}(Nu.", "damaged pickle"),
    "an empty stack": (b"\x80\x02R.", "damaged pickle"),
    "an unknown memo entry": (b"\x80\x02h\x07.", "damaged pickle"),
    "no end": (b"\x80\x02N", "damaged pickle"),
    "nothing": (b"", "damaged pickle"),
    "cut off name": (b"\x80\x02cos\nsys", "damaged pickle|refused"),
    "name that is no text": (b"\x80\x04NN\x93.", "damaged pickle"),
    "name of odd bytes": (b"\x80\x04c\xff\xfe\n\xff\n.", "damaged pickle"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_costs_little_and_ends_in_one_line(kind):
    data, message = DAMAGE[kind]
    tracemalloc.start()
    try:
        if message is None:
            read(data)
        else:
            with pytest.raises(UserError, match=message) as caught:
                read(data)
            assert str(caught.value).isprintable()
            assert len(str(caught.value)) < 200
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_hostile_names_are_shown_on_one_short_line():
    with pytest.raises(UserError) as caught:
        read(b"\x80\x04" + b"cos\nx\x1b[31m" + b"y" * 5000 + b"\n.")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_several_pickles_follow_each_other():
    stream = io.BytesIO(pickle.dumps(1) + pickle.dumps([2]))
    assert load(stream) == (1, {})
    assert load(stream) == ([2], {})


def test_no_builtin_is_called(monkeypatch):
    """A harmless name is a stand-in too: its class is never constructed."""
    monkeypatch.setattr(builtins, "bytearray", lambda *a: pytest.fail("called"))
    out = read(b"\x80\x02" + named("builtins bytearray") + b"K\x05\x85R.")
    assert out.full == "builtins.bytearray"
    assert isinstance(out, Inert)


@pytest.mark.parametrize("protocol", [2, 4])
def test_no_name_imports_a_module(protocol, tmp_path, monkeypatch):
    """Not even a module of a name that is not refused, which would run its code."""
    marker = tmp_path / "ran"
    (tmp_path / "a_trap.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import a_trap

    data = pickle.dumps([a_trap.Net(), a_trap.Net], protocol)
    marker.unlink()
    del sys.modules["a_trap"]
    assert [value.full for value in read(data)] == ["a_trap.Net"] * 2
    assert not marker.exists()
    assert "a_trap" not in sys.modules
