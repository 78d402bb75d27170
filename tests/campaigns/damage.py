"""Damage files byte by byte: ``python tests/campaigns/damage.py [--json FILE]``.

Every strict prefix of every golden file and, for some of them that together have each
encoding with each coder, every other value of every byte. Whatever is read from such a
file must be an error of ours or the same tensors; anything else is counted, shown, and
makes the exit status 1. Takes minutes; `test_damage` draws from the same.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import deepcompress as dc
from deepcompress.pipeline import from_bytes

GOLDEN = Path(__file__).parents[1] / "golden"
CHANGED = (
    *("v1-nooks", "v1-huffman", "v1-every-coder", "v2-planes", "v2-dtypes"),
    *("v3-context", "v3-rans"),
)
BASE = GOLDEN / "v3-deltas-base.npz"  # of the one that has differences
ERROR, SAME, OTHER = "our error", "identical tensors", "anything else"


def contents(name: str) -> bytes:
    """Return the bytes of a golden."""
    return (GOLDEN / f"{name}.dcnn").read_bytes()


def same_tensors(a: dc.CompressedModel, b: dc.CompressedModel) -> bool:
    """Tell whether two models hold the same bits under the same names, in the same order."""
    dense, others = a.to_dense(), b.to_dense()
    return (
        list(dense) == list(others)
        and a.metadata == b.metadata
        and all(
            (dense[name].dtype, dense[name].shape, dense[name].tobytes())
            == (others[name].dtype, others[name].shape, others[name].tobytes())
            for name in dense
        )
    )


@cache
def base() -> dict[str, Any]:
    """Return the tensors to which one of the goldens has the differences."""
    with np.load(BASE) as arrays:
        return dict(arrays)


def outcome(data: bytes, expected: dc.CompressedModel) -> str:
    """Return what reading the bytes gives."""
    try:
        model = from_bytes(data, "damaged", base=base())
    except dc.DeepCompressError as error:
        return ERROR if str(error).startswith("damaged: ") else f"{OTHER}: {error!r}"
    except Exception as error:
        return f"{OTHER}: {error!r}"
    return SAME if same_tensors(model, expected) else f"{OTHER}: other tensors"


def changes(data: bytes, offset: int) -> Iterator[bytes]:
    """Yield the file with each other value of the byte at `offset`."""
    damaged = bytearray(data)
    for value in range(256):
        if value != data[offset]:
            damaged[offset] = value
            yield bytes(damaged)


def _prefixes(name: str) -> Counter[str]:
    data = contents(name)
    expected = from_bytes(data, base=base())
    return Counter(outcome(data[:size], expected) for size in range(len(data)))


def _changed(task: tuple[str, int, int]) -> Counter[str]:
    name, first, stop = task
    data = contents(name)
    expected = from_bytes(data, base=base())
    offsets = range(first, min(stop, len(data)))
    return Counter(outcome(damaged, expected) for at in offsets for damaged in changes(data, at))


def main() -> int:
    """Run everything, print the counts, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="where to write the counts")
    arguments = parser.parse_args()
    start = time.perf_counter()
    names = sorted(path.stem for path in GOLDEN.glob("*.dcnn"))
    tasks = [
        (name, first, first + 50) for name in CHANGED for first in range(0, len(contents(name)), 50)
    ]
    counts: dict[str, dict[str, dict[str, int]]] = {"prefixes": {}, "changed bytes": {}}
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        prefixes = pool.map(_prefixes, names, chunksize=1)
        changed = pool.map(_changed, tasks, chunksize=1)
    for name, count in zip(names, prefixes, strict=True):
        counts["prefixes"][name] = {ERROR: 0, SAME: 0, **count}
    for name in CHANGED:
        total = sum(
            (c for task, c in zip(tasks, changed, strict=True) if task[0] == name), Counter()
        )
        counts["changed bytes"][name] = {ERROR: 0, SAME: 0, **total}
    good = all(set(count) == {ERROR, SAME} for kind in counts.values() for count in kind.values())
    result = {
        "command": "python tests/campaigns/damage.py --json FILE",
        "bytes": {name: len(contents(name)) for name in names},
        "outcomes": counts,
        "anything else": not good,
        "seconds": round(time.perf_counter() - start),
    }
    text = json.dumps(result, indent=2) + "\n"
    print(text, end="")
    if arguments.json:
        arguments.json.write_text(text)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
