"""Tensors on the workers that the caller has chosen: the same bytes, and errors of ours."""

import importlib.util
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from support.peak import peak_of
from test_streaming import Source

import deepcompress as dc
from deepcompress import spreading
from deepcompress.spreading import Parcel, jobs_here, spread

RNG = np.random.default_rng(0)
TENSORS = {
    "conv.weight": RNG.normal(size=(20, 10, 3, 3)).astype(np.float32),
    "conv.bias": np.arange(20, dtype=np.float64),
    "fc.weight": RNG.laplace(size=(120, 90)).astype(np.float32),
    "fc.steps": np.arange(5),
    "small": np.zeros((0, 3), np.float32),
    "alike": RNG.normal(size=(40, 50)),
}
CONFIG = dc.Config(
    by_kind={"fc": {"bits": 5, "sparsity": 0.9}},
    by_name={"alike": {"init": "kmeans++", "coder": "rans"}, "conv.bias": {"method": "float16"}},
)


def times_two(value: int) -> int:
    return 2 * value


def end_itself(path: str, times: int) -> int:
    """Kill the worker so many times, and then return the number."""
    with open(path, "a") as file:
        file.write(".")
    if os.path.getsize(path) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return times


def refuse(name: str) -> None:
    raise dc.ArgumentError(f"tensor {name!r}: no")


def stumble() -> None:
    raise KeyError("stumbled")


def tasks_of(sizes: list[int], taken: list[int]) -> Iterator[Parcel]:
    for index, size in enumerate(sizes):
        taken.append(index)
        yield Parcel((index,), size)


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_are_in_order(jobs: int) -> None:
    sizes = [10**6, 10**6, 5 * 10**5, 10, 10, 0, 0]
    with joblib.parallel_config(backend="threading"):
        assert list(spread(times_two, tasks_of(sizes, []), jobs)) == [0, 2, 4, 6, 8, 10, 12]
        assert list(spread(times_two, [], jobs)) == []


def test_no_more_is_taken_than_so_many_times_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[int] = []
    results = spreading._results

    def noted(function: Any, tasks: list[Parcel], jobs: int) -> list[Any]:
        rounds.append(len(tasks))
        return results(function, tasks, jobs)

    monkeypatch.setattr(spreading, "_results", noted)
    sizes = [8 * 10**6, 3 * 10**6, 3 * 10**6, 2 * 10**6, *[10**6] * 20, *[0] * 50]
    taken: list[int] = []
    with joblib.parallel_config(backend="threading"):
        for done, _ in enumerate(spread(times_two, tasks_of(sizes, taken), 2)):
            assert sum(sizes[done : taken[-1] + 1]) <= 2 * 8 * 10**6
    assert sum(rounds) == len(sizes)
    assert rounds[0] == 3  # all that fit
    assert len(rounds) <= 4


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_tensors_are_alive_than_jobs(
    jobs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = {f"w{i}": RNG.normal(size=(60, 50)).astype(np.float32) for i in range(7)}
    source = Source(tensors)
    monkeypatch.setattr(spreading, "in_processes", lambda: True)
    with joblib.parallel_config(backend="threading"):
        dc.compress_to(source, tmp_path / "model.dcnn", jobs=jobs)
    assert (tmp_path / "model.dcnn").read_bytes() == dc.compress(tensors).to_bytes()
    assert source.most_alive == jobs


def test_tied_tensors_and_a_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = TENSORS | {"fc.twin": TENSORS["fc.weight"].copy(), "twin": TENSORS["alike"]}
    base = {"fc.weight": TENSORS["fc.weight"] * 1.01}
    path, seen = tmp_path / "model.dcnn", {}
    monkeypatch.setattr(spreading, "in_processes", lambda: True)
    with joblib.parallel_config(backend="threading"):
        dc.compress_to(tensors, path, base=base, jobs=2, progress=seen.__setitem__)
    expected = dc.compress(tensors, base=base).to_bytes()
    assert path.read_bytes() == expected != dc.compress(tensors).to_bytes()
    assert seen == {name: tensor.nbytes for name, tensor in tensors.items()}


def test_memory_is_that_of_the_largest_and_not_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process would send back is made here; the arrays of a round are all there is."""
    monkeypatch.setattr(spreading, "in_processes", lambda: True)

    def peak(count: int) -> int:
        source = Source({f"w{i}": np.zeros((256, 512), np.float32) for i in range(count)})
        with joblib.parallel_config(backend="threading"):
            return peak_of(lambda: dc.compress_to(source, tmp_path / "model.dcnn", jobs=2))

    assert peak(5) < peak(2) + (1 << 18)  # half of one


def test_the_caller_says_how_many() -> None:
    assert (jobs_here(None), jobs_here(None, 5), jobs_here(3, 5)) == (1, 5, 3)
    assert not spreading.in_processes()
    with joblib.parallel_config(backend="threading", n_jobs=4):
        assert (jobs_here(None, 5), jobs_here(3, 5)) == (4, 3)
        assert not spreading.in_processes()
    with joblib.parallel_config(n_jobs=4):
        assert jobs_here(None) == 4
        assert not spreading.in_processes()
    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert jobs_here(None, 5) == 2
        assert spreading.in_processes()


@pytest.mark.parametrize("count", [0, "many", 1.5j])
def test_nonsense_is_refused(count: Any, tmp_path: Path) -> None:
    error = pytest.raises(dc.ArgumentError, match=r"n_jobs of joblib\.parallel_config: ")
    with joblib.parallel_config(backend="loky", n_jobs=count), error:
        dc.compress_to(TENSORS, tmp_path / "model.dcnn")
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(n_jobs: object) -> int:
        raise TimeoutError("no worker after 10 seconds")

    monkeypatch.setattr(joblib, "effective_n_jobs", raises)
    with pytest.raises(dc.BackendError, match="Backend: no worker after 10 seconds"):
        jobs_here(None)


def test_threads_of_the_caller(tmp_path: Path) -> None:
    with joblib.parallel_config(backend="threading", n_jobs=2):
        dc.compress_to(TENSORS, tmp_path / "model.dcnn", CONFIG, seed=3)
    expected = dc.compress(TENSORS, CONFIG, seed=3).to_bytes()
    assert (tmp_path / "model.dcnn").read_bytes() == expected


@pytest.fixture
def loky() -> Iterator[None]:
    """Have two processes of loky, and end them."""
    with joblib.parallel_config(backend="loky", n_jobs=2):
        yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True, kill_workers=True)


@pytest.mark.slow
def test_processes(loky: None, tmp_path: Path) -> None:
    path, seen = tmp_path / "model.dcnn", {}
    more = {"x": np.full((300, 400), 0.5, np.float32)}  # in memory maps, if joblib had its way
    written = dc.compress_to(
        TENSORS | more, path, CONFIG, metadata={"x": 1}, seed=3, progress=seen.__setitem__
    )
    expected = dc.compress(TENSORS | more, CONFIG, metadata={"x": 1}, seed=3).to_bytes()
    assert path.read_bytes() == expected
    assert seen == {name: tensor.nbytes for name, tensor in (TENSORS | more).items()}
    assert written.kept == {"fc.steps": "integers", "small": "too small"}
    with pytest.raises(dc.ArgumentError, match="tensor 'bad': no"):
        list(spread(refuse, [Parcel(("bad",), 0)], 2))
    bad = TENSORS | {"fc.weight": np.full((120, 90), np.nan, np.float32)}
    by_name = dc.Config(by_name={"fc.weight": {"bits": 4}})
    with pytest.raises(dc.ArgumentError, match=r"tensor 'fc\.weight': .*must be finite"):
        dc.compress_to(bad, path, by_name)
    assert path.read_bytes() == expected
    with pytest.raises(dc.BackendError, match="LokyBackend failed: KeyError: 'stumbled'"):
        list(spread(stumble, [Parcel((), 0)] * 2, 2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:A worker stopped while some jobs were given:UserWarning")
def test_a_worker_that_is_killed_is_replaced(loky: None, tmp_path: Path) -> None:
    once, always = Parcel((str(tmp_path / "once"), 1), 0), Parcel((str(tmp_path / "always"), 99), 0)
    assert list(spread(end_itself, [once], 2)) == [1]
    with pytest.raises(dc.BackendError, match="LokyBackend failed: TerminatedWorkerError"):
        list(spread(end_itself, [always], 2))
    assert (tmp_path / "always").stat().st_size == spreading.TRIES


if importlib.util.find_spec("distributed"):

    @contextmanager
    def cluster() -> Iterator[Any]:
        """Give the client of a cluster of two processes on this machine."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from distributed import Client, LocalCluster

        with (
            LocalCluster(
                n_workers=2,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                memory_limit=0,
                silence_logs=50,
            ) as started,
            Client(started) as client,
        ):
            yield client

    @pytest.mark.slow
    def test_a_cluster_one_of_whose_workers_is_killed(tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        tensors = {f"w{i}": rng.normal(size=(300, 300)).astype(np.float32) for i in range(16)}
        config = dc.Config(by_name={name: {"max_iterations": 3000} for name in tensors})
        expected = dc.compress(tensors, config).to_bytes()
        path, failed = tmp_path / "model.dcnn", []
        with cluster() as client:
            processes = client.run(os.getpid)

            def compress() -> None:
                try:
                    with joblib.parallel_config(backend="dask"):
                        dc.compress_to(tensors, path, config)
                except BaseException as error:
                    failed.append(error)

            thread = threading.Thread(target=compress)
            thread.start()
            victim = None
            while victim is None and thread.is_alive():
                working = [worker for worker, keys in client.processing().items() if keys]
                victim = next((worker for worker in working if worker in processes), None)
            os.kill(processes[victim], signal.SIGKILL)
            assert thread.is_alive()
            assert not path.exists()
            thread.join()
            assert failed == []
            assert path.read_bytes() == expected
            assert processes[victim] not in client.run(os.getpid).values()
