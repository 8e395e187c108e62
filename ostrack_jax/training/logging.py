"""What a run leaves to read. Enters: numbers and pictures at a step. Leaves: JSON lines, TensorBoard, PNGs, W&B."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2

from ostrack_jax.config import Config, to_dict
from ostrack_jax.errors import UserError
from ostrack_jax.io import write_atomically
from ostrack_jax.training.board import Board
from ostrack_jax.training.events import LOG_FILE, PICTURES
from ostrack_jax.visualization.draw import Image

TENSORBOARD, WANDB_ID = "tensorboard", "wandb_id.txt"


class Log:
    """What one run tells on disk: ``log.jsonl`` (a line an event), TensorBoard's files, ``pictures/``.

    A resumed run drops what was written after the step it resumes from (and, not ``validated`` there, that step's
    validation), so that every step is told once. With ``config.train.wandb`` the same goes to Weights & Biases, which
    forgets nothing: steps repeated after a kill are there twice, by the same ``step``.

    Raises:
      UserError: Weights & Biases is asked for and not there.
    """

    def __init__(self, workdir: Path, resumed_at: int, config: Config | None = None, validated: bool = True):
        self._pictures = workdir / PICTURES
        self._wandb = _open_wandb(config, workdir) if config is not None and config.train.wandb else None
        path = workdir / LOG_FILE
        if path.exists():
            lines = [line for line in path.read_text().splitlines() if _stays(line, resumed_at, validated)]
            write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
        self._file = path.open("a")
        self._board = Board(workdir / TENSORBOARD, resumed_at)

    def about(self, step: int, facts: Mapping[str, Any]) -> None:
        """What the run is made with from ``step`` on (versions, hardware, ...), for the JSON lines alone."""
        self._line({"kind": "run", "step": step, **facts})

    def write(self, kind: str, step: int, numbers: Mapping[str, float]) -> None:
        """One event: ``kind`` is train or validation; names become ``kind/name`` in TensorBoard and W&B."""
        self._line({"kind": kind, "step": step, **numbers})
        tagged = {f"{kind}/{name}": value for name, value in numbers.items()}
        self._board.numbers(step, tagged)
        if self._wandb is not None:
            self._wandb.log(tagged | {"step": step})

    def picture(self, name: str, step: int, picture: Image) -> Path:
        """A picture as ``pictures/NAME.png``, in TensorBoard and W&B; the file's path."""
        path = self._pictures / f"{name}.png"
        png = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
        write_atomically(path, png)
        self._board.picture(step, "pictures", png, *picture.shape[:2])
        if self._wandb is not None:
            self._wandb.log({"pictures": _wandb_module().Image(picture), "step": step})
        return path

    def _line(self, event: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(event) + "\n")
            self._file.flush()
        except OSError as e:
            raise UserError(f"cannot write to {self._file.name}: {e.strerror or e}") from e

    def __enter__(self) -> Log:
        return self

    def __exit__(self, kind: object, error: object, _: object) -> None:
        """Close all; where the run already ends by an error, that one is reported alone."""
        try:
            with ExitStack() as closing:  # all of them, also where one fails
                if self._wandb is not None:
                    closing.callback(self._wandb.finish)
                closing.callback(self._board.close)
                closing.callback(self._file.close)
        except OSError as e:
            if error is None:
                raise UserError(f"cannot write the logs in {self._pictures.parent}: {e.strerror or e}") from e


class Silent(Log):
    """The log of a process that leaves it to another to write."""

    def __init__(self) -> None:
        pass

    def about(self, step: int, facts: Mapping[str, Any]) -> None:
        """Nothing."""

    def write(self, kind: str, step: int, numbers: Mapping[str, float]) -> None:
        """Nothing."""

    def picture(self, name: str, step: int, picture: Image) -> Path:
        """Nothing; where it would lie."""
        return Path(PICTURES) / f"{name}.png"

    def __exit__(self, *_: object) -> None:
        pass


def _stays(line: str, resumed_at: int, validated: bool) -> bool:
    """Whether a line tells of what the run has behind it; one cut short by a kill does not."""
    try:
        event = json.loads(line)
        step = float(event["step"])
    except ValueError:
        return False
    return step < resumed_at or (step == resumed_at and (validated or event["kind"] != "validation"))


def _wandb_module() -> Any:
    try:
        import wandb  # pyright: ignore[reportMissingImports] (an extra)
    except ImportError as e:
        raise UserError(
            "config.train.wandb: Weights & Biases is not installed: pip install 'ostrack-jax[wandb]'"
        ) from e
    return wandb


def _open_wandb(config: Config, workdir: Path) -> Any:
    """A W&B run that a resumed training goes on with: its id lies in the workdir."""
    wandb = _wandb_module()
    path = workdir / WANDB_ID
    if not path.exists():
        write_atomically(path, secrets.token_hex(8).encode())
    project, settings = config.train.wandb, to_dict(config)
    try:
        run = wandb.init(
            project=project, name=config.name, config=settings, id=path.read_text(), resume="allow", dir=str(workdir)
        )
    except wandb.Error as e:
        raise UserError(f"config.train.wandb={project}: {' '.join(str(e).split())}") from e
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run
