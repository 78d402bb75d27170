"""Compress and restore a checkpoint of many GB in shards: memory, speed, and what a kill leaves.

``python -m benchmarks.bench_checkpoint [--gb N] [--jobs N] [--kills N] [--json FILE]``

The weights are normal, in bfloat16, of the shapes that a language model of 1.1 billion
parameters has (2048 wide, 5632 in its middle layers, 32000 tokens), with as many layers as fill
the size, in four shards with an index. Each command is a process of its own, whose highest
resident size is the system's figure. Without loss, the restored files must be the given ones
byte for byte; with shared weights their names, dtypes and shapes, and few values. Then each
command is killed (SIGKILL) at random moments: the file that was there must be as it was, what is
restored may be there only as a whole, and after one more run to the end no temporary file may be
left.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepcompress.dtypes import ElementType
from deepcompress.files.atomic import TEMPORARY_SUFFIX
from deepcompress.formats import safetensors_shards
from deepcompress.formats.safetensors_shards import ShardedSafetensors
from deepcompress.formats.source import Array, Arrays

from .harness import machine, require_kernels

WIDE, MIDDLE, TOKENS, HEADS = 2048, 5632, 32000, 256
SHARDS = 4
LAYER = {
    "input_layernorm": (WIDE,),
    "self_attn.q_proj": (WIDE, WIDE),
    "self_attn.k_proj": (HEADS, WIDE),
    "self_attn.v_proj": (HEADS, WIDE),
    "self_attn.o_proj": (WIDE, WIDE),
    "post_attention_layernorm": (WIDE,),
    "mlp.gate_proj": (MIDDLE, WIDE),
    "mlp.up_proj": (MIDDLE, WIDE),
    "mlp.down_proj": (WIDE, MIDDLE),
}
# Presets, and the most values that a matrix may have afterwards; None: it is as it was.
PRESETS = {"lossless": None, "small": 256}
INDEX = "model.safetensors.index.json"


def shapes_of(gigabytes: float) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a model of about a size."""
    ends = {"model.norm.weight": (WIDE,), "lm_head.weight": (TOKENS, WIDE)}
    shapes = {"model.embed_tokens.weight": (TOKENS, WIDE)}
    of_layer = sum(2 * int(np.prod(shape)) for shape in LAYER.values())
    layers = max(1, round((gigabytes * 1e9 - 4 * TOKENS * WIDE) / of_layer))
    for layer in range(layers):
        shapes |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in LAYER.items()}
    return shapes | ends


def weights(shapes: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, Array]]:
    """Yield tensors of normal weights, those of norms around one."""
    bfloat16 = ElementType("bfloat16").numpy()
    for index, (name, shape) in enumerate(shapes.items()):
        rng = np.random.default_rng(index)
        array = np.empty(int(np.prod(shape)), bfloat16)
        for start in range(0, array.size, 1 << 20):
            part = array[start : start + (1 << 20)]
            part[:] = 0.02 * rng.standard_normal(part.size, dtype=np.float32) + (len(shape) == 1)
        yield name, array.reshape(shape)


def make(folder: Path, gigabytes: float) -> None:
    """Write a checkpoint."""
    shapes = shapes_of(gigabytes)
    arrays = Arrays(dict.fromkeys(shapes, ElementType("bfloat16")), shapes, weights(shapes))
    total = sum(map(arrays.bytes_of, shapes))
    folder.mkdir()
    origin = {"metadata": {"format": "pt"}}
    safetensors_shards.write(folder / INDEX, arrays, origin, int(total / SHARDS * 1.02))


def started(*arguments: object) -> "subprocess.Popen[bytes]":
    """Start the command line."""
    command = [sys.executable, "-m", "deepcompress", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def measured(*arguments: object) -> dict[str, float]:
    """Run a command to its end; return its figures, `peak_bytes` the highest resident size.

    Its processor's seconds, those of its threads together, tell how fast it is where other work
    takes turns with it.
    """
    begin = time.perf_counter()
    process = started(*arguments)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments}: status {process.returncode}")
    return {
        "seconds": time.perf_counter() - begin,
        "processor_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
    }


def killed(delay: float, *arguments: object) -> bool:
    """Kill a command after some seconds; tell whether it was still running."""
    process = started(*arguments)
    try:
        process.wait(delay)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True


def content(path: Path) -> dict[str, int]:
    """Return the checksums of a file, or of a folder's files but for temporary ones."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: _checksum(file) for file in files if file.suffix != TEMPORARY_SUFFIX}


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            value = zlib.crc32(piece, value)
    return value


def require(holds: object, what: str) -> None:
    """Stop if something isn't as it has to be."""
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def check_restored(given: Path, restored: Path, how: str) -> None:
    """Stop unless the restored checkpoint is the given one, or, shared, is as it should be."""
    most = PRESETS[how]
    if most is None:
        require(content(given) == content(restored), "files differ from the given ones")
        return
    before, after = ShardedSafetensors(given), ShardedSafetensors(restored)
    require(list(before) == list(after) and before.shapes == after.shapes, "names or shapes differ")
    for name in before:
        array = after[name]
        require(array.dtype.name == "bfloat16", f"{name} is {array.dtype}")
        if array.ndim > 1:
            values = np.unique(array.view(np.uint16))
            require(len(values) <= most, f"{name} has {len(values)} values")
        else:
            require(array.tobytes() == before[name].tobytes(), f"{name} differs")


def kill_runs(work: Path, kills: int, how: str, seconds: dict[str, float]) -> dict[str, int]:
    """Kill each command at random moments, and check what is there then."""
    draw = random.Random(0)
    given, packed, restored = work / "given", work / f"{how}.dcnn", work / "killed"
    commands = {
        "compress": _compress(work, how),
        "decompress": ("decompress", packed, "-o", restored / INDEX),
    }
    before = {path: content(path) for path in (given, packed)}
    counts = dict.fromkeys(commands, 0)
    restored.mkdir()
    for name, command in commands.items():
        for _ in range(kills):
            counts[name] += killed(draw.uniform(0.2, 1) * seconds[name], *command)
            if name == "decompress":
                there = content(restored)
                require(there in ({}, content(work / "restored")), f"partial: {sorted(there)}")
                for file in there:
                    (restored / file).unlink()
            for path, value in before.items():
                require(content(path) == value, f"{path} isn't as it was")
    return counts


def _compress(work: Path, how: str) -> tuple[object, ...]:
    return ("compress", work / "given", "-o", work / f"{how}.dcnn", "--preset", how)


def run(work: Path, how: str, jobs: int, kills: int) -> dict[str, Any]:
    """Compress and restore a checkpoint in one way; return a row of figures."""
    size = sum(path.stat().st_size for path in (work / "given").iterdir())
    packed, restored = work / f"{how}.dcnn", work / "restored"
    compressing = (*_compress(work, how), "--jobs", jobs)
    figures = {"compress": measured(*compressing)}
    restored.mkdir()
    restoring = ("decompress", packed, "-o", restored / INDEX)
    figures["decompress"] = measured(*restoring)
    check_restored(work / "given", restored, how)
    row = {"how": how, "jobs": jobs, "bytes": size, "file_bytes": packed.stat().st_size}
    for name, own in figures.items():
        row |= {f"{name}_{figure}": value for figure, value in own.items()}
        row[f"{name}_gb_per_minute"] = size / 1e9 / own["seconds"] * 60
    if kills:
        seconds = {name: own["seconds"] for name, own in figures.items()}
        row["kills"] = kill_runs(work, kills, how, seconds)
        measured(*compressing)
        measured("decompress", packed, "-o", work / "killed" / INDEX)
        require(content(work / "killed") == content(restored), "the last run gave other files")
        left = [path for path in work.rglob("*") if path.suffix == TEMPORARY_SUFFIX]
        require(not left, f"temporary files are left: {left}")
        shutil.rmtree(work / "killed")
    shutil.rmtree(restored)
    packed.unlink()
    return row


def main() -> None:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--gb", type=float, default=1, help="size of the checkpoint, in 10**9 bytes"
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--how", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--kills", type=int, default=0, help="of each command")
    parser.add_argument("--folder", type=Path, help="where the files are made, and removed")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.make, options.gb)
        return
    require_kernels()
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        work = Path(name)
        # In a process of its own: a child starts with its parent's highest resident size.
        this = [sys.executable, "-m", "benchmarks.bench_checkpoint", "--gb", str(options.gb)]
        subprocess.run([*this, "--make", work / "given"], check=True)
        for how in options.how:
            rows.append(run(work, how, options.jobs, options.kills))
            print(json.dumps(rows[-1], indent=2), flush=True)
    if options.json:
        report = {"machine": machine(), "gb": options.gb, "shards": SHARDS, "rows": rows}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
