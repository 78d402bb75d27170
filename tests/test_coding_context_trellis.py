"""Labels along a trellis, coded by contexts: both backends agree, and what doesn't fit is plain."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.along import labels_along
from support.file_parts import take_apart
from support.reference_reader import reader

import deepcompress as dc
from deepcompress import dtypes, native, trellis
from deepcompress.coding import context, encoder, prices
from deepcompress.coding.prices import Choice
from deepcompress.container.records import BITMASK, CONTEXT, DENSE, RELATIVE, Coding
from deepcompress.errors import ArgumentError, FormatError
from deepcompress.native import gateway
from deepcompress.packed.stream import matrix_of
from deepcompress.packed.survivors import pack
from deepcompress.pipeline import from_bytes
from deepcompress.tensors import Survivors

HAS_C = gateway._load()[0] is not None
BACKENDS = [
    "reference",
    pytest.param("native", marks=pytest.mark.skipif(not HAS_C, reason="no C extension")),
]
each_backend = pytest.mark.parametrize("backend", BACKENDS)
both_backends = pytest.mark.skipif(not HAS_C, reason="no C extension")
SHAPES = [(), (7,), (1, 40), (0, 3), (3, 0), (9, 14), (2, 3, 4), (4, 3, 3, 3), (5, 6, 1, 1)]
SIDES = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (0, 7), (4, 4), (20, 33), (255, 0), (127, 128)]
PLAIN = Coding(CONTEXT, block_bits=62)
ALONG = replace(PLAIN, trellis=True)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...], np.ndarray]:
    """Labels along the trellis, a shape, and a codebook in any order; not each centroid is used."""
    shape, (below, above) = draw(st.sampled_from(SHAPES)), draw(st.sampled_from(SIDES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centroids = np.concatenate([np.arange(-below, 0), np.arange(1, above + 1)])
    codebook = np.concatenate([[0], rng.permutation(centroids)]).astype(np.float32)
    values = rng.normal(scale=draw(st.sampled_from([0.7, 3, 60])), size=shape)
    return labels_along(values, shape, codebook), shape, codebook


@st.composite
def any_labels(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...], np.ndarray]:
    """The same, with some labels changed to any others."""
    labels, shape, codebook = draw(tensors())
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    changed = rng.random(labels.size) < draw(st.sampled_from([0, 0.02, 0.5]))
    return (
        np.where(changed, rng.integers(0, len(codebook), labels.size), labels).astype(np.uint8),
        shape,
        codebook,
    )


@both_backends
@given(tensors())
def test_both_backends_write_the_same_and_read_it(case):
    labels, shape, codebook = case
    streams, bits = [], []
    for backend in ("reference", "native"):
        with native.use(backend):
            assert context.fitting(labels, shape, codebook) == labels.size
            streams.append(context.encode(labels, shape, codebook, trellis=True))
            bits.append(context.bits(labels, shape, codebook, trellis=True))
            found = context.decode(streams[0], shape, codebook, trellis=True)
            assert np.array_equal(found, labels)
    assert streams[0] == streams[1]
    assert np.array_equal(*bits)
    assert abs(bits[0].sum() / 8 - len(streams[0])) <= 4 + 0.001 * len(streams[0])
    assert labels.size <= 4096 * (len(streams[0]) + 4)


@each_backend
@given(any_labels())
def test_labels_that_no_path_has_are_found(backend, case):
    labels, shape, codebook = case
    order = np.argsort(codebook, kind="stable")
    ranks = np.argsort(order)[labels] - np.count_nonzero(codebook < 0)
    _, allowed = trellis.states(ranks.reshape(matrix_of(shape)))
    first = next(iter(np.flatnonzero(~allowed)), labels.size)
    with native.use(backend):
        assert context.fitting(labels, shape, codebook) == first
        if first < labels.size:
            words = f"the trellis doesn't allow label {labels[first]} of element {first}$"
            for code in (context.encode, context.bits):
                with pytest.raises(ArgumentError, match=words):
                    code(labels, shape, codebook, trellis=True)


@both_backends
@given(tensors(), st.data())
def test_both_backends_refuse_in_the_same_words(case, data):
    labels, shape, codebook = case
    stream = context.encode(labels, shape, codebook, trellis=True)
    cut = data.draw(st.integers(0, len(stream)))
    damaged = stream[:cut] + data.draw(st.binary(max_size=6))
    codebook = codebook[: data.draw(st.sampled_from([1, 2, len(codebook)]))]
    words = []
    for backend in ("reference", "native"):
        with native.use(backend):
            try:
                words.append(context.decode(damaged, shape, codebook, trellis=True).tobytes())
            except FormatError as error:
                words.append(f"{type(error).__name__}: {error}")
    assert words[0] == words[1]


@each_backend
@given(case=tensors(), data=st.data())
def test_a_changed_stream_is_refused_or_another_tensor_along_the_trellis(backend, case, data):
    labels, shape, codebook = case
    with native.use(backend):
        stream = bytearray(context.encode(labels, shape, codebook, trellis=True))
        if stream and data.draw(st.booleans()):
            stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
        else:
            stream += data.draw(st.binary(min_size=1, max_size=3))
        try:
            found = context.decode(bytes(stream), shape, codebook, trellis=True)
        except FormatError:
            return
        assert not np.array_equal(found, labels)
        assert context.encode(found, shape, codebook, trellis=True) == stream


@each_backend
def test_each_row_begins_anew(backend):
    codebook = np.array([0, 1, 2, 3, 4], np.float32)
    row = [2, 4, 0, 1]  # number 1 leads to state 2, number 2 to state 1, 0 to state 7
    with native.use(backend):
        assert context.fitting(np.uint8(row * 3), (3, 4), codebook) == 12
        assert context.fitting(np.uint8(row * 3), (1, 12), codebook) == 5
        assert context.fitting(np.uint8(row * 3), (3, 2, 2), codebook) == 12
        assert context.fitting(np.uint8([2, 4, 1]), (3,), codebook) == 2
        assert context.fitting(np.uint8([1]), (), codebook) == 0


@each_backend
def test_a_weight_where_the_state_has_no_number_is_refused(backend):
    """Rank 1 alone, of either sign or both, is none that a row may begin with."""
    with native.use(backend):
        for centroids in ([1], [-1], [1, -1]):
            codebook = np.array([0, *centroids], np.float32)
            with pytest.raises(FormatError, match=r"a label has no centroid \(entry 0\)"):
                context.decode(b"\0" * 9, (6, 10), codebook, trellis=True)
            nothing = context.encode(np.zeros(60, np.uint8), (6, 10), codebook, trellis=True)
            assert not context.decode(nothing, (6, 10), codebook, trellis=True).any()


@each_backend
def test_the_state_tells_more_than_the_labels_before(backend):
    """Half of the centroids are told apart by nearly a bit less."""
    rng = np.random.default_rng(2)
    codebook = np.arange(-30, 31).astype(np.float32)
    codebook = np.concatenate([[0], codebook[codebook != 0]]).astype(np.float32)
    labels = labels_along(rng.normal(scale=4, size=(40, 50)), (40, 50), codebook)
    with native.use(backend):
        plain, along = (
            len(context.encode(labels, (40, 50), codebook, trellis)) for trellis in (False, True)
        )
    assert along < plain - 0.8 * labels.size / 8


def weights(dtype: str = "float32") -> Survivors:
    """Return weights along the trellis, with centroids at either end that none of them has."""
    rng = np.random.default_rng(12)
    centroids = np.concatenate([np.arange(-9, 0), np.arange(1, 11), [12]])  # no grid
    codebook = np.concatenate([[0], centroids]).astype(np.float32)
    values = rng.normal(scale=2, size=(30, 5, 3, 3)).clip(-6, 8)
    labels = labels_along(values, values.shape, codebook)
    assert 1 < labels[labels > 0].min() < labels.max() < len(codebook) - 1
    positions = np.flatnonzero(labels)
    element_type = dtypes.named(np.dtype(dtype))
    return Survivors(values.shape, codebook, positions, labels[positions], element_type)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_file_keeps_the_trellis_and_centroids_that_no_weight_has(dtype):
    tensor = pack(weights(dtype))
    model = dc.CompressedModel({"w": tensor}, {}, {"w": Choice(encoding="context")})
    data = model.to_bytes()
    assert data[8] == 4
    back = from_bytes(data)
    assert back.storage == {"w": ALONG}
    assert back["w"].codebook.tobytes() == tensor.codebook.tobytes()
    assert np.array_equal(back["w"].to_dense(), tensor.to_dense())
    assert back.to_bytes() == data
    assert np.array_equal(reader.read(data)[0]["w"], tensor.to_dense())
    plain = replace(model, storage={"w": PLAIN}).to_bytes()
    assert plain[8] == 3
    assert len(data) < 0.9 * len(plain)
    assert from_bytes(plain).to_bytes() == plain


def test_other_encodings_have_no_trellis():
    tensor = pack(weights())
    for coding in (Coding(RELATIVE, 1, 1, 4), Coding(DENSE, 2), Coding(BITMASK, 1, 1)):
        data = dc.CompressedModel({"w": tensor}, {}, {"w": coding}).to_bytes()
        assert data[8] == 1
        assert np.array_equal(from_bytes(data)["w"].to_dense(), tensor.to_dense())


def test_rows_stay_on_the_trellis_and_what_doesnt_fit_is_plain(tmp_path):
    tensor = pack(weights())
    dc.CompressedModel({"w": tensor}, {}, {"w": ALONG}).save(tmp_path / "w.dcnn")
    with dc.open_file(tmp_path / "w.dcnn") as file:
        rows = file.rows("w", 3, 17)
        assert np.array_equal(rows.to_dense(), tensor.to_dense()[3:17])
    data = dc.CompressedModel({"w": rows}, {}, {"w": ALONG}).to_bytes()
    assert data[8] == 4
    assert np.array_equal(from_bytes(data)["w"].to_dense(), rows.to_dense())
    survivors = weights()
    survivors.labels[100] ^= 1
    data = dc.CompressedModel({"w": pack(survivors)}, {}, {"w": ALONG}).to_bytes()
    assert data[8] == 3
    assert from_bytes(data).storage == {"w": PLAIN}
    assert np.array_equal(from_bytes(data)["w"].to_dense(), pack(survivors).to_dense())


def test_the_writer_takes_the_smaller():
    survivors = weights()
    price = prices.choose(survivors, Choice(encoding="context"))
    assert price.coding == ALONG
    assert price.record == encoder.encode(survivors, ALONG)
    nothing = replace(survivors, positions=survivors.positions[:0], labels=survivors.labels[:0])
    assert prices.choose(nothing, Choice(encoding="context")).coding == PLAIN


@pytest.mark.parametrize("descriptor", [4, 5, 16, 17, 33, 65, 129])
def test_other_bits_of_the_descriptor_are_refused(descriptor):
    parts = take_apart(dc.CompressedModel({"w": pack(weights())}, {}, {"w": ALONG}).to_bytes())
    parts.chunks[0][0] = bytes([descriptor]) + parts.chunks[0][0][1:]
    with pytest.raises(FormatError, match=f"unknown coder in {descriptor:#04x}"):
        from_bytes(parts.to_bytes())
    with pytest.raises(ValueError, match="unknown coder"):
        reader.read(parts.to_bytes())


def test_no_version_before_has_a_trellis():
    parts = take_apart(dc.CompressedModel({"w": pack(weights())}, {}, {"w": ALONG}).to_bytes())
    assert parts.version == 4
    parts.version = 3
    with pytest.raises(FormatError, match="unknown coder in 0x01"):
        from_bytes(parts.to_bytes())
    with pytest.raises(ValueError, match="a trellis before version 4"):
        reader.read(parts.to_bytes())
