"""Every setting, its meaning and its published value. Enters: a config file's ConfigDict. Leaves: frozen dataclasses.

A config file (``configs/NAME.py``) has one function, ``get_config()``, that starts from `default()` and changes fields;
``--config.a.b=value`` changes them again, ``--config.data.NAME.reader=READER`` adds a data set; `freeze` checks the
outcome. Imports neither jax nor any other room.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import math
import re
import traceback
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ostrack_jax import limits
from ostrack_jax.errors import UnknownNameError, UserError, unknown

_NEW_DATA = re.compile(r"data\.[^.=]+\.reader=")  # the one setting that adds a data set of a new name

VIT_SIZES = {
    "tiny": {"width": 192, "depth": 12, "heads": 3},
    "small": {"width": 384, "depth": 12, "heads": 6},
    "base": {"width": 768, "depth": 12, "heads": 12},
    "large": {"width": 1024, "depth": 24, "heads": 16},
}


@dataclass(frozen=True)
class ModelConfig:
    """The network and the crops it was made for."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    patch: int = 16  # pixels
    mlp_ratio: int = 4
    layer_scale: float = 0.0  # initial factor of each residual branch, learnt per channel (DINOv2: 1e-5); 0: none
    init_std: float = 0.02  # standard deviation of the backbone's fresh weights
    pretraining_size: int = 224  # pixels; the picture's side that the carried class token's positions are for
    head_channels: int = 256  # of the head's first convolution; halved at each next
    template_size: int = 128  # pixels
    search_size: int = 256  # pixels
    template_factor: float = 2.0  # crop side over sqrt(box area)
    search_factor: float = 4.0
    eliminate_at: tuple[int, ...] = ()  # blocks, counted from 0, after whose attention candidates are eliminated
    keep_ratio: tuple[float, ...] = ()  # share of the remaining search tokens kept at each of them
    template_rows: str = "ctr_point"  # whose attention ranks the candidates: see limits.py
    identity_embeddings: bool = False  # a learnt vector on every template token, another on every search token
    relative_positions: bool = False  # a learnt bias of attention by where two tokens lie to each other
    joint_from: int = 0  # block, counted from 0; before it template and search attend to themselves alone
    drop_path: float = 0.1  # stochastic depth of the last block; linear from 0 at the first
    dtype: str = "float32"  # float32 | bfloat16 (ranking, norms, head outputs stay float32) | float64 (tests)
    attention: str = "auto"  # kernel: auto | xla | cudnn (bfloat16 on NVIDIA GPUs; auto: there, where it runs)
    remat: bool = False  # training keeps each half block's input alone and computes the rest again: less memory


@dataclass(frozen=True)
class DataConfig:
    """One data set of the training mix or of the validation."""

    reader: str = "got10k"  # which layout: a name of ostrack_jax.data.readers.registry
    dir: str = ""  # empty: looked up by the reader's name, see docs/data.md
    part: str = "train"  # the set's own part: train | val | test
    split: str = "all"  # a published list of sequences, or all
    weight: float = 1.0  # share of the mix
    use: str = "train"  # train | validation
    options: dict[str, Any] = field(default_factory=dict)  # passed to the reader (synthetic: seed, sequences, size)


@dataclass(frozen=True)
class PairConfig:
    """How pairs are drawn and augmented (section 3.4 of the release's behaviour, docs/data.md)."""

    max_gap: int = 200  # the search frame lies less than so many frames after the template's
    min_frames: int = 20  # shorter videos are never sampled
    min_visible: int = 5  # nor those with fewer visible frames
    centre_jitter: float = 3.0
    scale_jitter: float = 0.25
    grayscale: float = 0.05  # probability
    flip: float = 0.5  # probability, shared by the pair; and again for each crop alone
    brightness: float = 0.2  # times U(1 - b, 1 + b)
    # Not published, off by default (ostrack_jax/pipeline/distort.py); each crop alone, in training only.
    contrast: float = 0.0  # times U(1 - c, 1 + c) about the crop's mean; saturation and tint (each channel) likewise
    saturation: float = 0.0
    tint: float = 0.0
    blur: float = 0.0  # probability: out of focus or moved
    coarse: float = 0.0  # probability: shrunk 1.5 to 3 times and enlarged again
    occlude: float = 0.0  # probability: a rectangle over part of the target in the search region
    reduced_decode: bool = True  # training only: a JPEG whose crop is shrunk twice or more is decoded smaller


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation and its schedule."""

    seed: int = 42
    batch: int = 128  # pairs a step, over all devices
    epochs: int = 300
    pairs_per_epoch: int = 60_000
    lr: float = 4e-4
    lr_batch: int = 128  # the batch `lr` is meant for; rates follow the real one linearly; 0: `lr` as it is
    backbone_lr_scale: float = 0.1
    schedule: str = "step"  # step | cosine (to zero at the last epoch)
    drop_epoch: int = 240  # step: rates times drop_factor from the end of this epoch on
    drop_factor: float = 0.1
    warmup_epochs: float = 0.0
    weight_decay: float = 1e-4
    clip_norm: float = 0.1
    giou_weight: float = 2.0
    l1_weight: float = 5.0
    focal_weight: float = 1.0
    keep_from_epoch: int = 20  # the keep ratio is 1 until here, then falls by a cosine ..
    keep_until_epoch: int = 100  # .. to the model's own at this epoch
    bn_group: int = 32  # pairs whose statistics BatchNorm shares; 0: the whole batch
    validate_every: int = 20  # epochs; 0: never
    validation_pairs: int = 10_000
    save_every: int = 1  # epochs
    save_minutes: float = 0.0  # also whenever so many have passed, at a multiple of log_every; 0: never within an epoch
    keep_checkpoints: int = 3  # the newest; 0: all. The best by validation IoU is kept apart
    log_every: int = 10  # steps
    picture_every: int = 20  # epochs between pictures of what the network sees and answers; 0: never
    wandb: str = ""  # a project of Weights & Biases that the logs go to as well; empty: none
    workers: int = 4  # loader processes; 0: in this process
    accumulate: int = 1  # parts in which a step's batch is computed one after another, to save memory
    shard: int = 1  # devices over which each parameter and its moments are split (FSDP); 1: whole on every device
    ema: float = 0.0  # decay of the parameters' moving average, which is then what is validated and kept; 0: none
    freeze: tuple[str, ...] = ()  # names, or beginnings of names, of parameters that stay as they are


@dataclass(frozen=True)
class TrackConfig:
    """The tracker around the network."""

    window: bool = True  # multiply the score map by a Hann window
    margin: float = 10.0  # pixels of the box that stay inside the frame; also its least width and height


@dataclass(frozen=True)
class Config:
    """One experiment."""

    name: str = "unnamed"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: dict[str, DataConfig] = field(default_factory=dict)
    pairs: PairConfig = field(default_factory=PairConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    track: TrackConfig = field(default_factory=TrackConfig)


def default(name: str, **data: DataConfig) -> ConfigDict:
    """A mutable `Config` with the published defaults, to be changed by a config file."""
    return ConfigDict(to_dict(Config(name=name, data=data)))


def to_dict(config: Any) -> dict[str, Any]:
    """A frozen config as plain nested dicts, lists and scalars (tuples stay tuples)."""
    return dataclasses.asdict(config)


def directory() -> Path:
    """Where the named configs lie: inside the package in a wheel, beside it in a checkout."""
    here = Path(__file__).parent
    return here / "configs" if (here / "configs").is_dir() else here.parent / "configs"


def names() -> list[str]:
    """The named configs."""
    return sorted(p.stem for p in directory().glob("*.py") if not p.stem.startswith("_"))


def load(name_or_path: str, overrides: Iterable[str] = ()) -> Config:
    """Read a config by name or path, apply ``a.b=value`` overrides, check everything.

    Raises:
      UserError: no such config, a broken file, an unknown key (names the nearest), a value of the wrong type.
    """
    return _changed(read(name_or_path), overrides)


def change(config: Config, overrides: Iterable[str]) -> Config:
    """The same config with ``a.b=value`` overrides, checked as `load` checks them."""
    return _changed(ConfigDict(to_dict(config)), overrides)


def _changed(config: ConfigDict, overrides: Iterable[str]) -> Config:
    for override in sorted(overrides, key=lambda text: _NEW_DATA.match(text) is None):  # a new set before its settings
        _override(config, override)
    return freeze(config.to_dict())


def freeze(values: Mapping[str, Any]) -> Config:
    """Plain dicts to a checked `Config`; used for files and for checkpoints alike."""
    config = _build(Config, values, "config")
    limits.check(config)
    return config


def read(name_or_path: str) -> ConfigDict:
    """A config as its file gives it, unchecked and mutable: also for another config file to start from."""
    path = Path(name_or_path)
    if path.suffix != ".py" and not path.is_file():  # a folder may have a config's name
        path = directory() / f"{name_or_path}.py"
    if not path.is_file():
        if path.parent.is_dir() and path.parent.resolve() != directory().resolve():
            raise UserError(f"no config file {path}; named configs: {', '.join(names())}")
        raise unknown("config", path.stem, names())
    spec = importlib.util.spec_from_file_location(f"ostrack_config_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"config {path}: expected a Python file (.py)")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
    except UserError:
        raise
    except Exception as e:  # the user's own code: anything can happen in it
        lines = [frame.lineno for frame in traceback.extract_tb(e.__traceback__) if frame.filename == str(path)]
        where = f", line {lines[-1]}," if lines else ""
        raise UserError(f"config {path}{where} does not run: {type(e).__name__}: {e}") from e
    if not isinstance(config, ConfigDict):
        raise UserError(f"config {path}: get_config() gave {type(config).__name__}, not a ConfigDict")
    return config


def _override(config: ConfigDict, override: str) -> None:
    """Apply one ``a.b=value`` to ``config`` in place; the value is read as a Python literal, else as text.

    ``data.NAME.reader=value`` adds a data set where there is none of that name.
    """
    key, equals, text = override.partition("=")
    if not equals:
        raise UserError(f"--config.{override}: expected --config.{key}=VALUE")
    *parents, leaf = key.split(".")
    at: Any = config
    for i, part in enumerate([*parents, leaf]):
        where = ".".join(["config", *parents[:i]])
        free = i > 0 and parents[i - 1] == "options"
        if not isinstance(at, ConfigDict):
            raise UserError(f"--config.{override}: {where} is one value, not a group of settings")
        if part not in at and where == "config.data":
            if not _NEW_DATA.match(override):
                new = f"for a new one, say its layout: --config.data.{part}.reader=READER"
                raise UnknownNameError(f"{unknown('data set in config.data', part, at)}; {new}")
            with at.unlocked():
                at[part] = ConfigDict(dataclasses.asdict(DataConfig()))
        elif part not in at and not free:
            raise unknown(f"key in {where}", part, at)
        if i < len(parents):
            at = at[part]
    with at.ignore_type(), at.unlocked():
        at[leaf] = text if isinstance(at.get(leaf), str) else _literal(text)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that literal_eval may raise
        return {"true": True, "false": False}.get(text.lower(), text)


def _build(kind: Any, value: Any, where: str) -> Any:
    """``value`` as ``kind`` (a dataclass, dict[str, dataclass], tuple or scalar), or a `UserError` naming ``where``."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise UserError(f"{where}: expected a group of settings, found {value!r}")
        hints = typing.get_type_hints(kind)
        for key in value:
            if key not in hints:
                raise unknown(f"key in {where}", str(key), hints)
        return kind(**{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is dict and isinstance(value, Mapping):
        return {str(key): _build(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is tuple:
        items = value if isinstance(value, (list, tuple)) else (value,)
        return tuple(_build(arguments[0], item, where) for item in items)
    if kind is Any:  # JSON knows no tuples
        return tuple(value) if isinstance(value, list) else value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if isinstance(kind, type) and kind is not float and type(value) is kind:
        return value
    name = "a finite number" if kind is float else getattr(kind, "__name__", str(kind))
    raise UserError(f"{where}: expected {name}, found {value!r}")
