"""Check that a data set's directory is what its reader expects: every sequence, each flaw with its fix.

NAME is a reader (got10k, lasot, trackingnet, coco, vid, otb, folder, ...) or a benchmark (got10k_val, nfs30, uav20l,
vot2022, ...), DIR its directory, looked up as in training if it is left out. A name that is both is the reader: the
benchmarks lasot and trackingnet are its --part test. The annotation of each sequence is read and its first and last
image are decoded (COCO's single images need only exist). In all parts but train, and in sets
without parts, the first frame needs a box (for the reader folder, which may be for training, this is a note). Ends
with status 1 if something is wrong.

Example:
  ostrack data check got10k /data/got10k --part train --split vot_train
  ostrack data check lasot /data/lasot --samples /tmp/lasot   # images of ten random sequences
  ostrack data check coco /data/coco --decode all             # every image
  ostrack data check uav123 /data/UAV123                      # a benchmark
"""

from __future__ import annotations

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
    from ostrack_jax.doctor.finding import Verdict

ARGUMENTS = ("NAME", Place("[DIR]"))
_NOTES = 10  # lines on how sequences are read


def define(flags: absl_flags.FlagValues) -> None:
    """Declare the command's flags."""
    absl_flags.DEFINE_string("part", "train", "the set's own part: train, val or test", flag_values=flags)
    absl_flags.DEFINE_string("split", "all", "a published list of sequences, or all", flag_values=flags)
    orientation.define(flags)
    absl_flags.DEFINE_string("decode", None, "images of each sequence to decode: a number, or all", flag_values=flags)
    define_path("samples", None, "write ten drawn sequences with their boxes there", flags, writes="directory")
    absl_flags.DEFINE_integer("most", 100, "lines of sequences to print; 0: all", 0, flag_values=flags)


def main(flags: absl_flags.FlagValues, arguments: list[str]) -> int:
    """Print each flaw as it is found, then the counts; 1 where there is a flaw."""
    decode = _decode(flags.decode)

    from ostrack_jax.doctor.check import Checked, check_sequences
    from ostrack_jax.doctor.data import open_checked
    from ostrack_jax.doctor.finding import conclude
    from ostrack_jax.doctor.samples import write_samples

    data = _named(flags, *arguments)
    sequences, findings = open_checked(data, Path(data.dir))
    for finding in findings:
        finding.print()
    wrong = sum(finding.verdict == "wrong" for finding in findings)
    if sequences is None:
        return 1
    total = Checked()
    fixes: Counter[str] = Counter()  # each is printed with the first finding that needs it
    for checked in check_sequences(sequences, _unstarted(flags, data), decode):
        total.add(checked)
        for finding in checked.findings:
            wrong += finding.verdict == "wrong"
            fixes[finding.fix] += 1
            first = fixes[finding.fix] == 1
            if not flags.most or fixes.total() <= flags.most or first:
                finding.print(f"{checked.name}: ", first)
    _print_counts(f"{arguments[0]} in {data.dir}", total)
    if flags.samples is not None:
        sheets = write_samples(sequences, flags.samples)
        print(f"{len(sheets)} drawn samples in {flags.samples}")
    if flags.most and fixes.total() > flags.most:
        print(f"{fixes.total()} flaws, not all printed (--most 0 prints them); by their fix:")
        for fix, count in fixes.most_common():
            print(f"  {count:7,}  {fix or 'other'}")
    return conclude(wrong)


def _named(flags: absl_flags.FlagValues, name: str, directory: str = "") -> DataConfig:
    """The data of a reader, or else of a benchmark, with the directory that is given or looked up."""
    from ostrack_jax.config import DataConfig
    from ostrack_jax.data.packed.reader import is_packed
    from ostrack_jax.data.readers.registry import READERS, find_directory, knows_parts
    from ostrack_jax.errors import unknown
    from ostrack_jax.evaluation.benchmarks import BENCHMARKS

    if name in READERS:
        place, part = find_directory(name, directory), flags.part
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
    return protocol.data(find_directory(protocol.reader, directory))


def _unstarted(flags: absl_flags.FlagValues, data: DataConfig) -> Verdict:
    """The verdict on a sequence whose first frame has no box."""
    if data.part == "train":
        return "ok"
    return "note" if data.reader == "folder" and not flags["part"].present else "wrong"


def _print_counts(what: str, total: Checked) -> None:
    """Print the counts and the notes."""
    from ostrack_jax.config import PairConfig

    counts = total.counts
    share = f", {counts['visible'] / counts['frames']:.1%} visible" if counts["frames"] else ""
    seen = f"{counts['sequences']:,} sequences, {counts['frames']:,} frames{share}"
    print(f"{what}: {seen}; {counts['decoded']:,} images decoded")
    for name, count in sorted(total.missing.items()):
        print(f"note   {name} is missing in {count:,} sequences: it hides no frame there")
    for note in total.notes[:_NOTES]:
        print(f"note   {note}")
    if len(total.notes) > _NOTES:
        print(f"note   {len(total.notes) - _NOTES:,} more sequences are read in such a way")
    rules = PairConfig()
    print(
        f"training would sample {counts['sampled']:,} of the {counts['sequences']:,} sequences: single images, and "
        f"videos of {rules.min_frames} frames or more with {rules.min_visible} visible (config.pairs)"
    )


def _decode(text: str | None) -> int | None:
    if text in (None, "all"):
        return None if text is None else 2**31
    if not (text.isdecimal() and int(text[:9]) > 0):
        raise UserError(f"--decode: expected a number of images above 0, or all, found {text!r}")
    return int(text[:9])
