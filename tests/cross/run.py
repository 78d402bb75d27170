"""Run the C kernels as a processor of another kind would: ``python tests/cross/run.py``.

They are compiled for 64-bit ARM, with its vectors (NEON), and run by QEMU's user mode: the
targets of `tests/fuzz` on their corpus and damaged copies of it, without sanitizers, and the
products that `products.py` writes. That takes a cross compiler, QEMU (Debian's packages
gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user) and the package itself.

``CROSS_CC`` and ``CROSS_EMULATOR`` name others, as s390x-linux-gnu-gcc and qemu-s390x for the other
byte order, or arm-linux-gnueabihf-gcc and qemu-arm for 32 bits.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import products

HERE = Path(__file__).parent
CSRC, FUZZ = HERE.parents[1] / "csrc", HERE.parent / "fuzz"
COMPILER = os.environ.get("CROSS_CC", "aarch64-linux-gnu-gcc")
EMULATOR = os.environ.get("CROSS_EMULATOR", "qemu-aarch64")
FLAGS = ["-static", "-std=c11", "-O2", "-Wall", "-Wextra", f"-I{CSRC}", f"-I{FUZZ}"]

# How many damaged copies of each file; some targets take longer.
COPIES = {
    "bitpack": 100,
    "gaps": 100,
    "huffman": 100,
    "rans": 100,
    "rans_states": 100,
    "context": 30,
    "blocks": 100,
    "product": 100,
    "spconv": 10,
}


def call(*command: str | Path) -> str:
    """Run a command and return what it printed; end with that if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        shown = " ".join(str(part) for part in command[:6])
        sys.exit(f"FAILED with {done.returncode}: {shown} …\n{done.stdout}")
    return done.stdout.strip()


def byte_order() -> str:
    """Return that of the processor, ``"<"`` or ``">"``."""
    macros = call(COMPILER, "-dM", "-E", "-x", "c", "/dev/null")
    return ">" if "__BYTE_ORDER__ __ORDER_BIG_ENDIAN__" in macros else "<"


def compile_kernel(source: Path, folder: Path) -> Path:
    """Return the object file of a kernel."""
    made = folder / f"{source.stem}.o"
    call(COMPILER, *FLAGS, "-Werror", "-c", source, "-o", made)
    return made


def run_target(target: str, kernels: list[Path], folder: Path) -> str:
    """Build and run a target of `tests/fuzz`, and return its summary."""
    sources = FUZZ / f"{target}.c", HERE / "drive.c"
    # The compiler can't know that a target's checks hold, and warns of what they exclude.
    call(COMPILER, *FLAGS, "-w", *sources, *kernels, "-o", folder / target, "-lm")
    given = [FUZZ / name / target for name in ("corpus", "found")]
    files = sorted(path for at in given if at.is_dir() for path in at.iterdir())
    return call(EMULATOR, folder / target, str(COPIES[target]), *files)


def run_products(kernels: list[Path], folder: Path) -> str:
    """Build and run the products, and return their summary."""
    program, cases = folder / "products", folder / "cases"
    call(COMPILER, *FLAGS, HERE / "products.c", *kernels, "-o", program, "-lm")
    products.write(cases, byte_order())
    return call(EMULATOR, program, cases)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--has-tools", action="store_true", help="only tell by the status")
    if parser.parse_args().has_tools:
        return int(not (shutil.which(COMPILER) and shutil.which(EMULATOR)))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(2) as pool:
        folder, sources = Path(name), sorted(CSRC.rglob("*.c"))
        kernels = list(pool.map(lambda source: compile_kernel(source, folder), sources))
        jobs = {target: pool.submit(run_target, target, kernels, folder) for target in COPIES}
        jobs["products"] = pool.submit(run_products, kernels, folder)
        for target, job in jobs.items():
            print(f"{target:10} {job.result()}", flush=True)
    print(f"{COMPILER}, {EMULATOR}: all well in {time.perf_counter() - start:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
