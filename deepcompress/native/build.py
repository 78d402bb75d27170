"""Recipe for `deepcompress.native._native`, the C kernels as a cffi module.

Setuptools runs this file as a script at build time; nothing imports it.

``DEEPCOMPRESS_SANITIZE=1`` in the environment builds with AddressSanitizer and
UndefinedBehaviorSanitizer; the top of ``setup.py`` says how to run such a build.
``DEEPCOMPRESS_OPENMP=0`` builds without OpenMP, as happens where the compiler hasn't got it:
products then take one thread.
``DEEPCOMPRESS_EMULATE_AVX512=1`` builds with emulated AVX-512, far slower than AVX2, so that its
kernels can be tested without a processor that has it.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from cffi import FFI

CSRC = Path("csrc")  # relative to setup.py, as setuptools wants its sources

header = (CSRC / "deepcompress.h").read_text(encoding="utf-8")
declarations = header.split("/* cdef begins */")[1].split("/* cdef ends */")[0]

_PROBE = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"


def openmp_args() -> list[str]:
    """Return what the compiler needs for OpenMP, nothing if it can't compile and link that."""
    if sys.platform == "win32" or os.environ.get("DEEPCOMPRESS_OPENMP") == "0":
        return []
    # As setuptools finds it.
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(_PROBE, encoding="utf-8")
        command = [*compiler, "-fopenmp", str(source), "-o", str(source.with_suffix(""))]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return []
    return ["-fopenmp"]


compile_args = [] if sys.platform == "win32" else ["-std=c11", "-O3", "-Wall", "-Wextra"]
compile_args += [] if sys.platform == "win32" else ["-fno-math-errno"]  # vectors of square roots
link_args = openmp_args()
compile_args += link_args
if os.environ.get("DEEPCOMPRESS_SANITIZE") == "1":
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    compile_args += [*sanitizers, "-g", "-fno-omit-frame-pointer"]
    link_args += sanitizers

if os.environ.get("DEEPCOMPRESS_EMULATE_AVX512") == "1":
    # Registers of 512 bits are passed in memory without AVX-512, of which gcc warns.
    compile_args += ["-DDC_EMULATE_AVX512", "-Itests/emulation", "-Wno-psabi"]

ffibuilder = FFI()
ffibuilder.cdef(declarations)
ffibuilder.set_source(
    "deepcompress.native._native",
    '#include "deepcompress.h"',
    sources=[str(path) for path in sorted(CSRC.rglob("*.c"))],
    depends=[str(path) for path in sorted(CSRC.rglob("*.h"))],
    include_dirs=[str(CSRC)],
    extra_compile_args=compile_args,
    extra_link_args=link_args,
    optional=True,  # without a C compiler, the NumPy twins do all the work
)
