"""The tables as text: every number in its column, from a report small enough to check by eye."""

from pathlib import Path
from typing import Any

import pytest

from deepcompress.errors import OutputError
from deepcompress.reports.tables import align, format_layers, format_tables, read_report

# No number twice, so that none can stand in for another.
WEIGHT = {
    "layer": "ip1.weight",
    "weights": 12345,
    "kept_percent": 8.04,
    "weight_bits_PQ": 6,
    "weight_bits_PQH": 5.26,
    "gap_bits_PQ": 4,
    "gap_bits_PQH": 3.71,
    "rate_PQ_percent": 2.345,
    "rate_PQH_percent": 1.716,
    "csr_bytes": 6000,
    "csc_bytes": 7000,
    "bytes_P": 5000,
}
BIAS = {
    "layer": "ip1.bias",
    "weights": 10,
    "kept_percent": 100.0,
    "weight_bits_PQ": 32,
    "weight_bits_PQH": 16,
    "gap_bits_PQ": None,
    "gap_bits_PQH": None,
    "rate_PQ_percent": 101,
    "rate_PQH_percent": 102,
    "csr_bytes": None,
    "csc_bytes": None,
    "bytes_P": 48,
}
REPORT = {
    "network": "digits",
    "layers": [WEIGHT, BIAS],
    "reference_error": 1.111,
    "pruned_error": 2.222,
    "quantized_error": 3.333,
    "compressed_error": 4.444,
    "reference_bytes": 49420,
    "file_bytes": 2468,
    "ratio": 20.0243,
    "stages": {"P": 5100, "P+Q": 3000, "P+Q+H": 2468},
}
TABLES = """\
network  reference error  pruned error  quantized error  compressed error  fp32 bytes  file bytes  ratio
-------  ---------------  ------------  ---------------  ----------------  ----------  ----------  -----
digits            1.11 %        2.22 %           3.33 %            4.44 %      49,420       2,468  20.0x

stage               bytes  ratio
-----------------  ------  -----
dense fp32         49,420   1.0x
pruned, plain CSR   6,048   8.2x
pruned, plain CSC   7,048   7.0x
P                   5,100   9.7x
P+Q                 3,000  16.5x
P+Q+H               2,468  20.0x

layer       weights  kept %  weight bits P+Q  P+Q+H  gap bits P+Q  P+Q+H  rate % P+Q   P+Q+H
----------  -------  ------  ---------------  -----  ------------  -----  ----------  ------
ip1.weight   12,345     8.0              6.0    5.3           4.0    3.7        2.35    1.72
ip1.bias         10   100.0             32.0   16.0             -      -      101.00  102.00
"""  # noqa: E501 -- as wide as it is


def test_tables_of_a_network_that_the_paper_has_not() -> None:
    assert format_tables(REPORT) == TABLES


def test_tables_beside_the_paper() -> None:
    text = format_tables(REPORT | {"network": "lenet-5"})
    blocks = text.removesuffix("\n").split("\n\n")
    assert [" ".join(line.split()) for line in blocks[0].splitlines()[2:]] == [
        "lenet-5 1.11 % 2.22 % 3.33 % 4.44 % 49,420 2,468 20.0x",
        "the paper 0.80 % - - 0.74 % 1,720,000 44,000 39.0x",
    ]
    assert blocks[1:3] == TABLES.removesuffix("\n").split("\n\n")[1:]
    title, header, _, *rows = blocks[3].splitlines()
    assert (len(blocks), title) == (4, "The paper's table:")
    assert header.split() == TABLES.splitlines()[-4].split()
    assert [" ".join(row.split()) for row in rows] == [
        "conv1.weight 500 66.0 8.0 7.2 5.0 1.5 78.50 67.45",
        "conv2.weight 25,000 12.0 8.0 7.2 5.0 3.9 6.00 5.28",
        "ip1.weight 400,000 8.0 5.0 4.5 5.0 4.5 2.70 2.45",
        "ip2.weight 5,000 19.0 5.0 5.2 5.0 3.7 6.90 6.13",
        "total 430,500 8.0 5.3 4.1 5.0 4.4 3.05 2.55",
    ]


def test_layers_alone_are_the_last_block() -> None:
    assert TABLES.endswith("\n\n" + format_layers([WEIGHT, BIAS]) + "\n")


def test_align_leaves_no_blanks_at_the_end() -> None:
    assert align([["a", "b"], ["cc", ""]]) == "a   b\n--  -\ncc"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "report.json: can't be read"),
        (b"{", "report.json: can't be read"),
        (b"\xff", "report.json: can't be read"),
        (b"[1]", "report.json: not a report"),
    ],
)
def test_what_is_no_report_is_refused(content: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OutputError, match=words):
        read_report(path)
