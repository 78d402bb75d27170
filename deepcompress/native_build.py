"""Recipe for `deepcompress._native`, the C kernels as a cffi module.

Setuptools runs this file as a script at build time; nothing imports it.

``DEEPCOMPRESS_SANITIZE=1`` in the environment builds with AddressSanitizer and
UndefinedBehaviorSanitizer; the top of ``setup.py`` says how to run such a build.
"""

import os
import sys
from pathlib import Path

from cffi import FFI

CSRC = Path("csrc")  # relative to setup.py, as setuptools wants its sources

header = (CSRC / "deepcompress.h").read_text(encoding="utf-8")
declarations = header.split("/* cdef begins */")[1].split("/* cdef ends */")[0]

compile_args = [] if sys.platform == "win32" else ["-std=c11", "-O3", "-Wall", "-Wextra"]
link_args = []
if os.environ.get("DEEPCOMPRESS_SANITIZE") == "1":
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    compile_args += [*sanitizers, "-g", "-fno-omit-frame-pointer"]
    link_args += sanitizers

ffibuilder = FFI()
ffibuilder.cdef(declarations)
ffibuilder.set_source(
    "deepcompress._native",
    '#include "deepcompress.h"',
    sources=[str(path) for path in sorted(CSRC.glob("*.c"))],
    depends=[str(path) for path in sorted(CSRC.glob("*.h"))],
    include_dirs=[str(CSRC)],
    extra_compile_args=compile_args,
    extra_link_args=link_args,
    optional=True,  # without a C compiler, the NumPy twins do all the work
)
