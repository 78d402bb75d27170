"""What decoding takes: below the estimate, and within `max_bytes`."""

from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.peak import model, peak_of

import deepcompress as dc
from deepcompress import native
from deepcompress.coding import memory
from deepcompress.container.reader import Reader
from deepcompress.container.records import BITMASK, CODERS, DENSE, RAW, RELATIVE, Coding
from deepcompress.container.writer import pack
from deepcompress.errors import ArgumentError
from deepcompress.pipeline import from_bytes

BACKENDS = ["reference", *(["native"] if native.info()["compiler"] else [])]


codings = st.builds(
    lambda encoding, label_coder, position_coder, gap_bits, block_bits: Coding(
        encoding,
        label_coder,
        0 if encoding == DENSE else position_coder,
        gap_bits if encoding == RELATIVE else 0,
        block_bits,
    ),
    st.integers(1, 3),
    st.sampled_from(range(len(CODERS))),
    st.sampled_from(range(len(CODERS))),
    st.integers(1, 8),
    st.sampled_from([5, 8, 11, 20]),
)


def check_estimates(data: bytes, path: Path) -> tuple[float, float]:
    """Compare all that is allocated with the estimates; return how far they are above."""
    path.write_bytes(data)
    reader = Reader(data)
    entry = reader.entries["w"]
    head = reader.shared_head(entry)
    file = dc.ModelFile(data)
    whole = memory.decoding_bytes(head, entry.shape)
    file["w"]  # what is imported or cached at first use is not its own
    took = peak_of(lambda: file["w"])
    assert took <= whole
    assert peak_of(lambda: dc.load(path)) <= whole + memory.OVERHEAD_BYTES
    rows, cols = entry.shape
    start, stop = rows // 3, rows - rows // 4
    part = took_part = 1
    if start < stop:
        bits = head.coding.block_bits
        span = start * cols >> bits, ((stop * cols - 1) >> bits) + 1
        part = memory.decoding_bytes(head, entry.shape, *span)
        took_part = peak_of(lambda: file.rows("w", start, stop))
        assert took_part <= part
    return whole / took, part / took_part


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25)
@given(
    how=codings,
    size=st.integers(1, 400).map(lambda n: 10 * n),
    density=st.sampled_from([0.0, 0.001, 0.05, 0.4, 1.0]),
    k=st.sampled_from([1, 2, 31, 255]),
    seed=st.integers(0, 9),
)
def test_the_peak_is_below_the_estimate(
    tmp_path_factory, backend: str, how: Coding, size: int, density: float, k: int, seed: int
) -> None:
    with native.use(backend):
        try:
            data = model(size, density, k, how, seed).to_bytes()
        except ArgumentError:  # more symbols to a byte than a file may have
            return
        check_estimates(data, tmp_path_factory.getbasetemp() / "m.dcnn")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("how", "density", "k"),
    [
        (Coding(RELATIVE, 0, 0, 8, 62), 1, 255),
        (Coding(RELATIVE, 0, 0, 4, 12), 0.5, 255),
        (Coding(RELATIVE, 1, 1, 4, 62), 0.5, 255),
        (Coding(RELATIVE, 2, 2, 4, 12), 0.5, 255),
        (Coding(DENSE, 0), 1, 1),
        (Coding(DENSE, 1), 1, 255),
        (Coding(DENSE, 2, block_bits=12), 1, 255),
        (Coding(BITMASK, 0, 0), 0, 1),
        (Coding(BITMASK, 1, 1), 0.5, 255),
        (Coding(BITMASK, 2, 2, block_bits=12), 0.5, 255),
    ],
)
def test_the_estimate_isnt_far_above(
    tmp_path: Path, backend: str, how: Coding, density: float, k: int
) -> None:
    """Large enough that what is constant doesn't hide an error in what isn't."""
    is_slow = backend == "reference" and (how.label_coder or how.position_coder)
    with native.use(backend):
        data = model(10_000 if is_slow else 200_000, density, k, how).to_bytes()
        for ratio in check_estimates(data, tmp_path / "m.dcnn"):
            assert ratio < 4


@given(size=st.integers(0, 400_000), dtype=st.sampled_from(["bool", "float32", "complex128"]))
@settings(max_examples=10)
def test_raw_tensors_take_what_they_are(size: int, dtype: str) -> None:
    file = dc.ModelFile(pack({"w": np.ones(size, dtype)}))
    entry = file._reader.entries["w"]
    assert peak_of(lambda: file["w"]) <= memory.raw_bytes(entry, size)
    start, stop = size // 3, size // 2
    took = peak_of(lambda: file.rows("w", start, stop))
    assert took <= memory.raw_bytes(entry, stop - start)


class TestLimit:
    how = Coding(2, 1, 0, 0, 12)
    shared = model(200_000, 0.5, 31, how).to_bytes()
    raw = pack({"w": np.zeros((20_000, 10))})

    @pytest.mark.parametrize("name", ["shared", "raw"])
    def test_beyond_it_nothing_is_allocated(self, tmp_path: Path, name: str) -> None:
        data = getattr(self, name)
        path = tmp_path / "m.dcnn"
        path.write_bytes(data)
        reader = Reader(data)
        entry = reader.entries["w"]
        if entry.encoding == RAW:
            whole, part = memory.raw_bytes(entry, 200_000), memory.raw_bytes(entry, 4_000)
        else:
            head = reader.shared_head(entry)
            whole = memory.decoding_bytes(head, entry.shape)
            part = memory.decoding_bytes(head, entry.shape, 0, 1)
        assert part < whole

        def with_file(limit: int, read: Callable[[dc.ModelFile], object]) -> Callable[[], object]:
            return lambda: read(dc.ModelFile(data, str(path), max_bytes=limit))

        for limit, needed, read in [
            (whole - 1, whole, lambda: dc.load(path, max_bytes=whole - 1)),
            (whole - 1, whole, lambda: from_bytes(data, str(path), max_bytes=whole - 1)),
            (whole - 1, whole, with_file(whole - 1, lambda file: file["w"])),
            (part - 1, part, with_file(part - 1, lambda file: file.rows("w", 0, 400))),
        ]:

            def refused(limit: int = limit, needed: int = needed, read=read) -> None:
                words = (
                    rf"m\.dcnn: tensor 'w': decoding it may take {needed:,} bytes, "
                    f"max_bytes is {limit:,}$"
                )
                with pytest.raises(ArgumentError, match=words):
                    read()

            refused()
            assert peak_of(refused) < 50_000 < needed
        assert len(dc.load(path, max_bytes=whole)["w"].shape) == 2
        assert dc.ModelFile(data, max_bytes=part).rows("w", 0, 400).shape == (400, 10)
