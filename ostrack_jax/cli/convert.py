"""`ostrack convert`: published weights to ours, and back. Enters: the release and its words. Leaves: status.

The converters are the package `convert`: inside `ostrack_jax` in a wheel, beside it in a checkout.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from ostrack_jax.cli import command
from ostrack_jax.errors import UserError

RELEASES = {
    "ostrack": "a checkpoint of the published PyTorch OSTrack, or back to one",
    "mae": "a backbone of the MAE release, to start a training from",
    "deit": "the same of the DeiT release (ImageNet-1k)",
    "augreg": "the same of the AugReg release (ImageNet-21k, .npz)",
    "dinov2": "the same of the DINOv2 release",
}
_DOC = """Turn published weights into a checkpoint of this project, and back.

Example:
  ostrack convert ostrack OSTrack_ep0300.pth.tar --config vitb_256_mae_ce_32x4_ep300 --output weights/256
"""


def main(argv: Sequence[str]) -> int:
    """Run the converter that ``argv`` names; the exit status."""
    program = "ostrack convert"
    try:
        release = command.choose(RELEASES, _DOC, argv, program)
    except UserError as e:
        return command.fail(program, e)
    if release is None:
        return 0
    _find_package()
    return command.run(command.load(f"ostrack_jax.convert.{release}"), argv[1:], f"{program} {release}")


def _find_package() -> None:
    """Make `ostrack_jax.convert` importable in a checkout too.

    By its path, not as top-level `convert`: another project's package of that name could come first.
    """
    name = "ostrack_jax.convert"
    if importlib.util.find_spec(name) is not None:
        return
    folder = Path(__file__).parents[2] / "convert"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
