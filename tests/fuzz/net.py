"""The authors' ``.net`` files, of two lists of layers, told by the length of the input."""

from dataclasses import replace
from random import Random

from deepcompress.container.records import RELATIVE, Coding
from deepcompress.formats import net
from deepcompress.formats.layers import WeightLayer
from deepcompress.pipeline import from_bytes

from .limits import limited, outcome, require

PRODUCTS = (WeightLayer("a", (4, 6)), WeightLayer("b", (1, 40)))
CONVOLUTION = (WeightLayer("a", (2, 1, 3, 3)), WeightLayer("b", (3, 5)))
SMALLEST_CONVOLUTION = 4 * 256  # the centroids alone


def layers_of(data: bytes) -> tuple[WeightLayer, ...]:
    return CONVOLUTION if len(data) >= SMALLEST_CONVOLUTION else PRODUCTS


def test_one_input(data: bytes) -> None:
    with limited("reading"):
        model, _ = outcome(lambda: net.read(data, layers_of(data)))
    if model is None:
        return
    require(net.write(model) == data, "the bytes that were read don't come back")
    storage = dict.fromkeys(model, Coding(RELATIVE, gap_bits=net.GAP_BITS))  # a choice takes long
    again = from_bytes(replace(model, storage=storage).to_bytes())
    require(net.write(again) == data, "they don't come back from a .dcnn file")


def mutate(data: bytes, max_size: int, random: Random, mutate_bytes: object) -> bytes:
    """Change anything, and mostly give the file the length that its counts declare."""
    data = mutate_bytes(data, max_size)
    layers = layers_of(data)
    if random.random() < 0.1 or len(data) < 4 * len(layers):
        return data
    counts = []
    for index, layer in enumerate(layers):
        count = int.from_bytes(data[4 * index : 4 * index + 4], "little")
        counts.append(count % (layer.size + 2))
    size = 4 * len(layers) + sum(
        part
        for layer, count in zip(layers, counts, strict=True)
        for _, part in net._parts(layer, count)
    )
    head = b"".join(count.to_bytes(4, "little") for count in counts)
    return (head + data[len(head) :]).ljust(size, b"\0")[: min(size, max_size)]
