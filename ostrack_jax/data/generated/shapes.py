"""Random outlines, textured patches and cluttered backgrounds of synthetic videos."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

Rng = np.random.Generator
Outline = Float[np.ndarray, "k 2"]
Texture = UInt8[np.ndarray, "h w 3"]
Palette = Float[np.ndarray, "4 3"]

KINDS = ("noise", "stripes", "checks", "dots", "patches")


@dataclass(frozen=True, eq=False)
class Look:
    """A family of textures: objects of one family look alike, as a target and its distractors do."""

    kind: str
    palette: Palette
    grain: float  # cells or stripes across the patch


def make_look(rng: Rng) -> Look:
    """A kind of texture, four colours and a grain, drawn at random."""
    return Look(KINDS[rng.integers(len(KINDS))], rng.uniform(0, 255, (4, 3)), rng.uniform(2.5, 6))


def alter(look: Look, rng: Rng, spread: float) -> Look:
    """A similar texture: the same kind, each colour moved by about ``spread`` grey levels."""
    palette = np.clip(look.palette + rng.normal(0, spread, (4, 3)), 0, 255)
    return Look(look.kind, palette, look.grain * rng.uniform(0.8, 1.25))


def make_outline(rng: Rng) -> Outline:
    """A closed shape of about 50 corners that just fits the square -0.5..0.5: rounded box, ellipse, polygon or blob."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    shape = rng.integers(3)
    if shape == 0:  # a superellipse: from an ellipse to nearly a box
        power = 2 / rng.uniform(2, 8)
        points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points = np.sign(points) * np.abs(points) ** power
    elif shape == 1:
        count = int(rng.integers(3, 8))
        turns = (np.arange(count) + rng.uniform(0, 0.6, count)) * 2 * np.pi / count
        at = np.union1d(np.linspace(0, count, 48, endpoint=False), np.arange(count))
        closed = np.append(turns, turns[0] + 2 * np.pi)
        points = np.stack([np.interp(at, np.arange(count + 1), wave(closed)) for wave in (np.cos, np.sin)], axis=1)
    else:
        waves = rng.normal(0, 0.16, (4, 1)) * np.cos(
            np.arange(2, 6)[:, None] * angle + rng.uniform(0, 2 * np.pi, (4, 1))
        )
        radius = np.maximum(1 + waves.sum(axis=0), 0.35)
        points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    low, high = points.min(axis=0), points.max(axis=0)
    return (points - low) / (high - low) - 0.5


def make_patch(rng: Rng, look: Look, outline: Outline, size: int) -> UInt8[np.ndarray, "s s 4"]:
    """A square RGBA image of ``size`` pixels: the texture, opaque inside the outline."""
    return np.dstack([_texture(rng, look, size), fill(outline, size)])


def fill(outline: Outline, size: int) -> UInt8[np.ndarray, "s s"]:
    """A square mask of ``size`` pixels over -0.5..0.5: 255 inside the outline, smooth at its edge."""
    mask = np.zeros((4 * size, 4 * size), np.uint8)
    cv2.fillPoly(mask, [np.rint((outline + 0.5) * 4 * size - 0.5).astype(np.int32)], 255)
    return cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)


def make_background(rng: Rng, width: int, height: int) -> Texture:
    """Soft noise of several scales, cluttered with textured shapes of every size."""
    palette = rng.uniform(30, 225, (4, 3))
    canvas = _noise(rng, palette, width, height, rng.uniform(2, 5))
    looks = [make_look(rng) for _ in range(4)]
    for _ in range(int(rng.integers(10, 30))):
        side = int(np.exp(rng.uniform(np.log(0.05), np.log(0.4))) * min(width, height)) + 4
        patch = make_patch(rng, alter(looks[rng.integers(4)], rng, 30.0), make_outline(rng), min(side, 96))
        wide, high = side, max(4, int(side * np.exp(rng.normal(0, 0.4))))
        x, y = int(rng.integers(-wide // 2, width)), int(rng.integers(-high // 2, height))
        paste(canvas, cv2.resize(patch, (wide, high)), x, y)
    return canvas


def paste(canvas: Texture, patch: UInt8[np.ndarray, "ph pw 4"], x: int, y: int) -> None:
    """Blend an RGBA patch over ``canvas`` in place, its corner at (x, y); the part outside is cut off."""
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + patch.shape[1], canvas.shape[1]), min(y + patch.shape[0], canvas.shape[0])
    if right <= left or bottom <= top:
        return
    under = canvas[top:bottom, left:right]
    over = patch[top - y : bottom - y, left - x : right - x]
    alpha = over[..., 3:].astype(np.uint16)
    under[...] = (under * (255 - alpha) + over[..., :3] * alpha + 127) // 255


def smear(patch: UInt8[np.ndarray, "ph pw 4"], move_xy: Float[np.ndarray, " 2"]) -> UInt8[np.ndarray, "ph pw 4"]:
    """An RGBA patch as a shutter sees it that is open while the patch moves by ``move_xy`` pixels."""
    half = int(np.ceil(np.abs(move_xy).max() / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    first, last = (np.rint(16 * (half + sign * move_xy / 2)).astype(int) for sign in (-1, 1))
    cv2.line(kernel, (int(first[0]), int(first[1])), (int(last[0]), int(last[1])), (1.0,), shift=4)
    alpha = patch[..., 3:].astype(np.float32)
    light = np.concatenate([patch[..., :3] * (alpha / 255), alpha], axis=2)
    light = cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    light[..., :3] *= 255 / np.maximum(light[..., 3:], 1.0)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def _texture(rng: Rng, look: Look, size: int) -> Texture:
    if look.kind == "noise":
        return _noise(rng, look.palette, size, size, look.grain)
    y, x = np.mgrid[:size, :size] * (look.grain / size)
    turn = rng.uniform(0, np.pi)
    x, y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    if look.kind == "stripes":
        index = np.floor(x + 0.4 * np.sin(2 * y + rng.uniform(0, 6)))
    elif look.kind == "checks":
        index = np.floor(x) + 2 * np.floor(y)
    elif look.kind == "dots":
        index = ((x % 1 - 0.5) ** 2 + (y % 1 - 0.5) ** 2 < 0.1) * (1 + np.floor(x) % 3)
    else:
        cells = int(look.grain) + 1
        index = cv2.resize(rng.integers(0, 4, (cells, cells)).astype(np.uint8), (size, size), interpolation=0)
    flat = look.palette[index.astype(int) % 4]
    return np.clip(flat + 0.3 * (_noise(rng, look.palette, size, size, 3.0) - 128.0), 0, 255).astype(np.uint8)


def _noise(rng: Rng, palette: Palette, width: int, height: int, cells: float) -> Texture:
    """Two layers of smooth noise that mix the palette's colours; ``cells`` of the coarser span the width."""
    image = np.zeros((height, width, 3), np.float32)
    for scale, weight in ((1, 0.7), (4, 0.3)):
        columns = max(2, round(cells * scale))
        rows = max(2, round(cells * scale * height / width))
        mix = rng.dirichlet((0.4, 0.4, 0.4, 0.4), (rows, columns)) @ palette
        image += weight * cv2.resize(mix.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image, 0, 255).astype(np.uint8)
