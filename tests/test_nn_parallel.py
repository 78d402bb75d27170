"""The number of BLAS's threads: one for whoever needs that, and then what it was before."""

import os
import threading
import time

import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from deepcompress.nn import parallel


def blas_threads():
    libraries = [one for some in parallel._controllers() for one in some.lib_controllers]
    return {library.get_num_threads() for library in libraries}


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

    user_api, internal_api, prefix, filepath = "blas", "openblas", "libfake", "/lib/libfake.so"
    of_all = 5

    def __init__(self, layer):
        self.threading_layer, self.own = layer, 6

    def info(self, **options):
        return {"user_api": self.user_api, "num_threads": self.get_num_threads()}

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
    loaded = ThreadpoolController._from_controllers([library])
    monkeypatch.setattr(parallel, "ThreadpoolController", lambda: loaded)
    monkeypatch.setattr(parallel, "_controllers", parallel._controllers.__wrapped__)
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


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_results_come_in_the_order_of_the_items(threads):
    with parallel.workers(threads) as run:
        assert run(lambda item: item * item, range(20)) == [n * n for n in range(20)]
        assert run(str, []) == []


def test_the_caller_works_too():
    names, both = set(), threading.Barrier(2, timeout=20)

    def meet(item):
        names.add(threading.current_thread().name)
        both.wait()

    with parallel.workers(2) as run:
        run(meet, range(2))
    assert len(names) == 2
    assert threading.current_thread().name in names


@pytest.mark.parametrize("threads", [1, 2])
def test_after_an_error_nobody_begins_another_item(threads):
    begun = []

    def fail_first(item):
        begun.append(item)
        if item == 0:
            raise ZeroDivisionError
        time.sleep(0.001)

    with parallel.workers(threads) as run:
        with pytest.raises(ZeroDivisionError):
            run(fail_first, range(1000))
        assert len(begun) < 1000
        assert run(abs, [-1, -2]) == [1, 2]  # and the threads are there for the next
