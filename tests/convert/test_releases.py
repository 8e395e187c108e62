"""Every tensor of the release has its place, its layout, and its way back; what does not fit is reported at once."""

import ml_dtypes
import numpy as np
import pytest

from convert import releases
from convert.ostrack import from_release, to_release
from ostrack_jax import config as configs
from ostrack_jax.errors import UserError
from ostrack_jax.models.attention import relative_index
from ostrack_jax.models.weights import weight_shapes
from tests import standin
from tests.convert.torch_files import release_tensors, small_config

SMALL = small_config()


@pytest.fixture
def tensors():
    return release_tensors(SMALL)


def test_the_table_has_the_242_published_names_in_their_order():
    published = releases.ostrack(configs.load("vitb_256_mae_ce_32x4_ep300").model)
    assert list(published) == list(standin.shapes())
    assert len(published) == 242
    assert set(releases.vit(12)) == set(standin.mae_shapes())


@pytest.mark.parametrize("name", ["vitb_256_mae_ce_32x4_ep300", "tiny"])
def test_the_places_are_those_of_the_network(name):
    model = configs.load(name).model
    places = [place for place, _ in releases.ostrack(model).values()]
    assert sorted(places) == sorted(weight_shapes(model))


@pytest.mark.parametrize("model", [{}, {"width": 12, "depth": 3, "patch": 8}, {"search_size": 96, "heads": 1}])
def test_there_and_back_is_exact(model):
    config = small_config(**model)
    tensors = release_tensors(config)
    weights = from_release(tensors, config)
    assert {name: value.shape for name, value in weights.items()} == weight_shapes(config.model)
    back = to_release(weights, config)
    assert list(back) == list(tensors)
    for name, value in tensors.items():
        assert (back[name].dtype, back[name].shape) == (value.dtype, value.shape)
        assert back[name].tobytes() == value.tobytes()


def test_the_release_s_options():
    """Its SEP_SEG, and relative positions with the index that it stores in every block."""
    config = small_config(identity_embeddings=True, relative_positions=True, eliminate_at=(), keep_ratio=())
    tensors, rng = release_tensors(config), np.random.RandomState(0)
    for name in ("template", "search"):
        tensors[f"backbone.{name}_segment_pos_embed"] = rng.standard_normal((1, 1, 24)).astype(np.float32)
    index = relative_index(4, 16)
    for i in range(2):
        at = f"backbone.blocks.{i}.attn.relative_position_"
        tensors[f"{at}bias_table"] = rng.standard_normal((3, index.max() + 1)).astype(np.float32)
        tensors[f"{at}index"] = index.astype(np.int64)
    weights = from_release(tensors, config)
    assert {name: value.shape for name, value in weights.items()} == weight_shapes(config.model)
    segment = tensors["backbone.search_segment_pos_embed"][0, 0]
    np.testing.assert_array_equal(weights["backbone.identity_search"], segment)
    back = to_release(weights, config)
    assert back.keys() == tensors.keys()
    for name, value in tensors.items():
        assert (back[name].dtype, back[name].tobytes()) == (value.dtype, value.tobytes())
    with pytest.raises(UserError, match=r"1\.attn\.relative_position_index is not the index between"):
        from_release(tensors | {f"{at}index": index.T}, config)


def test_layouts(tensors):
    weights = from_release(tensors, SMALL)
    assert {str(value.dtype) for value in weights.values()} == {"float32", "int32"}
    np.testing.assert_array_equal(
        weights["backbone.blocks.1.attn.qkv.kernel"][5, 40], tensors["backbone.blocks.1.attn.qkv.weight"][40, 5]
    )
    np.testing.assert_array_equal(
        weights["backbone.patch_embed.kernel"][3, 4, 1, 7], tensors["backbone.patch_embed.proj.weight"][7, 1, 3, 4]
    )
    np.testing.assert_array_equal(
        weights["head.score.convs.2.kernel"][0, 2, 5, 3], tensors["box_head.conv3_ctr.0.weight"][3, 5, 0, 2]
    )
    np.testing.assert_array_equal(weights["head.size.norms.3.var"], tensors["box_head.conv4_size.1.running_var"])
    np.testing.assert_array_equal(weights["backbone.pos_embed_search"], tensors["backbone.pos_embed_x"][0])
    assert weights["head.offset.norms.0.count"] == 1000


def test_the_prefix_of_a_parallel_wrapper(tensors):
    wrapped = from_release({f"module.{name}": value for name, value in tensors.items()}, SMALL)
    for name, value in from_release(tensors, SMALL).items():
        np.testing.assert_array_equal(wrapped[name], value)
    with pytest.raises(UserError, match="twice"):
        from_release(tensors | {"module.backbone.norm.bias": tensors["backbone.norm.bias"]}, SMALL)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_keeps_its_values(tensors, dtype):
    half = {name: value if value.dtype == np.int64 else value.astype(dtype) for name, value in tensors.items()}
    back = to_release(from_release(half, SMALL), SMALL)
    for name, value in half.items():
        np.testing.assert_array_equal(back[name], value.astype(back[name].dtype))


def test_all_misfits_are_reported_at_once_with_what_was_expected(tensors):
    del tensors["backbone.norm.bias"]
    tensors["backbone.prompt"] = np.zeros((1, 1, 24), np.float32)
    tensors["backbone.blocks.0.mlp.fc1.bias"] = np.zeros(36, np.float32)
    tensors["backbone.cls_token"] = np.full((1, 1, 24), np.nan, np.float32)
    tensors["box_head.conv1_ctr.1.num_batches_tracked"] = np.array(2**31)
    tensors["box_head.conv2_ctr.1.num_batches_tracked"] = np.array(1.0, np.float32)
    tensors["backbone.norm.weight"] = np.ones(24, np.int64)
    with pytest.raises(UserError) as caught:
        from_release(tensors, SMALL)
    message = str(caught.value)
    for part in (
        "1 missing: backbone.norm.bias (24,)",
        "1 unexpected: 'backbone.prompt' (1, 1, 24)",
        "1 misshapen: backbone.blocks.0.mlp.fc1.bias is (36,), expected (96,)",
        "backbone.cls_token holds values beyond float32, or NaN",
        "conv1_ctr.1.num_batches_tracked holds values beyond 31 bits",
        "conv2_ctr.1.num_batches_tracked is float32, expected an integer",
        "backbone.norm.weight is int64, expected floats",
    ):
        assert part in message
    assert message.isprintable()


def test_a_wrong_config_gives_a_short_message(tensors):
    with pytest.raises(UserError, match=r"122 misshapen: .* and 112 more") as caught:
        from_release({name: np.ones((*value.shape, 2)) for name, value in tensors.items()}, SMALL)
    assert len(str(caught.value)) < 3000
    with pytest.raises(UserError, match="1 unexpected") as caught:
        from_release(tensors | {"long\n" * 10_000: np.zeros(1, np.float32)}, SMALL)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


def test_doubles_beyond_float32_are_reported(tensors):
    tensors["backbone.norm.bias"] = np.full(24, 1e300)
    with pytest.raises(UserError, match=r"backbone\.norm\.bias holds values beyond float32"):
        from_release(tensors, SMALL)


def test_the_way_back_checks_too(tensors):
    weights = from_release(tensors, SMALL)
    del weights["backbone.norm.bias"]
    weights["backbone.norm.scale"] = np.ones(25, np.float32)
    with pytest.raises(UserError, match=r"missing: backbone.norm.bias.*norm.scale is \(25,\), expected \(24,\)"):
        to_release(weights, SMALL)
