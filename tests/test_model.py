"""A compressed model on its way to a file: nothing is decoded, and nothing stale is written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcompress as dc
from deepcompress.coding.prices import Choice
from deepcompress.pipeline import at_fixed_width, from_bytes

RNG = np.random.default_rng(0)
TENSORS = {
    name: np.where(RNG.random(shape) < density, RNG.normal(size=shape), 0).astype(np.float32)
    for name, shape, density in (
        ("relative", (300, 400), 0.03),
        ("mask", (40, 30, 3, 3), 0.4),
        ("dense", (100, 90), 1.0),
    )
}
CONFIG = dc.Config(by_name={"mask": {"coder": "rans"}, "relative": {"gap_bits": 4}})


def test_nothing_that_is_known_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a packed tensor is asked for what was known")

    for method in ("positions", "survivors"):
        monkeypatch.setattr(dc.CompressedTensor, method, refuse)
    model = dc.compress(TENSORS, CONFIG)
    data = model.to_bytes()
    dc.compress_to(TENSORS, tmp_path / "m.dcnn", CONFIG)
    assert (tmp_path / "m.dcnn").read_bytes() == data
    monkeypatch.undo()
    assert replace(model).to_bytes() == data  # the same from the packed tensors alone
    assert from_bytes(data).to_bytes() == data


@pytest.mark.parametrize("name", TENSORS)
def test_what_is_changed_is_written_anew(name: str) -> None:
    model = dc.compress(TENSORS, CONFIG)
    before = model.to_bytes()
    fixed = at_fixed_width(model)
    assert len(fixed.to_bytes()) > len(before)
    model.storage[name] = Choice("fixed")
    assert model.to_bytes() == replace(model).to_bytes() != before
    rows = model[name][:10]
    model.tensors[name] = rows
    np.testing.assert_array_equal(from_bytes(model.to_bytes())[name].to_dense(), rows.to_dense())


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"w": None}, "tensor 'w': is None; leave it out"),
        ({"w": np.array(["x"])}, "tensor 'w': dtype <U1 can't be stored"),
        ({3: np.ones(2)}, "a tensor's name must be a string, not 3"),
    ],
)
def test_what_a_model_cant_write_is_named(tensors: dict, words: str) -> None:
    with pytest.raises(dc.ArgumentError, match=words):
        dc.CompressedModel(tensors).to_bytes()
    assert dc.CompressedModel({"w": [1, 2]}).to_bytes() == dc.compress({"w": [1, 2]}).to_bytes()


@pytest.mark.parametrize("path", [3.5, None, ["f"], {}, "a\0b"], ids=str)
def test_what_is_no_path_is_an_error_of_ours(path: Any) -> None:
    model = dc.compress({"w": np.eye(20)})
    for call in (
        dc.load,
        model.save,
        lambda path: dc.compress_to({"w": np.eye(3)}, path),
        lambda path: from_bytes([path]),
    ):
        with pytest.raises(dc.DeepCompressError):
            call(path)
