"""Why a tensor shrank little: each reason, where it is said, and where not."""

from typing import Any

import numpy as np
from support.inspected import W, model_of, rows_of, sparse

import deepcompress as dc
from deepcompress import relindex
from deepcompress.container.records import DENSE, Coding
from deepcompress.reports.inspection import describe, format_description
from deepcompress.reports.ledger import ledger
from deepcompress.reports.reasons import FAR_BELOW, LITTLE
from deepcompress.tensors import SharedWeights


def parts_of(data: bytes, name: str) -> dict[str, int]:
    return {row.part: row.size_bytes for row in ledger(data) if row.tensor == name}


def percent(size: int, total: int) -> str:
    return f"{100 * size / total:.0f} % of its bytes"


def reasons(tensors: dict[str, Any], storage: Any = None, **fields: Any) -> tuple[bytes, Any]:
    data = model_of(tensors, storage, **fields).to_bytes()
    return data, {name: row["why"] for name, row in rows_of(data).items()}


def test_why_kept_raw() -> None:
    shared = dc.compress({"w": sparse((300, 300), 0.05)})
    raw: dict[str, Any] = {
        "bias": np.ones(1200, np.float16),
        "few": np.ones((3, 4), np.float32),
        "noise": np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32),
        "half": np.ones((2, 100), np.float16),
        "whole": np.arange(300).reshape(3, 100),
        "none": np.ones((0, 3), np.float32),
    }
    data = dc.CompressedModel(shared.tensors | raw, {}, shared.storage).to_bytes()
    found = {name: row["why"] for name, row in rows_of(data).items()}
    assert found == {
        "w": None,
        "bias": "kept exactly (bias): 1,200 elements of float16",
        "few": "kept raw: 12 elements, and fewer than 128 aren't shared unless that is asked for",
        "noise": "kept raw: sharing would not have made it smaller, or was not asked for",
        "half": "kept as float16, not shared: 2 bytes an element",
        "whole": "kept raw: elements of int64 aren't shared",
        "none": "it has no elements",
    }


def test_why_few_elements() -> None:
    weights = np.random.default_rng(0).normal(size=(10, 16)).astype(np.float32)
    data, found = reasons({"w": weights}, {"w": Coding(DENSE, 1)}, bits=5)
    parts, size = parts_of(data, "w"), rows_of(data)["w"]["bytes"]
    assert percent(parts["codebooks"], size) != percent(parts["codebooks"] + 8, size)
    assert parts["code tables"] > 8
    codes = parts["codebooks"] + parts["code tables"]
    assert found["w"] == f"few elements: codebook and code tables are {percent(codes, size)}"
    data, found = reasons({"w": np.ones((5, 3), np.float32)}, min_size=0, bits=1)
    parts, size = parts_of(data, "w"), rows_of(data)["w"]["bytes"]
    overhead = parts["header"] + parts["checksums"]
    assert found["w"] == f"few elements: header and checksums are {percent(overhead, size)}"


def test_why_dense() -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(1, 2, size=(100, 200)) * (rng.random((100, 200)) < 0.98)
    weights = weights.astype(np.float32)
    fields = {"bits": 8, "coder": "rans", "encoding": "dense"}
    data, found = reasons({"w": weights}, **fields)
    row, labels = rows_of(data)["w"], parts_of(data, "w")["labels"]
    assert found["w"] == (
        f"{row['kept_percent']:.3g} % of its weights survive: positions cost nothing, "
        f"labels are near uniform, {8 * labels / weights.size:.1f} of 8 bits "
        f"({percent(labels, row['bytes'])})"
    )
    _, found = reasons({"w": weights}, **(fields | {"coder": "fixed"}))
    assert "labels take 8.0 of 8 bits" in found["w"]


def test_why_positions() -> None:
    rng = np.random.default_rng(0)
    weights = np.where(rng.random((200, 200)) < 0.3, np.float32(1), np.float32(0))
    weights[0, :100] = rng.normal(size=100)
    fields = {"bits": 2, "encoding": "bitmask"}
    other = {"other": np.zeros((4000, 1000), np.float32)}  # so that the file's ratio is far above
    storage = dc.compress(other).storage
    data = model_of({"w": weights}, **fields).to_bytes()
    assert rows_of(data)["w"]["why"] is None
    model = model_of({"w": weights} | other, **fields)
    data = dc.CompressedModel(model.tensors, {}, model.storage | storage).to_bytes()
    found = {name: one["why"] for name, one in rows_of(data).items()}
    row, parts = rows_of(data)["w"], parts_of(data, "w")
    survivors = round(row["kept_percent"] / 100 * weights.size)
    assert row["ratio"] > LITTLE
    assert parts["mask"] > parts["labels"]
    assert found["w"] == (
        f"{row['kept_percent']:.3g} % of its weights survive: positions take "
        f"{8 * parts['mask'] / survivors:.1f} bits each ({percent(parts['mask'], row['bytes'])}), "
        f"labels take {8 * parts['labels'] / survivors:.1f} of 2 bits "
        f"({percent(parts['labels'], row['bytes'])})"
    )


def test_why_fillers() -> None:
    weights = np.zeros((100, 100), np.float32)
    weights[::2, ::20] = 1
    stream = relindex.encode(np.flatnonzero(weights), weights.size, 1)
    labels = np.ones(np.count_nonzero(weights), np.uint8)
    shared = SharedWeights(np.array([0, *range(1, 256)], np.float32), labels, 8)
    tensor = dc.CompressedTensor.from_parts(weights.shape, shared, stream)
    how = {"w": Coding(1, gap_bits=1, block_bits=20)}
    data = dc.CompressedModel({"w": tensor}, {}, how).to_bytes()
    row, parts = rows_of(data)["w"], parts_of(data, "w")
    assert row["ratio"] > LITTLE
    assert row["why"] is None
    other = dc.compress({"other": np.zeros((4000, 1000))})
    both = dc.CompressedModel({"w": tensor} | other.tensors, {}, how | other.storage)
    expected = percent(parts["fillers"], row["bytes"])
    found = rows_of(both.to_bytes())["w"]["why"]
    assert found == f"gaps of 1 bits are narrow: fillers are {expected}"


def test_where_the_line_is() -> None:
    """A tensor has a reason just where its ratio is below 4, or a quarter of the file's."""
    for rows in (16, 18, 20, 22, 24, 28, 32, 40, 60):
        other = {"other": np.zeros((40, rows * rows))}
        for tensors in ({}, other):
            description = describe(model_of({"w": sparse((rows, rows), 0.9)} | tensors).to_bytes())
            row = description["tensors"][0]
            bound = max(LITTLE, FAR_BELOW * description["ratio"])
            assert (row["why"] is None) == (row["ratio"] >= bound)
    assert (LITTLE, FAR_BELOW) == (4, 0.25)


def test_why_as_text() -> None:
    description = describe(model_of({"b\x1b": np.ones(3, np.float32), "w": W}).to_bytes())
    text = format_description(description)
    assert (
        "\nwhat shrank little, and why:\nb\\x1b: kept exactly (bias): 3 elements of float32"
    ) in text
    assert "\nw: " not in text
    alone = format_description(describe(model_of({"w": W}).to_bytes()))
    assert "why" not in alone
