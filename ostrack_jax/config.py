"""Every setting with its meaning, its published value and its bounds; config files and overrides read and checked.

A config file (``configs/NAME.py``) has one function, ``get_config()``, that starts from `default()` and changes fields;
``--config.a.b=value`` changes them again, ``--config.data.NAME.reader=READER`` adds a data set; `freeze` checks the
outcome. Imports no jax and no other package.
"""

from __future__ import annotations

import ast
import dataclasses
import math
import re
import runpy
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from ml_collections import ConfigDict

from ostrack_jax.errors import UnknownNameError, UserError, unknown

_NEW_DATA = re.compile(r"data\.[^.=]+\.reader=")  # the one setting that adds a data set of a new name


class Bound(NamedTuple):
    """The values that a setting may have."""

    holds: Callable[[Any], bool]
    expected: str


Number = TypeVar("Number", int, float)
Positive = Annotated[Number, Bound(lambda value: value > 0, "a value above 0")]
NotNegative = Annotated[Number, Bound(lambda value: value >= 0, "0 or more")]
Share = Annotated[float, Bound(lambda value: 0 <= value <= 1, "a share between 0 and 1")]
ShareAbove0 = Annotated[float, Bound(lambda value: 0 < value <= 1, "a value in (0, 1]")]
ShareBelow1 = Annotated[float, Bound(lambda value: 0 <= value < 1, "a value in [0, 1)")]
HalvesThreeTimes = Annotated[int, Bound(lambda value: value > 0 and value % 8 == 0, "a value that halves three times")]
TemplateRows = Literal["ctr_point", "ctr_rec", "gt_box", "all", "paper_centre"]

VIT_SIZES = {
    "tiny": {"width": 192, "depth": 12, "heads": 3},
    "small": {"width": 384, "depth": 12, "heads": 6},
    "base": {"width": 768, "depth": 12, "heads": 12},
    "large": {"width": 1024, "depth": 24, "heads": 16},
}


@dataclass(frozen=True)
class ModelConfig:
    """The network and the crops it was made for."""

    width: Positive[int] = 768
    depth: Positive[int] = 12
    heads: Positive[int] = 12
    patch: Positive[int] = 16  # pixels
    mlp_ratio: Positive[int] = 4
    layer_scale: NotNegative[float] = 0.0  # initial factor of each branch, learnt per channel (DINOv2: 1e-5); 0: none
    init_std: ShareAbove0 = 0.02  # standard deviation of the backbone's fresh weights
    pretraining_size: Positive[int] = 224  # pixels; the image side that the kept class token's positions are for
    head_channels: HalvesThreeTimes = 256  # of the head's first convolution; halved at each next
    template_size: Positive[int] = 128  # pixels
    search_size: Positive[int] = 256  # pixels
    template_factor: Positive[float] = 2.0  # crop side over sqrt(box area)
    search_factor: Positive[float] = 4.0
    eliminate_at: tuple[int, ...] = ()  # blocks, counted from 0, after whose attention candidates are eliminated
    keep_ratio: tuple[ShareAbove0, ...] = ()  # share of the remaining search tokens kept at each of them
    template_rows: TemplateRows = "ctr_point"  # whose attention ranks the candidates (models/elimination.py)
    identity_embeddings: bool = False  # a learnt vector on every template token, another on every search token
    relative_positions: bool = False  # a learnt bias of attention by where two tokens lie to each other
    joint_from: NotNegative[int] = 0  # block, counted from 0; before it template and search attend to themselves alone
    drop_path: ShareBelow1 = 0.1  # stochastic depth of the last block; linear from 0 at the first
    dtype: Literal["float32", "bfloat16", "float64"] = "float32"  # ranking, norms, head outputs stay float32; 64: tests
    attention: Literal["auto", "xla", "cudnn"] = "auto"  # kernel; cudnn: bfloat16 on NVIDIA GPUs (auto: where it runs)
    remat: bool = False  # training keeps each half block's input alone and computes the rest again: less memory


@dataclass(frozen=True)
class DataConfig:
    """One data set of the training mix or of the validation."""

    reader: str = "got10k"  # which layout: a name of ostrack_jax.data.readers.registry
    dir: str = ""  # empty: looked up by the reader's name, see docs/data.md
    part: str = "train"  # the set's own part: train | val | test
    split: str = "all"  # a published list of sequences, or all
    weight: NotNegative[float] = 1.0  # share of the mix
    use: Literal["train", "validation"] = "train"  # train | validation
    options: dict[str, Any] = field(default_factory=dict)  # passed to the reader (synthetic: seed, sequences, size)


@dataclass(frozen=True)
class PairConfig:
    """How pairs are drawn and augmented (the paper's section 3.4, docs/data.md)."""

    max_gap: Positive[int] = 200  # the search frame lies less than so many frames after the template's
    min_frames: NotNegative[int] = 20  # shorter videos are never sampled
    min_visible: NotNegative[int] = 5  # nor those with fewer visible frames
    centre_jitter: NotNegative[float] = 3.0
    scale_jitter: NotNegative[float] = 0.25
    grayscale: Share = 0.05  # probability
    flip: Share = 0.5  # probability, shared by the pair; and again for each crop alone
    brightness: Share = 0.2  # times U(1 - b, 1 + b)
    # Not published, off by default (ostrack_jax/pipeline/distort.py); each crop alone, in training only.
    contrast: Share = 0.0  # times U(1 - c, 1 + c) about the crop's mean; saturation and tint (each channel) likewise
    saturation: Share = 0.0
    tint: Share = 0.0
    blur: Share = 0.0  # probability: out of focus or moved
    coarse: Share = 0.0  # probability: shrunk 1.5 to 3 times and enlarged again
    occlude: Share = 0.0  # probability: a rectangle over part of the target in the search region
    reduced_decode: bool = True  # training only: a JPEG whose crop is shrunk twice or more is decoded smaller


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation and its schedule."""

    seed: NotNegative[int] = 42
    batch: Positive[int] = 128  # pairs a step, over all devices
    epochs: Positive[int] = 300
    pairs_per_epoch: Positive[int] = 60_000
    lr: Positive[float] = 4e-4
    lr_batch: NotNegative[int] = 128  # the batch `lr` is meant for; rates scale linearly with the real one; 0: `lr`
    backbone_lr_scale: NotNegative[float] = 0.1
    schedule: Literal["step", "cosine"] = "step"  # step | cosine (to zero at the last epoch)
    drop_epoch: NotNegative[int] = 240  # step: rates times drop_factor from the end of this epoch on
    drop_factor: Positive[float] = 0.1
    warmup_epochs: NotNegative[float] = 0.0
    weight_decay: NotNegative[float] = 1e-4
    clip_norm: Positive[float] = 0.1
    giou_weight: NotNegative[float] = 2.0
    l1_weight: NotNegative[float] = 5.0
    focal_weight: NotNegative[float] = 1.0
    keep_from_epoch: NotNegative[int] = 20  # the keep ratio is 1 until here, then falls by a cosine ..
    keep_until_epoch: NotNegative[int] = 100  # .. to the model's own at this epoch
    bn_group: NotNegative[int] = 32  # pairs whose statistics BatchNorm shares; 0: the whole batch
    validate_every: NotNegative[int] = 20  # epochs; 0: never
    validation_pairs: NotNegative[int] = 10_000
    save_every: Positive[int] = 1  # epochs
    save_minutes: NotNegative[float] = 0.0  # saved also every so many minutes, at a multiple of log_every; 0: never
    keep_checkpoints: NotNegative[int] = 3  # the newest; 0: all. The best by validation IoU is kept apart
    log_every: Positive[int] = 10  # steps
    picture_every: NotNegative[int] = 20  # epochs between images of what the network sees and predicts; 0: never
    wandb: str = ""  # a project of Weights & Biases that the logs go to as well; empty: none
    workers: NotNegative[int] = 4  # loader processes; 0: in this process
    accumulate: Positive[int] = 1  # parts in which a step's batch is computed one after another, to save memory
    shard: Positive[int] = 1  # devices over which each parameter and its moments are split (FSDP); 1: not split
    ema: ShareBelow1 = 0.0  # decay of the parameters' moving average, which is then what is validated and kept; 0: none
    freeze: tuple[str, ...] = ()  # names, or beginnings of names, of parameters that stay as they are


@dataclass(frozen=True)
class TrackConfig:
    """The tracker around the network."""

    window: bool = True  # multiply the score map by a Hann window
    margin: NotNegative[float] = (
        10.0  # pixels: boxes are cut at the frame's border, this much at least stays inside; also the least side
    )


@dataclass(frozen=True)
class Config:
    """One experiment."""

    name: str = "unnamed"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: dict[str, DataConfig] = field(default_factory=dict)
    pairs: PairConfig = field(default_factory=PairConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    track: TrackConfig = field(default_factory=TrackConfig)


def default(name: str, **data: DataConfig) -> Any:
    """Return a `ConfigDict` with the published defaults, for a config file to change."""
    return ConfigDict(to_dict(Config(name=name, data=data)))


def to_dict(config: Any) -> dict[str, Any]:
    """Return a frozen config as plain nested dicts, lists and scalars (tuples stay tuples)."""
    return dataclasses.asdict(config)


def steps_per_epoch(config: Config, use: str = "train") -> int:
    """Complete batches in an epoch (or a validation); the rest of the pairs is dropped, as published.

    Raises:
      UserError: there is none.
    """
    pairs = config.train.pairs_per_epoch if use == "train" else config.train.validation_pairs
    if pairs < config.train.batch:
        name = "pairs_per_epoch" if use == "train" else "validation_pairs"
        raise UserError(f"config.train.{name}: {pairs} pairs make no batch of {config.train.batch}")
    return pairs // config.train.batch


def directory() -> Path:
    """Return where the named configs lie: inside the package in a wheel, next to it in a checkout."""
    here = Path(__file__).parent
    return here / "configs" if (here / "configs").is_dir() else here.parent / "configs"


def names() -> list[str]:
    """List the named configs."""
    return sorted(p.stem for p in directory().glob("*.py") if not p.stem.startswith("_"))


def load(name_or_path: str, overrides: Iterable[str] = ()) -> Config:
    """Read a config by name or path, apply ``a.b=value`` overrides, check everything.

    Raises:
      UserError: no such config, an invalid file, an unknown key (names the nearest), a value of the wrong type.
    """
    return _changed(read(name_or_path).to_dict(), overrides)


def change(config: Config, overrides: Iterable[str]) -> Config:
    """Return the config with ``a.b=value`` overrides, checked as `load` checks them."""
    return _changed(to_dict(config), overrides)


def freeze(values: Mapping[str, Any]) -> Config:
    """Make a checked `Config` of plain dicts; used for files and for checkpoints alike."""
    config = _build(Config, values, "config")
    for contradiction in _contradictions(config.model, config.train):
        raise UserError(f"config.{contradiction}")
    return config


def read(name_or_path: str) -> Any:
    """Return the `ConfigDict` of a config file, unchecked and mutable: also for another config file to start from."""
    path = Path(name_or_path)
    if path.suffix != ".py":
        path = directory() / f"{name_or_path}.py"
    if not path.is_file():
        raise unknown("config", name_or_path, names())
    try:
        config = runpy.run_path(str(path))["get_config"]()
        if not isinstance(config, ConfigDict):
            raise TypeError(f"found {type(config).__name__}")
    except UserError:
        raise
    except Exception as e:  # the user's own code: anything can happen in it
        lines = [frame.lineno for frame in traceback.extract_tb(e.__traceback__) if frame.filename == str(path)]
        where = f", line {lines[-1]}" if lines else ""
        expected = "expected a function get_config() that returns a ConfigDict"
        raise UserError(f"config {path}{where}: {expected}: {type(e).__name__}: {e}") from e
    return config


def _changed(values: dict[str, Any], overrides: Iterable[str]) -> Config:
    for override in sorted(overrides, key=lambda text: _NEW_DATA.match(text) is None):  # a new set before its settings
        _override(values, override)
    return freeze(values)


def _override(values: dict[str, Any], override: str) -> None:
    """Apply one ``a.b=value`` in place; the value is read as a Python literal, else as text.

    ``data.NAME.reader=value`` adds a data set where there is none of that name. `freeze` reports other unknown names.
    """
    key, equals, text = override.partition("=")
    if not equals:
        raise UserError(f"--config.{override}: expected --config.{key}=VALUE")
    *groups, leaf = key.split(".")
    at: Any = values
    for group in groups:
        if at is values["data"] and group not in at:
            if not _NEW_DATA.match(override):
                new = f"for a new one, give its layout: --config.data.{group}.reader=READER"
                raise UnknownNameError(f"{unknown('data set in config.data', group, at)}; {new}")
            at[group] = to_dict(DataConfig())
        at = at.setdefault(group, {})
        if not isinstance(at, dict):
            raise UserError(f"--config.{override}: config.{'.'.join(groups)} is one value, not a group of settings")
    at[leaf] = text if isinstance(at.get(leaf), str) else _literal(text)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that literal_eval may raise
        return {"true": True, "false": False}.get(text.lower(), text)


def _build(kind: Any, value: Any, where: str) -> Any:
    """Return ``value`` as a field's annotation ``kind`` describes it, or raise a `UserError` that names ``where``."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        value = _build(arguments[0], value, where)
        if not arguments[1].holds(value):
            raise UserError(f"{where}: expected {arguments[1].expected}, found {value}")
        return value
    if origin is Literal:
        if value not in arguments:
            raise unknown(where, str(value), arguments)
        return value
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise UserError(f"{where}: expected a group of settings, found {value!r}")
        hints = get_type_hints(kind, include_extras=True)
        for key in value:
            if key not in hints:
                raise unknown(f"key in {where}", str(key), hints)
        return kind(**{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()})
    if origin is dict and isinstance(value, Mapping):
        return {str(key): _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is tuple:
        items = value if isinstance(value, (list, tuple)) else (value,)
        return tuple(_build(arguments[0], item, where) for item in items)
    if kind is Any:  # JSON has no tuples
        return tuple(value) if isinstance(value, list) else value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if kind is not float and type(value) is kind:
        return value
    name = "a finite number" if kind is float else getattr(kind, "__name__", str(kind))
    raise UserError(f"{where}: expected {name}, found {value!r}")


def _contradictions(model: ModelConfig, train: TrainConfig) -> Iterator[str]:
    """Yield a line on each setting that does not go with another."""
    for name in ("template_size", "search_size"):
        if getattr(model, name) % model.patch:
            yield f"model.{name}: {getattr(model, name)} is not a multiple of the patch {model.patch}"
    if model.pretraining_size < model.patch:
        yield f"model.pretraining_size: {model.pretraining_size} is less than the patch {model.patch}"
    if model.width % model.heads:
        yield f"model.heads: the width {model.width} does not divide into {model.heads} heads"
    blocks = model.eliminate_at
    if len(blocks) != len(model.keep_ratio):
        yield f"model.keep_ratio: {len(model.keep_ratio)} ratios for {len(blocks)} blocks"
    if list(blocks) != sorted(set(blocks)) or any(not 0 <= block < model.depth for block in blocks):
        yield f"model.eliminate_at: {blocks} must rise and lie below {model.depth}"
    if model.joint_from >= model.depth:
        yield f"model.joint_from: {model.joint_from} must lie below the depth {model.depth}"
    if blocks and blocks[0] < model.joint_from:
        yield (
            f"model.eliminate_at: block {blocks[0]} has no joint attention to rank candidates by, which begins at "
            f"joint_from={model.joint_from}"
        )
    if model.relative_positions and blocks:
        yield "model.relative_positions: expected no elimination (eliminate_at=(), keep_ratio=())"
    if model.attention == "cudnn" and model.dtype != "bfloat16":
        yield f"model.attention: cudnn computes in bfloat16, found config.model.dtype={model.dtype}"
    if train.keep_from_epoch > train.keep_until_epoch:
        yield "train.keep_from_epoch: must lie between 0 and keep_until_epoch"
    group, part = train.bn_group, train.batch // train.accumulate
    if group and train.batch % group and train.batch > group:
        yield f"train.bn_group: {group} does not divide the batch {train.batch}"
    if train.batch % train.accumulate:
        yield f"train.accumulate: {train.accumulate} does not divide the batch {train.batch}"
    if train.accumulate > 1 and (not group or part % group):
        yield (
            f"train.accumulate: parts of {part} pairs do not hold complete groups of bn_group={group} "
            "(0 is the whole batch, which no part holds)"
        )
