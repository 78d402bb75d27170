"""The twins of C's structs and enums have the same names and values."""

from dataclasses import fields

import pytest

from deepcompress.native import gateway
from deepcompress.native import spmv as native_spmv
from deepcompress.spmv import choose
from deepcompress.structs import Geometry, OperationKind

EXTENSION, REASON = gateway._load()
pytestmark = pytest.mark.skipif(EXTENSION is None, reason=f"no C extension: {REASON}")


def test_operations_are_those_of_c():
    elements = EXTENSION.ffi.typeof("enum dc_operation_kind").elements
    *kinds, (count, end) = sorted(elements.items())
    assert end == "DC_OPERATION_KINDS"
    assert count == len(OperationKind)
    assert [(kind.value, f"DC_{kind.name}") for kind in OperationKind] == kinds


def test_layouts_are_those_of_c():
    elements = EXTENSION.ffi.typeof("enum dc_layout_kind").elements
    *kinds, (count, end) = sorted(elements.items())
    assert end == "DC_LAYOUT_KINDS"
    assert count == len(choose.ENTRIES)
    assert [name for _, name in kinds] == [f"DC_LAYOUT_{kind.upper()}" for kind in choose.ENTRIES]


def test_a_geometry_has_the_fields_of_c():
    names = {name for name, _ in EXTENSION.ffi.typeof("struct dc_geometry").fields}
    assert {field.name for field in fields(Geometry)} == names


def test_kernels_are_named_by_the_set_that_has_them():
    named = {isa: tuple(native_spmv.kernels(isa).values()) for isa in gateway._isas()}
    expected = {
        "scalar": ("scalar", "scalar", "scalar"),
        "neon": ("neon", "neon", "scalar"),
        "avx2": ("avx2", "avx2", "avx2"),
        "avx512": ("avx512", "avx512", "avx2"),
    }
    assert named == {isa: expected[isa] for isa in named}
    assert native_spmv.kernels(None) == {"spmv": "numpy", "spmm": "numpy", "conv": "numpy"}
