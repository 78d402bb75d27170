"""The arithmetic from pixels to inputs, and the object in a file's metadata."""

import json

import numpy as np
import pytest

from deepcompress.errors import ArgumentError, FormatError
from deepcompress.runtime.preprocessing import Preprocessing

SQUEEZENET = {"size": [227, 227], "channels": "BGR", "mean": [104.0, 117.0, 123.0]}


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_channels_mean_and_scale(channels: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3)).astype(np.uint8)
    mean, scale = (10, 20, 30), (1, 0.5, 0.25)
    values = Preprocessing((2, 3), channels, mean, scale).apply(pixels)
    order = [2, 1, 0] if channels == "BGR" else [0, 1, 2]
    expected = (pixels[..., order].astype(float) - mean) * scale
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    assert np.array_equal(values, expected.transpose(2, 0, 1))


def test_a_single_channel() -> None:
    preprocessing = Preprocessing((2, 2), "L", scale=(1 / 255,))
    values = preprocessing.apply(np.array([[0, 255], [51, 102]], np.uint8))
    assert preprocessing.input_shape == values.shape == (1, 2, 2)
    assert np.allclose(values, [[[0, 1], [0.2, 0.4]]], rtol=2**-23, atol=0)


def test_metadata_round_trip_through_json() -> None:
    preprocessing = Preprocessing.from_metadata(SQUEEZENET)
    assert preprocessing == Preprocessing((227, 227), "BGR", (104, 117, 123), (1, 1, 1))
    stored = json.loads(json.dumps(preprocessing.to_metadata()))
    assert Preprocessing.from_metadata(stored) == preprocessing
    short = {"size": 28, "channels": "L", "scale": 0.5}
    assert Preprocessing.from_metadata(short) == Preprocessing((28, 28), "L", scale=(0.5,))


def test_mean_and_std_of_pixels_from_0_to_1() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 3)).astype(np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's
    values = Preprocessing((2, 3), "RGB", mean, std=std).apply(pixels)
    expected = ((pixels / 255 - mean) / std).transpose(2, 0, 1)
    np.testing.assert_allclose(values, expected, rtol=0, atol=4 * 2.0**-23)


def test_metadata_holds_what_is_not_the_default() -> None:
    plain = Preprocessing((2, 3), "RGB")
    assert set(plain.to_metadata()) == {"size", "channels", "mean", "scale"}
    whole = Preprocessing((2, 3), "RGB", 0.5, resize=[4, 5], interpolation="bicubic", std=0.25)
    assert whole.resize == (4, 5)
    stored = json.loads(json.dumps(whole.to_metadata()))
    assert stored.keys() == {"size", "channels", "mean", "std", "resize", "interpolation"}
    assert Preprocessing.from_metadata(stored) == whole
    shorter = Preprocessing((2, 3), "RGB", resize=4)
    assert Preprocessing.from_metadata(json.loads(json.dumps(shorter.to_metadata()))) == shorter


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"size": [227]}, "size"),
        ({"size": [227, 0]}, "size"),
        ({"size": [227, 227.0]}, "size"),
        ({"size": True}, "size"),
        ({"size": 1 << 20}, "size"),
        ({"size": 10**5000}, "size"),
        ({"channels": "GBR"}, "channels"),
        ({"channels": ["RGB"]}, "channels"),
        ({"mean": [1, 2]}, "mean"),
        ({"mean": ["a", 2, 3]}, "mean"),
        ({"mean": None}, "mean"),
        ({"scale": [1, 2, 1e39]}, "scale"),
        ({"scale": 10**400}, "scale"),
        ({"scale": [True] * 3}, "scale"),
        ({"flip": True}, "flip"),
        ({"resize": [256]}, "resize"),
        ({"resize": [256, 1 << 20]}, "resize"),
        ({"resize": 256.0}, "resize"),
        ({"resize": [256, 226]}, "resize .*smaller than size"),
        ({"resize": 226}, "resize .*smaller than size"),
        ({"interpolation": "cubic"}, "interpolation"),
        ({"interpolation": None}, "interpolation"),
        ({"std": [0.2, 0.2]}, "std"),
        ({"std": [0.2, 0, 0.2]}, "std"),
        ({"std": -1}, "std"),
        ({"std": 0.2, "scale": 2}, "std and scale"),
    ],
)
def test_each_field_is_checked(change: dict[str, object], named: str) -> None:
    with pytest.raises(FormatError, match=f"^preprocessing: .*{named}"):
        Preprocessing.from_metadata(SQUEEZENET | change)


def test_what_has_no_fields_or_lacks_one() -> None:
    for value in (None, [], "RGB", 3):
        with pytest.raises(FormatError, match="must be an object"):
            Preprocessing.from_metadata(value)
    for key in ("size", "channels"):
        lacking = {name: value for name, value in SQUEEZENET.items() if name != key}
        with pytest.raises(FormatError, match=f"has no {key}"):
            Preprocessing.from_metadata(lacking)
    with pytest.raises(ArgumentError, match="mean"):
        Preprocessing((1, 1), "L", mean=(float("nan"),))
