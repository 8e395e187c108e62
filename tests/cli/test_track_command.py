"""`ostrack track` as a user meets it: a video and a text file, or one line that says what is wrong."""

from __future__ import annotations

import json
import os
import signal
import time

import av
import cv2
import numpy as np
import pytest

from ostrack_jax.cli.main import main
from ostrack_jax.data.readers.folder import open_folder
from ostrack_jax.weights import DEFAULT
from tests import layouts
from tests.videos import copy_packets, decoded, write_video


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of 11 pictures in which a textured patch moves 3 pixels right each frame; 2.png before 10.png."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(3)
    patch = cv2.resize(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), (30, 30), interpolation=cv2.INTER_NEAREST)
    ground = cv2.resize(rng.integers(80, 120, (9, 12, 3), dtype=np.uint8), (120, 90))
    for t in range(11):
        frame = ground.copy()
        frame[30:60, 20 + 3 * t : 50 + 3 * t] = patch
        cv2.imwrite(str(folder / f"{t}.png"), frame)
    return folder


@pytest.fixture
def track(tmp_path, capsys):
    def call(source, *words, box="20,30,30,30", output=tmp_path / "new/out.mp4", tracker=("--tracker", "opencv:mil")):
        status = main(["track", str(source), "--box", box, "--output", str(output), *tracker, *words])
        out, err = capsys.readouterr()
        return status, out, err

    return call


def one_line(done, *words):
    status, _, err = done
    assert status == 2, err
    assert "ostrack track: error: " in err.splitlines()[-1]
    for word in words:
        assert word in err.splitlines()[-1]


def table(path):
    return np.loadtxt(path, delimiter=",")


def video(path):
    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate), sum(1 for _ in container.decode(video=0))


def test_a_folder_becomes_a_video_and_a_text(track, pictures, tmp_path):
    status, out, err = track(pictures)
    assert status == 0, err
    assert "out.mp4: 11 frames" in out
    assert "out.txt" in out
    assert video(tmp_path / "new/out.mp4") == (30.0, 11)
    rows = table(tmp_path / "new/out.txt")
    assert rows.shape == (11, 5)
    assert rows[0, :4].tolist() == [20, 30, 30, 30]
    assert rows[-1, 0] > 35  # it followed
    assert np.isnan(rows[:, 4]).all()  # MIL states no score
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["out.mp4", "out.txt"]


def test_the_whole_of_a_clip_is_followed_whatever_times_it_carries(track, tmp_path):
    whole = write_video(tmp_path / "whole.avi", "mpeg4", {"g": "10", "bf": "2"}, frames=24)
    stream = write_video(tmp_path / "a.ts", "libx264", {"g": "10"}, frames=24)
    cut = copy_packets(stream, tmp_path / "cut.ts", lambda i, packet: i >= 3)
    for clip, output in ((whole, tmp_path / "whole.mp4"), (cut, tmp_path / "cut.mp4")):
        status, _, err = track(clip, box="10,10,20,20", output=output, tracker=("--tracker", "still"))
        assert status == 0, err
        assert video(output) == (25.0, len(decoded(clip)))


def test_a_video_keeps_its_rate(track, pictures, tmp_path):
    assert track(pictures, "--rate", "12")[0] == 0
    made = tmp_path / "made.mp4"
    (tmp_path / "new/out.mp4").rename(made)
    status, _, err = track(made, box="80,120,120,120", tracker=("--tracker", "still"))
    assert status == 0, err
    assert video(tmp_path / "new/out.mp4") == (12.0, 11)
    assert (table(tmp_path / "new/out.txt")[:, :4] == [80, 120, 120, 120]).all()


@pytest.mark.slow
def test_a_checkpoint_tracks_and_scores(track, pictures, small_weights, tmp_path):
    status, _, err = track(pictures, tracker=("--checkpoint", str(small_weights[0])))
    assert status == 0, err
    rows = table(tmp_path / "new/out.txt")
    assert np.isnan(rows[0, 4])
    assert ((rows[1:, 4] > 0) & (rows[1:, 4] <= 1)).all()


@pytest.mark.parametrize("box", ["", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,0,4", "1,2,3,-4", "nan,1,2,3", "inf,1,2,3"])
def test_a_box_that_is_none_is_told(track, pictures, box):
    one_line(track(pictures, box=box), "expected x,y,w,h")


@pytest.mark.parametrize("box", ["0.19,0.33,0.25,0.25", "0,0,1,1", "20,30,0.5,30"])
def test_a_box_that_cannot_be_pixels_is_told(track, pictures, box):
    text = "expected x,y,w,h in pixels of the frame, which is 120 wide and 90 high: a box in it"
    one_line(track(pictures, box=box), f"--box {box}: {text}")


def test_a_box_that_may_be_corners_is_noted(track, pictures):
    status, _, err = track(pictures, box="50,60,80,85", tracker=("--tracker", "still"))
    assert status == 0
    assert "note: --box 50,60,80,85 ends far outside the frame, which is 120 wide and 90 high: expected x,y" in err
    assert "note" not in track(pictures, box="90,60,35,33", tracker=("--tracker", "still"))[2]


@pytest.mark.parametrize("box", ["120,0,10,10", "0,90,10,10", "-10,0,10,10", "0,-40,10,40"])
def test_a_box_outside_the_frame_is_told(track, pictures, box):
    one_line(track(pictures, box=box), "the frame, which is 120 wide and 90 high: a box in it")


def test_mistakes_are_one_line_and_leave_nothing(track, pictures, tmp_path):
    one_line(track(tmp_path / "missing"), "missing")
    (tmp_path / "empty").mkdir()
    one_line(track(tmp_path / "empty"), "no images in")
    (tmp_path / "broken.mp4").write_bytes(b"nothing" * 100)
    one_line(track(tmp_path / "broken.mp4"), "broken.mp4")
    one_line(track(pictures, output=tmp_path / "new/out.avi"), "ends in .mp4")
    one_line(track(pictures, "--rate", "0"), "frames a second")
    one_line(track(pictures, tracker=("--tracker", "opencv:nano")), "--tracker_files")
    one_line(track(pictures, tracker=("--checkpoint", str(tmp_path / "nothing"))), "no checkpoint at")
    assert not (tmp_path / "new").exists()


def test_without_a_checkpoint_the_shipped_network_tracks(track, pictures, tmp_path, monkeypatch):
    """Also where a directory has the network's name."""
    from ostrack_jax.tracking.baselines import StillTracker
    from ostrack_jax.tracking.tracker import Tracker

    asked = []

    def from_checkpoint(path, *_, **__):
        asked.append(str(path))
        return StillTracker()

    monkeypatch.setattr(Tracker, "from_checkpoint", from_checkpoint)
    (tmp_path / "small").mkdir()
    monkeypatch.chdir(tmp_path)
    status, _, err = track(pictures, tracker=())
    assert status == 0, err
    assert asked == [str(DEFAULT)]


def test_what_was_tracked_before_it_ended_stays(track, pictures, tmp_path, monkeypatch):
    for picture in pictures.iterdir():
        (tmp_path / picture.name).write_bytes(picture.read_bytes())
    (tmp_path / "7.png").write_bytes(b"no picture")
    done = track(tmp_path, tracker=("--tracker", "still"))
    one_line(done, "7.png")
    assert f"{tmp_path / 'new/out.part.txt'}: boxes and scores of the 7 frames" in done[1]
    assert (table(tmp_path / "new/out.part.txt")[:, :4] == [20, 30, 30, 30]).all()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.part.txt"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_what_was_tracked(track, pictures, tmp_path, monkeypatch, number, status):
    output = tmp_path / "new/out.mp4"

    def update(*_):
        os.kill(os.getpid(), number)
        time.sleep(60)  # the signal ends it

    monkeypatch.setattr("ostrack_jax.tracking.baselines.StillTracker.update", update)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    try:
        assert track(pictures, output=output, tracker=("--tracker", "still"))[0] == status
    finally:
        signal.signal(signal.SIGINT, before)
    assert table(tmp_path / "new/out.part.txt").shape == (5,)
    assert [path.name for path in output.parent.iterdir()] == ["out.part.txt"]


def test_what_it_writes_is_scored_and_read_back(track, pictures, tmp_path, monkeypatch, capsys):
    """By `ostrack compare`, and as a folder of one's own: nothing has to be cut out of the file first."""
    (tmp_path / "mine").mkdir()
    for picture in pictures.iterdir():
        (tmp_path / "mine" / picture.name).write_bytes(picture.read_bytes())
    (tmp_path / "mine/groundtruth.txt").write_text("".join(f"{20 + 3 * t},30,30,30\n" for t in range(11)))
    still = ("--tracker", "still")
    for place, tracker in (("a/mine.mp4", still), ("b/mine.mp4", ("--tracker", "opencv:mil"))):
        assert track(pictures, output=tmp_path / place, tracker=tracker)[0] == 0
    monkeypatch.chdir(tmp_path)
    words = ["--benchmark", "folder", "--data_dir", "mine", "--output", "compared"]
    assert main(["compare", "a", "b", *words]) == 0, capsys.readouterr().err
    told = json.loads((tmp_path / "compared/comparison.json").read_text())
    assert list(told["trackers"]) == ["b", "a"]
    assert told["notes"] == []
    assert main(["data", "check", "folder", "a"]) == 0
    (sequence,) = open_folder(tmp_path / "a")
    assert sequence.boxes_xywh.tolist() == [[20, 30, 30, 30]] * 11


def test_a_text_file_of_somebody_else_is_never_overwritten(track, pictures, tmp_path):
    assert track(pictures, tracker=("--tracker", "still"))[0] == 0
    assert track(pictures, box="21,30,30,30", tracker=("--tracker", "still"))[0] == 0  # its own: the same command again
    assert table(tmp_path / "new/out.txt")[0, 0] == 21
    (tmp_path / "new/out.mp4").unlink()
    for name in ("out.txt", "out.part.txt"):
        truth = tmp_path / "new" / name
        for text in ("20,30,30,30\n" * 11, "1,20,30,30,30\n" * 11, "notes\n", ""):
            truth.write_text(text)
            one_line(track(pictures, tracker=("--tracker", "still")), f"would overwrite {truth}, which", "another name")
            assert truth.read_text() == text
        truth.unlink()
    assert not list((tmp_path / "new").iterdir())


def test_the_input_is_never_overwritten(track, pictures, tmp_path):
    track(pictures)
    made = tmp_path / "new/out.mp4"
    before = made.read_bytes()
    one_line(track(made, box="80,120,120,120"), "would overwrite the input")
    assert made.read_bytes() == before


def write_turned(folder, count=3):
    """Photos stored 60 x 40 and shown 40 x 60 by their EXIF tag, the white square at 5,40 of what one sees."""
    folder.mkdir()
    upright = np.zeros((60, 40, 3), np.uint8)
    upright[40:50, 5:15] = 255
    for i in range(count):
        (folder / f"{i}.jpg").write_bytes(layouts.tagged("jpg", 6, np.ascontiguousarray(np.rot90(upright))))
    return folder


def shape(path):
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").shape


@pytest.mark.parametrize("way", [None, "shown", "stored"])
def test_turned_photos_are_followed_as_shown_unless_asked_otherwise(track, tmp_path, way):
    stored = way == "stored"
    words = () if way is None else ("--orientation", way)
    box = "45,5,10,10" if stored else "5,40,10,10"  # each outside the other's frame
    status, _, err = track(write_turned(tmp_path / "photos"), *words, box=box, tracker=("--tracker", "still"))
    assert status == 0, err
    height, width, _ = shape(tmp_path / "new/out.mp4")
    assert (width > height) == stored
    assert f"0.jpg has an orientation tag and is read {'as stored' if stored else 'upright'}" in err
    assert f"boxes count these {'60 x 40' if stored else '40 x 60'} pixels" in err


@pytest.mark.parametrize("way", [None, "stored"])
def test_a_turned_video_is_followed_as_shown_unless_asked_otherwise(track, pictures, tmp_path, way):
    assert track(pictures)[0] == 0  # 120 x 90, enlarged to 480 x 360
    clip = tmp_path / "phone.mp4"
    (tmp_path / "new/out.mp4").rename(clip)
    layouts.turn(clip)
    words, box = ((), "300,400,20,20") if way is None else (("--orientation", way), "400,300,20,20")
    status, _, err = track(clip, *words, box=box, tracker=("--tracker", "still"))
    assert status == 0, err
    assert shape(tmp_path / "new/out.mp4") == ((480, 360, 3) if way is None else (360, 480, 3))
    one_line(
        track(clip, *words, box=",".join(box.split(",")[i] for i in (1, 0, 2, 3))),
        "a box in it, with sides above a pixel",
    )


def test_frames_that_differ_in_orientation_are_told(track, tmp_path):
    folder = write_turned(tmp_path / "photos")
    cv2.imwrite(str(folder / "2.jpg"), np.zeros((40, 60, 3), np.uint8))
    status, _, err = track(folder, box="5,40,10,10", tracker=("--tracker", "still"))
    assert status == 0
    assert "the frames differ in size or orientation (40 x 60 from frame 0, 60 x 40 from frame 2)" in err


def test_16_bit_frames_are_followed_and_their_range_is_told(track, tmp_path):
    folder = tmp_path / "thermal"
    folder.mkdir()
    for i in range(3):
        image = np.full((48, 64), 7500, np.uint16)
        image[16:28, 10 + i : 22 + i] = 8000
        cv2.imwrite(str(folder / f"{i}.png"), image)
    status, _, err = track(folder, box="10,16,12,12", tracker=("--tracker", "still"))
    assert status == 0
    assert "images of more than 8 bits: values 7500 to 8000 are read as 0 to 255" in err


def test_the_one_sequence_of_a_folder_is_found_and_the_rest_named(track, pictures, tmp_path):
    still = ("--tracker", "still")
    assert track(pictures, "--rate", "12", tracker=still)[0] == 0
    phone = tmp_path / "phone"
    phone.mkdir()
    (tmp_path / "new/out.mp4").rename(phone / "clip.mp4")
    cv2.imwrite(str(phone / "thumbnail.jpg"), np.zeros((9, 16, 3), np.uint8))
    status, out, err = track(phone, box="80,120,120,120", tracker=still)
    assert status == 0, err
    assert "11 frames" in out
    assert video(tmp_path / "new/out.mp4") == (12.0, 11)
    assert f"skipped in {phone}: thumbnail.jpg (images next to a video)" in err
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer/img").symlink_to(pictures)
    status, out, err = track(tmp_path / "outer", tracker=still)
    assert "11 frames" in out, err
    (phone / "more.mkv").write_bytes(b"")
    one_line(track(phone), "phone holds 2 videos: give one, such as", "clip.mp4")
