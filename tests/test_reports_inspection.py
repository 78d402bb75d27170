"""What ``inspect`` says beyond sizes: the codes, and what the alternatives would have cost."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import call
from support.inspected import W, model_of, rows_of

import deepcompress as dc
from deepcompress import huffman
from deepcompress.coding import decoder, rans_levels
from deepcompress.coding.decoder import decode_symbols
from deepcompress.coding.prices import Choice
from deepcompress.container.reader import Reader, parse
from deepcompress.container.records import (
    CODERS,
    CONTEXT,
    DENSE,
    ENCODINGS,
    SHARED_ENCODINGS,
    Coding,
)
from deepcompress.container.sizes import raw_size
from deepcompress.packed.survivors import pack
from deepcompress.reports import ledger
from deepcompress.reports.inspection import describe, format_description
from deepcompress.tensors import Survivors


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("encoding", SHARED_ENCODINGS[:3])  # contexts have no code
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
            of = 14 if coder == "rans1" else 12
            shares = rans_levels.frequencies(rans_levels.levels(np.bincount(symbols), of), of)
            expected = [math.log2(2**of / share) for share in shares.tolist() if share]
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
    allowed = [row["bytes"] for row in others if row["coder"] not in ("rans1", "rans")]
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
    assert ["b", "raw", "-", f"{values['tensors'][1]['bytes']}*", *"---"] in lines
    assert "strongest coder" not in call("inspect", tmp_path / "f")[1]


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {"w": np.zeros((20, 100))},
            "421.1x smaller than the dense tensors, 16,000 bytes in their dtypes",
        ),
        ({"b": np.ones(3)}, "2.3x larger than the dense tensors, 24 bytes in their dtypes"),
        ({"s": np.array(1.5)}, "4.9x larger than the dense tensors, 8 bytes in their dtypes"),
        ({}, "no elements"),
        ({"e": np.zeros((0, 3))}, "no elements"),
    ],
)
def test_the_head_says_how_large_a_file_is(tensors: dict[str, Any], words: str) -> None:
    data = model_of(tensors).to_bytes()
    head = format_description(describe(data)).splitlines()[0]
    assert head == f"format version {1 + ('w' in tensors)}, {len(data)} bytes, {words}"


def test_a_tensor_of_rank_0_has_a_shape() -> None:
    text = format_description(describe(model_of({"s": np.array(1.5)}).to_bytes()))
    (line,) = [line for line in text.splitlines() if line.startswith("s ")]
    assert line.split()[1] == "()"


def test_a_file_is_parsed_once_and_each_stream_decoded_once(monkeypatch) -> None:
    codings = {
        "gaps": Coding(1, 1, 1, 3, 20),
        "blocks": Coding(1, 2, 1, 3, 9),
        "mask": Coding(3, 1, 2, 0, 11),
        "dense": Coding(DENSE, 2, 0, 0, 11),
    }
    data = model_of(dict.fromkeys(codings, W) | {"b": np.ones(3)}, codings).to_bytes()
    decoded: list[tuple[int, ...]] = []
    parsed: list[str] = []

    def counting(record: Any, first: int = 0) -> Any:
        decoded.append((record.coding.encoding, record.coding.block_bits))
        return decode_symbols(record, first)

    def parsing(reader: Reader, data: bytes, what: str = "file") -> None:
        parsed.append(what)
        init(reader, data, what)

    init = Reader.__init__
    for module in (decoder, ledger):
        monkeypatch.setattr(module, "decode_symbols", counting)
    monkeypatch.setattr(Reader, "__init__", parsing)
    describe(data, codes=True, prices=True)
    assert sorted(decoded) == sorted((how.encoding, how.block_bits) for how in codings.values())
    assert parsed == ["file"]


def test_a_trellis_stands_where_coders_would():
    values = np.array([[2, 4, 0, 0], [0, 2, 4, 0]] * 8, np.float32)
    codebook = np.arange(5, dtype=np.float32)
    labels = values[values != 0].astype(np.uint8)
    tensor = pack(Survivors(values.shape, codebook, np.flatnonzero(values), labels))
    described = {}
    for trellis in (False, True):
        how = {"w": Coding(CONTEXT, block_bits=62, trellis=trellis)}
        described[trellis] = describe(dc.CompressedModel({"w": tensor}, {}, how).to_bytes())
    assert [described[t]["tensors"][0]["coders"] for t in (False, True)] == [None, "trellis"]
    assert "trellis" in format_description(described[True])
    assert "trellis" not in format_description(described[False])
