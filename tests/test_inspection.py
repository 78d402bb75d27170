"""What ``inspect`` says beyond sizes: codes, alternatives, and why a tensor shrank little."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import call

import deepcompress as dc
from deepcompress import huffman, rans, relindex
from deepcompress.choice import Choice
from deepcompress.container import CODERS, DENSE, ENCODINGS, Coding
from deepcompress.container_reader import parse
from deepcompress.container_writer import raw_size
from deepcompress.decoding import decode_symbols
from deepcompress.inspection import describe, format_description
from deepcompress.ledger import ledger
from deepcompress.reasons import FAR_BELOW, LITTLE
from deepcompress.tensors import SharedWeights

RNG = np.random.default_rng(1)


def sparse(shape: tuple[int, ...], density: float) -> np.ndarray[Any, Any]:
    return (RNG.standard_normal(shape) * (RNG.random(shape) < density)).astype(np.float32)


W = sparse((50, 80), 0.1)


def model_of(
    tensors: dict[str, Any], storage: dict[str, Any] | None = None, **fields: Any
) -> dc.CompressedModel:
    model = dc.compress(tensors, dc.Config(dc.TensorConfig(**fields)))
    return dc.CompressedModel(model.tensors, {}, model.storage | (storage or {}))


def rows_of(data: bytes, **options: bool) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in describe(data, **options)["tensors"]}


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("encoding", ENCODINGS[1:])
def test_codes(coder: str, encoding: str) -> None:
    storage = {"w": Coding(ENCODINGS.index(encoding), *[CODERS.index(coder)] * 2, 3, 11)}
    if encoding != "relative":
        positions = CODERS.index(coder) if encoding == "bitmask" else 0
        storage["w"] = Coding(ENCODINGS.index(encoding), CODERS.index(coder), positions, 0, 11)
    data = model_of({"w": W, "b": np.ones(3)}, storage).to_bytes()
    rows = rows_of(data, codes=True)
    assert rows["b"]["codes"] == []
    listed = {one["stream"]: one for one in rows["w"]["codes"]}
    positions = {"relative": ["gaps"], "dense": [], "bitmask": ["mask"]}[encoding]
    assert list(listed) == ["labels", *positions]
    record = parse(data).records["w"]
    assert len(record.blocks) == 2
    blocks = list(decode_symbols(record))
    for stream, one in listed.items():
        table = record.label_table if stream == "labels" else record.position_table
        assert (one["coder"], one["table_bytes"]) == (coder, len(table))
        symbols = np.concatenate(
            [block.labels if stream == "labels" else block.positions for block in blocks]
        )
        found, counts = np.unique(symbols, return_counts=True)
        assert [row["symbol"] for row in one["symbols"]] == found.tolist()
        assert [row["count"] for row in one["symbols"]] == counts.tolist()
        bits = [row["bits"] for row in one["symbols"]]
        if coder == "fixed":
            assert set(bits) == {8 if stream == "mask" else 3 if stream == "gaps" else 5}
        elif coder == "huffman":
            lengths = huffman.code_lengths(np.bincount(symbols))
            assert bits == lengths[lengths > 0].tolist()
        else:
            assert sum(2.0**-each for each in bits) == pytest.approx(1, abs=0.01)
            shares = rans.frequencies(rans.levels(np.bincount(symbols)))
            expected = [math.log2(2**14 / share) for share in shares.tolist() if share]
            assert bits == pytest.approx(expected, abs=0.0006)


def test_codes_as_text(tmp_path: Path) -> None:
    model_of({"w\n": W}).save(tmp_path / "f")
    status, text, error = call("inspect", tmp_path / "f", "--codes")
    assert (status, error) == (0, "")
    values = json.loads(call("inspect", tmp_path / "f", "--codes", "--json")[1])
    (one,) = [one for one in values["tensors"][0]["codes"] if one["stream"] == "labels"]
    row = one["symbols"][1]
    cells = ["w\\n", "labels", one["coder"], *(f"{row[key]:,}" for key in row)]
    assert sorted(cells) in [sorted(line.split()) for line in text.splitlines()]
    assert "code tables:" in text
    assert "code tables:" not in call("inspect", tmp_path / "f")[1]
    assert "codes" not in json.loads(call("inspect", tmp_path / "f", "--json")[1])["tensors"][0]


def test_alternatives_are_what_they_cost() -> None:
    model = model_of({"w": W, "b": np.ones(3)})
    data = model.to_bytes()
    rows = rows_of(data, prices=True)
    (own,) = rows["b"]["alternatives"]
    assert own == {
        "encoding": "raw",
        "gap_bits": None,
        "coder": None,
        "bytes": rows["b"]["bytes"],
        "chosen": True,
    }
    raw, *others = rows["w"]["alternatives"]
    dense = dc.CompressedModel({"w": model["w"].to_dense(), "b": model["b"]})
    assert (raw["encoding"], raw["chosen"]) == ("raw", False)
    assert raw["bytes"] == rows_of(dense.to_bytes())["w"]["bytes"]
    assert raw["bytes"] > raw_size(W.nbytes)
    assert [(row["coder"], row["encoding"], row["gap_bits"]) for row in others] == [
        (coder, *form)
        for coder in CODERS
        for form in (
            *(("relative", gap_bits) for gap_bits in range(1, 9)),
            ("dense", None),
            ("bitmask", None),
        )
    ]
    for row in others:
        how = Choice(row["coder"], row["encoding"], row["gap_bits"])
        stored = dc.CompressedModel(model.tensors, {}, {"w": how}).to_bytes()
        again = rows_of(stored, prices=True)["w"]
        assert row["bytes"] == again["bytes"]
        (chosen,) = [one for one in again["alternatives"] if one["chosen"]]
        assert (chosen["bytes"], chosen["encoding"]) == (row["bytes"], row["encoding"])
        assert CODERS.index(chosen["coder"]) <= CODERS.index(row["coder"])
    (chosen,) = [row for row in others if row["chosen"]]
    assert chosen["bytes"] == rows["w"]["bytes"]
    allowed = [row["bytes"] for row in others if row["coder"] != "rans"]
    assert chosen["bytes"] == min(allowed)


@pytest.mark.parametrize(
    "coding", [Coding(DENSE, CODERS.index("fixed")), Coding(DENSE, 1), Coding(1, 2, 0, 2, 9)]
)
def test_what_nobody_would_choose_is_there(coding: Coding) -> None:
    few = np.tile(np.array([0, 0, 1], np.float32), (10, 5))
    data = model_of({"w": few}, {"w": coding}).to_bytes()
    row = rows_of(data, prices=True)["w"]
    (chosen,) = [one for one in row["alternatives"] if one["chosen"]]
    assert chosen["bytes"] == row["bytes"]
    assert chosen["encoding"] == ENCODINGS[coding.encoding]
    assert chosen["gap_bits"] == (coding.gap_bits or None)
    assert chosen["coder"] == CODERS[max(coding.label_coder, coding.position_coder)]


def test_a_file_in_small_blocks_is_priced_so() -> None:
    data = model_of({"w": W}, {"w": Choice(block_bits=8)}).to_bytes()
    prices = rows_of(data, prices=True)["w"]["alternatives"]
    assert [row["coder"] for row in prices if row["chosen"]] == ["huffman"]
    assert len(prices) == 1 + 10 * len(CODERS)


def test_alternatives_as_text(tmp_path: Path) -> None:
    model_of({"w": W, "b": np.ones(3)}).save(tmp_path / "f")
    values = json.loads(call("inspect", tmp_path / "f", "--json")[1])
    _, *others = values["tensors"][0]["alternatives"]
    status, text, _ = call("inspect", tmp_path / "f", "--alternatives")
    assert status == 0
    title = text.index("bytes by the strongest coder")
    assert title > 0
    lines = [line.split() for line in text[title:].splitlines()]
    assert lines[1] == ["tensor", "encoding", "gap", "bits", *CODERS]
    for gap_bits in (1, 8):
        cells = [
            f"{row['bytes']:,}{'*' if row['chosen'] else ''}"
            for row in others
            if row["gap_bits"] == gap_bits
        ]
        assert ["w", "relative", str(gap_bits), *cells] in lines
    (chosen,) = [row for row in others if row["chosen"]]
    assert next(line for line in lines if f"{chosen['bytes']:,}*" in line)[:2] == [
        "w",
        chosen["encoding"],
    ]
    assert ["b", "raw", "-", f"{values['tensors'][1]['bytes']}*", "-", "-"] in lines
    assert "strongest coder" not in call("inspect", tmp_path / "f")[1]


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
        "noise": RNG.normal(size=(16, 8)).astype(np.float32),
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
    data, found = reasons({"w": RNG.normal(size=(10, 16))}, {"w": Coding(DENSE, 1)}, bits=5)
    parts, size = parts_of(data, "w"), rows_of(data)["w"]["bytes"]
    assert percent(parts["codebooks"], size) != percent(parts["codebooks"] + 8, size)
    assert parts["code tables"] > 8
    codes = parts["codebooks"] + parts["code tables"]
    assert found["w"] == f"few elements: codebook and code tables are {percent(codes, size)}"
    data, found = reasons({"w": np.ones((5, 3))}, min_size=0, bits=1)
    parts, size = parts_of(data, "w"), rows_of(data)["w"]["bytes"]
    overhead = parts["header"] + parts["checksums"]
    assert found["w"] == f"few elements: header and checksums are {percent(overhead, size)}"


def test_why_dense() -> None:
    weights = RNG.uniform(1, 2, size=(100, 200)) * (RNG.random((100, 200)) < 0.98)
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
    weights = np.where(RNG.random((200, 200)) < 0.3, np.float32(1), np.float32(0))
    weights[0, :100] = RNG.normal(size=100)
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
