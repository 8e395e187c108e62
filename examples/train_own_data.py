"""Train on a directory of your own.

Videos with a text file of boxes are all that a training needs. Here a few synthetic ones are written first, so that the
script runs as it is, in under a minute on a CPU; then a tiny network is trained on them for a moment, and scored.
"""

# %%
from pathlib import Path

import cv2
import numpy as np

import ostrack_jax as ot
from ostrack_jax.data.generated.synthetic import open_synthetic

OUTPUT = Path("runs/examples/train_own_data")

# %% [markdown]
# ## The directory
# A directory for each video, with numbered images and `groundtruth.txt`: a line `x,y,w,h` in pixels for each frame,
# `nan,nan,nan,nan` where the object is not seen. Video files next to text files of the same name are read too.
# `ostrack data check folder DIR` checks every sequence and names what is wrong.


# %%
def write_videos(part: str, directory: Path) -> None:
    """Write four synthetic videos with their boxes."""
    for sequence in open_synthetic(part, sequences=4, frames=30):
        place = directory / sequence.name
        place.mkdir(parents=True, exist_ok=True)
        for i in range(len(sequence)):
            cv2.imwrite(str(place / f"{i:04d}.jpg"), sequence.frames[i][..., ::-1])
        np.savetxt(place / "groundtruth.txt", sequence.boxes_xywh, fmt="%.2f", delimiter=",")


write_videos("train", OUTPUT / "train")
write_videos("test", OUTPUT / "test")

# %% [markdown]
# ## The config
# A named config and changes to it, as `--config.KEY=VALUE` on the command line. `data.mine.reader` adds a data set of
# that name; a weight of 0 removes one of the config's. A real training has many more pairs and epochs, a larger
# network, such as `vitb_256_mae_ce_32x4_ep300`, and starts from weights that have learnt from images (`init=`).

# %%
config: ot.Config = ot.load_config(
    "tiny",
    [
        "data.mine.reader=folder",
        f"data.mine.dir={OUTPUT / 'train'}",
        "data.synthetic.weight=0",
        "data.synthetic_val.weight=0",
        "train.validate_every=0",
        "train.epochs=1",
        "train.pairs_per_epoch=80",
        "train.workers=0",
        "train.picture_every=0",
    ],
)

# %% [markdown]
# ## The training
# The same call resumes a run that was interrupted. `log.jsonl` in it has the losses, `ostrack report train` draws them.

# %%
ot.train(config, OUTPUT / "run")

# %% [markdown]
# ## Is it better than nothing?
# `evaluate` takes any object with `init` and `update`, so a tracker that never moves shows what the scores are worth.
# Ten steps teach little; with `train.pairs_per_epoch=4800` and five epochs, four minutes, the network is far ahead.


# %%
class NeverMoves:
    """Answer with the first box for ever."""

    def init(self, frame: np.ndarray, box_xywh: np.ndarray) -> None:
        """Keep the box."""
        self.box_xywh = box_xywh

    def update(self, frame: np.ndarray) -> ot.Track:
        """Answer with it."""
        return ot.Track(self.box_xywh, 1.0)


trackers = {"trained": ot.Tracker.from_checkpoint(OUTPUT / "run"), "never_moves": NeverMoves()}
for name, tracker in trackers.items():
    report = ot.evaluate(tracker, "folder", OUTPUT / "results" / name, OUTPUT / "test")
    print(name, {measure: round(value, 3) for measure, value in report.scores.items()})
