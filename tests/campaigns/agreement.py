"""Compare the reference reader, docs/reader.py, with the package on random files.

``python tests/campaigns/agreement.py --files 10000 --seed 0 [--json FILE]``: on each file, and on
a damaged form of each, either both give the same tensors and metadata, bit for bit, or both refuse.
Most damaged files have right checksums and sizes, so that the rules behind them answer.
"""

import argparse
import collections
import json
import platform
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # `support`, where this runs as a program

from support.file_parts import damaged, small_enough
from support.random_files import bases_of, foreign, random_model
from support.reference_reader import reader

from deepcompress import dtypes
from deepcompress.coding.delta import DeltaCoding
from deepcompress.coding.grouped import GroupedCoding
from deepcompress.container.records import BITMASK, DENSE, RELATIVE, PlaneCoding
from deepcompress.errors import DeepCompressError
from deepcompress.pipeline import from_bytes
from deepcompress.tensors import FIXED_WIDTH, HUFFMAN, RANS, RANS1


class Disagreement(AssertionError):
    """The two readers say different things of one file."""


def bits_of(tensors):
    """What must be equal: names in their order, dtypes, shapes and bytes."""
    arrays = {name: as_the_reader(array) for name, array in tensors.items()}
    return [(name, a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()]


def as_the_reader(array):
    """Return an array of a dtype that NumPy lacks as float32, as the reference reader does."""
    element_type = dtypes.named(array.dtype)
    if element_type.name not in dtypes.NUMPY_LACKS:
        return array
    return element_type.widened(dtypes.bits_of(array, element_type)).reshape(array.shape)


def as_bits(base):
    """Return the tensors of a base as the reference reader takes them."""
    return base and {
        name: dtypes.bits_of(array, dtypes.named(array.dtype)).reshape(array.shape)
        for name, array in base.items()
    }


def compare(data, base=None):
    """Return whether both readers accept a file; an exception if they disagree."""
    try:
        model = from_bytes(data, base=base)
        package = bits_of(model.to_dense()), model.metadata
    except DeepCompressError as refusal:
        package = refusal
    try:
        tensors, metadata = reader.read(data, as_bits(base))
        reference = bits_of(tensors), metadata
    except ValueError as refusal:
        reference = refusal
    if "need ml_dtypes" in str(package):  # which the reference reader doesn't
        return False
    refused = isinstance(package, Exception), isinstance(reference, Exception)
    if refused[0] != refused[1] or (not refused[0] and package != reference):
        raise Disagreement(f"package: {package!r:.500}\nreader: {reference!r:.500}\n{data.hex()}")
    return not refused[0]


def reader_accepts(data, base=None):
    """Whether the reference reader accepts a file."""
    try:
        reader.read(data, as_bits(base))
    except ValueError:
        return False
    return True


def main():
    """Compare as many files as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    counts = collections.Counter()
    names = {BITMASK: "bitmask", DENSE: "dense", RELATIVE: "relative"}
    coders = {
        FIXED_WIDTH: "fixed width",
        HUFFMAN: "Huffman",
        RANS1: "rANS of one state",
        RANS: "rANS",
    }

    def count(kind, data, base):
        counts[f"{kind}: {'accepted' if compare(data, base) else 'refused'} by both"] += 1

    for i in range(args.files):
        if i % 4:
            model = random_model(rng)
            data, base = model.to_bytes(), bases_of(model)
            counts["tensors, tied"] += len(model) - len(set(map(id, model.values())))
            counts["tensors"] += len(model)
            for how in model.storage.values():
                if isinstance(how, PlaneCoding | DeltaCoding | GroupedCoding):
                    counts[f"tensors, {type(how).__name__[:-6].lower()}"] += 1
                    continue
                counts[f"tensors, {names[how.encoding]}, labels: {coders[how.label_coder]}"] += 1
        else:
            data, base = foreign(rng), None
        counts["bytes"] += len(data)
        count("files by our writer" if i % 4 else "files by another writer", data, base)
        worse = damaged(data, rng) if reader_accepts(data, base) else data[:-1]
        if worse == data:
            counts["damaged files that are as they were: not compared"] += 1
        elif small_enough(worse):
            count("damaged files", worse, base)
        else:
            counts["damaged files that ask for too much memory: not compared"] += 1
    result = {
        "command": f"python tests/campaigns/agreement.py --files {args.files} --seed {args.seed}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "disagreements": 0,  # the first would have ended it
        "counts": dict(sorted(counts.items())),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
