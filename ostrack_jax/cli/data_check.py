"""Is a folder what its reader expects? Looks at every sequence, and says what would mend each thing that is wrong.

NAME is a reader (got10k, lasot, trackingnet, coco, vid, otb, folder, ...) or a benchmark (got10k_val, nfs30, uav20l,
vot2022, ...), DIR its folder, looked up as in training where it is left out. What is both is the reader: the
benchmarks lasot and trackingnet are its --part test. Of each sequence the annotation is read and the first and last
picture are decoded (of COCO's single pictures it is seen whether they are there). In all parts but train, and in sets
without parts, the first frame needs a box (of a folder of one's own, which may be for training, it is noted). Ends
with status 1 where something is wrong.

Example:
  ostrack data check got10k /data/got10k --part train --split vot_train
  ostrack data check lasot /data/lasot --samples /tmp/lasot   # ten drawn sequences, to look at
  ostrack data check coco /data/coco --decode all             # every picture
  ostrack data check uav123 /data/UAV123                      # a benchmark
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from ostrack_jax.cli import orientation
from ostrack_jax.cli.paths import Place, define_path
from ostrack_jax.errors import UserError

if TYPE_CHECKING:
    from ostrack_jax.config import DataConfig
    from ostrack_jax.doctor.check import Checked
    from ostrack_jax.doctor.finding import Finding, Verdict

ARGUMENTS = ("NAME", Place("[DIR]"))
_NOTES = 10  # lines on how sequences are read


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    absl_flags.DEFINE_string("part", "train", "the set's own part: train, val or test", flag_values=flags)
    absl_flags.DEFINE_string("split", "all", "a published list of sequences, or all", flag_values=flags)
    orientation.define(flags)
    absl_flags.DEFINE_string("decode", None, "pictures of each sequence to decode: a number, or all", flag_values=flags)
    define_path("samples", None, "write ten drawn sequences with their boxes there", flags, writes="directory")
    absl_flags.DEFINE_integer("most", 100, "lines of sequences to print; 0: all", 0, flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Print each flaw as it is found, then the counts; 1 where there is a flaw."""
    decode = _decode(flags.decode)

    from ostrack_jax.doctor.check import Checked, check_sequences, open_checked
    from ostrack_jax.doctor.samples import write_samples

    data = _named(flags, *arguments)
    sequences, findings = open_checked(data, Path(data.dir))
    for finding in findings:
        _say(finding, "")
    wrong = sum(finding.verdict == "wrong" for finding in findings)
    if sequences is None:
        return 1
    total, told = Checked(), _Told(flags.most)
    for name, finding in check_sequences(sequences, _unstarted(flags, data), decode, total):
        told.say(name, finding)
    _sum_up(f"{arguments[0]} in {data.dir}", total)
    if flags.samples is not None:
        sheets = write_samples(sequences, flags.samples)
        print(f"{len(sheets)} drawn samples in {flags.samples}")
    wrong += told.end()
    print(f"{wrong} {'thing is' if wrong == 1 else 'things are'} WRONG, see above" if wrong else "all is well")
    return 1 if wrong else 0


def _named(flags: absl_flags.FlagValues, name: str, folder: str = "") -> DataConfig:
    """The data of a reader, or else of a benchmark, with the folder that is given or looked up."""
    from ostrack_jax.config import DataConfig
    from ostrack_jax.data.packed.reader import is_packed
    from ostrack_jax.data.paths import find_directory
    from ostrack_jax.data.readers.registry import READERS, knows_parts
    from ostrack_jax.errors import unknown
    from ostrack_jax.evaluation.benchmarks import BENCHMARKS

    if name in READERS:
        place, part = find_directory(name, folder), flags.part
        whole = name in BENCHMARKS and not knows_parts(name) and not flags["part"].present
        if whole and not (is_packed(place) or is_packed(place / part)):  # packed sets are for training
            part = BENCHMARKS[name].part
        return DataConfig(name, str(place), part=part, split=flags.split, options=orientation.options(flags, name))
    if name not in BENCHMARKS:
        raise unknown("reader or benchmark", name, {*READERS, *BENCHMARKS})
    protocol = BENCHMARKS[name]
    orientation.options(flags, protocol.reader)
    if flags["part"].present or flags["split"].present:
        raise UserError(f"{name} is a part of its own: --part and --split go with a reader, such as {protocol.reader}")
    return protocol.data(find_directory(protocol.reader, folder))


def _unstarted(flags: absl_flags.FlagValues, data: DataConfig) -> Verdict:
    """What a sequence is whose first frame has no box."""
    if data.part == "train":
        return "ok"
    return "note" if data.reader == "folder" and not flags["part"].present else "wrong"


class _Told:
    """Prints findings of sequences up to a number, each fix with the first that needs it."""

    def __init__(self, most: int) -> None:
        self._most, self._count, self._wrong = most, 0, 0
        self._fixes: Counter[str] = Counter()

    def say(self, name: str, finding: Finding) -> None:
        """Print one, or count it."""
        self._count += 1
        self._wrong += finding.verdict == "wrong"
        first = finding.fix not in self._fixes
        self._fixes[finding.fix] += 1
        if not self._most or self._count <= self._most or first:
            _say(finding, f"{name}: ", first)

    def end(self) -> int:
        """Say how many of each kind there were, where not all were printed; the number of those that are wrong."""
        if self._most and self._count > self._most:
            print(f"{self._count} flaws, not all printed (--most 0 prints them); by their fix:")
            for fix, count in self._fixes.most_common():
                print(f"  {count:7,}  {fix or 'other'}")
        return self._wrong


def _say(finding: Finding, before: str, with_fix: bool = True) -> None:
    loud = ("\033[1;31m", "\033[0m") if sys.stdout.isatty() else ("", "")
    verdict = {"ok": "ok   ", "note": "note ", "wrong": f"{loud[0]}WRONG{loud[1]}"}[finding.verdict]
    print(f"{verdict}  {before}{finding.text}", flush=True)
    if finding.fix and with_fix:
        print(f"       -> {finding.fix}", flush=True)


def _sum_up(what: str, total: Checked) -> None:
    """The counts, and what is worth knowing though not wrong."""
    from ostrack_jax.config import PairConfig

    share = f", {total.visible / total.frames:.1%} visible" if total.frames else ""
    print(f"{what}: {total.sequences:,} sequences, {total.frames:,} frames{share}; {total.decoded:,} pictures decoded")
    for name, count in sorted(total.missing.items()):
        print(f"note   {name} is missing in {count:,} sequences: it hides no frame there")
    for note in total.notes[:_NOTES]:
        print(f"note   {note}")
    if len(total.notes) > _NOTES:
        print(f"note   {len(total.notes) - _NOTES:,} more sequences are read in such a way")
    rules = PairConfig()
    print(
        f"training would sample {total.sampled:,} of the {total.sequences:,} sequences: single images, and videos of "
        f"{rules.min_frames} frames or more with {rules.min_visible} visible (config.pairs)"
    )


def _decode(text: str | None) -> int | None:
    if text in (None, "all"):
        return None if text is None else 2**31
    if not (text.isdecimal() and int(text[:9]) > 0):
        raise UserError(f"--decode: expected a number of pictures above 0, or all, found {text!r}")
    return int(text[:9])
