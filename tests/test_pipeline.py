"""The stages in order: what is compressed comes back, from memory and from a file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import deepcompress as dc
from deepcompress.coding.prices import Choice, choose, prices
from deepcompress.container.reader import Reader
from deepcompress.container.records import CODERS, DENSE, Coding
from deepcompress.pipeline import at_fixed_width, from_bytes
from deepcompress.tensors import HUFFMAN, RANS1


@st.composite
def sparse_tensors(draw: st.DrawFn) -> np.ndarray:
    """Draw tensors of rank 2 to 4 with long and short runs of zeros and few distinct values."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=12))
    size = int(np.prod(shape))
    count = draw(st.integers(0, min(size, 30)))
    positions = draw(
        st.lists(st.integers(0, max(size - 1, 0)), min_size=count, max_size=count, unique=True)
    )
    levels = draw(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=5))
    dense = np.zeros(size, np.float32)
    for index, position in enumerate(positions):
        dense[position] = levels[index % len(levels)]
    return dense.reshape(shape)


configs = st.builds(
    lambda bits, gap_bits, coder: dc.Config(
        dc.TensorConfig(bits=bits, gap_bits=gap_bits, coder=coder, min_size=0)
    ),
    st.integers(3, 8),
    st.none() | st.integers(1, 8),
    st.sampled_from(CODERS),
)


@given(st.dictionaries(st.sampled_from("abc"), sparse_tensors(), max_size=3), configs)
def test_shared_weights_survive_the_file_exactly(tensors: dict, config: dc.Config) -> None:
    model = dc.compress(tensors, config, metadata={"x": [1]})
    data = model.to_bytes()
    back = from_bytes(data)
    assert list(back) == list(tensors)
    assert back.metadata == {"x": [1]}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(back.to_dense()[name], tensor)
        assert back[name].shape == tensor.shape
    assert back.to_bytes() == data
    assert dc.compress(tensors, config, metadata={"x": [1]}).to_bytes() == data


@given(sparse_tensors())
def test_fixed_width_keeps_the_tensor(tensor: np.ndarray) -> None:
    model = dc.compress({"w": tensor}, dc.Config(dc.TensorConfig(min_size=0)))
    fixed = at_fixed_width(model)
    np.testing.assert_array_equal(fixed.to_dense()["w"], tensor)
    data = fixed.to_bytes()
    assert from_bytes(data).to_bytes() == data


@given(sparse_tensors(), st.sampled_from(CODERS))
def test_the_encoding_is_the_cheapest_and_priced_exactly(tensor: np.ndarray, coder: str) -> None:
    everything = dc.Config(dc.TensorConfig(min_size=0))
    model = dc.compress({"w": tensor}, everything)
    if not isinstance(model["w"], dc.CompressedTensor):
        return
    choices = [Choice(coder, "relative", gap_bits) for gap_bits in range(1, 9)]
    choices += [Choice(coder, "dense"), Choice(coder, "bitmask"), Choice(coder)]
    sizes = []
    for how in choices:
        price = choose(model["w"], how)
        data = replace(model, storage={"w": how}).to_bytes()
        entry = Reader(data).entries["w"]
        assert price.size_bytes == entry.data_bytes
        np.testing.assert_array_equal(from_bytes(data)["w"].to_dense(), tensor)
        sizes.append(price.size_bytes)
    assert sizes[-1] == min(sizes)


@given(sparse_tensors(), st.sampled_from(CODERS))
def test_the_first_of_the_cheapest_is_chosen(tensor: np.ndarray, coder: str) -> None:
    weights = dc.compress({"w": tensor}, dc.Config(dc.TensorConfig(min_size=0)))["w"]
    if isinstance(weights, dc.CompressedTensor):
        every = list(prices(weights, Choice(coder)))
        assert choose(weights, Choice(coder)) == min(every, key=lambda price: price.size_bytes)


@given(sparse_tensors(), st.integers(3, 7), st.sampled_from(["relative", "dense", "bitmask"]))
def test_blocks_of_any_size_give_the_same_tensor(
    tensor: np.ndarray, block_bits: int, encoding: str
) -> None:
    model = dc.compress({"w": tensor}, dc.Config(dc.TensorConfig(min_size=0)))
    if not isinstance(model["w"], dc.CompressedTensor):
        return
    cut = replace(model, storage={"w": Choice("huffman", encoding, None, block_bits)})
    data = cut.to_bytes()
    back = from_bytes(data)
    np.testing.assert_array_equal(back["w"].to_dense(), tensor)
    assert back.to_bytes() == data
    rows = len(tensor)
    for start in range(rows + 1):
        stop = min(start + 2, rows)
        part = dc.ModelFile(data).rows("w", start, stop)
        assert part.shape == tensor[start:stop].shape
        np.testing.assert_array_equal(part.to_dense(), tensor[start:stop])


def test_no_more_than_two_to_the_bits_values_and_zeros_stay() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(60, 50)).astype(np.float32) * (rng.random((60, 50)) < 0.3)
    loss = np.inf
    for bits in range(1, 9):
        dense = dc.compress({"w": w}, dc.Config(dc.TensorConfig(bits=bits)))["w"].to_dense()
        assert ((dense == 0) == (w == 0)).all()
        assert len(np.unique(dense[dense != 0])) <= 2**bits
        assert ((dense - w) ** 2).sum() < loss
        loss = ((dense - w) ** 2).sum()


def test_centroids_stay_where_they_start_without_iterations() -> None:
    w = np.random.default_rng(0).normal(size=(30, 30)).astype(np.float32)
    model = dc.compress({"w": w}, dc.Config(dc.TensorConfig(bits=3, max_iterations=0)))
    start = np.linspace(float(w.min()), float(w.max()), 7).astype(np.float32)
    assert set(model["w"].codebook[1:]) <= set(start)
    assert set(dc.compress({"w": w}, dc.Config(dc.TensorConfig(bits=3)))["w"].codebook) - {
        0,
        *start,
    }


def test_pruning_rules_of_the_configuration() -> None:
    w = np.random.default_rng(1).normal(size=(40, 40)).astype(np.float32)
    by_rule = {
        "sparsity": (0.9, 160),
        "threshold": (1.0, np.count_nonzero(np.abs(w) > 1)),
        "sensitivity": (1.0, np.count_nonzero(np.abs(w) > w.std(dtype=np.float64))),
    }
    for rule, (value, survivors) in by_rule.items():
        model = dc.compress({"w": w}, dc.Config(dc.TensorConfig(**{rule: value})))
        assert np.count_nonzero(model["w"].to_dense()) == survivors


def test_what_is_kept_exactly() -> None:
    nan = np.array([np.nan, np.inf, -0.0], np.float32)
    tensors = {
        "bias": nan,
        "few": np.ones((3, 3), np.float32),
        "steps": np.arange(400).reshape(20, 20),
        "half": np.linspace(0, 1, 5, dtype=np.float32),
    }
    config = dc.Config(by_name={"half": {"method": "float16"}})
    model = from_bytes(dc.compress(tensors, config).to_bytes())
    for name in ("bias", "few", "steps"):
        assert model[name].dtype == tensors[name].dtype
        assert model[name].tobytes() == tensors[name].tobytes()
    assert model["half"].dtype == np.float16
    assert model["half"].tolist() == tensors["half"].astype(np.float16).tolist()


def test_biases_are_shared_only_if_the_config_says_so() -> None:
    bias = np.linspace(-1, 1, 300, dtype=np.float32)
    shared = dc.Config(by_kind={"bias": {"bits": 3}})
    assert isinstance(dc.compress({"b": bias})["b"], np.ndarray)
    assert len(np.unique(dc.compress({"b": bias}, shared)["b"].to_dense())) == 7


def test_drawn_starts_dont_depend_on_the_other_tensors() -> None:
    w = np.random.default_rng(0).normal(size=(30, 30)).astype(np.float32)
    config = dc.Config(dc.TensorConfig(init="kmeans++", bits=3))
    alone = dc.compress({"w": w}, config, seed=3)["w"].to_dense()
    among = dc.compress({"a": w[:20], "w": w}, config, seed=3)["w"].to_dense()
    other = dc.compress({"w": w}, config, seed=4)["w"].to_dense()
    assert (alone == among).all()
    assert (alone != other).any()


@pytest.mark.parametrize(
    ("tensor", "fields", "words"),
    [
        (np.full((20, 20), np.nan, np.float32), {"bits": 5}, "'w': bits 5 .*must be finite: they"),
        (np.full((20, 20), 1e300), {"bits": 5}, "tensor 'w'.*finite in float32: they are beyond"),
        (np.full((20, 20), 1e6), {"method": "float16"}, "tensor 'w': .*float16"),
    ],
)
def test_tensors_that_cant_be_compressed_are_named(
    tensor: np.ndarray, fields: dict, words: str
) -> None:
    with pytest.raises(dc.ArgumentError, match=words), np.errstate(over="ignore"):
        dc.compress({"w": tensor}, dc.Config(by_name={"w": fields}))


def test_load_and_save(tmp_path: Path) -> None:
    path = tmp_path / "model.dcnn"
    model = dc.compress({"w": np.eye(30, dtype=np.float32)})
    assert model.save(path) == path.stat().st_size
    assert (dc.load(path)["w"].to_dense() == np.eye(30)).all()
    with pytest.raises(dc.DataError, match="No such file"):
        dc.load(tmp_path / "absent.dcnn")
    with pytest.raises(dc.DataError, match="directory"):
        dc.load(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(dc.TruncatedError, match=r"model\.dcnn"):
        dc.load(path)


def test_what_sharing_would_enlarge_is_kept_exactly() -> None:
    w = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    model = dc.compress({"w": w}, dc.Config(dc.TensorConfig(bits=8)))
    assert isinstance(model["w"], np.ndarray)
    assert (model["w"] == w).all()
    assert len(model.to_bytes()) < w.nbytes + 60


def test_a_coding_that_no_reader_takes_is_not_written() -> None:
    """A lone symbol takes no bits under rANS: so many of them could stand in four bytes."""
    model = dc.compress({"w": np.ones((40, 40))})
    data = replace(model, storage={"w": Coding(DENSE, RANS1)}).to_bytes()
    assert from_bytes(data).storage["w"] == Coding(DENSE, HUFFMAN)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (([np.ones(3)],), {}, "tensors must be a mapping, not list"),
        ((None,), {}, "tensors must be a mapping, not NoneType"),
        (({5: np.ones(3)},), {}, "a tensor's name must be a string, not 5"),
        (({"w": [[1, 2], [3]]},), {}, "tensor 'w': isn't an array: setting an array element"),
        (({}, {"default": {}}), {}, "config must be a Config, not dict"),
        (({}, dc.TensorConfig()), {}, "config must be a Config, not TensorConfig"),
        (({"w": 1}, dc.Config(by_name={"W": {}})), {}, "by_name has 'W', which isn't among the 1"),
        (({},), {"metadata": []}, "metadata must be a mapping, not list"),
        (({},), {"metadata": "x"}, "metadata must be a mapping, not str"),
        (({},), {"seed": -1}, "seed must be a whole number from 0 on, not -1"),
        (({},), {"seed": 1.5}, "seed must be a whole number from 0 on, not 1.5"),
        (({},), {"seed": None}, "seed must be a whole number from 0 on, not None"),
    ],
)
def test_what_isnt_what_compress_takes_is_said(
    tmp_path: Path, arguments: tuple[Any, ...], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(dc.ArgumentError, match=words):
        dc.compress(*arguments, **options)
    tensors, *config = arguments
    with pytest.raises(dc.ArgumentError, match=words):
        dc.compress_to(tensors, tmp_path / "model.dcnn", *config, **options)
    assert not list(tmp_path.iterdir())


def test_a_model_says_what_is_in_it_in_few_words() -> None:
    tensors = {"w": np.zeros((100, 100)), "b": np.zeros(1000)}
    shown = repr(dc.compress(tensors, metadata={"x": 1}))
    assert shown == (
        "CompressedModel({'w': CompressedTensor(shape=(100, 100), label_bits=1, gap_bits=1, "
        "count=0, dtype=float64), 'b': ndarray(shape=(1000,), dtype=float64)}, metadata={'x': 1})"
    )
