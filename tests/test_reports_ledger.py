"""The ledger: every byte has one owner, and the stages are sizes of real files."""

import numpy as np
import pytest

import deepcompress as dc
from deepcompress.pipeline import at_fixed_width
from deepcompress.reports.ledger import PARTS, account, ledger


def model(coder: str = "huffman", gap_bits: int | None = None) -> dc.CompressedModel:
    rng = np.random.default_rng(0)
    tensors = {
        "conv.weight": rng.normal(size=(20, 10, 3, 3)) * (rng.random((20, 10, 3, 3)) < 0.3),
        "fc.weight": rng.normal(size=(50, 400)) * (rng.random((50, 400)) < 0.05),
        "fc.bias": rng.normal(size=50).astype(np.float32),
        "steps": np.arange(6).reshape(2, 3),
        "none.weight": np.zeros((30, 30)),
    }
    config = dc.Config(dc.TensorConfig(coder=coder, gap_bits=gap_bits))
    return dc.compress(tensors, config, metadata={"network": "x"})


@pytest.mark.parametrize("coder", ["fixed", "huffman"])
@pytest.mark.parametrize("gap_bits", [None, 2])
def test_rows_sum_to_the_file(coder: str, gap_bits: int | None) -> None:
    data = model(coder, gap_bits).to_bytes()
    rows = ledger(data)
    assert sum(row.size_bytes for row in rows) == len(data)
    assert all(row.part in PARTS and row.size_bytes > 0 for row in rows)
    assert len({(row.tensor, row.part) for row in rows}) == len(rows)


def sizes(data: bytes) -> dict[tuple[str, str], int]:
    return {(row.tensor, row.part): row.size_bytes for row in ledger(data)}


def test_parts_are_what_they_say() -> None:
    wide = model("fixed", gap_bits=2)
    found = sizes(wide.to_bytes())
    tensor = wide["fc.weight"]
    survivors = int(np.count_nonzero(tensor.labels()))
    fillers = tensor.count - survivors
    assert fillers > 1000
    assert found["fc.weight", "codebooks"] == 4 * (len(tensor.codebook) - 1)
    assert found["fc.weight", "labels"] == -(-survivors * tensor.label_bits // 8)
    assert found["fc.weight", "gaps"] == -(-survivors * 2 // 8)
    assert abs(found["fc.weight", "fillers"] - fillers * (tensor.label_bits + 2) / 8) < 2
    assert found["fc.bias", "biases"] == 200
    assert found["steps", "raw"] == 48
    assert found["fc.bias", "checksums"] == 4
    assert ("fc.weight", "code tables") not in found
    assert sizes(model().to_bytes())["fc.weight", "code tables"] > 10


def test_account_of_the_stages() -> None:
    huffman = model()
    data = huffman.to_bytes()
    books = account(data)
    assert books.file_bytes == books.stages["P+Q+H"] == len(data)
    assert books.stages["P+Q"] == len(at_fixed_width(huffman).to_bytes())
    assert books.stages["P"] > books.stages["P+Q"] > books.stages["P+Q+H"]
    assert books.reference_bytes == 8 * (1800 + 20000 + 900) + 4 * 50 + 8 * 6  # each in its dtype
    assert books.ratio == pytest.approx(books.reference_bytes / len(data))
    overhead = len(data) - sum(row.bytes_PQH for row in books.layers)
    assert 0 < overhead < 60


def test_account_of_a_layer() -> None:
    books = account(model().to_bytes())
    row = next(row for row in books.layers if row.layer == "fc.weight")
    survivors = round(row.kept_percent / 100 * row.weights)
    assert row.csr_bytes == 4 * (2 * survivors + 50 + 1)
    assert row.csc_bytes == 4 * (2 * survivors + 400 + 1)
    assert row.weight_bits_PQ == 5
    assert 4 < row.weight_bits_PQH <= 5
    assert row.sharing_ratio == pytest.approx(survivors * 32 / (survivors * 5 + 31 * 32))
    bias = next(row for row in books.layers if row.layer == "fc.bias")
    assert bias.gap_bits_PQ is None
    assert bias.bytes_P == bias.bytes_PQH > 200
