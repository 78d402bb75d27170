"""What a user hands over, made flat: nested mappings, masked arrays, pairs of pruning."""

import json
from collections import OrderedDict, UserDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from support.command import call
from test_formats_registry import save_source

import deepcompress as dc
from deepcompress.inputs import Inputs

RNG = np.random.default_rng(0)
WEIGHTS = RNG.normal(size=(30, 78)).astype(np.float32)
KEPT = np.abs(WEIGHTS) > np.quantile(np.abs(WEIGHTS), 0.9)
ADVICE = "leave it out, or put it into the metadata"


class Lazy(Mapping[str, Any]):
    """Loads a value when it is asked for, and notes that it was."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_by_name = values
        self.asked: list[str] = []

    def __getitem__(self, name: str) -> Any:
        self.asked.append(name)
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


@pytest.mark.parametrize("kind", [dict, OrderedDict, UserDict, MappingProxyType])
def test_nested_mappings_are_flattened(tmp_path: Path, kind: type) -> None:
    state = kind({"fc": kind({"weight": WEIGHTS, "bias": [1.0, 2.0]}), "0": np.float32(3)})
    nested = kind({"step": 3, "model": state})
    names = ["step", "model.fc.weight", "model.fc.bias", "model.0"]
    config = dc.Config(by_name={"model.fc.weight": {"bits": 2}})
    model = dc.compress(nested, config)
    assert list(model) == names
    assert (model["step"], model["model.0"]) == (3, 3)
    assert len(model["model.fc.weight"].codebook) == 4
    dc.compress_to(nested, tmp_path / "f.dcnn", config)
    assert (tmp_path / "f.dcnn").read_bytes() == model.to_bytes()


def recursive() -> dict[str, Any]:
    nested: dict[str, Any] = {}
    nested["again"] = nested
    return nested


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"a.b": WEIGHTS, "a": {"b": WEIGHTS}}, "tensor 'a.b': is there twice"),
        ({"a": {"b": {"c": 1}, "b.c": 2}}, "tensor 'a.b.c': is there twice"),
        ({"a": {"b": {}}}, "'a.b' is a mapping without tensors; leave it out"),
        ({"a": {"state": {0: WEIGHTS}}}, r"must be a string, not 0 \(in 'a.state'\)"),
        (recursive(), "mappings are nested too deeply"),
        (dict, "tensors must be a mapping, not type"),
    ],
)
def test_what_has_no_flat_name_is_refused(tensors: Any, words: str) -> None:
    with pytest.raises(dc.ArgumentError, match=words):
        dc.compress(tensors)


class Sparse:
    """As SciPy's sparse matrices are."""

    def toarray(self) -> np.ndarray:
        return np.eye(3)


class Broken:
    """As arrays of other libraries that NumPy can't read."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise KeyError("on another device")


UNSTORABLE = [
    (None, f"is None; {ADVICE}"),
    ("cat", f"dtype <U3 can't be stored.*; {ADVICE}"),
    (np.str_("cat"), "dtype <U3"),
    (b"cat", "dtype .S3"),
    (np.array([["cat", "dog"]]), "dtype <U3"),
    (np.array(["x"], np.dtypes.StringDType()) if hasattr(np.dtypes, "StringDType") else "x", "dty"),
    (object(), "dtype object"),
    (np.array([None, 1]), "dtype object"),
    ([{"a": 1}], "dtype object"),
    (np.array(["2020-01-01"], "M8[D]"), r"dtype datetime64\[D\]"),
    (np.zeros(3, "m8[s]"), r"dtype timedelta64\[s\]"),
    (np.zeros(2, [("a", "f4"), ("b", "i8")]), "dtype .*'a'"),
    (np.zeros(2, "V3"), "dtype .V3"),
    (10**30, "dtype object"),
    ([[1], [2, 3]], "isn't an array"),
    (Broken(), "isn't an array: 'on another device'"),
    (Sparse(), r"is a sparse matrix; give its toarray\(\)"),
]
if np.dtype(np.longdouble).itemsize > 8:
    UNSTORABLE += [
        (np.ones((40, 40), np.longdouble), "dtype float128 .*; convert it to float64"),
        (np.clongdouble(1), "dtype complex256 .*; convert it to complex128"),
    ]


@pytest.mark.parametrize("method", ["shared", "raw", "float16"])
@pytest.mark.parametrize(("value", "words"), UNSTORABLE, ids=range(len(UNSTORABLE)))
def test_what_cant_be_stored_is_named_with_what_to_do(
    tmp_path: Path, value: Any, words: str, method: str
) -> None:
    config = dc.Config(dc.TensorConfig(method=method))
    for tensors in ({"w": value}, {"a": {"w": value}}, Lazy({"w": value})):
        with pytest.raises(dc.ArgumentError, match=f"tensor '(a.)?w': {words}"):
            dc.compress(tensors, config)
        with pytest.raises(dc.ArgumentError, match=f"tensor '(a.)?w': {words}"):
            dc.compress_to(tensors, tmp_path / "f.dcnn", config)
    assert not list(tmp_path.iterdir())


def test_a_dict_is_looked_at_before_anything_is_compressed(monkeypatch) -> None:
    monkeypatch.setattr(
        "deepcompress.pipeline.models.compress_tensor", lambda *_: pytest.fail("begun")
    )
    with pytest.raises(dc.ArgumentError, match="tensor 'last': is None"):
        dc.compress({"first": WEIGHTS, "last": None})


def test_what_another_mapping_cant_give_is_named() -> None:
    class Failing(Lazy):
        def __getitem__(self, name: str) -> Any:
            raise LookupError("damaged")

    with pytest.raises(dc.ArgumentError, match="tensor 'w': can't be read: damaged"):
        dc.compress(Failing({"w": 1}))
    with pytest.raises(dc.ArgumentError, match="tensor 'w': is a mapping; flatten it"):
        dc.compress(Lazy({"w": {"a": 1}}))


def test_other_mappings_are_asked_once() -> None:
    lazy = Lazy({"a": WEIGHTS, "b_mask": KEPT, "c_orig": WEIGHTS})
    dc.compress(lazy)
    assert lazy.asked == ["a", "b_mask", "c_orig"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "complex64"])
@pytest.mark.parametrize("shape", [(), (3,), (20, 30), (4, 3, 5, 5)])
def test_masked_arrays_are_filled_with_zeros(dtype: str, shape: tuple[int, ...]) -> None:
    dense = (10 * RNG.normal(size=shape) + 20).astype(dtype)
    masked = np.ma.masked_array(dense, mask=RNG.random(shape) < 0.5, fill_value=99)
    expected = np.where(masked.mask, dense.dtype.type(0), dense)
    for given in (masked, [masked, masked]):
        plain = expected if given is masked else [expected, expected]
        assert dc.compress({"w": given}).to_bytes() == dc.compress({"w": plain}).to_bytes()
    built = dc.CompressedModel({"w": masked})
    assert built.to_bytes() == dc.CompressedModel({"w": expected}).to_bytes()


def test_what_a_mask_hides_counts_for_nothing() -> None:
    dense = WEIGHTS.copy()
    dense[0] = np.nan
    model = dc.compress({"w": np.ma.masked_invalid(dense), "empty": np.ma.zeros((0, 3))})
    assert model.kept == {"empty": "too small"}
    assert not model["w"].to_dense()[0].any()
    assert model["w"].density == np.count_nonzero(~np.isnan(dense)) / dense.size


def test_stages_fill_masked_arrays_too() -> None:
    masked = np.ma.masked_less(WEIGHTS, 0)
    mask = dc.prune.sparsity_mask(masked, 0.2)
    assert np.count_nonzero(mask) == np.count_nonzero(WEIGHTS > 0)


def pair(prefix: str = "", mask: Any = KEPT, orig: Any = WEIGHTS) -> dict[str, Any]:
    return {f"{prefix}weight_orig": orig, f"{prefix}weight_mask": mask}


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "uint8", "int64", "float16"])
@pytest.mark.parametrize("prefix", ["", "fc.", "block.0.conv_mask."])
def test_an_original_and_its_mask_are_one_tensor(tmp_path: Path, prefix: str, dtype: str) -> None:
    name, mask = f"{prefix}weight", KEPT.astype(dtype)
    bias = {f"{prefix}bias_orig": np.arange(4.0), f"{prefix}bias_mask": np.array([1, 0, 1, 1])}
    tensors = {"first": WEIGHTS} | pair(prefix, mask) | bias | {"last": 3}
    config = dc.Config(by_name={name: {"bits": 3}})
    expected = {"first": WEIGHTS, name: WEIGHTS * KEPT, f"{prefix}bias": [0, 0, 2, 3.0], "last": 3}
    as_meant = dc.compress(expected, config)
    for given in (tensors, Lazy(tensors)):
        model = dc.compress(given, config)
        assert model.to_bytes() == as_meant.to_bytes()
        assert model.combined == {
            name: (f"{prefix}weight_orig", f"{prefix}weight_mask"),
            f"{prefix}bias": (f"{prefix}bias_orig", f"{prefix}bias_mask"),
        }
        written = dc.compress_to(given, tmp_path / "f.dcnn", config, jobs=2)
        assert (tmp_path / "f.dcnn").read_bytes() == as_meant.to_bytes()
        assert written.combined == model.combined
        assert written.own_bytes == 2 * WEIGHTS.nbytes + mask.nbytes + 32 + 32 + 8


def test_what_a_pairs_mask_hides_may_be_anything() -> None:
    wild = np.where(KEPT, WEIGHTS, np.nan)
    model = dc.compress(pair(orig=wild))
    assert np.array_equal(model["weight"].to_dense() != 0, KEPT)


@pytest.mark.parametrize(
    "tensors",
    [
        {"weight_mask": KEPT},
        {"weight_orig": WEIGHTS},
        pair(mask=KEPT[:5]),
        pair(mask=KEPT * 0.5),
        pair(mask=np.where(KEPT, np.nan, 1)),
        pair() | {"weight": WEIGHTS},
        {"_orig": WEIGHTS, "_mask": KEPT},
        {"fc._orig": WEIGHTS, "fc._mask": KEPT},
        {"a.weight_orig": WEIGHTS, "b.weight_mask": KEPT},
    ],
    ids=lambda tensors: "+".join(tensors),
)
def test_what_is_no_pair_stays_as_it_is(tensors: dict[str, Any]) -> None:
    model = dc.compress(tensors)
    assert list(model) == list(tensors)
    assert model.combined == {}


def test_the_order_is_that_of_the_first_of_a_pair() -> None:
    names = ["weight_mask", "a", "b_orig", "weight_orig", "b_mask"]
    inputs = Inputs({name: np.ones(2) for name in names})
    assert list(inputs) == ["weight", "a", "b"]
    assert len(inputs) == 3


@pytest.mark.parametrize("kind", [".npz", ".safetensors", "-folder"])
def test_pairs_in_files(tmp_path: Path, kind: str) -> None:
    tensors = pair("fc.", KEPT.astype(np.float32)) | {"fc.bias": np.zeros(3, np.float32)}
    path, out = tmp_path / f"in{kind}", tmp_path / "out.dcnn"
    save_source(path, tensors)
    config = tmp_path / "config.json"
    config.write_text('{"by_name": {"fc.weight": {"bits": 3}}}')
    status, text, _ = call("compress", path, "-o", out, "--config", config)
    assert status == 0
    assert "fc.weight: fc.weight_orig, where fc.weight_mask isn't 0" in text.splitlines()
    values = json.loads(call("compress", path, "-o", out, "--config", config, "--json")[1])
    assert values["combined"] == {"fc.weight": ["fc.weight_orig", "fc.weight_mask"]}
    assert values["reference_bytes"] == 2 * WEIGHTS.nbytes + 12
    status, text, _ = call("verify", out, "--against", path, "--json")
    values = json.loads(text)
    assert (status, values["ok"]) == (0, True)
    assert values["original_bytes"] == 2 * WEIGHTS.nbytes + 12
    rows = {row["name"]: row for row in values["differences"]}
    assert rows["fc.weight"]["elements"] == WEIGHTS.size
