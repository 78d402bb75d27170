"""The seeds of the fuzz targets, and what fuzzers found, read by every target without a fuzzer.

Those of the C kernels are run by ``tests/fuzz/run.py``, which has the compiler that they need.
"""

import importlib
import tracemalloc
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from fuzz.limits import ATTEMPTS, Slow, outcome, run
from fuzz.make_seeds import SEEDS

from deepcompress.errors import ArgumentError, DeepCompressError, FormatError
from deepcompress.model_file import ModelFile
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.pipeline import from_bytes
from deepcompress.reports.tables import read_report

FOLDER = Path(__file__).parent / "fuzz"
NAMES = ("container", "net", "layers", "definition", "idx", "npz", "records")
NAMES += ("structure", "sparse", "skops", "hdf5_tree", "onnx_model", "shards")
MODULES = {name: importlib.import_module(f"fuzz.{name}") for name in NAMES}
# Those whose reader the package has.
TARGETS = {name: target for name, target in MODULES.items() if getattr(target, "available", True)}
CASES = [
    pytest.param(target, path, id=f"{name}-{kind}-{path.name}")
    for name, target in TARGETS.items()
    for kind in ("corpus", "found")
    for path in sorted((FOLDER / kind / name).glob("[!.]*"))
]


@pytest.mark.parametrize(("target", "path"), CASES)
def test_nothing_is_found(target: ModuleType, path: Path) -> None:
    run(target, path.read_bytes())


@pytest.mark.parametrize("times", [ATTEMPTS - 1, ATTEMPTS])
def test_a_finding_is_what_is_slow_each_time(times: int) -> None:
    target, slow = ModuleType("target"), iter([True] * times + [False])

    def test_one_input(data: bytes) -> None:
        if next(slow):
            raise Slow(f"reading {data!r} took 9 s")

    target.test_one_input = test_one_input
    with nullcontext() if times < ATTEMPTS else pytest.raises(Slow, match="took 9 s"):
        run(target, b"bytes")


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else a fuzzer would begin with nothing but refusals."""
    refusals = set()

    def noted(read):
        result, refusal = outcome(read)
        refusals.add(refusal)
        return result, refusal

    monkeypatch.setattr(TARGETS[name], "outcome", noted)
    for path in (FOLDER / "corpus" / name).glob("[!.]*"):
        TARGETS[name].test_one_input(path.read_bytes())
    assert "" in refusals


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_are_there_as_they_are_made(name: str) -> None:
    """All of them; but for NumPy's draws and zlib's bytes, which another version may change."""
    made = SEEDS[name]()
    there = {path.name for path in (FOLDER / "corpus" / name).glob("[!.]*")}
    assert set(made) <= there
    assert len(set(made.values())) == len(made)  # none is another's copy


def test_mending_leaves_whole_files_alone_and_makes_others_whole() -> None:
    for path in (FOLDER / "corpus" / "container").glob("[!.]*"):
        data = path.read_bytes()
        assert MODULES["container"].mend(data) == data
        damaged = data[:9] + b"\0\0\0\0" + data[13:-1] + bytes([data[-1] ^ 1])
        if path.name != "nothing":
            assert MODULES["container"].mend(damaged) == data


def found(name: str) -> bytes:
    return (FOLDER / "found" / "container" / name).read_bytes()


def test_fillers_between_blocks_count_as_memory() -> None:
    """69 bytes: three blocks of 2**28 elements with one weight each, and gaps of one bit."""
    with pytest.raises(ArgumentError, match=r"may take [0-9,]+ bytes, max_bytes is 2,097,152"):
        from_bytes(found("fillers-between-blocks"), max_bytes=1 << 21)
    file = ModelFile(found("fillers-between-blocks"), max_bytes=1 << 21)
    with pytest.raises(ArgumentError, match="may take"):
        file.rows("w", 0, 3 << 28)
    assert file.rows("w", 0, 1 << 28).count == 1  # one block needs none


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "corpus" / "container").glob("[!.]*")), ids=lambda path: path.name
)
def test_max_bytes_bounds_what_is_taken(path: Path) -> None:
    data = path.read_bytes()
    for max_bytes in (66_000, 70_000, 1 << 20):
        tracemalloc.start()
        try:
            from_bytes(data, max_bytes=max_bytes)
        except ArgumentError:
            pass
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak <= max_bytes


def test_a_coding_of_too_many_symbols_to_a_byte_is_replaced() -> None:
    """1,500 equal labels, coded as if they were rare; coded well, no file may hold them."""
    model = from_bytes(found("rans-of-few-bytes"))
    again = from_bytes(model.to_bytes())
    assert (again["w"].to_dense() == model["w"].to_dense()).all()


def test_metadata_beyond_the_range_of_a_float_is_refused() -> None:
    with pytest.raises(FormatError, match="1e999 is too large a number"):
        from_bytes(found("metadata-1e999"))


def test_empty_tensors_have_axes_that_an_array_can_have() -> None:
    """NumPy counts bytes of the axes that aren't 0, though there are none."""
    with pytest.raises(FormatError, match=r"2\*\*63 bytes"):
        from_bytes(found("empty-with-huge-axes"))
    nothing = np.zeros(0, np.uint8)
    tensor = CompressedTensor((0, 1 << 62), np.zeros(1, np.float32), 1, 1, 0, nothing, nothing)
    with pytest.raises(ArgumentError, match="can't hold"):
        tensor.to_dense()


@pytest.mark.parametrize("name", ["nested-list", "nested-objects"])
def test_deeply_nested_reports_are_refused(name: str) -> None:
    with pytest.raises(DeepCompressError, match="can't be read as a report"):
        read_report(FOLDER / "found" / "records" / name)
