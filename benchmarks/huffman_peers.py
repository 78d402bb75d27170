"""The coders that `bench_huffman` times beside ours: zstd's Huffman stage, and what Python has."""

from collections.abc import Callable
from typing import Any

import constriction
import numpy as np
import zstandard
from bitarray import bitarray, decodetree

# A coder: how many symbols it is given, and what encodes and decodes them.
Coder = tuple[int, Callable[[], Any], Callable[[], Any]]


def literals_in(frame: bytes) -> int:
    """Return how many bytes of a zstd frame's contents are Huffman coded (RFC 8878, 3.1.1)."""
    at = zstandard.frame_header_size(frame)
    coded, is_last = 0, False
    while not is_last:
        header = int.from_bytes(frame[at : at + 3], "little")
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        at += 3
        literals = int.from_bytes(frame[at : at + 5], "little")
        if kind == 2 and literals & 3 >= 2:  # a compressed block that begins with coded literals
            bits = (10, 10, 14, 18)[literals >> 2 & 3]
            coded += literals >> 4 & (1 << bits) - 1
        at += 1 if kind == 1 else size
    return coded


def zstd(symbols: np.ndarray) -> Coder:
    """Return zstd with literals only."""
    data = symbols.tobytes()
    parameters = zstandard.ZstdCompressionParameters.from_level(
        1, min_match=7, hash_log=6, window_log=17, strategy=zstandard.STRATEGY_FAST
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    decompressor = zstandard.ZstdDecompressor()
    frame = compressor.compress(data)
    if literals_in(frame) < 0.98 * len(data):
        raise SystemExit("zstd found matches")
    return len(data), lambda: compressor.compress(data), lambda: decompressor.decompress(frame)


def with_bitarray(few: np.ndarray, codes: dict[int, str]) -> Coder:
    """Return `bitarray` with the same code."""
    code = {symbol: bitarray(bits) for symbol, bits in codes.items()}
    tree, listed = decodetree(code), few.tolist()

    def encode() -> bitarray:
        coded = bitarray()
        coded.encode(code, listed)
        return coded

    coded = encode()
    return len(few), encode, lambda: bytes(coded.decode(tree))


def with_constriction(few: np.ndarray, counts: np.ndarray) -> Coder:
    """Return `constriction` with a Huffman code of its own."""
    trees = constriction.symbol.huffman
    shares = (counts / counts.sum()).astype(np.float32)
    to_bits, from_bits = trees.EncoderHuffmanTree(shares), trees.DecoderHuffmanTree(shares)
    listed = few.tolist()

    def encode() -> Any:
        coder = constriction.symbol.QueueEncoder()
        for symbol in listed:
            coder.encode_symbol(symbol, to_bits)
        return coder.get_compressed()[0]

    coded = encode()

    def decode() -> bytes:
        coder = constriction.symbol.QueueDecoder(coded)
        return bytes(coder.decode_symbol(from_bits) for _ in listed)

    return len(few), encode, decode


def with_constriction_rans(symbols: np.ndarray, counts: np.ndarray) -> Coder:
    """Return the rANS of `constriction`, which takes whole arrays."""
    shares = (counts / counts.sum()).astype(np.float32)
    model = constriction.stream.model.Categorical(shares, perfect=False)
    wide = symbols.astype(np.int32)

    def encode() -> Any:
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(wide, model)
        return coder.get_compressed()

    coded = encode()

    def decode() -> bytes:
        coder = constriction.stream.stack.AnsCoder(coded)
        return coder.decode(model, len(wide)).astype(np.uint8).tobytes()

    return len(symbols), encode, decode


def in_python(few: np.ndarray, codes: dict[int, str]) -> Coder:
    """Return what Python does with strings of bits."""
    listed, symbols = few.tolist(), {bits: symbol for symbol, bits in codes.items()}

    def encode() -> str:
        return "".join([codes[symbol] for symbol in listed])

    coded = encode()

    def decode() -> bytes:
        decoded, code = bytearray(), ""
        for bit in coded:
            code += bit
            if code in symbols:
                decoded.append(symbols[code])
                code = ""
        return bytes(decoded)

    return len(few), encode, decode
