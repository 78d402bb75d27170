"""The twins of C's structs and enums have the same names and values."""

from dataclasses import fields

import pytest

from deepcompress.native import gateway
from deepcompress.native import spmv as native_spmv
from deepcompress.structs import Geometry, LayoutKind, OperationKind

EXTENSION, REASON = gateway._load()
pytestmark = pytest.mark.skipif(EXTENSION is None, reason=f"no C extension: {REASON}")


@pytest.mark.parametrize(
    ("twin", "name", "prefix"),
    [(LayoutKind, "dc_layout_kind", "DC_LAYOUT_"), (OperationKind, "dc_operation_kind", "DC_")],
)
def test_enums_are_those_of_c(twin, name, prefix):
    elements = EXTENSION.ffi.typeof(f"enum {name}").elements
    *kinds, (count, end) = sorted(elements.items())
    assert end.endswith("_KINDS")
    assert count == len(twin)
    assert [(kind.value, prefix + kind.name) for kind in twin] == kinds


def test_a_geometry_has_the_fields_of_c():
    names = {name for name, _ in EXTENSION.ffi.typeof("struct dc_geometry").fields}
    assert {field.name for field in fields(Geometry)} == names


def test_kernels_are_named_by_the_set_that_has_them():
    named = {isa: tuple(native_spmv.kernels(isa).values()) for isa in gateway._isas()}
    expected = {
        "scalar": ("scalar", "scalar", "scalar"),
        "neon": ("scalar", "neon", "scalar"),
        "avx2": ("avx2", "avx2", "avx2"),
        "avx512": ("avx512", "avx512", "avx2"),
    }
    assert named == {isa: expected[isa] for isa in named}
    assert native_spmv.kernels(None) == {"spmv": "numpy", "spmm": "numpy", "conv": "numpy"}
