"""A pickle read without running it. Enters: a pickle's bytes. Leaves: plain containers, and `Inert` for the rest.

Python's own unpickler calls what the file names. This one calls nothing: it walks the opcodes (parsed by the
standard library's `pickletools`) over a stack of its own, where a name is only text. A call becomes a value of
ours where the reader knows the name (tensors, OrderedDict), a refusal where the name is the interpreter's, torch's
or numpy's, and an `Inert` record of the call for every other class. Nothing recurses, and size and number of
operations are bounded.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from ostrack_jax.errors import UserError

from .names import Inert, Name, brief, malformed, refused

MAX_BYTES = 8 << 20  # ViT-L with its optimizer: 0.13 MiB
MAX_OPERATIONS = 1_000_000  # in that one 51,000
MAX_INTEGER_BITS = 128
MAX_KEY_PARTS = 16  # of a tuple
MAX_KEY_BITS = 60  # longer integers can be chosen to share a hash

Rebuild = Mapping[str, Callable[[tuple[Any, ...]], Any]]
Persistent = Callable[[Any], Any]


def load(stream: io.BytesIO, rebuild: Rebuild, persistent: Persistent) -> Any:
    """Read one pickle from ``stream`` and leave it behind the pickle's end.

    Args:
      stream: at the pickle's first byte; at most MAX_BYTES are read.
      rebuild: full name -> function of the call's arguments, for the names that become values of ours.
      persistent: persistent id -> value (torch: a storage).

    Returns:
      dicts, lists, tuples, sets, scalars, what ``rebuild`` and ``persistent`` gave, `Inert` and `Name`. Containers may
      hold themselves. A dict's keys are scalars or flat tuples.

    Raises:
      UserError: the pickle is damaged, too long, or asks to run something.
    """
    machine = _Machine(rebuild, persistent)
    start = stream.tell()
    for _ in range(MAX_OPERATIONS):
        code = stream.read(1)
        opcode = _OPCODES.get(code.decode("latin-1"))
        if opcode is None or opcode.name not in _OPERATIONS:
            found = f"opcode {code!r}, which torch never writes," if code else "its end"
            raise malformed(f"{found} at byte {stream.tell() - len(code) - start}")
        try:
            argument = _argument(opcode, stream)
            if stream.tell() - start > MAX_BYTES:
                raise UserError(f"its pickle is longer than {MAX_BYTES >> 20} MiB, far above any checkpoint's")
            if opcode.name == "STOP":
                return machine.stack.pop()
            _OPERATIONS[opcode.name](machine, argument)
        except (ValueError, IndexError, KeyError) as e:
            # pickletools' readers, an empty stack, an unknown memo entry: the bytes are no whole pickle.
            raise malformed(f"{opcode.name} fails at byte {stream.tell() - start}") from e
    raise UserError(f"its pickle has more than {MAX_OPERATIONS} operations, far above any checkpoint's")


def _argument(opcode: pickletools.OpcodeInfo, stream: io.BytesIO) -> Any:
    """What follows an opcode; ValueError where it is cut off."""
    if opcode.name not in ("GLOBAL", "INST"):
        return opcode.arg.reader(stream) if opcode.arg else None
    # pickletools would resolve escapes in these two, which no unpickler does.
    lines = stream.readline(), stream.readline()
    if not lines[1].endswith(b"\n"):
        raise ValueError("cut off")
    return tuple(line[:-1].decode() for line in lines)


class _Machine:
    """The stack, its marks and the memo; one method for each kind of operation."""

    def __init__(self, rebuild: Rebuild, persistent: Persistent):
        self.rebuild = rebuild
        self.persistent = persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks under each mark
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def push_integer(self, value: int) -> None:
        if value.bit_length() > MAX_INTEGER_BITS:
            raise malformed(f"an integer of {value.bit_length()} bits")
        self.push(value)

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.below.pop()
        return items

    def pop_any(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def push_tuple(self, length: int) -> None:
        if len(self.stack) < length:
            raise malformed("a tuple of more items than there are")
        items = tuple(self.stack[-length:])
        self.stack[-length:] = [items]

    def append(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Inert):
            target = target.items
        if not isinstance(target, list):
            raise malformed(f"items for {brief(target)}")
        target.extend(items)

    def add(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, set):
            raise malformed(f"members for {brief(target)}")
        target.update(map(_key, items))

    def set_items(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise malformed("a key without a value")
        target = self.stack[-1]
        pairs = zip(items[::2], items[1::2], strict=True)
        if isinstance(target, Inert):
            target.pairs.extend(pairs)
        elif isinstance(target, dict):
            target.update((_key(key), value) for key, value in pairs)
        else:
            raise malformed(f"keys for {brief(target)}")

    def push_dict(self) -> None:
        items = self.since_mark()
        self.push({})
        self.set_items(items)

    def push_name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise malformed("a name that is no text")
        full = f"{module}.{name}"
        if full not in self.rebuild and refused(module, name):
            raise UserError(f"refused: the file asks to run {brief(Name(full))} on loading")
        self.push(Name(full))

    def call(self, function: object, arguments: object) -> None:
        if not isinstance(arguments, tuple):
            raise malformed("a call without arguments")
        if not isinstance(function, Name):
            raise UserError("refused: the file asks to run something that it has built itself")
        known = self.rebuild.get(function.full)
        self.push(known(arguments) if known else Inert(function.full, arguments))

    def reduce(self) -> None:
        arguments = self.stack.pop()
        self.call(self.stack.pop(), arguments)

    def new_with_keywords(self) -> None:
        self.stack.pop()  # the keywords: nothing of ours takes any
        self.reduce()

    def new_from_mark(self) -> None:
        function, *arguments = self.since_mark()
        self.call(function, tuple(arguments))

    def instance(self, names: tuple[str, str]) -> None:
        arguments = tuple(self.since_mark())
        self.push_name(*names)
        self.call(self.stack.pop(), arguments)

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Inert):
            target.state = state
        elif not isinstance(target, dict):  # a dict's attributes (an OrderedDict's _metadata) are not needed
            raise malformed(f"attributes for {brief(target)}")

    def identify(self) -> None:
        self.push(self.persistent(self.stack.pop()))


def _key(value: Any) -> Any:
    """``value`` if hashing it is cheap: tuples that nest and share parts take exponential time."""
    for part in value if type(value) is tuple and len(value) <= MAX_KEY_PARTS else (value,):
        if not isinstance(part, (str, bytes, int, float, type(None), Name, Inert)):
            raise malformed(f"{brief(part)} as a key")
        if isinstance(part, int) and part.bit_length() > MAX_KEY_BITS:
            raise malformed(f"an integer of {part.bit_length()} bits as a key")
    return value


_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}
_Operation = Callable[[_Machine, Any], Any]
_OPERATIONS: dict[str, _Operation] = {
    "NONE": lambda m, a: m.push(None),
    "NEWTRUE": lambda m, a: m.push(True),
    "NEWFALSE": lambda m, a: m.push(False),
    "EMPTY_LIST": lambda m, a: m.push([]),
    "EMPTY_DICT": lambda m, a: m.push({}),
    "EMPTY_SET": lambda m, a: m.push(set()),
    "EMPTY_TUPLE": lambda m, a: m.push(()),
    "MARK": lambda m, a: m.mark(),
    "POP": lambda m, a: m.pop_any(),
    "POP_MARK": lambda m, a: m.since_mark(),
    "DUP": lambda m, a: m.push(m.stack[-1]),
    "LIST": lambda m, a: m.push(m.since_mark()),
    "TUPLE": lambda m, a: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, a: m.push_tuple(1),
    "TUPLE2": lambda m, a: m.push_tuple(2),
    "TUPLE3": lambda m, a: m.push_tuple(3),
    "DICT": lambda m, a: m.push_dict(),
    "FROZENSET": lambda m, a: m.push(frozenset(map(_key, m.since_mark()))),
    "APPEND": lambda m, a: m.append([m.stack.pop()]),
    "APPENDS": lambda m, a: m.append(m.since_mark()),
    "ADDITEMS": lambda m, a: m.add(m.since_mark()),
    "SETITEM": lambda m, a: m.set_items([m.stack.pop(-2), m.stack.pop()]),
    "SETITEMS": lambda m, a: m.set_items(m.since_mark()),
    "MEMOIZE": lambda m, a: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    "GLOBAL": lambda m, a: m.push_name(*a),
    "STACK_GLOBAL": lambda m, a: m.push_name(m.stack.pop(-2), m.stack.pop()),
    "INST": lambda m, a: m.instance(a),
    "OBJ": lambda m, a: m.new_from_mark(),
    "REDUCE": lambda m, a: m.reduce(),
    "NEWOBJ": lambda m, a: m.reduce(),
    "NEWOBJ_EX": lambda m, a: m.new_with_keywords(),
    "BUILD": lambda m, a: m.build(),
    "BINPERSID": lambda m, a: m.identify(),
}
_NUMBERS, _TEXTS = "BININT BININT1 BININT2 BINFLOAT", "BINUNICODE SHORT_BINUNICODE BINUNICODE8"
_BYTES = "BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8"
for _name in ("PROTO", "FRAME", "STOP"):
    _OPERATIONS[_name] = lambda m, a: None
for _name in f"{_NUMBERS} {_TEXTS} {_BYTES}".split():
    _OPERATIONS[_name] = _Machine.push
for _name in ("LONG1", "LONG4"):
    _OPERATIONS[_name] = _Machine.push_integer
for _name in ("BINPUT", "LONG_BINPUT"):
    _OPERATIONS[_name] = lambda m, a: m.memo.__setitem__(a, m.stack[-1])
for _name in ("BINGET", "LONG_BINGET"):
    _OPERATIONS[_name] = lambda m, a: m.push(m.memo[a])
