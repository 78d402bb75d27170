"""Compression from a source that is read lazily: the same bytes, and little memory."""

import gc
import os
import pickle
import threading
import tracemalloc
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcompress as dc
from deepcompress import quantize, streaming
from deepcompress.coding import encoder

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
    by_kind={"conv": {"bits": 8, "sparsity": 0.6}, "fc": {"bits": 5, "sparsity": 0.9}},
    by_name={"alike": {"init": "kmeans++", "coder": "rans"}, "conv.bias": {"method": "float16"}},
)


class Source(Mapping[str, np.ndarray]):
    """Makes a tensor when it is asked for it, and counts those that are alive."""

    def __init__(self, tensors: dict[str, np.ndarray], with_shapes: bool = False) -> None:
        self.tensors = tensors
        self.asked: list[str] = []
        self.refs: list[weakref.ref[np.ndarray]] = []
        self.most_alive = 0
        if with_shapes:
            self.shapes = {name: tensor.shape for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        self.asked.append(name)
        made = self.tensors[name].copy()
        self.refs.append(weakref.ref(made))
        gc.collect()
        self.most_alive = max(self.most_alive, sum(ref() is not None for ref in self.refs))
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


@pytest.mark.parametrize("with_shapes", [False, True])
@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_the_bytes_are_those_of_compress(tmp_path: Path, jobs: int, with_shapes: bool) -> None:
    path = tmp_path / "model.dcnn"
    expected = dc.compress(TENSORS, CONFIG, metadata={"x": 1}, seed=3).to_bytes()
    source = Source(TENSORS, with_shapes)
    size = dc.compress_to(source, path, CONFIG, metadata={"x": 1}, seed=3, jobs=jobs)
    assert path.read_bytes() == expected
    assert size == len(expected)
    assert sorted(source.asked) == sorted(TENSORS)
    assert source.most_alive <= jobs
    assert os.listdir(tmp_path) == ["model.dcnn"]


def test_a_source_is_asked_by_one_thread_at_a_time(tmp_path: Path) -> None:
    """A second thread that came in would set `met`; there is time for it to come."""
    inside, met = threading.Semaphore(1), threading.Event()

    class Watched(Source):
        def __getitem__(self, name: str) -> np.ndarray:
            if not inside.acquire(blocking=False):
                met.set()
                return self.tensors[name]
            met.wait(0.05)
            inside.release()
            return self.tensors[name]

    dc.compress_to(Watched(TENSORS), tmp_path / "model.dcnn", CONFIG, jobs=3)
    assert not met.is_set()


def test_the_largest_come_first_where_sizes_are_known(tmp_path: Path) -> None:
    source = Source(TENSORS, with_shapes=True)
    dc.compress_to(source, tmp_path / "model.dcnn", CONFIG)
    sizes = [TENSORS[name].size for name in source.asked]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("density", [0.05, 0.5])
def test_memory_is_that_of_one_tensor_and_not_of_all(tmp_path: Path, density: float) -> None:
    path, size = tmp_path / "model.dcnn", 1 << 18
    rng = np.random.default_rng(0)
    tensors = {f"w{i}": rng.normal(size=(512, 512)).astype(np.float32) for i in range(6)}
    config = dc.Config(dc.TensorConfig(sparsity=1 - density))
    dc.compress_to({"w": tensors["w0"]}, path, config)  # loads what is loaded once
    tracemalloc.start()
    try:
        dc.compress_to(tensors, path, config)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Two tensors more would be 8 bytes per element.
    assert peak < size * (1 + 60 * density) * 1.1 + (1 << 20)


def test_a_file_without_tensors(tmp_path: Path) -> None:
    path = tmp_path / "model.dcnn"
    dc.compress_to({}, path)
    assert path.read_bytes() == dc.compress({}).to_bytes()


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("bad", np.full((20, 20), np.nan, np.float32), "tensor 'bad': .*weights must be finite"),
        ("bad", np.full((20, 20), 1e300), "tensor 'bad': .*finite in float32: they are beyond"),
        ("bad", np.array(["text"]), "tensor 'bad': dtype"),
        ("", np.ones(3), "name must have 1 to 65535 bytes"),
        ("\ud800", np.ones(3), "can't be written as UTF-8"),
    ],
)
def test_a_bad_tensor_is_named_and_nothing_changes(
    tmp_path: Path, jobs: int, name: str, tensor: np.ndarray, words: str
) -> None:
    path = tmp_path / "model.dcnn"
    path.write_bytes(b"as before")
    config = dc.Config(by_name={name: {"bits": 5}})
    with pytest.raises(dc.ArgumentError, match=words):
        dc.compress_to(TENSORS | {name: tensor, "last": np.ones(3)}, path, config, jobs=jobs)
    assert path.read_bytes() == b"as before"
    assert os.listdir(tmp_path) == ["model.dcnn"]


@pytest.mark.parametrize("stage", [quantize, encoder], ids=lambda stage: stage.__name__)
def test_a_tensor_that_is_too_large_is_named(
    stage: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 1 GiB")

    monkeypatch.setattr(stage, "share_weights" if stage is quantize else "encode", raises)
    with pytest.raises(dc.ArgumentError, match="tensor 'w': too large for the memory: Unable"):
        dc.compress_to({"w": np.eye(30)}, tmp_path / "m.dcnn", jobs=2)
    assert list(tmp_path.iterdir()) == []


def test_what_the_source_raises_comes_through(tmp_path: Path) -> None:
    class Broken(Source):
        def __getitem__(self, name: str) -> np.ndarray:
            raise dc.FormatError(f"broken {name}") if name == "fc.steps" else KeyboardInterrupt

    for first, kind in (("fc.steps", dc.FormatError), ("small", KeyboardInterrupt)):
        with pytest.raises(kind):
            dc.compress_to(Broken({first: TENSORS[first]}), tmp_path / "model.dcnn")
    assert os.listdir(tmp_path) == []


def test_arguments_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    source = Source(TENSORS)
    for jobs in (0, -1, 1.5, True, "2"):
        with pytest.raises(dc.ArgumentError, match="jobs must be a positive integer"):
            dc.compress_to(source, tmp_path / "model.dcnn", jobs=jobs)
    with pytest.raises(dc.ArgumentError, match="metadata can't be written as JSON"):
        dc.compress_to(source, tmp_path / "model.dcnn", metadata={"x": np.nan})
    with pytest.raises(dc.OutputError, match=r"absent.model\.dcnn: can't write: No such file"):
        dc.compress_to(source, tmp_path / "absent" / "model.dcnn")
    assert source.asked == []


def test_more_jobs_than_can_be_take_no_more_threads(tmp_path: Path) -> None:
    dc.compress_to(TENSORS, tmp_path / "model.dcnn", jobs=10**9)
    assert (tmp_path / "model.dcnn").read_bytes() == dc.compress(TENSORS).to_bytes()
    many = {str(index): np.zeros(1) for index in range(2 * streaming.MAX_JOBS)}
    dc.compress_to(many, tmp_path / "model.dcnn", jobs=10**9)
    assert list(dc.load(tmp_path / "model.dcnn")) == list(many)


def test_a_full_disk_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *exception: object) -> None:
            pass

        def writelines(self, lines: list[bytes]) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(streaming.tempfile, "TemporaryFile", lambda dir: Full())
    with pytest.raises(dc.OutputError, match=r"model\.dcnn: can't write: No space left") as found:
        dc.compress_to(TENSORS, tmp_path / "model.dcnn", CONFIG)
    assert found.value.__cause__.errno == 28


def test_what_is_written_is_told_and_can_be_pickled(tmp_path: Path) -> None:
    written = dc.compress_to(TENSORS, tmp_path / "model.dcnn", CONFIG)
    back = pickle.loads(pickle.dumps(written))
    assert back == written == (tmp_path / "model.dcnn").stat().st_size
    for one in (written, back):
        assert one.own_bytes == sum(tensor.nbytes for tensor in TENSORS.values())
        assert one.kept == {"fc.steps": "integers", "small": "too small"}
        assert one.combined == {}
