"""Labels coded by contexts: both backends agree, each stream has one form, bounds hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deepcompress as dc
from deepcompress import native
from deepcompress.coding import context, context_model, encoder, prices
from deepcompress.coding.prices import Choice
from deepcompress.container import writer
from deepcompress.container.records import CONTEXT, ENCODINGS
from deepcompress.errors import ArgumentError, FormatError, TruncatedError
from deepcompress.native import gateway
from deepcompress.packed.survivors import unpack
from deepcompress.pipeline import from_bytes

BACKENDS = [
    "reference",
    pytest.param(
        "native", marks=pytest.mark.skipif(gateway._load()[0] is None, reason="no C extension")
    ),
]
each_backend = pytest.mark.parametrize("backend", BACKENDS)
SHAPES = [(), (7,), (0, 3), (3, 0), (9, 14), (2, 3, 4), (4, 3, 3, 3), (5, 6, 1, 1), (3, 2, 2, 4, 2)]


@st.composite
def tensors(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...], np.ndarray]:
    """Labels, a shape and a codebook in any order, its centroids of any signs."""
    shape, k = draw(st.sampled_from(SHAPES)), draw(st.sampled_from([0, 1, 2, 5, 33, 255]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centroids = rng.normal(draw(st.sampled_from([-9, 0, 9])), size=k)
    codebook = np.concatenate([[0], rng.permutation(np.round(centroids, 1))]).astype(np.float32)
    size = int(np.prod(shape))
    labels = rng.integers(0, k + 1, size) * (rng.random(size) < draw(st.sampled_from([0, 0.1, 1])))
    return labels.astype(np.uint8), shape, codebook


@pytest.mark.skipif(gateway._load()[0] is None, reason="no C extension")
@given(tensors())
def test_both_backends_write_the_same_and_read_it(case):
    labels, shape, codebook = case
    streams, bits = [], []
    for backend in ("reference", "native"):
        with native.use(backend):
            streams.append(context.encode(labels, shape, codebook))
            bits.append(context.bits(labels, shape, codebook))
            assert np.array_equal(context.decode(streams[0], shape, codebook), labels)
    assert streams[0] == streams[1]
    assert np.array_equal(*bits)
    assert abs(bits[0].sum() / 8 - len(streams[0])) <= 4 + 0.001 * len(streams[0])
    assert labels.size <= 4096 * (len(streams[0]) + 4)


@pytest.mark.skipif(gateway._load()[0] is None, reason="no C extension")
@given(tensors(), st.data())
def test_both_backends_refuse_in_the_same_words(case, data):
    labels, shape, codebook = case
    stream = context.encode(labels, shape, codebook)
    cut = data.draw(st.integers(0, len(stream)))
    damaged = stream[:cut] + data.draw(st.binary(max_size=6))
    if data.draw(st.booleans()):
        codebook = codebook[:1]  # no centroids
    words = []
    for backend in ("reference", "native"):
        with native.use(backend):
            try:
                words.append(context.decode(damaged, shape, codebook).tobytes())
            except FormatError as error:
                words.append(f"{type(error).__name__}: {error}")
    assert words[0] == words[1]


@each_backend
@given(case=tensors(), data=st.data())
def test_a_changed_stream_is_refused_or_another_tensor(backend, case, data):
    labels, shape, codebook = case
    with native.use(backend):
        stream = bytearray(context.encode(labels, shape, codebook))
        if stream and data.draw(st.booleans()):
            stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
        else:
            stream += data.draw(st.binary(min_size=1, max_size=3))
        try:
            found = context.decode(bytes(stream), shape, codebook)
        except FormatError:
            return
        assert not np.array_equal(found, labels)
        assert context.encode(found, shape, codebook) == stream


@each_backend
def test_ends_that_are_refused(backend):
    rng = np.random.default_rng(5)
    labels, codebook = rng.integers(0, 4, 60).astype(np.uint8), np.arange(4, dtype=np.float32)
    with native.use(backend):
        stream = context.encode(labels, (6, 10), codebook)
        for size in range(len(stream) - 4):
            with pytest.raises(TruncatedError):
                context.decode(stream[:size], (6, 10), codebook)
        with pytest.raises(FormatError, match="byte"):
            context.decode(stream + b"\0", (6, 10), codebook)
        with pytest.raises(FormatError, match="byte 0"):
            context.decode(b"\0", (0, 10), codebook)
        with pytest.raises(FormatError, match="entry 0"):
            context.decode(b"\0" * 9, (6, 10), codebook[:1])


def test_what_encode_refuses():
    codebook = np.array([0, 1], np.float32)
    with pytest.raises(ArgumentError, match="6 labels for a tensor of shape"):
        context.encode(np.zeros(6, np.uint8), (7,), codebook)
    with pytest.raises(ArgumentError, match="label 2 has no centroid"):
        context.bits(np.full(7, 2, np.uint8), (7,), codebook)


def test_centroids_are_ordered_by_value_whatever_their_labels():
    levels = context.levels(np.array([0, 2, -1, 0.5, -3, 0], np.float32))
    assert levels.count == (3, 2)
    assert levels.magnitude[:6].tolist() == [0, 3, 1, 2, 2, 1]
    assert levels.negative[:6].tolist() == [0, 0, 1, 0, 1, 0]
    assert levels.label[0, :4].tolist() == [0, 5, 3, 1]
    assert levels.label[1, :3].tolist() == [0, 2, 4]


def test_logits_lead_to_probabilities_and_back():
    squash, stretch = context_model.SQUASH, context_model.STRETCH
    assert squash == sorted(squash)
    assert squash[2047] == 32768
    assert all(a + b == 65536 for a, b in zip(squash, squash[::-1], strict=True))
    true = 65536 / (1 + np.exp(-np.arange(-2047, 2048) / 256))
    assert np.abs(np.array(squash) / true - 1).max() < 0.05
    assert stretch == sorted(stretch)
    assert stretch[2048] == 1
    assert (stretch[0], stretch[-1]) == (-2047, 2047)


def test_counters_reach_neither_end():
    counter = context_model.FIRST_COUNTER
    for _ in range(5000):
        counter = context_model.update(counter, 1, context_model.LIMIT)
    assert 0.999 < (counter >> 10) / 2**22 < 1
    assert counter & 1023 == context_model.LIMIT
    for _ in range(20000):
        counter = context_model.update(counter, 0, context_model.LIMIT)
    assert 0 <= (counter >> 10) / 2**22 < 0.001


@each_backend
def test_dead_columns_and_smooth_kernels_are_learnt(backend):
    """Fewer bytes than the entropy of labels that don't know their places."""
    rng = np.random.default_rng(3)
    labels = (rng.random((60, 100)) < 0.3) * (np.arange(100) % 2 == 0)
    counts = np.bincount(labels.ravel())
    entropy = float((counts * np.log2(labels.size / counts)).sum()) / 8
    with native.use(backend):
        stream = context.encode(labels.astype(np.uint8).ravel(), (60, 100), np.float32([0, 1]))
    assert len(stream) < 0.8 * entropy


def weights() -> np.ndarray:
    rng = np.random.default_rng(11)
    return (rng.normal(size=(40, 50)) * (rng.random((40, 50)) < 0.2)).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_model_that_is_asked_for_it(dtype):
    values = weights().astype(dtype)
    model = dc.compress(
        {"w": values, "b": values[0]}, dc.Config(dc.TensorConfig(encoding="context"))
    )
    data = model.to_bytes()
    assert data[8] == 3
    back = from_bytes(data)
    assert back.storage["w"].encoding == CONTEXT
    assert np.array_equal(back["w"].to_dense(), model["w"].to_dense())
    assert back.to_bytes() == data
    plain = dc.compress({"w": values, "b": values[0]})
    assert plain.to_bytes()[8] == (1 if dtype == np.float32 else 2)
    assert np.array_equal(plain["w"].to_dense(), model["w"].to_dense())


def test_rows_are_read_from_the_file(tmp_path):
    model = dc.compress({"w": weights()}, dc.Config(dc.TensorConfig(encoding="context")))
    model.save(tmp_path / "w.dcnn")
    with dc.open_file(tmp_path / "w.dcnn") as file:
        dense = model["w"].to_dense()
        assert np.array_equal(file.rows("w", 3, 17).to_dense(), dense[3:17])
        assert file.rows("w", 4, 4).to_dense().shape == (0, 50)


def test_the_price_is_that_of_the_file():
    tensor = dc.compress({"w": weights()})["w"]
    for packed in (tensor, unpack(tensor)):
        price = prices.choose(packed, Choice(encoding="context"))
        part = writer.tensor_part("w", "", encoder.encode(packed, price.coding))
        assert price.size_bytes == sum(map(len, part.data))
        assert [price] == list(prices.prices(packed, Choice(encoding="context")))
        others = {one.coding.encoding for one in prices.prices(packed, Choice("rans"))}
        assert CONTEXT not in others
    assert ENCODINGS[CONTEXT] == "context"


def test_more_elements_than_a_stream_may_have_are_refused():
    tensor = dc.compress({"w": weights()})["w"]
    record = encoder.encode(tensor, prices.choose(tensor, Choice(encoding="context")).coding)
    block = record.blocks[0]
    short = type(block)(block.count, b"\0" * 10, b"")
    large = type(record)((4096, 15), *list(vars(record).values())[1:5], (short,), record.dtype)
    with pytest.raises(FormatError, match="61440 elements in a stream of 10 bytes"):
        from_bytes(writer.pack({"w": large}))
    most = type(record)((4096, 14), *list(vars(record).values())[1:5], (short,), record.dtype)
    with pytest.raises(FormatError, match="end"):
        from_bytes(writer.pack({"w": most}))
