"""Recipe for `deepcompress.native._native`, the C kernels as a cffi module.

Setuptools runs this file as a script at build time; nothing imports it.

``DEEPCOMPRESS_SANITIZE=1`` in the environment builds with AddressSanitizer and
UndefinedBehaviorSanitizer; the top of ``setup.py`` says how to run such a build.
``DEEPCOMPRESS_THREADS=0`` builds without threads, as happens where the compiler has no atomic
operations or the system isn't POSIX: all work then takes one.
``DEEPCOMPRESS_EMULATE_AVX512=1`` builds with emulated AVX-512, far slower than AVX2, so that its
kernels can be tested without a processor that has it.
"""

import os
import sys
from pathlib import Path

from cffi import FFI

CSRC = Path("csrc")  # relative to setup.py, as setuptools wants its sources

header = (CSRC / "deepcompress.h").read_text(encoding="utf-8")
declarations = header.split("/* cdef begins */")[1].split("/* cdef ends */")[0]

compile_args = [] if sys.platform == "win32" else ["-std=c11", "-O3", "-Wall", "-Wextra"]
compile_args += [] if sys.platform == "win32" else ["-fno-math-errno"]  # vectors of square roots
link_args = [] if sys.platform == "win32" else ["-pthread"]
if os.environ.get("DEEPCOMPRESS_THREADS") == "0":
    compile_args += ["-DDC_NO_THREADS"]
else:
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
