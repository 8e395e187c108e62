"""Track a video in Python.

A tracker starts from the first frame and a box in it, and finds the object in every frame after. The network and the
clip come with the package; the script takes under a minute on a CPU and writes into `runs/examples`. Run it as
`python examples/track_video.py`, or cell by cell in an editor that knows `# %%`.
"""

# %%
from pathlib import Path

import ostrack_jax as ot
from ostrack_jax.data.video import VideoFrames
from ostrack_jax.visualization.draw import annotate
from ostrack_jax.visualization.video import write_video

OUTPUT = Path("runs/examples/track_video")

# %% [markdown]
# ## The video
# A second of *Big Buck Bunny* ((c) 2008 Blender Foundation, www.bigbuckbunny.org, CC BY 3.0). Frames are numpy arrays,
# `uint8` (height, width, 3) in RGB; they may come from anywhere, a camera too. The box is left, top, width, height in
# pixels of the first frame.

# %%
video = VideoFrames(Path(ot.__file__).parent / "clip/bunny.mp4")
frames = [video[i] for i in range(25)]
box_xywh = (148.0, 126.0, 68.0, 112.0)
print(f"{len(frames)} frames of {frames[0].shape}")

# %% [markdown]
# ## The tracker
# Without an argument it is the small network in the package; `"weights/256"` would be a converted or trained
# checkpoint. Everything is compiled here, once: no frame compiles anything again.

# %%
tracker = ot.Tracker.from_checkpoint()
print(f"{tracker.config.name}, ready after {tracker.compile_seconds:.1f} s")

# %% [markdown]
# ## Frame by frame
# `init` takes the first frame with its box, `update` every frame after. A `Track` has the box in pixels and a score
# from 0 to 1: where it falls, the object is hidden or gone.

# %%
tracker.init(frames[0], box_xywh)
tracks: list[ot.Track] = [tracker.update(frame) for frame in frames[1:]]
for number in (1, 12, 24):
    track = tracks[number - 1]
    print(f"frame {number}: box {track.box_xywh.round(1)}, score {track.score:.2f}")

# %% [markdown]
# ## The boxes drawn

# %%
drawn = [annotate(frame, track.box_xywh, track.score) for frame, track in zip(frames[1:], tracks, strict=True)]
write_video(OUTPUT / "tracked.mp4", drawn, rate=25.0)
print(OUTPUT / "tracked.mp4")
