"""Where the BLAS is that NumPy multiplies by, so that C can call it, too.

Only OpenBLAS as NumPy's wheels bring it is known: with integers of 64 bits, and threads of its own,
whose number holds for the process.
"""

import ctypes
from functools import cache
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

FOLDERS = ("numpy.libs", ".dylibs")  # of the wheels
SYMBOLS = ("scipy_cblas_sgemm64_", "cblas_sgemm64_")


@cache
def sgemm() -> int | None:
    """Return the address of ``cblas_sgemm``; None where NumPy's BLAS isn't one that is known."""
    home = Path(np.__file__).parents[1]
    for library in ThreadpoolController().select(internal_api="openblas").lib_controllers:
        path = Path(library.filepath)
        is_of_numpy = path.parent.name in FOLDERS and home in path.parents
        if is_of_numpy and library.threading_layer == "pthreads":
            for symbol in SYMBOLS:
                function = getattr(library.dynlib, symbol, None)
                if function is not None:
                    return ctypes.cast(function, ctypes.c_void_p).value
    return None
