"""Labels of all elements as bytes: an arithmetic coder whose probabilities come from contexts.

Deviation: the paper stores positions as gaps, and codes gaps and labels by one Huffman code each.
Here each element has a label, 0 where it was pruned, and each label is coded at the probability
that its neighbours give it (see `coding.context_model`). Whole columns that are 0, as behind the
border of MNIST's images, then cost next to nothing, and there is no table of a code. Wiedemann et
al. 2020 ("DeepCABAC", arXiv:1907.11900) coded networks so.

The coder of decisions is that of carryless arithmetic coding: an interval of 32-bit integers is
divided in proportion to the probabilities, and its common first bytes are written.

Where weights were chosen along a trellis (see `trellis`), their labels are told among those that it
allows, which takes fewer bits.

`docs/format.md` specifies the stream.
"""

import math

import numpy as np
import numpy.typing as npt

from .. import native
from ..checks import as_uint8
from ..errors import ArgumentError, FormatError, TruncatedError
from ..native import context as native_context
from ..packed.stream import matrix_of
from ..structs import LabelLevels, LabelMatrix
from ..tensors import Float32Array, Float64Array, UInt8Array
from ..trellis import states as trellis_states
from .context_model import BitCoder, code_labels

# What a decision costs by the first 12 bits of its probability, in bits of 2**-16.
PRICES = np.array([round(-65536 * math.log2((p + 0.5) / 4096)) for p in range(4096)], np.uint32)


def matrix(shape: tuple[int, ...]) -> LabelMatrix:
    """Return how the elements of a tensor lie: a row for each index of the first axis."""
    rows, cols = matrix_of(shape)
    kernel = math.prod(shape[2:])
    return LabelMatrix(rows, cols, *(kernel, shape[-1]) if kernel > 1 else (1, 1))


def levels(codebook: Float32Array, trellis: bool = False) -> LabelLevels:
    """Return the order of a codebook's centroids: those below 0, and all others, by their size."""
    magnitude, negative = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    label, count = np.zeros((2, 256), np.uint8), [0, 0]
    order = np.argsort(codebook[1:], kind="stable") + 1
    below = int(np.count_nonzero(codebook[1:] < 0))
    for side, members in enumerate((order[below:], order[:below][::-1])):
        count[side] = len(members)
        label[side, 1 : len(members) + 1] = members
        magnitude[members] = np.arange(1, len(members) + 1)
        negative[members] = side
    return LabelLevels(magnitude, negative, label, (count[0], count[1]), trellis)


def fitting(labels: UInt8Array, shape: tuple[int, ...], codebook: Float32Array) -> int:
    """Return the first element whose label a trellis doesn't allow, or their number.

    Each label has a centroid. Of equal centroids, that of the lower label has the lower rank.

    Examples
    --------
    >>> codebook = np.array([0, -2, -1, 1, 2], np.float32)
    >>> fitting(np.array([0, 4, 3, 1, 1], np.uint8), (1, 5), codebook)
    2
    """
    form, order = matrix(shape), levels(codebook)
    if native.active():
        return native_context.fitting(labels, form, order)
    above = order.magnitude.astype(np.int64)
    ranks = np.where(order.negative, -above, above)
    _, allowed = trellis_states(ranks[labels].reshape(form.rows, form.cols))
    return labels.size if allowed.all() else int(allowed.argmin())


def encode(
    labels: npt.ArrayLike, shape: tuple[int, ...], codebook: Float32Array, trellis: bool = False
) -> bytes:
    """Write the labels of all elements.

    Parameters
    ----------
    labels : array_like of shape (size,), dtype uint8
        In row-major order; 0 where the weight is 0.
    shape : tuple of int
        Of the tensor.
    codebook : ndarray of shape (K,), float32
        Of which the order of the centroids counts.
    trellis : bool
        Whether labels are told among those that a trellis allows.

    Returns
    -------
    bytes
        Equal arguments have exactly one stream.

    Raises
    ------
    ArgumentError
        If the labels aren't as said, one has no centroid, or the trellis doesn't allow it.

    Examples
    --------
    >>> labels = np.array([0, 2, 0, 0, 0, 1], np.uint8)
    >>> stream = encode(labels, (2, 3), np.array([0, -2, 1.5], np.float32))
    >>> len(stream), decode(stream, (2, 3), np.array([0, -2, 1.5], np.float32))
    (2, array([0, 2, 0, 0, 0, 1], dtype=uint8))
    """
    checked, order = _checked(labels, shape, codebook, trellis), levels(codebook, trellis)
    if native.active():
        return native_context.encode(checked, matrix(shape), order)
    writer = _Writer()
    if checked.size:
        code_labels(writer, matrix(shape), order, bytearray(checked))
        writer.finish()
    return bytes(writer.payload)


def bits(
    labels: npt.ArrayLike, shape: tuple[int, ...], codebook: Float32Array, trellis: bool = False
) -> Float64Array:
    """Return about how many bits `encode` spends on each label, shape (size,).

    Arguments and errors are those of `encode`. The sum is that of the stream within some bytes
    and 1/1000. What a label costs depends on all before it, so this tells what labels cost where
    they are, not what others would cost in their place.
    """
    checked, order = _checked(labels, shape, codebook, trellis), levels(codebook, trellis)
    if native.active():
        return native_context.costs(checked, matrix(shape), order, PRICES) / 65536
    meter = _Meter()
    if checked.size:
        code_labels(meter, matrix(shape), order, bytearray(checked))
    return np.array(meter.costs, np.float64) / 65536


def decode(
    stream: bytes, shape: tuple[int, ...], codebook: Float32Array, trellis: bool = False
) -> UInt8Array:
    """Return the labels of all elements, shape (size,).

    Raises
    ------
    FormatError
        If the stream is too short or too long, doesn't end as it must, or has a weight where
        there is no centroid, or none that a trellis allows.
    """
    form, order = matrix(shape), levels(codebook, trellis)
    if native.active():
        return native_context.decode(stream, form, order)
    labels = bytearray(form.rows * form.cols)
    if not labels:
        if stream:
            raise FormatError("bytes follow the last symbol (byte 0)")
        return np.zeros(0, np.uint8)
    reader = _Reader(stream)
    done = code_labels(reader, form, order, labels)
    if done < len(labels):
        raise FormatError(f"a label has no centroid (entry {done})")
    reader.finish()
    return np.frombuffer(labels, np.uint8)


def _checked(
    labels: npt.ArrayLike, shape: tuple[int, ...], codebook: Float32Array, trellis: bool
) -> UInt8Array:
    checked = as_uint8(labels, "labels")
    if len(checked) != math.prod(shape):
        raise ArgumentError(f"{len(checked)} labels for a tensor of shape {shape}")
    if checked.size and checked.max() >= len(codebook):
        raise ArgumentError(f"label {checked.max()} has no centroid, there are {len(codebook) - 1}")
    if trellis and (first := fitting(checked, shape, codebook)) < checked.size:
        raise ArgumentError(f"the trellis doesn't allow label {checked[first]} of element {first}")
    return checked


def _ending(low: int, high: int) -> tuple[int, int]:
    """Return the fewest bytes that, with zeros behind, lie within the interval, as a word too."""
    for count in range(4):
        rest = (1 << (32 - 8 * count)) - 1
        first = (low + rest) & ~rest
        if first <= high:
            return count, first
    return 4, low


class _Writer(BitCoder):
    def __init__(self) -> None:
        self.payload = bytearray()
        self._low, self._high = 0, 0xFFFFFFFF

    def code(self, p: int, bit: int) -> int:
        middle = self._low + ((self._high - self._low) * p >> 16)
        if bit:
            self._high = middle
        else:
            self._low = middle + 1
        while not (self._low ^ self._high) >> 24:
            self.payload.append(self._high >> 24)
            self._low = self._low << 8 & 0xFFFFFFFF
            self._high = self._high << 8 & 0xFFFFFFFF | 255
        return bit

    def finish(self) -> None:
        count, word = _ending(self._low, self._high)
        self.payload += word.to_bytes(4, "big")[:count]


class _Reader(BitCoder):
    def __init__(self, stream: bytes) -> None:
        self._stream, self._at, self._done = stream, 0, 0
        self._low, self._high = 0, 0xFFFFFFFF
        self._word = int.from_bytes(stream[:4].ljust(4, b"\0"), "big")

    def code(self, p: int, bit: int) -> int:
        middle = self._low + ((self._high - self._low) * p >> 16)
        found = self._word <= middle
        if found:
            self._high = middle
        else:
            self._low = middle + 1
        while not (self._low ^ self._high) >> 24:
            if self._at == len(self._stream):
                raise TruncatedError(self._truncated())
            following = self._stream[self._at + 4] if self._at + 4 < len(self._stream) else 0
            self._word = self._word << 8 & 0xFFFFFFFF | following
            self._at += 1
            self._low = self._low << 8 & 0xFFFFFFFF
            self._high = self._high << 8 & 0xFFFFFFFF | 255
        return int(found)

    def finish(self) -> None:
        count, word = _ending(self._low, self._high)
        left = len(self._stream) - self._at
        if left > count:
            raise FormatError(f"bytes follow the last symbol (byte {self._at})")
        if left < count:
            raise TruncatedError(self._truncated())
        if word != self._word:
            raise FormatError(f"the last state of the coder isn't the lowest (byte {self._at})")

    def end_label(self) -> None:
        self._done += 1

    def _truncated(self) -> str:
        return f"the coded bits end before the last symbol (symbol {self._done})"


class _Meter(BitCoder):
    """Adds up what the decisions of each label cost."""

    def __init__(self) -> None:
        self.costs: list[int] = []
        self._cost = 0
        self._prices: list[int] = PRICES.tolist()

    def code(self, p: int, bit: int) -> int:
        self._cost += self._prices[(p if bit else 65536 - p) >> 4]
        return bit

    def end_label(self) -> None:
        self.costs.append(self._cost)
        self._cost = 0
