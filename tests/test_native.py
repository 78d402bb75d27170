"""The gateway to C: who computes, how that is chosen, and what C reports."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepcompress import native
from deepcompress.errors import BackendError, ConfigError, FormatError, TruncatedError
from deepcompress.native import gateway
from deepcompress.native import huffman as native_huffman
from deepcompress.native import rans as native_rans
from deepcompress.packed.tensor import CompressedTensor

EXTENSION, REASON = gateway._load()
needs_extension = pytest.mark.skipif(EXTENSION is None, reason=f"no C extension: {REASON}")


@pytest.fixture
def undecided(monkeypatch):
    """As before first use, with no choice in the environment."""
    monkeypatch.setattr(gateway, "_chosen", None)
    monkeypatch.delenv("DEEPCOMPRESS_BACKEND", raising=False)
    monkeypatch.delenv("DEEPCOMPRESS_ISA", raising=False)
    return monkeypatch


@pytest.fixture
def no_extension(undecided):
    undecided.setattr(gateway, "_load", lambda: (None, "no compiler was found"))
    undecided.setattr(gateway, "_isas", dict)
    return undecided


def test_the_environment_chooses_at_first_use_only(undecided):
    undecided.setenv("DEEPCOMPRESS_BACKEND", "reference")
    assert native.backend() == "reference"
    undecided.setenv("DEEPCOMPRESS_BACKEND", "nonsense")
    assert native.backend() == "reference"


def test_unknown_backends_are_errors(undecided):
    undecided.setenv("DEEPCOMPRESS_BACKEND", "cuda")
    with pytest.raises(ConfigError, match="backend 'cuda'; choices: auto, reference, native"):
        native.backend()
    with pytest.raises(ConfigError, match="unknown backend ''"), native.use(""):
        pass


@needs_extension
def test_auto_is_native_with_the_best_instruction_set(undecided):
    info = native.info()
    assert (info["backend"], info["reason"]) == ("native", None)
    assert info["isa"] == info["available_isas"][-1]
    assert "scalar" in info["available_isas"]
    assert info["compiler"].split()[0] in ("gcc", "clang", "unknown")


@needs_extension
def test_an_instruction_set_can_be_forced(undecided):
    undecided.setenv("DEEPCOMPRESS_ISA", "scalar")
    assert native.info()["isa"] == "scalar"


@needs_extension
@pytest.mark.parametrize("backend", ["auto", "native"])
def test_other_instruction_sets_are_errors(undecided, backend):
    undecided.setenv("DEEPCOMPRESS_BACKEND", backend)
    undecided.setenv("DEEPCOMPRESS_ISA", "mmx")
    with pytest.raises(BackendError, match="'mmx' isn't available here; choices: auto, scalar"):
        native.backend()


def test_auto_without_extension_is_reference(no_extension):
    assert native.info() == {
        "backend": "reference",
        "isa": None,
        "available_isas": [],
        "threads": 1,
        "spin_us": 150.0,
        "has_threads": False,
        "compiler": None,
        "reason": "no compiler was found",
    }


def test_native_without_extension_is_an_error(no_extension):
    no_extension.setenv("DEEPCOMPRESS_BACKEND", "native")
    with pytest.raises(BackendError, match="native backend isn't available: no compiler was found"):
        native.active()


def test_an_instruction_set_without_extension_is_an_error(no_extension):
    no_extension.setenv("DEEPCOMPRESS_ISA", "scalar")
    with pytest.raises(BackendError, match="'scalar' isn't available here; choices: auto"):
        native.active()


def test_use_restores_the_choice(undecided):
    before = native.backend()
    with native.use("reference"):
        assert (native.backend(), native.info()["isa"]) == ("reference", None)
    assert native.backend() == before
    with pytest.raises(ZeroDivisionError), native.use("reference"):
        raise ZeroDivisionError
    assert native.backend() == before


def test_importing_the_package_loads_no_extension():
    code = "import sys, deepcompress; print('deepcompress.native._native' in sys.modules)"
    folder = Path(native.__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, check=True)
    assert run.stdout.strip() == b"False"


# The functions below reach C as malformed as it may arrive: behind the checks of Python.


def u8(*values):
    return np.array(values, np.uint8)


def decode(payload, lengths, count):
    def run():
        (symbols,) = native_huffman.decode([u8(*lengths)], [(u8(*payload), 0, count)])
        if isinstance(symbols, FormatError):
            raise symbols

    return run


def rans_decode(payload, frequencies, count):
    def run():
        shares, data = np.array(frequencies, np.uint16), np.frombuffer(payload, np.uint8)
        (symbols,) = native_rans.decode([shares], [(data, 0, count)])
        if isinstance(symbols, FormatError):
            raise symbols

    return run


def tensor(labels, gaps, shape=(2, 3)):
    def construct():
        codebook = np.array([0, 1, 2], np.float32)
        return CompressedTensor(shape, codebook, 2, 2, 2, u8(labels), u8(gaps))

    return construct


def product_with_unknown_instruction_set():
    w = tensor(0b10_01, 0b00_00)()
    gateway._chosen = gateway._Choice("native", 99)
    return w @ np.ones(3)


VECTORS = {
    # Bits 0, 11, 11, 11 are four symbols; the fifth one has only one bit of two.
    "DC_TRUNCATED": (decode([0b1_11_11_11_0], (1, 2, 2), 5), TruncatedError, r"\(symbol 4\)"),
    # The only code is 0, the third bit is 1.
    "DC_BAD_CODE": (decode([0b100], (1,), 3), FormatError, r"\(symbol 2\)"),
    # Byte 0 has all three symbols, byte 1 is too much.
    "DC_TRAILING": (decode([0b000, 0], (1,), 3), FormatError, r"\(byte 1\)"),
    # Bit 7 is set, but the symbols end at bit 2.
    "DC_BAD_PADDING": (decode([0x80], (1,), 3), FormatError, r"\(byte 0\)"),
    # Gaps 3 and 2: positions 3 and 6 of 6.
    "DC_BAD_POSITION": (tensor(0b01_01, 0b10_11), FormatError, r"\(entry 1\)"),
    # Labels 2 and 3 of three centroids.
    "DC_BAD_LABEL": (tensor(0b11_10, 0b00_00), FormatError, r"\(entry 1\)"),
    # The state is 2**23 - 1.
    "DC_BAD_START": (rans_decode(b"\xff\xff\x7f\0", [2**14], 1), FormatError, r"\(byte 0\)"),
    # A lone symbol leaves the state as it is, which is 2**23 + 1.
    "DC_BAD_END": (rans_decode(b"\1\0\x80\0", [2**14], 9), FormatError, r"\(byte 4\)"),
    "DC_NO_ISA": (product_with_unknown_instruction_set, BackendError, r"\(instruction set 99\)"),
}


@needs_extension
@pytest.mark.parametrize("status", VECTORS)
def test_every_status_becomes_its_error(undecided, status):
    attempt, error, where = VECTORS[status]
    with native.use("native"), pytest.raises(error, match=where) as caught:
        attempt()
    assert caught.type is error
    sentence = EXTENSION.lib.dc_strerror(getattr(EXTENSION.lib, status))
    assert str(caught.value).startswith(EXTENSION.ffi.string(sentence).decode())


@needs_extension
def test_the_list_of_statuses_is_closed():
    names = set(EXTENSION.ffi.typeof("enum dc_status").elements.values())
    assert names - {"DC_OK", "DC_STATUS_COUNT"} == set(VECTORS) == set(gateway._ERRORS)
    sentences = {
        EXTENSION.ffi.string(EXTENSION.lib.dc_strerror(status))
        for status in range(EXTENSION.lib.DC_STATUS_COUNT + 1)
    }
    assert len(sentences) == EXTENSION.lib.DC_STATUS_COUNT + 1  # the last one: unknown
