"""The paper's figures for its four networks (Han et al. 2016, tables 1 to 5).

Kilobytes are thousands of bytes; error rates and rates are percentages. The
paper's bytes count neither biases nor Huffman tables nor a file's header.
Printed as they stand there, although some can't follow from the others: 5.1 weight
bits in all where no layer of LeNet-300-100 has more than 4.4; 5.2 of LeNet-5's ip2
after Huffman, more than its 5 before; 4.1 in all where no layer of LeNet-5 has less
than 4.5; and its 44 KB, while the rows add up to 47 KB (36.6x). VGG-16's rows add up to
10.5 MB (52.7x), table 1 has 11.3 MB (49x).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """A row of tables 2 to 5; the fields are those of `ledger.LayerRow`."""

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
    """A line of table 1 (top-1 errors), with the network's own table."""

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
    "alexnet": PaperResult(
        *(42.78, 42.78, 240_000_000, 6_900_000, 35),
        rows=(
            PaperRow("conv1.weight", 34_848, 84, 8, 6.3, 4, 1.2, 32.6, 20.53),
            PaperRow("conv2.weight", 307_200, 38, 8, 5.5, 4, 2.3, 14.5, 9.43),
            PaperRow("conv3.weight", 884_736, 35, 8, 5.1, 4, 2.6, 13.1, 8.44),
            PaperRow("conv4.weight", 663_552, 37, 8, 5.2, 4, 2.5, 14.1, 9.11),
            PaperRow("conv5.weight", 442_368, 37, 8, 5.6, 4, 2.5, 14.0, 9.43),
            PaperRow("fc6.weight", 37_748_736, 9, 5, 3.9, 4, 3.2, 3.0, 2.39),
            PaperRow("fc7.weight", 16_777_216, 9, 5, 3.6, 4, 3.7, 3.0, 2.46),
            PaperRow("fc8.weight", 4_096_000, 25, 5, 4, 4, 3.2, 7.3, 5.85),
            PaperRow("total", 60_954_656, 11, 5.4, 4, 4, 3.2, 3.7, 2.88),
        ),
    ),
    "vgg-16": PaperResult(
        *(31.50, 31.17, 552_000_000, 11_300_000, 49),
        rows=(
            PaperRow("conv1_1.weight", 1_728, 58, 8, 6.8, 5, 1.7, 40.0, 29.97),
            PaperRow("conv1_2.weight", 36_864, 22, 8, 6.5, 5, 2.6, 9.8, 6.99),
            PaperRow("conv2_1.weight", 73_728, 34, 8, 5.6, 5, 2.4, 14.3, 8.91),
            PaperRow("conv2_2.weight", 147_456, 36, 8, 5.9, 5, 2.3, 14.7, 9.31),
            PaperRow("conv3_1.weight", 294_912, 53, 8, 4.8, 5, 1.8, 21.7, 11.15),
            PaperRow("conv3_2.weight", 589_824, 24, 8, 4.6, 5, 2.9, 9.7, 5.67),
            PaperRow("conv3_3.weight", 589_824, 42, 8, 4.6, 5, 2.2, 17.0, 8.96),
            PaperRow("conv4_1.weight", 1_179_648, 32, 8, 4.6, 5, 2.6, 13.1, 7.29),
            PaperRow("conv4_2.weight", 2_359_296, 27, 8, 4.2, 5, 2.9, 10.9, 5.93),
            PaperRow("conv4_3.weight", 2_359_296, 34, 8, 4.4, 5, 2.5, 14.0, 7.47),
            PaperRow("conv5_1.weight", 2_359_296, 35, 8, 4.7, 5, 2.5, 14.3, 8.0),
            PaperRow("conv5_2.weight", 2_359_296, 29, 8, 4.6, 5, 2.7, 11.7, 6.52),
            PaperRow("conv5_3.weight", 2_359_296, 36, 8, 4.6, 5, 2.3, 14.8, 7.79),
            PaperRow("fc6.weight", 102_760_448, 4, 5, 3.6, 5, 3.5, 1.6, 1.1),
            PaperRow("fc7.weight", 16_777_216, 4, 5, 4, 5, 4.3, 1.5, 1.25),
            PaperRow("fc8.weight", 4_096_000, 23, 5, 4, 5, 3.4, 7.1, 5.24),
            PaperRow("total", 138_344_128, 7.5, 6.4, 4.1, 5, 3.1, 3.2, 2.05),
        ),
    ),
}
