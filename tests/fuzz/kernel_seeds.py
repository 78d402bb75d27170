"""Seeds of the C kernels' fuzz targets: each field in the order in which the target takes it.

Sizes, widths and branches are gone through; what else is in a seed is drawn, always the same.
"""

import numpy as np

from deepcompress.bits import packing

WIDTHS = range(1, 9)


def drawn(*key: int) -> np.random.Generator:
    """Return the generator of one seed, whatever the others draw."""
    return np.random.default_rng(key)


def bitpack_seeds() -> dict[str, bytes]:
    files = {f"{bits}-bits": bytes([bits - 1, 8 - bits]) + drawn(bits).bytes(62) for bits in WIDTHS}
    return files | {"none": b"\0\3", "short": b"\2\1abc"}


def gaps_seeds() -> dict[str, bytes]:
    gaps = bytes([0, 3, 255, *range(30)])
    last = sum(gaps) + len(gaps)
    return {
        "small": bytes([0, 40]) + gaps,
        "fits": b"\1" + last.to_bytes(2, "little") + gaps,
        "one-beyond": b"\1" + (last - 1).to_bytes(2, "little") + gaps,
        "large": b"\2" + (1 << 40).to_bytes(8, "little") + gaps,
        "largest": b"\3" + bytes(8) + gaps,
        "none": b"\0\5",
    }


def planes_seeds() -> dict[str, bytes]:
    """Width and rotation in a byte, then the words."""
    names = {1: "bytes", 2: "halves", 4: "words", 8: "doubles"}
    files = {}
    for form, (width, name) in enumerate(names.items()):
        files[name] = bytes([form]) + drawn(width, 0).bytes(5 * width)
        files[f"{name}-rotated"] = bytes([4 + form]) + drawn(width, 1).bytes(5 * width)
    return files | {"none": b"\7", "short": b"\3abc"}


def stored_planes_seeds() -> dict[str, bytes]:
    """Tensors and shares; of each its form, size of blocks, CRC and words; then changes."""
    files = {}
    for form in range(0, 64, 5):
        for bits in (0, 4, 9):
            rng = drawn(form, bits)
            head = bytes([0, form % 3, form, bits, 7, 200, 9, form % 8])
            files[f"{form}-{bits}"] = head
            files[f"{form}-{bits}-changed"] = head + rng.bytes(60)
    several = [bytes([form, bits, 1, 90, 3, 5]) for form, bits in ((2, 3), (5, 6), (16, 9))]
    unchanged = bytes(40)
    # A head of one plane at fixed width, of one with a code, and of one of a lone symbol.
    fixed = bytes([0, 0, 192, 9, 0, 1, 0, 0, 6, 9, 0, 1, 2, 3, 4, 5])
    coded = bytes([0, 0, 192, 9, 0, 1, 0, 0, 7, 9, 1, 4, 1, 0xDF, 0, 0x7F, 0, 4])
    lone = bytes([0, 0, 192, 9, 0, 1, 0, 0, 7, 9, 1, 4, 1, 0xFB, 0x80, 0xFF, 0x00, 0])
    return files | {
        "several": bytes([2, 2]) + b"".join(one + unchanged for one in several),
        "fixed": fixed,
        "coded": coded,
        "lone": lone,
        "noise": bytes([0, 1, 193, 4, 0, 30, 1, 1, 63]) + drawn(0).bytes(64),
    }


def huffman_seeds() -> dict[str, bytes]:
    """Alphabet, direction, count, leaves, their place, how they are split, ISA; the payload."""
    files = {}
    for alphabet, leaves in ((1, 1), (2, 2), (3, 0), (9, 5), (40, 12), (224, 32), (256, 255)):
        for direction, name in enumerate(("encode", "streams", "decode")):
            for mode in range(3):
                rng = drawn(alphabet, direction, mode)
                count = 255 if name == "streams" else int(rng.choice([0, 3, 20, 255]))
                head = [alphabet - 1, direction, count, leaves, int(rng.integers(256)), mode]
                head.append((alphabet + mode) % 3)
                dealt = [(6, 9, 19)[alphabet % 3], mode % 2] if name == "streams" else []
                data = bytes([*head, *dealt])
                files[f"{name}-{alphabet}-{mode}"] = data + rng.bytes(96 - len(data))
    lone = bytes([0, 2, 7, 1, 0, 1, 0])  # a symbol of one bit, seven times
    return files | {
        "none": bytes([8, 0, 0, 5, 0, 1, 0]),
        "lone": lone + b"\0",
        "lone-padding": lone + b"\x80",
        "lone-bad": lone + b"\1",
        "trailing": lone + b"\0\0",
    }


def rans_seeds() -> dict[str, bytes]:
    """Alphabet, direction, count, frequencies that are given; then the payload."""
    files = {}
    for alphabet in (1, 2, 7, 256):
        for direction, name in enumerate(("encode", "decode")):
            for count in (0, 9, 60):
                rng = drawn(alphabet, direction, count)
                given = int(rng.integers(min(alphabet, 9)))
                data = bytes([alphabet - 1, direction, count, given]) + rng.bytes(2 * given)
                state = int(rng.integers(1 << 23, 1 << 31)).to_bytes(4, "little")
                data += state if name == "decode" else b""
                files[f"{name}-{alphabet}-{count}"] = data + rng.bytes(100 - len(data))
    for streams in (1, 2, 9, 19):  # side by side, of a code and its mirror image
        rng = drawn(streams)
        given = int(rng.integers(9))
        data = bytes([99, 2, 200, given]) + rng.bytes(2 * given) + bytes([streams])
        files[f"several-{streams}"] = data + rng.bytes(120 - len(data))
    halves = bytes([1, 1, 0, 0])  # two symbols of the same frequency, one to be decoded
    whole = bytes([0, 1, 9, 0])  # a symbol that takes no bits, ten times
    return files | {
        "none": bytes(4),
        "low-state": halves + bytes(4),
        "high-state": halves + b"\0\0\0\x81",
        "ends-early": bytes([1, 1, 9, 0]) + b"\0\0\0\1",
        "other-end": halves + b"\1\0\0\1",
        "cut-short": halves + b"\0\0\x80",
        "no-bits": whole + b"\0\0\x80\0",
        "trailing": whole + b"\0\0\x80\0\0",
    }


def rans_states_seeds() -> dict[str, bytes]:
    """Alphabet, direction and symbols of a state, count, kernels, frequencies; then the payload."""
    files = {}
    for alphabet in (2, 7, 256):
        for kind in range(3):
            for bits in (0, 2, 7):
                for isa in range(4):
                    rng = drawn(alphabet, kind, bits, isa)
                    given = int(rng.integers(min(alphabet, 9)))
                    head = bytes([alphabet - 1, kind | bits << 2, 40 + 50 * isa, isa, given])
                    head += rng.bytes(2 * given) + (b"\7" if kind == 2 else b"")
                    states = rng.integers(1 << 15, 1 << 31, 33, dtype=np.uint32)
                    data = head + states.astype("<u4").tobytes() + rng.bytes(120)
                    files[f"{('encode', 'decode', 'several')[kind]}-{alphabet}-{bits}-{isa}"] = data
    lone = bytes([0, 1, 99, 2, 0])  # a symbol that takes no bits, of 32 states
    return files | {
        "none": bytes(4),
        "lone": lone + bytes.fromhex("00800000") * 32,
        "other-end": lone + bytes.fromhex("00800000") * 31 + bytes.fromhex("01800000"),
        "high-state": lone + bytes.fromhex("00800000") * 31 + bytes.fromhex("00000080"),
        "trailing": lone + bytes.fromhex("00800000") * 32 + b"\0\0",
        "cut-short": lone + bytes.fromhex("00800000") * 31,
    }


def context_seeds() -> dict[str, bytes]:
    """Trellis, kernel, direction, centroids above and below 0, rows, columns; labels or stream."""
    files = {}
    for shape in range(20):
        for positive, negative in ((0, 0), (1, 0), (0, 3), (16, 15), (128, 127)):
            rng = drawn(shape, positive)
            rows, cols = int(rng.integers(1, 9)), int(rng.integers(1, 20))
            head = bytes([shape, positive, negative, rows, cols])
            name = f"{('decode', 'encode')[shape % 2]}-{shape // 2 % 5}-{positive}"
            name += "-trellis" if shape >= 10 else ""
            files[name] = head + rng.bytes(100 - len(head))
    zeros = bytes([0, 3, 3, 64, 64])
    return files | {
        "none": bytes([0, 3, 3, 0, 9]),
        "trailing": bytes([0, 3, 3, 0, 9, 0]),
        "zeros": zeros,
        "zeros-trailing": zeros + bytes(20),
        "ones": zeros + b"\xff" * 100,
        "ones-trellis": bytes([10]) + zeros[1:] + b"\xff" * 100,
    }


def blocks_seeds() -> dict[str, bytes]:
    """Width of the gaps and number of blocks; of each its entries, elements, gaps and labels."""
    shapes = {
        "one": [(20, 300, 20)],
        "several": [(12, 200, 30), (0, 4096, 1), (9, 64, 4), (25, 2000, 90), (3, 3, 1)],
        "far": [(1, 4096, 1), (0, 4096, 1), (0, 4000, 1), (1, 1000, 256)],
        "beyond": [(30, 50, 20), (4, 0, 1)],
        "none": [],
    }
    files = {}
    for index, (name, blocks) in enumerate(shapes.items()):
        for gap_bits in (1, 4, 8):
            rng = drawn(index, gap_bits)
            data = bytes([gap_bits - 1, len(blocks)])
            for count, elements, most in blocks:
                gaps, labels = rng.integers(0, most, count), rng.integers(0, 4, count)
                data += bytes([count]) + elements.to_bytes(2, "little")
                data += bytes(gaps.tolist()) + bytes(labels.tolist())
            files[f"{name}-{gap_bits}"] = data
    return files


def entries(
    rng: np.random.Generator, size: int, label_bits: int, gap_bits: int, room: int
) -> bytes:
    """Return the number of entries, their gaps and their labels, in a tensor of `size` elements."""
    most = min(255, 8 * room // (label_bits + gap_bits))
    gaps = rng.integers(0, max(1, min(2**gap_bits, 2 * size // max(most, 1))), most)
    gaps = gaps[np.cumsum(gaps + 1) <= size].astype(np.uint8)
    labels = rng.integers(0, 2**label_bits, len(gaps)).astype(np.uint8)
    return (
        bytes([len(gaps)])
        + packing.pack(gaps, gap_bits).tobytes()
        + (packing.pack(labels, label_bits).tobytes())
    )


def product_seeds() -> dict[str, bytes]:
    """Widths, layout, centroids, rows, columns, columns of x, two strides, entries."""
    files = {}
    shapes = [(1, 255, 1), (3, 70, 8), (17, 9, 17), (33, 20, 5), (40, 3, 13), (64, 1, 0)]
    for layout in (0, *range(2, 10)):  # 0 for masks, 9 for lists, else the width of lanes' gaps
        for index, (rows, cols, n) in enumerate(shapes):
            rng = drawn(layout, index)
            label_bits, gap_bits = int(rng.integers(1, 6 if layout == 0 else 9)), 1 + index % 8
            head = [label_bits - 1 + 8 * (gap_bits - 1), layout, 2**label_bits - 1]
            head += [rows, cols, n, index % 3, layout % 3]
            tail = entries(rng, rows * cols, label_bits, gap_bits, 86)
            files[f"layout-{layout}-{rows}x{cols}"] = bytes(head) + tail
    lanes_of_one_bit = bytes([8, 11, 1, 20, 15, 9, 1, 1]) + entries(drawn(9), 300, 1, 2, 40)
    label = bytes([1, 0, 2, 3, 3, 1, 0, 0, 2, 0, 7])
    position = bytes([56, 0, 1, 1, 9, 1, 0, 0, 2, 0, 99, 3])
    return files | {
        "layout-1": lanes_of_one_bit,
        "too-large": bytes([0, 1, 1, 3, 200, 1, 0, 0]) + entries(drawn(10), 999, 1, 1, 20),
        "no-columns": bytes([0, 3, 1, 9, 0, 3, 0, 0, 0]),
        "no-rows": bytes([0, 0, 1, 0, 9, 3, 0, 0, 0]),
        "bad-label": label,
        "bad-position": position,
    }


def spconv_seeds() -> dict[str, bytes]:
    """Kernel, stride, padding, groups, channels, batch, height, width, rows, how, widths, entries.

    `how` counts blocks' columns, has a bias, rectifies and deals out to shares.
    """
    files = {}
    for kernel in range(1, 5):
        for stride in range(1, 5):
            for case in range(4):
                rng = drawn(kernel, stride, case)
                groups, padding = 1 + case % 3, int(rng.integers(6))
                channels, batch = (
                    int(rng.choice([1, 5, 39])),
                    int(rng.choice([1, 3, 8, 11, 16, 19])),
                )
                rows, label_bits, gap_bits = int(rng.choice([1, 16, 19])), 1 + case, 2 + stride
                how = case + 4 * int(rng.integers(4)) + 16 * int(rng.integers(3))
                head = [kernel - 1, stride - 1, padding, groups - 1, channels, batch]
                head += [int(rng.integers(12)), int(rng.integers(24)), rows, how]
                head += [label_bits - 1 + 8 * (gap_bits - 1)]
                size = groups * rows * channels * kernel**2
                tail = entries(rng, size, label_bits, gap_bits, 83)
                files[f"{kernel}x{kernel}-{stride}-{case}"] = bytes(head) + tail
    for case in range(12):  # sides, strides and paddings that differ, and dilations
        rng = drawn(8, case)
        sides = [int(rng.integers(16)), int(rng.integers(16)), int(rng.integers(36))]
        head = [*sides, case % 3, 5, 20 * (case % 6) + int(rng.choice([1, 3, 8]))]
        head += [int(rng.integers(12)), int(rng.integers(24)), 16, int(rng.integers(48)), 4 + 8 * 3]
        size = (1 + case % 3) * 16 * 5 * (sides[0] % 4 + 1) * ((sides[0] + sides[0] // 4) % 4 + 1)
        files[f"unequal-{case}"] = bytes(head) + entries(rng, size, 5, 4, 83)
    for index in range(24):
        rng = drawn(9, index)
        files[f"any-{index}"] = rng.bytes(11) + bytes([index % 8]) + bytes(9)
    nothing = {"channels": 4, "batch": 5, "rows": 8}
    for name, place in nothing.items():
        head = bytearray([1, 0, 1, 0, 3, 2, 5, 6, 4, 4, 9])
        head[place] = 0
        files[f"no-{name}"] = bytes(head) + b"\0"
    return files


SEEDS = {
    "bitpack": bitpack_seeds,
    "gaps": gaps_seeds,
    "planes": planes_seeds,
    "stored_planes": stored_planes_seeds,
    "huffman": huffman_seeds,
    "rans": rans_seeds,
    "rans_states": rans_states_seeds,
    "context": context_seeds,
    "blocks": blocks_seeds,
    "product": product_seeds,
    "spconv": spconv_seeds,
}
