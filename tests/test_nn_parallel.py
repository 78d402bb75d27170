"""Inference on several threads: the same bits, threads that are kept, warnings and forks."""

import os
import pickle
import signal
import threading
import warnings

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from deepcompress.nn import conv, layers, norm, parallel, pool
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.inference import Inference
from deepcompress.nn.layers import Concat, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import LocalResponseNorm
from deepcompress.nn.parallel import Crew, slices
from deepcompress.nn.pool import AvgPool2D, MaxPool2D

NETWORK = Network(
    "branches",
    (
        Conv2D("long", 3, 16, kernel=5, stride=1, padding=2),
        ReLU("relu"),
        MaxPool2D("max", 3, 2, round_up=True),
        LocalResponseNorm("norm"),
        Conv2D("short", 16, 24, kernel=3, groups=2),
        Conv2D("point", 16, 20, kernel=1, groups=2),
        AvgPool2D("average", 3, 1),
        Concat("join"),
        Flatten("flat"),
        Linear("last", 44 * 64 * 64, 10),
    ),
    (3, 133, 133),
    {"short": ["norm"], "point": ["norm"], "average": ["point"], "join": ["short", "average"]},
)


@pytest.fixture
def small_work(monkeypatch):
    """Make small work worth a thread."""
    monkeypatch.setattr(conv, "BAND_BYTES", 1 << 14)
    monkeypatch.setattr(conv, "PRODUCTS", 1 << 12)
    monkeypatch.setattr(layers, "WEIGHT_BYTES", 1 << 20)
    for module in (pool, norm):
        monkeypatch.setattr(module, "slices", lambda length, work: slices(length, work, 1 << 14))


@pytest.mark.usefixtures("small_work")
@pytest.mark.parametrize("batch", [1, 3])
def test_outputs_are_the_same_bits_for_every_number_of_threads(batch, monkeypatch):
    rng = np.random.default_rng(0)
    params = NETWORK.init(rng)
    x = rng.standard_normal((batch, *NETWORK.input_shape), np.float32)
    cuts, of = [], Crew.of

    def counting(crew, threads):
        def run(function, items):
            items = list(items)
            cuts.append(len(items))
            return of(crew, threads)(function, items)

        return run

    monkeypatch.setattr(Crew, "of", counting)
    one, *others = [Inference(NETWORK, lambda n=n: n).run(params, x).tobytes() for n in (1, 2, 3)]
    assert others == [one, one]
    # Convolutions, poolings and the normalization of each image, and the last layer, were cut.
    assert len(cuts) == 3 * (6 * batch + 1)
    assert min(cuts) > 3
    expected = np.moveaxis(NETWORK.forward(params, NETWORK.columns(x))[0], -1, 0)
    found = np.frombuffer(one, np.float32).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("length", "work"), [(1, 10**9), (7, 1), (10, 30), (64, 200), (1000, 3)])
def test_slices_cover_an_axis_evenly(length, work):
    found = slices(length, work, 100)
    assert [place for one in found for place in range(length)[one]] == list(range(length))
    sizes = [one.stop - one.start for one in found]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) == 1 or max(sizes) * work <= 100
    assert slices(0, work, 100) == slices(0, 0, 100) == [slice(0, 0)]


def test_tasks_run_at_a_time_in_threads_that_are_kept():
    crew, meeting = Crew(), threading.Barrier(3, timeout=20)

    def meet(item):
        meeting.wait()  # breaks unless three are in here
        return item, threading.current_thread()

    first, second = (crew.of(3)(meet, range(6)) for _ in range(2))
    assert [item for item, _ in first] == list(range(6))
    found = {thread for _, thread in first}
    assert found == {thread for _, thread in second}
    assert len(found) == 3
    assert threading.current_thread() in found


def test_few_tasks_take_the_calling_thread():
    mine = threading.get_ident()
    assert Crew().of(3)(lambda _: threading.get_ident(), "abc") == [mine] * 3


def test_threads_compute_as_the_calling_one_would():
    meeting = threading.Barrier(2, timeout=20)

    def overflow(_):
        meeting.wait()
        return blas_threads(), np.float32(3e38) * np.float32(10)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(over="ignore"):
            found = Crew().of(2)(overflow, range(4))
    for blas, value in found:
        assert blas <= {1}
        assert value == np.inf


def blas_threads():
    return {library.get_num_threads() for library in parallel._libraries()}


def enter_after_another_and_stay():
    """Return what two threads see within, of which one comes and leaves first, and it then."""
    entered, left, seen = threading.Event(), threading.Event(), []

    def enter_first():
        with parallel.single_threaded_blas():
            seen.append(blas_threads())
            entered.set()
            left.wait(20)
        seen.append(blas_threads())

    first = threading.Thread(target=enter_first)
    first.start()
    assert entered.wait(20)
    with parallel.single_threaded_blas():
        left.set()
        first.join(20)
        within, after = seen
        return within | blas_threads(), after


def test_blas_has_one_thread_while_anybody_wants_that_and_then_as_many_as_before():
    with threadpool_limits(2, "blas"):  # of which this thread is in charge
        before = blas_threads()
        assert enter_after_another_and_stay()[0] <= {1}
        assert blas_threads() == before


class Library(threading.local):
    """A BLAS whose number of threads is that of the process, or each thread has its own."""

    internal_api = "openblas"
    of_all = 5

    def __init__(self, layer):
        self.threading_layer, self.own = layer, 6

    def get_num_threads(self):
        return self.own if self.threading_layer == "openmp" else Library.of_all

    def set_num_threads(self, number):
        if self.threading_layer == "openmp":
            self.own = number
        else:
            Library.of_all = number


@pytest.mark.parametrize(("layer", "before", "between"), [("pthreads", 5, 1), ("openmp", 6, 6)])
def test_numbers_of_threads_are_of_the_process_or_of_each(layer, before, between, monkeypatch):
    library = Library(layer)
    monkeypatch.setattr(parallel, "_libraries", lambda: [library])
    assert enter_after_another_and_stay() == ({1}, {between})
    assert blas_threads() == {before}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_counts_only_who_is_within_there():
    entered, forked = threading.Event(), threading.Event()

    def stay():
        with parallel.single_threaded_blas():
            entered.set()
            forked.wait(20)

    other = threading.Thread(target=stay)
    with threadpool_limits(2, "blas"):
        other.start()
        assert entered.wait(20)
        child = os.fork()
        if child == 0:
            with threadpool_limits(2, "blas"):
                before = blas_threads()
                with parallel.single_threaded_blas():
                    is_one = blas_threads() <= {1}
                os._exit(0 if is_one and blas_threads() == before else 1)
        forked.set()
        other.join(20)
    assert os.waitpid(child, 0)[1] == 0


def test_an_error_reaches_the_caller_and_the_crew_goes_on():
    crew, failing = Crew(), threading.Event()

    def fail(item):
        if threading.current_thread() is threading.main_thread():
            assert failing.wait(20)
            return item
        failing.set()
        raise MemoryError("too little")

    with pytest.raises(MemoryError, match="too little"):
        crew.of(2)(fail, range(4))
    assert crew.of(2)(lambda item: -item, range(5)) == [0, -1, -2, -3, -4]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_makes_threads_of_its_own():
    crew = Crew()

    def meet_here():
        meeting = threading.Barrier(2, timeout=20)
        crew.of(2)(lambda _: meeting.wait(), range(4))

    meet_here()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            meet_here()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_copy_works():
    crew = Crew()
    crew.of(2)(abs, [-1, 2, 3, 4])
    assert pickle.loads(pickle.dumps(crew)).of(2)(abs, [-1, 2, 3, 4]) == [1, 2, 3, 4]
