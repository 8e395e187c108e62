"""Look inside the network.

What the network attends to, which candidates it drops on the way and on what its answer rests, drawn for one frame of
the clip in the package with the weights in the package. Under a minute on a CPU.
"""

# %%
from pathlib import Path

import cv2
import jax.numpy as jnp
import numpy as np
from flax import nnx

import ostrack_jax as ot
from ostrack_jax.data.video import VideoFrames
from ostrack_jax.geometry.crops import square_crop
from ostrack_jax.models.weights import model_of
from ostrack_jax.visualization import network_maps

OUTPUT = Path("runs/examples/look_inside")
video = VideoFrames(Path(ot.__file__).parent / "clip/bunny.mp4")
box_xywh = np.array([148.0, 126.0, 68.0, 112.0])

# %% [markdown]
# ## Two crops in, maps out
# The network sees two squares: the template around the object in the first frame, and a larger search region around
# where the object was last. It cuts both into patches and lets all of them attend to one another.

# %%
config, weights = ot.load_weights("small")
model = config.model
network: ot.OSTrack = model_of(model, weights)
template = square_crop(video[0], box_xywh, model.template_factor, model.template_size).image
search = square_crop(video[3], box_xywh, model.search_factor, model.search_size).image
prediction: ot.Prediction = nnx.jit(network)(jnp.array([template]), jnp.array([search]))
print(f"{sum(value.size for value in weights.values()):,} numbers, score map {prediction.score_map.shape}")

# %% [markdown]
# The best cell of the score map is where the object's centre lies; the size and offset maps give the box there, as
# centre, width and height in fractions of the search region.

# %%
row, column = divmod(int(prediction.score_map[0].argmax()), prediction.score_map.shape[2])
print(f"best cell: row {row}, column {column}; box {np.round(prediction.boxes[0], 2)}")

# %% [markdown]
# ## Candidate elimination
# Most of a search region is background. A network with elimination drops, in a few blocks, the search tokens to which
# the template attends least. The weights in the package were trained without, but elimination adds no weights: here it
# is switched on in the published blocks, which costs these weights some accuracy.

# %%
changes = ["model.eliminate_at=(3, 6, 9)", "model.keep_ratio=(0.7, 0.7, 0.7)"]
tracker = ot.Tracker.from_checkpoint("small", changes=changes, details=True)
tracker.init(video[0], box_xywh)
for i in (1, 2, 3):
    tracker.update(video[i])
details = tracker.details()
print("dropped after each stage:", [len(positions) for positions in details.eliminated])

# %% [markdown]
# ## Pictures
# `elimination.png` shows the candidates left after each stage, `attention.png` what the template's centre attends to
# in each block, `regions.png` on which parts the answer rests. `ostrack visualize` writes the same for your videos.

# %%
OUTPUT.mkdir(parents=True, exist_ok=True)
seen = network_maps.Seen(3, None, **vars(details))
for draw in (network_maps.elimination, network_maps.attention, network_maps.regions):
    path = OUTPUT / f"{draw.__name__}.png"
    cv2.imwrite(str(path), draw([seen])[..., ::-1])
    print(path)
