"""Products on several threads: the same bits, shares, who sets the number, sleep and forks."""

import math
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.layouts import LANES, LISTS, MASKS, TILES, laid_out
from support.teams import LONG, team_of
from test_spmv import draw_x, isas, random_tensor
from threadpoolctl import threadpool_info, threadpool_limits

import deepcompress
from deepcompress import native
from deepcompress.errors import ArgumentError, ConfigError
from deepcompress.native import gateway, limits
from deepcompress.native import layout as native_layout
from deepcompress.native import pool as native_pool
from deepcompress.native import spmv as native_spmv

EXTENSION, REASON = gateway._load()
THREADS = bool(EXTENSION and EXTENSION.lib.dc_has_threads())
pytestmark = pytest.mark.skipif(EXTENSION is None, reason=f"no C extension: {REASON}")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

each_plan = pytest.mark.parametrize(
    "plan", [MASKS, *(LANES[i] for i in (0, 3, 5)), TILES, LISTS], ids=str
)


def multiply_in_a_team(w, x, isa, threads, nanoseconds=LONG):
    """Call C for a team that Python need not choose."""
    ffi, lib = gateway._ffi(), gateway._lib()
    team = team_of(threads, nanoseconds)
    y = np.full((w.rows, *x.shape[1:]), np.nan, np.float32)
    struct = native_layout.layout_struct(w.layout())
    pointers = [ffi.from_buffer("float[]", array) for array in (x, y)]
    if x.ndim == 1:
        assert lib.dc_spmv_shared(isa, struct, *pointers, team) == lib.DC_OK
        return y
    n, size = x.shape[1], threads * lib.dc_spmm_scratch(isa, struct)
    scratch = ffi.new("char[]", size)
    arguments = pointers[0], n, pointers[1], n, n, team, scratch
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
        for threads in (1, 2, 3, w.layout().parts + 2):
            y = multiply_in_a_team(w, x, isas()[isa], threads)
            np.testing.assert_array_equal(y.view(np.uint32), whole.view(np.uint32))


@each_plan
@pytest.mark.parametrize("shape", [(0, 5), (5, 0)])
def test_teams_with_nothing_to_do(plan, shape):
    w = laid_out(random_tensor(shape, 0.5, 2).packed, plan)
    for threads in (2, 3):
        y = multiply_in_a_team(w, np.ones(shape[1], np.float32), 0, threads)
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


def test_threadpoolctl_limits_the_calling_thread():
    with native.use("native"):
        before = native.threads()
        for limit in (1, 3):
            with threadpool_limits(limit), threadpool_limits(limit + 1, "blas"):
                assert native.threads() == (limit if THREADS else 1)
                with ThreadPoolExecutor(1) as pool:
                    assert pool.submit(native.threads).result() == before
        assert native.threads() == before == native.info()["threads"]
    known = [one for one in threadpool_info() if one["user_api"] == "deepcompress"]
    assert [one["num_threads"] for one in known] == ([before] if THREADS else [])
    with native.use("reference"):
        assert native.threads() == 1


def test_set_threads_sets_the_process_and_ends_limits():
    with native.use("native"), restored():
        before = native.threads()
        limited = threadpool_limits(1)
        deepcompress.set_threads(5, spin_us=0)
        assert native.threads() == (5 if THREADS else 1)
        assert native.info()["spin_us"] == 0
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(native.threads).result() == native.threads()
        deepcompress.set_threads()
        assert (native.threads(), native.info()["spin_us"]) == (before, limits.SPIN_US)
        limited.restore_original_limits()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        *[({"count": value}, "number of threads") for value in (0, -1, 1.5, "2", True, 2**31)],
        *[({"spin_us": value}, "spin_us") for value in (-1, np.nan, np.inf, "1", True, 1e7)],
    ],
)
def test_set_threads_refuses(arguments, named):
    with restored(), pytest.raises(ArgumentError, match=named):
        deepcompress.set_threads(**arguments)


@contextmanager
def restored():
    """Leave the number of threads as the environment has it."""
    try:
        yield
    finally:
        deepcompress.set_threads()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": " 4,2,1"}, 4),
        ({"OMP_NUM_THREADS": "3", "OMP_THREAD_LIMIT": "2"}, 2),
        ({"OMP_NUM_THREADS": "many"}, None),
        ({"OMP_NUM_THREADS": "0"}, None),
        ({}, None),
    ],
)
def test_the_number_of_the_environment(variables, expected, monkeypatch):
    for name in ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert limits._of_environment.__wrapped__() == (expected or limits.processors())


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "soon", "", "1000001"])
def test_nonsense_in_the_environment_is_refused(text, monkeypatch):
    monkeypatch.setenv("DEEPCOMPRESS_SPIN_US", text)
    with pytest.raises(ConfigError, match="DEEPCOMPRESS_SPIN_US"):
        limits._spin_of_environment.__wrapped__()
    monkeypatch.setenv("DEEPCOMPRESS_SPIN_US", "12.5")
    assert limits._spin_of_environment.__wrapped__() == 12.5


@pytest.mark.parametrize(
    ("files", "groups", "expected"),
    [
        ({"a/b/cpu.max": "150000 100000", "cpu.max": "max 100000"}, "0::/a/b", 1.5),
        ({"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b", 0.5),
        ({"cpu.max": "300000 100000"}, "0::/unseen", 3.0),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "250000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
         "7:memory:/a\n4:cpu,cpuacct:/", 2.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "1:cpu:/", math.inf),
        ({"cpu.max": "nonsense"}, "0::/", math.inf),
        ({}, "0::/a", math.inf),
    ],
)  # fmt: skip
def test_quotas_of_control_groups(files, groups, expected, tmp_path, monkeypatch):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "groups").write_text(groups + "\n")
    monkeypatch.setattr(limits, "_CGROUPS", tmp_path)
    monkeypatch.setattr(limits, "_GROUPS", tmp_path / "groups")
    assert limits._quota() == expected


def run_python(program, **environment):
    """Run a program in a process of its own, beside the modules of the tests."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "DEEPCOMPRESS_SPIN"))}
    mine |= {"DEEPCOMPRESS_BACKEND": "native", **environment}
    command = [sys.executable, "-W", "ignore", "-c", PREAMBLE + program]
    folder = Path(native.__file__).parents[2]  # first on the path, whatever is installed
    mine["PYTHONPATH"] = str(Path(__file__).parent)
    return subprocess.run(command, cwd=folder, env=mine, capture_output=True, text=True, timeout=60)


PREAMBLE = """
import os, signal, sys, time
import numpy as np
from deepcompress import native
from deepcompress.native import pool as native_pool
from test_spmv import draw_x, random_tensor
large, small = (random_tensor((rows, 1000), 0.4, 5).packed for rows in (2500, 20))
x = draw_x(0, 1000)
def os_threads():
    return len(os.listdir("/proc/self/task"))
def want_threads(count):  # on a busy machine a first one may take longer than it is worth
    end = time.monotonic() + 5
    while os_threads() - before < count and time.monotonic() < end:
        large @ x
"""


@on_linux
def test_large_products_take_the_threads_of_the_environment_and_small_ones_one():
    # So large that two threads are worth waking also where that takes long, as under sanitizers.
    program = """
large = random_tensor((10_000, 1000), 0.4, 5).packed
before = os_threads()
small @ x, small @ draw_x(0, 1000, 3)
print(os_threads() - before)
want_threads(native.threads() - 1)
large @ x
print(os_threads() - before, native.threads())
"""
    run = run_python(program, OMP_NUM_THREADS="3")
    assert run.stdout.split() == (["0", "2", "3"] if THREADS else ["0", "0", "1"]), run.stderr


def test_products_with_matrices_are_worth_threads_earlier(monkeypatch):
    monkeypatch.setattr(native_pool, "threads", lambda: 8)
    w = random_tensor((40, 1000), 0.4, 5).packed
    with native.use("native"):
        assert native_spmv._team_for(w.layout(), 1) == (gateway._ffi().NULL, 1)
        assert native_spmv._team_for(w.layout(), 8)[1] in range(2, 8)
        assert native_spmv._team_for(w.layout(), 1000)[1] == min(8, w.layout().parts)


FORKED = """
expected = large @ x  # threads have been made
def work(_=None):
    signal.alarm(20)  # nobody else would end a child that waits for ever
    same = (large @ x == expected).all() and (large @ draw_x(0, 1000, 2)).shape == (2500, 2)
    threads = native_pool.report()["threads"]
    return bool(same) and os_threads() == 1 + threads and threads < native.threads()
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
def test_a_forked_process_has_threads_of_its_own(program):
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


@on_linux
@pytest.mark.skipif(not THREADS, reason="built without threads")
@pytest.mark.parametrize("spin_us", [0, 3000])
def test_threads_sleep_soon_after_their_work(spin_us):
    program = """
before = os_threads()
want_threads(1)
time.sleep(0.05)
def spent():
    return sum(float(open(f"/proc/self/task/{task}/schedstat").read().split()[0]) / 1e9
               for task in os.listdir("/proc/self/task") if int(task) != os.getpid())
before = spent()
time.sleep(0.2)
print(native_pool.report()["threads"], spent() - before)
"""
    run = run_python(program, OMP_NUM_THREADS="2", DEEPCOMPRESS_SPIN_US=str(spin_us))
    assert run.returncode == 0, run.stderr
    workers, seconds = run.stdout.split()
    assert (workers, float(seconds) < 0.002) == ("1", True)


@pytest.mark.parametrize("nanoseconds", [3e4, LONG])
def test_threads_of_python_call_side_by_side(nanoseconds):
    w, x = random_tensor((600, 500), 0.3, 5).packed, draw_x(1, 500)
    with native.use("native"):
        isa, expected = gateway._choice().isa, w @ x
        before = native_pool.report()["threads"]
        end = time.monotonic() + 0.5

        def call(_):
            wrong = 0
            while time.monotonic() < end:
                wrong += (multiply_in_a_team(w, x, isa, 3, nanoseconds) != expected).sum()
            return wrong

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(call, range(8))) == 0
    assert native_pool.report()["threads"] <= max(before, 2, limits.processors() - 1)


EXITS = """
import threading
def work():
    while True:
        large @ x
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
large @ x
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit(0)", "os._exit(0)"])
def test_the_interpreter_exits_in_the_midst_of_products(end):
    run = run_python(EXITS + end, OMP_NUM_THREADS="2")
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forks_under_load():
    program = (
        FORKED
        + EXITS
        + """
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if (large @ x == expected).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
"""
    )
    run = run_python(program, OMP_NUM_THREADS="2")
    assert run.returncode == 0, run.stderr


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
