"""The file format: every dtype and shape exactly, and the document that specifies it."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.reference_reader import READER
from support.spec import TEXT, plain, quotations, spec_example

import deepcompress
from deepcompress.container.cursor import Cursor, varint
from deepcompress.container.reader import parse
from deepcompress.container.records import DTYPES
from deepcompress.container.writer import pack
from deepcompress.errors import ArgumentError, FormatError, TruncatedError
from deepcompress.pipeline import from_bytes

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
raw_tensors = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=6, min_side=0))
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(names, raw_tensors, max_size=4), st.dictionaries(names, json_values))
def test_raw_tensors_come_back_bit_for_bit(tensors: dict, metadata: dict) -> None:
    data = pack(tensors, metadata)
    contents = parse(data)
    assert list(contents.records) == list(tensors)
    for name, tensor in tensors.items():
        back = contents.records[name]
        assert back.dtype == tensor.dtype
        assert back.shape == tensor.shape
        assert back.tobytes() == tensor.tobytes()  # NaNs keep their bits
    assert contents.metadata == metadata
    assert sum(section.size_bytes for section in contents.sections) == len(data)
    assert pack(contents.records, contents.metadata) == data


def test_byte_order_and_layout_of_the_input_dont_matter() -> None:
    plain = np.arange(6, dtype="<i4").reshape(2, 3)
    assert pack({"a": plain.astype(">i4")}) == pack({"a": plain})
    assert pack({"a": np.asfortranarray(plain)}) == pack({"a": plain})
    assert pack({"a": plain.T.copy().T[::1]}) == pack({"a": plain})


def test_the_specification_example_is_what_we_write_and_read() -> None:
    data = spec_example()
    model = from_bytes(data)
    assert model["w"].to_dense().tolist() == [[0, 1.5, 0], [0, 0, -2]]
    assert model["b"].tolist() == [0.5]
    assert model["b"].dtype == np.float32
    assert model.metadata == {}
    assert model.to_bytes() == data


PACKAGE = Path(deepcompress.__file__).parent
MODULES = [*sorted(PACKAGE.rglob("*.py")), READER]
QUOTING = [path for path in MODULES if "# > " in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", QUOTING, ids=lambda path: path.name)
def test_what_comments_quote_stands_in_the_document(path: Path) -> None:
    quoted = quotations(path.read_text(encoding="utf-8"))
    assert [sentence for sentence in quoted if sentence not in plain(TEXT)] == []


def test_writer_and_readers_quote_the_document() -> None:
    container = {path.stem for path in QUOTING if path.parent.name == "container"}
    assert container == {
        "cursor",
        "header",
        "planes",
        "reader",
        "shared_weights",
        "grids",
        "groups",
        "references",
        "sizes",
        "writer",
    }
    assert READER in QUOTING


def test_the_package_uses_the_names_of_fields() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (PACKAGE / "container").glob("*.py")]
    used = set(re.findall(r"\w+", " ".join(sources).lower()))
    fields = re.findall(r"^\| (?:· )?`([A-Z]\w+)` \|", TEXT, re.MULTILINE)
    assert len(fields) > 30
    assert {field for field in fields if field.lower() not in used} == set()


@given(st.integers(0, 2**63 - 1))
def test_varints_are_shortest(value: int) -> None:
    encoded = varint(value)
    assert len(encoded) == max(1, -(-value.bit_length() // 7))
    cursor = Cursor(memoryview(encoded), "test")
    assert cursor.varint("value") == value
    cursor.end()


@pytest.mark.parametrize(
    ("hex_bytes", "error", "words"),
    [
        ("", TruncatedError, "value at offset 0 needs 1 bytes, only 0 are left"),
        ("80", TruncatedError, "offset 1"),
        ("8000", FormatError, "fewest bytes"),  # 0 in two groups
        ("ffffffffffffffffff01", FormatError, "more than 9 bytes"),
    ],
)
def test_malformed_varints(hex_bytes: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Cursor(memoryview(bytes.fromhex(hex_bytes)), "test").varint("value")


NUMPY_2 = np.lib.NumpyVersion(np.__version__) >= "2.0.0"  # before, arrays had 32 axes at most


@pytest.mark.parametrize(
    ("tensors", "metadata", "words"),
    [
        ({"": np.ones(1)}, {}, "name must have 1 to 65535 bytes"),
        ({"é" * 40000: np.ones(1)}, {}, "name must have"),
        ({"a": np.array(["text"])}, {}, "'a': dtype <U4 can't be stored"),
        ({"a": np.array([object()])}, {}, "'a': dtype object"),
        ({"a": np.zeros(1, [("x", "f4")])}, {}, "'a': dtype"),
        *([({"a": np.zeros((1,) * 33)}, {}, "rank 33 is above 32")] if NUMPY_2 else []),
        ({}, {"a": object()}, "metadata can't be written as JSON"),
        ({}, {"a": float("nan")}, "metadata"),
    ],
)
def test_what_the_format_has_no_place_for(tensors: dict, metadata: dict, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        pack(tensors, metadata)


def test_sizes_beyond_63_bits_are_refused() -> None:
    with pytest.raises(ArgumentError, match="2\\*\\*63"):
        varint(1 << 63)
