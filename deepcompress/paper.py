"""What the paper reports for the networks that train on MNIST (Han et al. 2016, tables 1 to 3).

Kilobytes are thousands of bytes; error rates and rates are percentages. The
paper's bytes count neither biases nor Huffman tables nor a file's header.
Printed as they stand there, although some can't follow from the others: 5.1 weight
bits in all where no layer of LeNet-300-100 has more than 4.4; 5.2 of LeNet-5's ip2
after Huffman, more than its 5 before; 4.1 in all where no layer of LeNet-5 has less
than 4.5; and its 44 KB, while the rows add up to 47 KB (36.6x).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """A row of tables 2 and 3; the fields are those of `ledger.LayerRow`."""

    layer: str
    weights: int
    kept_percent: float
    weight_bits_PQ: float
    weight_bits_PQH: float
    gap_bits_PQ: float
    gap_bits_PQH: float
    rate_PQ_percent: float
    rate_PQH_percent: float


@dataclass(frozen=True)
class PaperResult:
    """A line of table 1, with the network's own table."""

    reference_error: float
    compressed_error: float
    reference_bytes: int
    file_bytes: int
    ratio: float
    rows: tuple[PaperRow, ...]


PAPER = {
    "lenet-300-100": PaperResult(
        *(1.64, 1.58, 1_070_000, 27_000, 40),
        rows=(
            PaperRow("ip1.weight", 235_200, 8, 6, 4.4, 5, 3.7, 3.1, 2.32),
            PaperRow("ip2.weight", 30_000, 9, 6, 4.4, 5, 4.3, 3.8, 3.04),
            PaperRow("ip3.weight", 1_000, 26, 6, 4.3, 5, 3.2, 15.7, 12.70),
            PaperRow("total", 266_200, 8, 6, 5.1, 5, 3.7, 3.1, 2.49),
        ),
    ),
    "lenet-5": PaperResult(
        *(0.80, 0.74, 1_720_000, 44_000, 39),
        rows=(
            PaperRow("conv1.weight", 500, 66, 8, 7.2, 5, 1.5, 78.5, 67.45),
            PaperRow("conv2.weight", 25_000, 12, 8, 7.2, 5, 3.9, 6.0, 5.28),
            PaperRow("ip1.weight", 400_000, 8, 5, 4.5, 5, 4.5, 2.7, 2.45),
            PaperRow("ip2.weight", 5_000, 19, 5, 5.2, 5, 3.7, 6.9, 6.13),
            PaperRow("total", 430_500, 8, 5.3, 4.1, 5, 4.4, 3.05, 2.55),
        ),
    ),
}
