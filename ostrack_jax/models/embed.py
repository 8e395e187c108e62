"""Patch embedding: uint8 crops to one token per patch, in row-major order."""

from __future__ import annotations

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, UInt8

from ostrack_jax.models.precision import wide

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DRAWN_STD = 0.02  # of the release's fresh backbone
truncated_normal = nnx.initializers.truncated_normal(stddev=DRAWN_STD)


def normalise(image: UInt8[Array, "b h w 3"], dtype: jnp.dtype) -> Float[Array, "b h w 3"]:
    """RGB bytes over 255, minus ImageNet's mean, over its standard deviation."""
    return (image.astype(dtype) / 255 - jnp.array(IMAGENET_MEAN, dtype)) / jnp.array(IMAGENET_STD, dtype)


class PatchEmbed(nnx.Module):
    """A linear map of each patch of p x p pixels (a convolution of stride p, as one matrix product)."""

    def __init__(self, patch: int, width: int, dtype: jnp.dtype, rngs: nnx.Rngs):
        self.kernel = nnx.Param(truncated_normal(rngs.params(), (patch, patch, 3, width)))
        self.bias = nnx.Param(jnp.zeros(width))
        self.patch, self.dtype = patch, dtype

    def __call__(self, image: UInt8[Array, "b h w 3"]) -> Float[Array, "b n c"]:
        """Bytes to tokens; h and w are multiples of the patch."""
        b, h, w, _ = image.shape
        p = self.patch
        x = normalise(image, wide(self.dtype)).astype(self.dtype).reshape(b, h // p, p, w // p, p, 3)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(b, (h // p) * (w // p), p * p * 3)
        kernel = self.kernel[...].astype(self.dtype).reshape(p * p * 3, -1)
        return x @ kernel + self.bias[...].astype(self.dtype)
