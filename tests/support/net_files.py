"""Small .net files, written and read independently of the package."""

import struct
from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np

import deepcompress as dc
from deepcompress.formats.layers import WeightLayer


class Contents(NamedTuple):
    """What a file holds of a layer, as plain lists."""

    shape: tuple[int, ...]
    codebook: list[float]
    bias: list[float]
    labels: list[int]
    gaps: list[int]


def layers_of(contents: list[Contents]) -> list[WeightLayer]:
    return [WeightLayer(f"fire{i}/conv", one.shape) for i, one in enumerate(contents)]


def nibbles(values: list[int]) -> bytes:
    low, high = values[::2], [*values[1::2], 0]
    return bytes(a | b << 4 for a, b in zip(low, high, strict=False))


def net_bytes(contents: list[Contents]) -> bytes:
    """Write a .net file, independently of the package."""
    data = b"".join(struct.pack("<I", len(one.gaps)) for one in contents)
    for one in contents:
        data += struct.pack(f"<{len(one.codebook)}f", *one.codebook)
        data += struct.pack(f"<{len(one.bias)}f", *one.bias)
        data += bytes(one.labels) if len(one.shape) == 4 else nibbles(one.labels)
        data += nibbles(one.gaps)
    return data


def decode(data: bytes, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Read a .net file into dense weights and biases, independently of the package."""

    def take(dtype: str, count: int) -> np.ndarray:
        nonlocal data
        size = count * np.dtype(dtype).itemsize
        part, data = data[:size], data[size:]
        return np.frombuffer(part, dtype)

    def halves(count: int) -> np.ndarray:
        both = take("u1", (count + 1) // 2)
        return np.stack([both % 16, both // 16], axis=1).ravel()[:count]

    dense = []
    for shape, count in zip(shapes, take("<u4", len(shapes)).tolist(), strict=True):
        is_conv = len(shape) == 4
        codebook, bias = take("<f4", 256 if is_conv else 16), take("<f4", shape[0])
        labels = take("u1", count) if is_conv else halves(count)
        weights = np.zeros(int(np.prod(shape)), np.float32)
        weights[np.cumsum(halves(count).astype(int) + 1) - 1] = codebook[labels]
        dense += [weights.reshape(shape), bias.astype(np.float32)]
    assert data == b""
    return dense


def assert_decodes(model: dc.CompressedModel, data: bytes, layers: list[WeightLayer]) -> None:
    names = [layer.name + kind for layer in layers for kind in (".weight", ".bias")]
    assert list(model) == names
    expected = decode(data, [layer.shape for layer in layers])
    for array, wanted in zip(model.to_dense().values(), expected, strict=True):
        assert (array.dtype, array.shape) == (np.float32, wanted.shape)
        assert array.tobytes() == wanted.tobytes()


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def contents(draw, canonical: bool):
    """Layers of either kind; fillers where they must be, or entries of any gap and label."""
    drawn = []
    for _ in range(draw(st.integers(1, 3))):
        small = st.integers(1, 5)
        out, into, kernel = draw(small), draw(small), draw(small)
        shape = (out, into, kernel, kernel) if draw(st.booleans()) else (out, into * 12)
        size, most = int(np.prod(shape)), 256 if len(shape) == 4 else 16
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        some = draw(st.lists(floats, min_size=5, max_size=5))
        codebook = [0.0, *rng.choice(np.array(some, np.float32), most - 1).tolist()]
        bias = draw(st.lists(floats, min_size=out, max_size=out))
        labels, gaps = [], []
        if canonical:
            density = draw(st.sampled_from([0, 0.02, 0.1, 1]))
            last = -1
            for position in np.flatnonzero(rng.random(size) < density).tolist():
                run, last = position - last - 1, position
                while run > 15:
                    labels.append(0)
                    gaps.append(15)
                    run -= 16
                labels.append(int(rng.integers(1, most)))
                gaps.append(run)
        else:
            left = size
            while left and len(gaps) < 40:
                gap = min(int(rng.integers(0, draw(st.sampled_from([1, 16])))), left - 1)
                labels.append(int(rng.integers(0, draw(st.sampled_from([1, most])))))
                gaps.append(gap)
                left -= gap + 1
        drawn.append(Contents(shape, codebook, bias, labels, gaps))
    return drawn


CONV = Contents((2, 1, 3, 3), [0.0, *np.arange(1, 256) / 8], [1, -1], [9, 255, 8, 7], [0, 2, 5, 1])
DENSE = Contents((2, 9), [0.0, -1.5, 2, *[0.0] * 13], [3, 4], [1, 0, 2], [0, 15, 0])
SMALL = [CONV, DENSE]
