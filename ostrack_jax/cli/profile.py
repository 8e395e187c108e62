"""Measure a model on this machine, with and without elimination: MACs, parameters, memory, compile time, latency.

Times in turn the network alone, the tracker's update and a complete video with its JPEGs read from disk. The weights
are untrained, which costs the same; the video is synthetic.

Example:
  ostrack profile --config vitb_256_mae_ce_32x4_ep300
  ostrack profile --config vitb_384_mae_ce_32x4_ep300 --config.model.dtype=bfloat16 --output profile.json
"""

from __future__ import annotations

import re

from absl import flags as absl_flags

from ostrack_jax.cli import command
from ostrack_jax.cli.paths import define_path
from ostrack_jax.errors import UserError


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    command.define_config(flags)
    absl_flags.DEFINE_integer("frames", 100, "how often each thing is timed", flag_values=flags, lower_bound=1)
    text = "of the video's frames: width x height in pixels"
    absl_flags.DEFINE_string("frame_size", "1280x720", text, flag_values=flags)
    define_path("output", None, "a JSON file to write the same to", flags, writes="file")


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> None:
    """Measure, print, write."""
    from rich.console import Console

    from ostrack_jax import environment
    from ostrack_jax.io import write_json
    from ostrack_jax.models.devices import devices
    from ostrack_jax.profiling import latency

    config, size = command.read_config(flags), read_size(flags.frame_size)
    devices()
    measured = {
        "config": config.name,
        "dtype": config.model.dtype,
        "frames": flags.frames,
        "frame_size": flags.frame_size,
        "variants": latency.measure(config, flags.frames, size),
        "versions": environment.versions(),
        "hardware": environment.hardware(),
        "commit": environment.commit(),
    }
    latency.table(measured).print(Console())
    if flags.output is not None:
        write_json(flags.output, measured)
        print(f"the same as JSON: {flags.output}")


def read_size(text: str) -> tuple[int, int]:
    """``1280x720`` as width and height, or a `UserError`."""
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if found is None:
        raise UserError(f"--frame_size {text}: expected width x height in pixels, as 1280x720")
    return int(found[1]), int(found[2])
