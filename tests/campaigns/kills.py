"""Kill writers at random instants: ``python tests/campaigns/kills.py [--kills N] [--json FILE]``.

A child replaces one file by the next generation again and again and is killed
(SIGKILL) after a random time; then the file must be one generation as a whole, and none
older than was there before. In the end, children are killed just before and after each
call by which a file is replaced. One more write must leave no temporary file behind.
"""

import argparse
import json
import os
import random
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path

# Children are forked: without threads, which NumPy's library would start.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from deepcompress.files import atomic

SIZE = 2 << 20
CALLS = ("open", "fsync", "chmod", "replace", "close", "unlink")


def generation(number: int) -> bytes:
    """Return the content of a generation: every eight bytes tell which."""
    return struct.pack("<Q", number) * (SIZE // 8)


def number_of(path: Path) -> int | None:
    """Return which generation a file is, None if it is missing or not one as a whole."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) != SIZE or data != data[:8] * (SIZE // 8):
        return None
    return int.from_bytes(data[:8], "little")


def litter(folder: Path) -> int:
    """Return how many files there are besides the one."""
    return len(list(folder.iterdir())) - 1


def killed_writer(path: Path, first: int, delay: float) -> None:
    """Let a child write generations from `first`, and kill it after `delay` seconds."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, b"!")
        while True:
            atomic.write_bytes(path, generation(first))
            first += 1
    os.read(reader, 1)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)


def killed_at(path: Path, number: int, call: str, after: bool) -> None:
    """Let a child write a generation and kill itself at its first such call."""
    child = os.fork()
    if not child:
        original = getattr(os, call)

        def stop(*arguments: object, **options: object) -> None:
            if after:
                original(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, call, stop)
        atomic.write_bytes(path, generation(number))
        os._exit(0)
    os.waitpid(child, 0)


def run(kills: int, longest: float, folder: Path) -> dict[str, object]:
    """Kill writers and return the counts."""
    path = folder / "file"
    newest = 1
    atomic.write_bytes(path, generation(newest))
    path.chmod(0o640)  # not what the umask gives, so that there is something to keep
    lost_or_mixed = went_back = left = most_litter = replaced = 0
    instants = [(call, after) for call in CALLS for after in (False, True)]
    for kill in range(kills + len(instants)):
        if kill < kills:
            killed_writer(path, newest + 1, random.uniform(0, longest))
        else:
            killed_at(path, newest + 1, *instants[kill - kills])
        found = number_of(path)
        lost_or_mixed += found is None
        went_back += found is not None and found < newest
        replaced += found is not None and found > newest
        left += litter(folder) > 0
        most_litter = max(most_litter, litter(folder))
        newest = max(newest, found or 0)
    atomic.write_bytes(path, generation(newest + 1))
    return {
        "kills": kills,
        "kills before or after a call": len(instants),
        "lost or mixed": lost_or_mixed,
        "older than before": went_back,
        "newer than before": replaced,
        "left a temporary file": left,
        "most temporary files at once": most_litter,
        "temporary files after one more write": litter(folder),
        "permissions kept": path.stat().st_mode & 0o777 == 0o640,
    }


def main() -> int:
    """Run everything, print the counts, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--longest", type=float, default=0.1, help="most seconds before a kill")
    parser.add_argument("--json", type=Path, help="where to write the counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = run(arguments.kills, arguments.longest, Path(folder))
    command = f"python tests/campaigns/kills.py --kills {arguments.kills} --json FILE"
    text = json.dumps({"command": command, "file bytes": SIZE, **counts}, indent=2) + "\n"
    print(text, end="")
    if arguments.json:
        arguments.json.write_text(text)
    bad = ("lost or mixed", "older than before", "temporary files after one more write")
    return int(any(counts[key] for key in bad) or not counts["permissions kept"])


if __name__ == "__main__":
    sys.exit(main())
