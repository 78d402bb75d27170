"""Build the C kernels; everything else about the package is in pyproject.toml.

In place, for work on a checkout::

    python setup.py build_ext --inplace

With sanitizers, apart from the checkout, and the tests on it::

    export DEEPCOMPRESS_SANITIZE=1 BUILD=/tmp/deepcompress-sanitize
    python setup.py -q build --build-base $BUILD --build-lib $BUILD/lib
    LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONMALLOC=malloc \
        DEEPCOMPRESS_BACKEND=native \
        python -m pytest --capture=sys -o pythonpath=$BUILD/lib tests/

Without ``allocator_may_return_null`` the sanitizer takes a request for more than memory
can hold for a fault, where NumPy raises MemoryError and tests ask for that.

``DEEPCOMPRESS_EMULATE_AVX512=1`` builds with AVX-512 emulated on AVX2, with or without sanitizers;
it is then the best instruction set there is, and ``DEEPCOMPRESS_ISA`` may choose another.

A finding ends the run with a report (which pytest would swallow but for ``--capture=sys``)
and exit code 1.
"""

from setuptools import setup

setup(cffi_modules=["deepcompress/native/build.py:ffibuilder"])
