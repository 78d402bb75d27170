"""Trouble for threads: ``python tests/campaigns/threads.py [--seconds N] [--forks N] [--json F]``.

- The C driver beside this file, under ThreadSanitizer, with futexes and with condition variables;
  left out where no compiler has it.
- Eight threads of Python that call at once, products with vectors and matrices and convolutions,
  for so many seconds: each result is compared bit by bit.
- Processes forked while other threads are in the midst of products; each forked one does some.
- Interpreters that exit at a random moment of products.

Nothing may hang, which is a matter of minutes here, and no bit may be wrong.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepcompress import native
from deepcompress.native import pool
from deepcompress.reports.product_timing import random_tensor

ROOT = Path(__file__).parents[2]
DRIVER = Path(__file__).with_name("pool_driver.c")
COMPILERS = "clang", "gcc"
PATIENCE = 60.0  # seconds


def sanitized(rounds: int, compilers: Sequence[str] = COMPILERS) -> dict[str, str]:
    """Return what the driver says under ThreadSanitizer, for each way to sleep and compiler.

    Raises
    ------
    CalledProcessError
        If it finds a race, or a task that wasn't done once.
    """
    said = {}
    with tempfile.TemporaryDirectory() as folder:
        for compiler in compilers:
            for sleeps in ("futex", "condition"):
                program = Path(folder, f"{compiler}-{sleeps}")
                options = ["-std=c11", "-O1", "-g", "-pthread", "-fsanitize=thread", "-Icsrc"]
                options += ["-DDC_NO_FUTEX"] if sleeps == "condition" else []
                sources = [str(DRIVER), "csrc/pool/pool.c"]
                command = [compiler, *options, *sources, "-o", str(program)]
                try:
                    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
                except (OSError, subprocess.CalledProcessError):
                    continue  # no such compiler, or without the sanitizer
                ran = subprocess.run([program, str(rounds)], check=True, capture_output=True)
                said[f"{compiler}, {sleeps}"] = ran.stdout.decode().strip()
    return said


def products() -> list[tuple[Callable[[], Any], bytes]]:
    """Return calls of several lengths, each with the bytes of its right result."""
    rng = np.random.default_rng(0)
    calls: list[Callable[[], Any]] = []
    for shape, density, columns in [
        ((100, 300), 0.3, ()),
        ((1000, 2000), 0.2, ()),
        ((2000, 2000), 0.1, ()),
        ((500, 700), 0.2, (40,)),
    ]:
        w = random_tensor(shape, density)
        x = rng.standard_normal((shape[1], *columns), np.float32)
        calls.append(lambda w=w, x=x: w @ x)
    kernels = random_tensor((64, 32, 3, 3), 0.3)
    image = rng.standard_normal((32, 20, 20, 1), np.float32)
    calls.append(lambda: kernels.convolve(image, padding=1))
    native.set_threads(1)
    right = [call().tobytes() for call in calls]
    native.set_threads()
    return list(zip(calls, right, strict=True))


def side_by_side(seconds: float, threads: int = 8) -> dict[str, int]:
    """Return how many products threads of Python did at once, and how many were wrong."""
    work, end = products(), time.monotonic() + seconds
    done, wrong = [0] * threads, [0] * threads

    def go(thread: int) -> None:
        chosen = random.Random(thread)
        while time.monotonic() < end:
            call, right = chosen.choice(work)
            wrong[thread] += call().tobytes() != right
            done[thread] += 1
            if chosen.random() < 0.02:
                time.sleep(chosen.random() * 1e-3)

    going = [threading.Thread(target=go, args=(i,), daemon=True) for i in range(threads)]
    for thread in going:
        thread.start()
    for thread in going:
        thread.join(seconds + PATIENCE)
    hung = sum(thread.is_alive() for thread in going)
    return {"products": sum(done), "wrong": sum(wrong), "hung": hung}


def forks(count: int) -> dict[str, int]:
    """Return how many forked processes, made under load, ended with right results."""
    work, stop = products(), threading.Event()

    def load() -> None:
        while not stop.is_set():
            for call, _ in work:
                call()

    loads = [threading.Thread(target=load, daemon=True) for _ in range(3)]
    for thread in loads:
        thread.start()
    right = 0
    for _ in range(count):
        child = os.fork()
        if child == 0:
            try:
                same = all(call().tobytes() == expected for call, expected in work)
                os._exit(0 if same else 1)
            finally:
                os._exit(2)
        right += waited(child)
    stop.set()
    for thread in loads:
        thread.join()
    return {"forks": count, "right": right}


def waited(child: int) -> bool:
    """Wait for a child, and kill it if it hangs; tell whether it ended well."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(1e-3)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return False


EXIT = """
import random, sys, threading, time
sys.path.insert(0, {folder!r})
from campaigns.threads import products
work = products()
def load():
    while True:
        for call, _ in work:
            call()
for _ in range(3):
    threading.Thread(target=load, daemon=True).start()
time.sleep(random.random() * 0.02)
"""


def exits(count: int) -> dict[str, int]:
    """Return how many interpreters that exited in the midst of products did so without a word."""
    program, quiet = EXIT.format(folder=str(ROOT / "tests")), 0
    for _ in range(count):
        command = [sys.executable, "-c", program]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=PATIENCE)
        quiet += (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    return {"exits": count, "quiet": quiet}


def main() -> None:
    """Run all, print what happened and write it; exit with 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--forks", type=int, default=1000)
    parser.add_argument("--exits", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=60, help="of the driver")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {"threads": native.threads()}
    found["sanitizer"] = sanitized(options.rounds)
    found["side_by_side"] = side_by_side(options.seconds)
    found["forks"] = forks(options.forks)
    found["exits"] = exits(options.exits)
    found["pool"] = pool.report()
    text = json.dumps(found, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    sides = found["side_by_side"]
    is_right = not sides["wrong"] and not sides["hung"]
    is_right &= found["forks"]["right"] == options.forks
    sys.exit(not (is_right and found["exits"]["quiet"] == options.exits))


if __name__ == "__main__":
    main()
