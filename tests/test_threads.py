"""Products on several threads: the same bits, shares, who sets the number, sleep and forks."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.layouts import LANES, MASKS, TILES, laid_out
from test_spmv import draw_x, isas, random_tensor
from threadpoolctl import threadpool_limits

from deepcompress import native
from deepcompress.native import gateway
from deepcompress.native import layout as native_layout
from deepcompress.native import spmv as native_spmv

EXTENSION, REASON = gateway._load()
OPENMP = bool(EXTENSION and EXTENSION.lib.dc_openmp())
pytestmark = pytest.mark.skipif(EXTENSION is None, reason=f"no C extension: {REASON}")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

each_plan = pytest.mark.parametrize("plan", [MASKS, *(LANES[i] for i in (0, 3, 5)), TILES], ids=str)


def multiply_in_shares(w, x, isa, shares):
    """Call C for a number of threads that Python need not choose."""
    ffi, lib = gateway._ffi(), gateway._lib()
    y = np.full((w.rows, *x.shape[1:]), np.nan, np.float32)
    struct = native_layout.layout_struct(w.layout())
    pointers = [ffi.from_buffer("float[]", array) for array in (x, y)]
    if x.ndim == 1:
        assert lib.dc_spmv_shared(isa, struct, *pointers, shares) == lib.DC_OK
        return y
    n, size = x.shape[1], shares * lib.dc_spmm_scratch(isa, struct)
    scratch = ffi.new("char[]", size)
    arguments = pointers[0], n, pointers[1], n, n, shares, scratch
    assert lib.dc_spmm_shared(isa, struct, *arguments) == lib.DC_OK
    return y


@pytest.mark.parametrize("isa", [*isas()])
@each_plan
@pytest.mark.parametrize("columns", [None, 3, 70])
def test_results_are_the_same_for_every_number_of_threads(isa, plan, columns):
    for shape, density in [((300, 500), 0.15), ((33, 70), 0.6), ((1, 90), 0.5), ((40, 8), 0.02)]:
        w = random_tensor(shape, density, 5).packed
        x = draw_x(1, shape[1], *([columns] if columns else []))
        with native.use("native", isa):
            whole = laid_out(w, plan) @ x
        for shares in (1, 2, 3, w.layout().parts + 2):
            y = multiply_in_shares(w, x, isas()[isa], shares)
            np.testing.assert_array_equal(y.view(np.uint32), whole.view(np.uint32))


@each_plan
@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_shares_of_nothing(plan, shape):
    w = laid_out(random_tensor(shape, 0.5, 2).packed, plan)
    for shares in (2, 3):
        y = multiply_in_shares(w, np.ones(shape[1], np.float32), 0, shares)
        assert y.tolist() == [0.0] * shape[0]


@each_plan
@pytest.mark.parametrize("shares", [1, 2, 3, 7, 200])
def test_shares_have_as_many_bytes_and_not_as_many_rows(plan, shares):
    growing = np.linspace(0, 1, 400)[:, np.newaxis] ** 3
    w = laid_out(random_tensor((400, 300), growing, 1).packed, plan)
    struct = native_layout.layout_struct(w.layout())
    firsts = [EXTENSION.lib.dc_share(struct, i, shares) for i in range(shares + 1)]
    starts = w.layout().starts.astype(np.int64)
    if plan == MASKS:  # the masks count as well
        starts += np.arange(len(starts)) * 8 * -(-300 // 64)
    held = np.diff(starts[firsts])
    assert (firsts[0], firsts[-1]) == (0, w.layout().parts)
    assert held.sum() == starts[-1] - starts[0]
    assert np.abs(held - held.sum() / shares).max() <= np.diff(starts).max()


def test_the_number_is_that_of_openmp():
    with native.use("native"):
        before = native.threads()
        for limit in (1, 3):
            with threadpool_limits(limit):
                assert native.threads() == (limit if OPENMP else 1)
        assert native.threads() == before == native.info()["threads"]
    assert bool(native.info()["openmp"]) == OPENMP
    with native.use("reference"):
        assert native.threads() == 1


def run_python(program, **environment):
    """Run a program in a process of its own, beside the modules of the tests."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    mine |= {"DEEPCOMPRESS_BACKEND": "native", **environment}
    command = [sys.executable, "-W", "ignore", "-c", PREAMBLE + program]
    folder = Path(native.__file__).parents[2]  # first on the path, whatever is installed
    mine["PYTHONPATH"] = str(Path(__file__).parent)
    return subprocess.run(command, cwd=folder, env=mine, capture_output=True, text=True, timeout=60)


PREAMBLE = """
import os, signal, sys
import numpy as np
from deepcompress import native
from test_spmv import draw_x, random_tensor
large, small = (random_tensor((rows, 1000), 0.4, 5).packed for rows in (2500, 20))
x = draw_x(0, 1000)
def os_threads():
    return len(os.listdir("/proc/self/task"))
"""


@on_linux
def test_large_products_take_the_threads_of_the_environment_and_small_ones_one():
    program = """
before = os_threads()
small @ x, small @ draw_x(0, 1000, 3)
print(os_threads() - before)
large @ x
print(os_threads() - before, native.threads())
"""
    run = run_python(program, OMP_NUM_THREADS="3")
    assert run.stdout.split() == (["0", "2", "3"] if OPENMP else ["0", "0", "1"]), run.stderr


def test_products_with_matrices_are_worth_threads_earlier(monkeypatch):
    monkeypatch.setattr(native_spmv, "threads", lambda: 8)
    w = random_tensor((200, 1000), 0.4, 5).packed
    with native.use("native"):
        assert native_spmv._shares(w.layout(), 1) == 1
        assert native_spmv._shares(w.layout(), 16) in range(2, 8)
        assert native_spmv._shares(w.layout(), 1000) == min(8, w.layout().parts)


FORKED = """
expected = large @ x  # threads have been made
def work(_=None):
    signal.alarm(20)  # nobody else would end a child that waits for ever
    same = (large @ x == expected).all() and (large @ draw_x(0, 1000, 2)).shape == (2500, 2)
    return bool(same) and native.threads() == native.info()["threads"] == 1
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    "program",
    [
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if work() else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0",
        "import multiprocessing\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    assert all(pool.map(work, range(4)))",
    ],
)
def test_a_forked_process_multiplies_with_one_thread(program):
    program = FORKED + program + "\nassert (large @ x == expected).all()"
    run = run_python(program, OMP_NUM_THREADS="2")
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_waits_for_no_thread_of_its_parent():
    program = FORKED + (
        "import threading\n"
        "held, forked = threading.Event(), threading.Event()\n"
        "def build():\n"
        "    with large._forms._lock, small._forms._lock:  # the small one isn't laid out\n"
        "        held.set()\n"
        "        forked.wait()\n"
        "builder = threading.Thread(target=build)\n"
        "builder.start()\n"
        "held.wait()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if work() and (small @ x).shape == (20,) else 1)\n"
        "forked.set()\n"
        "builder.join()\n"
        "assert os.waitpid(child, 0)[1] == 0"
    )
    run = run_python(program, OMP_NUM_THREADS="2")
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_threads_sleep_when_idle_unless_somebody_wants_otherwise():
    program = "print({k for k in os.environ if 'OMP_' in k} - {'OMP_DISPLAY_ENV'})"
    run = run_python(program, OMP_DISPLAY_ENV="verbose")
    if "GOMP_SPINCOUNT" not in run.stderr:
        pytest.skip("not built with GNU's OpenMP, which alone tells its policy")
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in run.stderr
    assert "GOMP_SPINCOUNT = '2000'" in run.stderr
    assert run.stdout == "set()\n"
    run = run_python(program, OMP_DISPLAY_ENV="verbose", OMP_WAIT_POLICY="active")
    assert "OMP_WAIT_POLICY = 'ACTIVE'" in run.stderr
    assert run.stdout == "{'OMP_WAIT_POLICY'}\n"


def test_other_threads_of_python_run_during_a_product():
    w, x = random_tensor((1000, 1000), 0.5, 5).packed, draw_x(0, 1000, 300)
    ticks, span, ready = [], [], threading.Event()

    def multiply():
        with native.use("native", "scalar"):
            w @ x
            ready.set()
            span.append(time.perf_counter())
            w @ x
            span.append(time.perf_counter())

    worker = threading.Thread(target=multiply)
    worker.start()
    ready.wait()
    while worker.is_alive():
        ticks.append(time.perf_counter())
    begin, end = span
    margin = (end - begin) / 4
    assert any(begin + margin < tick < end - margin for tick in ticks)


NATIVE_BUILD = Path(__file__).parents[1] / "deepcompress" / "native" / "build.py"


@pytest.mark.parametrize("has_openmp", [True, False])
def test_the_build_tries_openmp_and_goes_on_without(tmp_path, has_openmp):
    compiler = tmp_path / "cc"
    refuse = 'case "$*" in *-fopenmp*) echo "unsupported option" >&2; exit 1;; esac\n'
    compiler.write_text("#!/bin/sh\n" + ("" if has_openmp else refuse) + "exit 0\n")
    compiler.chmod(0o755)
    program = "import runpy; print(runpy.run_path('deepcompress/native/build.py')['openmp_args']())"
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=NATIVE_BUILD.parents[2],
        env={**os.environ, "CC": str(compiler)},
        capture_output=True,
        text=True,
    )
    assert run.stdout == ("['-fopenmp']\n" if has_openmp else "[]\n"), run.stderr
