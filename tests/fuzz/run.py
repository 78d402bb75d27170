"""Build the fuzz targets and run each for a while: ``python tests/fuzz/run.py --seconds 20``.

The C kernels need clang with libFuzzer, the readers in Python atheris (extra ``fuzz``) and
the package, installed or on PYTHONPATH. Without one of them its targets are left out, which is
a failure where the environment has ``CI=true``. A finding ends a target; its input is printed,
and belongs into ``found/<target>/`` with a test once it is understood.
"""

import argparse
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
EMULATION = HERE.parent / "emulation"
CSRC = HERE.parents[1] / "csrc"
CLANG = os.environ.get("CLANG", "clang")

# The most bytes of an input: small ones are fast, and reach every state of a kernel.
C_TARGETS = {
    "bitpack": 64,
    "gaps": 64,
    "planes": 100,
    "stored_planes": 200,
    "huffman": 96,
    "rans": 128,
    "rans_states": 300,
    "context": 128,
    "blocks": 160,
    "product": 96,
    "spconv": 96,
}
PYTHON_TARGETS = {
    "container": 700,
    "net": 1200,
    "layers": 1200,
    "definition": 1200,
    "idx": 600,
    "npz": 1200,
    "records": 1200,
    "structure": 800,
    "sparse": 2000,
    "skops": 3000,
    "hdf5_tree": 1200,
    "onnx_model": 1500,
    "shards": 1500,
}
NO_READER = 3
SANITIZERS = ["-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=undefined"]
ENVIRONMENT = {
    # Nothing is freed in the kernels: a long quarantine only costs the processor's cache.
    "ASAN_OPTIONS": "quarantine_size_mb=1:detect_leaks=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


@dataclass(frozen=True)
class Result:
    """What became of a target."""

    target: str
    command: str
    executions: int
    seconds: float
    finding: str  # what was printed, or nothing


def build(folder: Path) -> None:
    """Compile the targets; the kernels alone are instrumented, what calls them needs speed."""
    warnings = ["-Wall", "-Wextra", "-Werror=int-conversion"]
    common = [CLANG, "-std=c11", "-O2", "-g", *warnings, f"-I{CSRC}"]
    kernels = []
    flags = [*SANITIZERS]
    if lacks_avx512():
        flags += ["-DDC_EMULATE_AVX512", f"-I{EMULATION}", "-Wno-psabi"]
    for source in sorted(CSRC.rglob("*.c")):
        kernels.append(folder / f"kernel-{source.stem}.o")
        subprocess.run([*common, *flags, "-c", source, "-o", kernels[-1]], check=True)
    for target in C_TARGETS:
        made = folder / f"{target}.o"
        subprocess.run([*common, "-c", HERE / f"{target}.c", "-o", made], check=True)
        link = [CLANG, "-fsanitize=fuzzer,address,undefined", made, *kernels]
        subprocess.run([*link, "-o", folder / target, "-lm"], check=True)


def lacks_avx512() -> bool:
    """Tell whether this processor can emulate AVX-512 only."""
    try:
        features = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return "avx2" in features and "avx512_vbmi2" not in features


def has_libfuzzer(folder: Path) -> bool:
    """Tell whether clang is there and can link a target."""
    source = folder / "probe.c"
    source.write_text(
        "#include <stddef.h>\n"
        "int LLVMFuzzerTestOneInput(const char *d, size_t n) { return d == 0 && n; }\n"
    )
    flags = ["-fsanitize=fuzzer,address,undefined", source, "-o", folder / "probe"]
    try:
        return subprocess.run([CLANG, *flags], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def has_reader(target: str) -> bool:
    """Tell whether the package has what a target reads with; other branches may lack it."""
    program = f"import sys; sys.path[0] = {str(HERE.parent)!r}; import fuzz.{target} as t"
    program += f"; sys.exit(0 if getattr(t, 'available', True) else {NO_READER})"
    status = subprocess.run([sys.executable, "-c", program]).returncode
    if status not in (0, NO_READER):
        sys.exit(f"FAILED: the target {target} can't be imported")
    return status == 0


def fuzz(target: str, program: list[str], limit: list[str], kept: Path, folder: Path) -> Result:
    """Run one target, from its seeds, earlier findings, and what an earlier run kept."""
    kept.mkdir(parents=True, exist_ok=True)
    given = [HERE / name / target for name in ("corpus", "found")]
    longest = (C_TARGETS | PYTHON_TARGETS)[target]
    options = [*limit, f"-max_len={longest}", "-timeout=60", "-rss_limit_mb=2048"]
    command = [*program, *options]
    folders = [str(path) for path in [kept, *given] if path.is_dir()]
    artifacts = f"-artifact_prefix={folder / target}-"
    start = time.perf_counter()
    done = subprocess.run(
        [*command, artifacts, *folders],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    seconds = round(time.perf_counter() - start, 1)
    runs = re.findall(r"^(?:Done |#)(\d+)", done.stdout, re.MULTILINE)
    finding = ""
    if done.returncode != 0:
        finding = "\n".join(done.stdout.splitlines()[-60:])
        for path in sorted(folder.glob(f"{target}-*-*")):
            finding += f"\n{path.name}: {path.read_bytes().hex()}"
    shown = " ".join([Path(command[0]).name, *(str(p) for p in command[1:])])
    shown = shown.replace(f"{HERE}/", "tests/fuzz/")
    return Result(target, shown, int(runs[-1]) if runs else 0, seconds, finding)


def jobs(arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the targets that can be run here, with their programs."""
    chosen = set(arguments.target or C_TARGETS | PYTHON_TARGETS)
    if chosen & set(C_TARGETS):
        if has_libfuzzer(folder):
            build(folder)
            for target in C_TARGETS:
                if target in chosen:
                    yield target, [str(folder / target)]
        else:
            left_out(f"{CLANG} with libFuzzer isn't there, so the C kernels aren't fuzzed")
    if chosen & set(PYTHON_TARGETS):
        if importlib.util.find_spec("atheris"):
            for target in PYTHON_TARGETS:
                if target in chosen and has_reader(target):
                    yield target, [sys.executable, str(HERE / "drive.py"), target]
        else:
            left_out("atheris isn't there, so the readers in Python aren't fuzzed", fatal=False)


def left_out(reason: str, fatal: bool = True) -> None:
    if fatal and os.environ.get("CI") == "true":
        sys.exit(f"FAILED: {reason}")
    print(f"SKIPPED: {reason}", flush=True)


def machine() -> str:
    try:
        text = subprocess.run(["lscpu"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        text = ""
    model = re.search(r"Model name:\s*(.+)", text)
    return model[1] if model else platform.processor()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=20, help="for each target (20)")
    parser.add_argument("--runs", type=int, help="executions of each target, in place of seconds")
    parser.add_argument("--seed", type=int, help="of the mutations, by default another each time")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time (2)")
    parser.add_argument("--target", action="append", choices=[*C_TARGETS, *PYTHON_TARGETS])
    parser.add_argument("--kept", type=Path, help="folder for inputs worth keeping")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--has-libfuzzer", action="store_true", help="only tell by the status")
    arguments = parser.parse_args()
    if arguments.has_libfuzzer:
        with tempfile.TemporaryDirectory() as name:
            return int(not has_libfuzzer(Path(name)))
    limit = [f"-max_total_time={arguments.seconds}"]
    if arguments.runs:
        limit = [f"-runs={arguments.runs}"]
    if arguments.seed:
        limit += [f"-seed={arguments.seed}"]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(arguments.jobs) as pool:
        folder = Path(name)
        kept = arguments.kept or folder / "kept"
        started = [
            pool.submit(fuzz, target, program, limit, kept / target, folder)
            for target, program in jobs(arguments, folder)
        ]
        results = []
        for future in started:
            results.append(result := future.result())
            state = "FOUND" if result.finding else "ok"
            print(
                f"{result.target:10} {result.executions:12,} executions in "
                f"{result.seconds:6.1f} s  {state}",
                flush=True,
            )
            if result.finding:
                print(result.finding, flush=True)
    if arguments.json:
        figures = {"machine": machine(), "results": [asdict(result) for result in results]}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(any(result.finding for result in results))


if __name__ == "__main__":
    sys.exit(main())
