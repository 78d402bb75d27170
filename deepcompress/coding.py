"""One compressed tensor <-> its record in a file: the last stages, entropy coding included."""

import numpy as np

from . import bitpack, huffman, relindex
from .compressed import CompressedTensor
from .container import SharedRecord
from .cursor import varint
from .errors import FormatError
from .tensors import FIXED_WIDTH, HUFFMAN, MAX_BITS, CodedStream, Int64Array, UInt8Array


def encode(tensor: CompressedTensor, huffman_coded: bool) -> SharedRecord:
    """Encode the streams of a tensor.

    Parameters
    ----------
    tensor : CompressedTensor
    huffman_coded : bool
        Whether each stream may have a Huffman code where that is smaller.

    Returns
    -------
    SharedRecord
    """

    def coded(symbols: UInt8Array, packed: UInt8Array, alphabet: int) -> CodedStream:
        lengths = huffman.code_lengths(np.bincount(symbols, minlength=alphabet))
        table = huffman.encode_lengths(lengths)
        payload = huffman.encode(symbols, lengths)
        if huffman_coded and _huffman_bytes(len(table), len(payload)) < packed.nbytes:
            return CodedStream(HUFFMAN, table, payload)
        return CodedStream(FIXED_WIDTH, b"", packed.tobytes())

    return SharedRecord(
        tensor.shape,
        tensor.codebook,
        tensor.label_bits,
        tensor.gap_bits,
        tensor.count,
        coded(tensor.labels(), tensor.labels_packed, len(tensor.codebook)),
        coded(tensor.gaps(), tensor.gaps_packed, 1 << tensor.gap_bits),
    )


def decode_streams(record: SharedRecord) -> tuple[UInt8Array, UInt8Array]:
    """Return the labels and gaps of a record as arrays of shape (S,), uint8.

    Raises
    ------
    FormatError
        If a table or stream isn't valid.
    """

    def symbols(stream: CodedStream, alphabet: int, width: int) -> UInt8Array:
        if stream.coder == FIXED_WIDTH:
            return bitpack.unpack(np.frombuffer(stream.payload, np.uint8), width, record.count)
        lengths, size = huffman.decode_lengths(stream.table, alphabet)
        if size != len(stream.table):
            raise FormatError(f"{len(stream.table) - size} bytes too many in a code table")
        return huffman.decode(stream.payload, lengths, record.count)

    return (
        symbols(record.labels, len(record.codebook), record.label_bits),
        symbols(record.gaps, 1 << record.gap_bits, record.gap_bits),
    )


def decode(record: SharedRecord) -> CompressedTensor:
    """Turn a record into the packed form that the kernels run.

    Raises
    ------
    FormatError
        If a table, a stream, or what is in it isn't valid.
    """
    labels, gaps = decode_streams(record)
    return CompressedTensor(
        record.shape,
        record.codebook,
        record.label_bits,
        record.gap_bits,
        record.count,
        bitpack.pack(labels, record.label_bits),
        bitpack.pack(gaps, record.gap_bits),
    )


def cheapest_gap_bits(
    positions: Int64Array, label_counts: Int64Array, label_bits: int, huffman_coded: bool
) -> int:
    """Return the gap width with the fewest bytes of labels, gaps and tables together.

    Parameters
    ----------
    positions : ndarray of shape (N,), int64
        Of the survivors, ascending.
    label_counts : ndarray of shape (K,), int64
        How often each label occurs; fillers will add to label 0.
    label_bits : int
        Width of a label, 1 to 8.
    huffman_coded : bool
        Whether each stream may have a Huffman code where that is smaller.

    Returns
    -------
    int
        1 to 8, the smaller one of two that cost the same.
    """

    def cost(gap_bits: int) -> int:
        gap_counts = relindex.gap_histogram(positions, gap_bits)
        labels = label_counts.copy()
        labels[0] += gap_counts.sum() - positions.size
        streams = (labels, label_bits), (gap_counts, gap_bits)
        return sum(_stream_bytes(counts, width, huffman_coded) for counts, width in streams)

    return min(range(1, MAX_BITS + 1), key=cost)


def _stream_bytes(counts: Int64Array, width: int, huffman_coded: bool) -> int:
    """Return what `encode` makes of a stream with these counts."""
    fixed = (int(counts.sum()) * width + 7) // 8
    if not huffman_coded:
        return fixed
    lengths = huffman.code_lengths(counts)
    payload = (huffman.encoded_bits(counts, lengths) + 7) // 8
    return min(fixed, _huffman_bytes(len(huffman.encode_lengths(lengths)), payload))


def _huffman_bytes(table: int, payload: int) -> int:
    """Return what a Huffman-coded stream costs, its two sizes included."""
    return len(varint(table)) + len(varint(payload)) + table + payload
