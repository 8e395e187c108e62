"""List the functions of this project that run on the way to a training step, or from a first frame to a score.

Example: python tests/tools/trace_calls.py train           (from the command line to the end of the first step)
         python tests/tools/trace_calls.py eval            (from the first frame of one sequence to its score)
         python tests/tools/trace_calls.py eval OTHER_ROOT (the same in another checkout)
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).parents[2]
# The network, its losses, boxes, sampling, generated images, scores: what runs whatever surrounds it.
METHOD = re.compile(
    r"models/|geometry/|generated/|synthetic|metrics|measures|toolkits|pairs|sampling|augment|distort|"
    r"training/(losses|targets|optimizer|schedule|step)|tracking/(tracker|network|prior)|config"
)
SMALL = """
    --config.train.epochs=1 --config.train.pairs_per_epoch=4 --config.train.batch=4 --config.train.workers=0
    --config.train.validate_every=0 --config.train.picture_every=0 --config.train.bn_group=0
"""


class Tracer:
    """Collects the functions that are entered below ``root``, from a first function's call to a last one's return."""

    def __init__(self, root: Path, first: tuple[str, ...], last: tuple[str, ...]) -> None:
        self.root, self.first, self.last = f"{root}{os.sep}", first, last
        self.found: Counter[tuple[str, str]] = Counter()
        self.on, self.done = not first, False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Take note of one event of the interpreter."""
        code = frame.f_code
        if self.done or event not in ("call", "return") or not code.co_filename.startswith(self.root):
            return
        if not code.co_flags & inspect.CO_OPTIMIZED:  # the body of a module or class
            return
        name = code.co_qualname
        if event == "call":
            self.on = self.on or name in self.first
            file = code.co_filename.removeprefix(self.root)
            if self.on and file.startswith(("ostrack_jax", "convert", "configs")) and code.co_name[0] != "<":
                self.found[file, name] += 1
        elif self.on and name in self.last:
            self.done = True


def trace(command: list[str], tracer: Tracer) -> None:
    """Run one command of the package in this process under ``tracer``."""
    from ostrack_jax.cli.main import main

    threading.setprofile(tracer)
    sys.setprofile(tracer)
    try:
        status = main(command)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")


def main(arguments: list[str]) -> None:
    """Print the functions by file, and how many there are."""
    what, root = arguments[0], Path(arguments[1]).resolve() if len(arguments) > 1 else HERE
    sys.path.insert(0, str(root))
    os.chdir(root)
    import jax  # noqa: F401 - loaded before, as its import is not ours

    with tempfile.TemporaryDirectory() as folder:
        if what == "train":
            # the first numbers are written when the step they belong to has ended
            tracer = Tracer(root, (), ("JsonLines.write", "Log.write", "RunLog.write"))
            trace(["train", "--config", "tiny", "--workdir", folder, *SMALL.split()], tracer)
        else:
            # from the first frame that is read to the return of the benchmark's score
            tracer = Tracer(root, ("Tracker.start", "Tracker.init_slot"), ("Protocol.score", "Benchmark.score"))
            words = (
                f"eval --checkpoint {HERE}/tests/golden/tiny.safetensors --benchmark synthetic --output {folder}/out"
            )
            trace([*words.split(), "--sequences", "synthetic_test_000000"], tracer)
    files: dict[str, list[str]] = {}
    for file, name in tracer.found:
        files.setdefault(file, []).append(name)
    for file, names in sorted(files.items()):
        print(f"{file}: {', '.join(sorted(names))}")
    around = sum(METHOD.search(file) is None for file, _ in tracer.found)
    print(f"{len(tracer.found)} functions in {len(files)} files, {around} of them around the method")


if __name__ == "__main__":
    main(sys.argv[1:])
