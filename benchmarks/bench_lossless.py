"""Weights stored bit for bit: our planes against ZipNN, pcodec and zstd.

``python -m benchmarks.bench_lossless [--rounds N] [--threads N] [--weights NAME …]
[--dtypes NAME …] [--peers NAME …] [--json FILE]``

The trained weights in ``DEEPCOMPRESS_DATA/real-weights``, as float32 and cast to bfloat16 and
float16, tensor by tensor. Ours is a whole ``.dcnn`` file in memory, names and checksums included,
and from it to arrays again; a peer's is the bytes of each tensor, and no names. zstd takes the
bytes shuffled: all first bytes of the elements, then all second ones. First, everything is decoded
and compared.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import zipnn
import zstandard
from pcodec import ChunkConfig, standalone
from threadpoolctl import threadpool_limits

import deepcompress
from deepcompress import native
from deepcompress.formats.registry import open_source
from deepcompress.pipeline import from_bytes

from .harness import machine, medians, require_kernels, row

Arrays = dict[str, np.ndarray]
PEERS = ("zipnn", "zstd", "pcodec")
FILES = ("squeezenet-1.1", "alexnet-convolutions", "vgg16-convolutions")
DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16, "float16": np.float16}
CONFIG = deepcompress.preset("lossless")
Codec = tuple[Callable[[np.ndarray], bytes], Callable[[bytes, np.ndarray], np.ndarray]]


def zipnn_codec(dtype: str, threads: int) -> Codec:
    """Return ZipNN's, which takes bytes and is told their dtype."""
    codec = zipnn.ZipNN(input_format="byte", bytearray_dtype=dtype, threads=threads)

    def encode(array: np.ndarray) -> bytes:
        return bytes(codec.compress(bytearray(array.view(np.uint8))))

    def decode(data: bytes, like: np.ndarray) -> np.ndarray:
        return np.frombuffer(codec.decompress(data), like.dtype)

    return encode, decode


def zstd_codec(threads: int) -> Codec:
    """Return zstd's at level 3, on shuffled bytes."""
    writer = zstandard.ZstdCompressor(3, threads=threads if threads > 1 else 0)
    reader = zstandard.ZstdDecompressor()

    def encode(array: np.ndarray) -> bytes:
        return writer.compress(array.view(np.uint8).reshape(-1, array.itemsize).T.tobytes())

    def decode(data: bytes, like: np.ndarray) -> np.ndarray:
        planes = np.frombuffer(reader.decompress(data), np.uint8).reshape(like.itemsize, -1)
        return np.ascontiguousarray(planes.T).reshape(-1).view(like.dtype)

    return encode, decode


def pcodec_codec() -> Codec:
    """Return pcodec's at its default level; it knows no bfloat16, which goes in as uint16."""
    config = ChunkConfig()

    def encode(array: np.ndarray) -> bytes:
        known = array if array.dtype.kind == "f" else array.view(np.uint16)
        return standalone.simple_compress(known, config)

    def decode(data: bytes, like: np.ndarray) -> np.ndarray:
        decoded = standalone.simple_decompress(data)
        return np.asarray(decoded).view(like.dtype)

    return encode, decode


def weights(name: str, dtype: str) -> Arrays:
    """Return the tensors of a file, flat."""
    path = Path(os.environ["DEEPCOMPRESS_DATA"]) / "real-weights" / f"{name}.safetensors"
    with open_source(path) as source:
        return {key: source[key].astype(DTYPES[dtype]).reshape(-1) for key in source}


def compared(arrays: Arrays, dtype: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Check and time all contestants on one set; return a row for encoding, one for decoding."""
    makers = {
        "zipnn": lambda: zipnn_codec(dtype, options.threads),
        "zstd": lambda: zstd_codec(options.threads),
        "pcodec": pcodec_codec,
    }
    codecs = {peer: makers[peer]() for peer in options.peers}

    def ours() -> bytes:
        return deepcompress.compress(arrays, CONFIG).to_bytes()

    def encode_all(encode: Callable[[np.ndarray], bytes]) -> dict[str, bytes]:
        return {name: encode(array) for name, array in arrays.items()}

    def decode_all(
        decode: Callable[[bytes, np.ndarray], np.ndarray], data: dict[str, bytes]
    ) -> Any:
        return {name: decode(data[name], array) for name, array in arrays.items()}

    file = ours()
    coded = {peer: encode_all(encode) for peer, (encode, _) in codecs.items()}
    answers = {peer: decode_all(decode, coded[peer]) for peer, (_, decode) in codecs.items()}
    for peer, decoded in {"ours": from_bytes(file), **answers}.items():
        for name, array in arrays.items():
            if decoded[name].tobytes() != array.tobytes():
                raise SystemExit(f"{peer}: {name} comes back otherwise")
    size = sum(array.nbytes for array in arrays.values())
    sizes = {"ours": len(file), **{p: sum(map(len, c.values())) for p, c in coded.items()}}
    ratios = {f"{peer}_compression": size / mine for peer, mine in sizes.items()}
    encoders: dict[str, Callable[[], Any]] = {"ours": ours}
    decoders: dict[str, Callable[[], Any]] = {"ours": lambda: from_bytes(file)}
    for peer, (encode, decode) in codecs.items():
        encoders[peer] = lambda encode=encode: encode_all(encode)
        decoders[peer] = lambda decode=decode, peer=peer: decode_all(decode, coded[peer])
    return [
        row(what, medians(calls, options.rounds), own_bytes=size, **ratios)
        for what, calls in (("encode", encoders), ("decode", decoders))
    ]


def main() -> None:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", nargs="+", choices=FILES, default=FILES, metavar="NAME")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES, metavar="NAME")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=PEERS, metavar="NAME")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    require_kernels()
    threadpool_limits(options.threads)
    if native.threads() != options.threads:
        raise SystemExit(f"we have {native.threads()} threads, not {options.threads}")
    rows = []
    for name in options.weights:
        for dtype in options.dtypes:
            for result in compared(weights(name, dtype), dtype, options):
                result = {"weights": name, "dtype": dtype, **result}
                rows.append(result)
                peers = "  ".join(
                    f"{peer} {result[f'{peer}_compression']:.3f}, {result[f'ratio_{peer}']:.2f}"
                    for peer in options.peers
                )
                speed = result["own_bytes"] / result["ours_seconds"] / 1e6
                print(
                    f"{name} {dtype} {result['case']}: ours {result['ours_compression']:.3f}, "
                    f"{speed:,.0f} MB/s; ratio and its time over ours: {peers}",
                    flush=True,
                )
    if options.json:
        content = {"machine": machine(options.threads), "rows": rows}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
