"""The pickle reader runs nothing, refuses what asks for it, and agrees with Python's own on plain values."""

import builtins
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

from convert.names import Inert, Name
from convert.pickles import load
from convert.tensors import REBUILD, storage_of
from ostrack_jax.errors import UserError


def read(data: bytes):
    return load(io.BytesIO(data), REBUILD, storage_of)


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
        read(b"(\x8c\x01xi" + f"{module}\n{attribute}\n.".encode())


def test_a_chain_through_what_was_built_is_refused():
    first = named("lib.admin Factory") + b")R"  # inert; calling it would be the next link
    with pytest.raises(UserError, match="refused"):
        read(b"\x80\x02" + first + b")R.")
    with pytest.raises(UserError, match="refused"):
        read(b"\x80\x02" + named("collections OrderedDict") + b")R)R.")


def test_extension_codes_are_refused():
    with pytest.raises(UserError, match="opcode"):
        read(b"\x80\x02\x82\x01.")


def test_attributes_of_a_known_name_cannot_be_set():
    for reference in (named("collections OrderedDict"), named("torch._utils _rebuild_tensor_v2")):
        with pytest.raises(UserError, match="attributes"):
            read(b"\x80\x02" + reference + b"}X\x01\x00\x00\x00aNsb.")
    assert REBUILD["collections.OrderedDict"](()) == {}


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
    values = [meter, slots, settings, History([1, 2]), Phase.TRAIN, {meter: 1}, Meter, Odd(), {Phase.TRAIN: 2}]
    out = read(pickle.dumps(values, protocol))
    assert out[0].name == "lib_of_the_release.Meter"
    assert out[0].state == {"avg": 0.5}
    assert out[1].state == (None, {"a": [1]})
    assert (out[2].pairs, out[2].state) == ([("lr", 1.0)], {"more": True})
    assert out[3].items == [1, 2]
    assert (out[4].name, out[4].arguments) == ("lib_of_the_release.Phase", (1,))
    assert out[5] == {out[0]: 1}
    assert out[6] == Name("lib_of_the_release.Meter")
    assert out[7].state == 7
    assert [type(v) for v in out] == [Inert] * 5 + [dict, Name, Inert, dict]


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
        assert [type(v) for v in read(pickle.dumps(values, protocol))] == [Inert] * len(values)


keys = st.text() | st.integers(-(2**59), 2**59) | st.booleans() | st.none() | st.floats(allow_nan=False)
keys |= st.tuples(keys, keys)
scalars = keys | st.floats() | st.integers(-(2**63), 2**63)


def nested(scalars):
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.lists(inner, max_size=5).map(tuple),
        max_leaves=20,
    )


@given(value=nested(scalars), protocol=st.integers(2, 5))
def test_plain_values_are_read_as_python_reads_them(value, protocol):
    data = pickle.dumps(value, protocol)
    assert repr(read(data)) == repr(pickle.loads(data))


@given(value=nested(scalars | st.binary() | st.sets(keys) | st.frozensets(keys)), protocol=st.integers(4, 5))
def test_sets_and_bytes_too_where_the_protocol_has_them(value, protocol):
    data = pickle.dumps(value, protocol)
    assert repr(read(data)) == repr(pickle.loads(data))


def test_ordered_dicts_are_dicts_and_their_attributes_are_left_out():
    import collections

    value = collections.OrderedDict(a=1)
    value._metadata = collections.OrderedDict({"": {"version": 1}})
    out = read(pickle.dumps({"net": value}, 2))
    assert type(out["net"]) is dict
    assert out == {"net": {"a": 1}}


def test_containers_that_hold_themselves():
    value: dict = {"a": []}
    value["a"].append(value)
    out = read(pickle.dumps(value, 2))
    assert out["a"][0] is out


BOMBS = {
    "memo far away": (b"\x80\x02Nr\xff\xff\xff\x7f.", None),
    "bytes that are not there": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 60) + b"x.", "fails"),
    "text that is not there": (b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"x.", "fails"),
    "a long integer": (b"\x80\x02\x8b" + struct.pack("<i", 1 << 20) + b"\x01" * (1 << 20) + b".", "bits"),
    "depth": (b"\x80\x02" + b"]" * 9_000 + b"a" * 8_999 + b".", None),
    "tuples in tuples as a key": (b"\x80\x02}" + b"N" + b"\x85q\x00h\x00\x86" * 40 + b"Ns.", "as a key"),
    "integers of one hash": (b"\x80\x02}\x8a\x09" + ((1 << 61) - 1).to_bytes(9, "little") + b"Ns.", "as a key"),
    "a key that is a list": (b"\x80\x02}]Ns.", "as a key"),
    "operations": (b"\x80\x02" + b"N0" * 12_000 + b".", "more than"),
    "marks": (b"\x80\x02" + b"(" * 12_000 + b".", "STOP fails"),
    "length": (b"\x80\x02X" + struct.pack("<I", 9 << 20) + b"x" * (9 << 20) + b".", "longer"),
    "a key without a value": (b"\x80\x02}(Nu.", "without a value"),
    "an empty stack": (b"\x80\x02R.", "fails"),
    "an unknown memo entry": (b"\x80\x02h\x07.", "fails"),
    "no end": (b"\x80\x02N", "its end"),
    "nothing": (b"", "its end"),
    "protocol 0": (b"I1\n.", "opcode"),
    "cut off name": (b"\x80\x02cos\nsys", "fails"),
    "name that is no text": (b"\x80\x04NN\x93.", "no text"),
    "name of odd bytes": (b"\x80\x04c\xff\xfe\n\xff\n.", "fails"),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_damage_and_bombs_cost_little_and_end_in_one_line(kind, monkeypatch):
    monkeypatch.setattr("convert.pickles.MAX_OPERATIONS", 20_000)
    data, message = BOMBS[kind]
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
    assert load(stream, REBUILD, storage_of) == 1
    assert load(stream, REBUILD, storage_of) == [2]


def test_no_builtin_is_called(monkeypatch):
    """Even a harmless name stays a record: its class is never constructed."""
    monkeypatch.setattr(builtins, "bytearray", lambda *a: pytest.fail("called"))
    out = read(b"\x80\x02" + named("builtins bytearray") + b"K\x05\x85R.")
    assert (out.name, out.arguments) == ("builtins.bytearray", (5,))
