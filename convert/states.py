"""Find the network's tensors in the nested dicts of a checkpoint, and their names without prefixes.

Training code keeps a network under many keys (`net`, `model`, `state_dict`, `teacher`, ..) and puts prefixes before
its names. Neither belongs to the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ostrack_jax.errors import UserError, listed

from .pickles import brief

USUAL = ("net", "model", "state_dict")  # taken before other keys: of the OSTrack release, of MAE and DeiT, of others
_WRAPPERS = ("module", "_orig_mod")  # put into names by torch's data parallel and compiled modules
_DEEPEST = 3  # keys on the way to the tensors
_LISTED = 10
_ABSENT = object()

Value = TypeVar("Value")


def find(content: object, key: str, kind: type) -> dict[str, Any]:
    """Find the dict of tensors that a checkpoint's ``content`` holds.

    Args:
      content: what the file holds; its containers may hold themselves.
      key: where to look: a key, several joined by dots, or a prefix of the tensors' names; empty: wherever there is
        one dict of tensors, that of the first of `USUAL` where there are several.
      kind: the class of a tensor.

    Raises:
      UserError: none there, several to choose from, or something else among the tensors.
    """
    found: Any = _at(content, key) if key else _ABSENT
    if found is _ABSENT:
        states = _states(content, kind)
        chosen = _choose(states)
        found = {} if chosen is None else states[chosen]
        if key:
            short = {_bare(name): value for name, value in found.items() if isinstance(name, str)}
            found = {name[len(key) + 1 :]: value for name, value in short.items() if name.startswith(f"{key}.")}
        if chosen is None or (key and not found):
            holds = content if isinstance(content, dict) else [content]
            what, there = repr(key) if key else "tensors by name", ", ".join(map(brief, list(holds)[:_LISTED]))
            raise UserError(f"holds no {what} but {there or 'nothing'} (of a network, save its state_dict())")
        key = key or chosen
    if not isinstance(found, dict):
        raise UserError(f"{key!r} is {brief(found)}, not a dict of tensors (of a network, save its state_dict())")
    odd = [f"{brief(n)} ({brief(v)})" for n, v in found.items() if not (isinstance(v, kind) and type(n) is str)]
    if odd:
        raise UserError(f"{key!r} holds {len(odd)} values that are no tensors: {listed(odd)}")
    return found


def named(tensors: Mapping[str, Value], anchor: str) -> dict[str, Value]:
    """Give tensors the names that the release gives them: without the prefixes of training code.

    Args:
      tensors: by the file's names.
      anchor: a name of the release; what stands before it in the file is taken from every name.

    Raises:
      UserError: two tensors of one name then, or several networks in one file.
    """
    out = {_bare(name): value for name, value in tensors.items()}
    prefixes = [name.removesuffix(anchor) for name in out if name.endswith(f".{anchor}")]
    if anchor not in out and prefixes:
        if len(prefixes) > 1:
            networks = listed((brief(prefix[:-1]) for prefix in prefixes), _LISTED)
            raise UserError(f"holds several networks: choose one by --key, of {networks}")
        out = {name.removeprefix(prefixes[0]): value for name, value in out.items()}
    if len(out) < len(tensors):
        raise UserError("a tensor is there twice, with a prefix (module., _orig_mod., ..) and without")
    return out


def _bare(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _at(content: object, key: str) -> object:
    """The value under a key, or under several joined by dots; `_ABSENT` if there is none."""
    if isinstance(content, dict) and key in content:
        return content[key]
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return _ABSENT
        content = content[part]
    return content


def _states(content: object, kind: type) -> dict[str, dict[Any, Any]]:
    """Every dict most of whose values are tensors, by the keys that lead there, joined by dots."""
    found: dict[str, dict[Any, Any]] = {}
    seen: set[int] = set()
    level = {"": content}
    for _ in range(_DEEPEST + 1):
        below: dict[str, Any] = {}
        for path, at in level.items():
            if not isinstance(at, dict) or id(at) in seen:
                continue
            seen.add(id(at))
            if 2 * sum(isinstance(value, kind) for value in at.values()) > len(at):
                found[path] = at
            else:
                start = f"{path}." if path else ""
                below |= {f"{start}{name}": value for name, value in at.items() if isinstance(name, str)}
        level = below
    return found


def _choose(states: Mapping[str, object]) -> str | None:
    """Choose the keys of the one to take; None where there is none.

    Raises:
      UserError: several, none of which goes before the others.
    """
    for usual in USUAL:
        under = [where for where in states if usual in where.split(".")]
        if len(under) == 1:
            return under[0]
    if len(states) > 1:
        raise UserError(f"holds several sets of tensors: choose one by --key, of {listed(map(brief, states), _LISTED)}")
    return next(iter(states), None)
