"""The backend: chooses and loads the C kernels, which the modules beside this one call.

``DEEPCOMPRESS_BACKEND`` is ``reference`` (the NumPy twins),
``native`` (the C kernels, or an error if they aren't there) or ``auto``, the default:
native where it is available. ``DEEPCOMPRESS_ISA`` chooses the instruction set of
the native products: ``auto``, the default, is the best one that runs here. Both
are read at first use. Results don't depend on the backend, except for the
rounding of sums in products.

`threads` tells the number of threads for all that is native; `limits` says where it comes from, and
`pool` has the threads. No result depends on them.

The modules beside this one expect arguments that the fronts of the same names have
validated, as contiguous arrays, and an active native backend. cffi releases the
interpreter lock while C runs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from ..errors import BackendError, ConfigError, FormatError, TruncatedError
from ..tensors import Float32Array, UInt8Array
from . import limits

BACKENDS = ("auto", "reference", "native")

# The error of each `enum dc_status`, and the unit of its position.
_ERRORS: dict[str, tuple[type[Exception], str]] = {
    "DC_TRUNCATED": (TruncatedError, "symbol"),
    "DC_BAD_CODE": (FormatError, "symbol"),
    "DC_TRAILING": (FormatError, "byte"),
    "DC_BAD_PADDING": (FormatError, "byte"),
    "DC_BAD_POSITION": (FormatError, "entry"),
    "DC_BAD_LABEL": (FormatError, "entry"),
    "DC_BAD_START": (FormatError, "byte"),
    "DC_BAD_END": (FormatError, "byte"),
    "DC_NO_ISA": (BackendError, "instruction set"),
}


@dataclass(frozen=True)
class _Choice:
    """The backend in use; `isa` is an ``enum dc_isa``, or -1 for the reference backend."""

    backend: str
    isa: int


_chosen: _Choice | None = None  # None until first use


def backend() -> str:
    """Return the backend in use, ``"reference"`` or ``"native"``.

    Raises
    ------
    ConfigError
        If ``DEEPCOMPRESS_BACKEND`` is an unknown choice.
    BackendError
        If the backend or instruction set asked for isn't available.
    """
    return _choice().backend


def active() -> bool:
    """Tell whether the native backend is in use. Raises as `backend`."""
    return _choice().backend == "native"


def info() -> dict[str, Any]:
    """Describe the backend in use, and the others.

    Returns
    -------
    dict
        ``backend``; ``isa``, None for the reference backend; ``available_isas``;
        ``threads`` as from `threads`; ``spin_us``, for how many microseconds they look for
        more work; ``has_threads``, whether the C extension was built with threads;
        ``compiler`` of the C extension, or None; ``reason`` why there is no extension, or None.

    Raises
    ------
    ConfigError, BackendError
        As `backend`.
    """
    choice = _choice()
    extension, reason = _load()
    isas = _isas()
    return {
        "backend": choice.backend,
        "isa": next((name for name, isa in isas.items() if isa == choice.isa), None),
        "available_isas": list(isas),
        "threads": threads(),
        "spin_us": limits.spin_us(),
        "has_threads": bool(extension and extension.lib.dc_has_threads()),
        "compiler": _text(extension.lib.dc_compiler()) if extension else None,
        "reason": reason,
    }


def threads() -> int:
    """Return how many threads native work may take in the calling thread, at least 1.

    All processors that the process may use, unless `set_threads`, ``OMP_NUM_THREADS`` or
    ``threadpoolctl.threadpool_limits`` say otherwise; the last of them only if the extension was
    loaded before, as by this function. It is 1 with the reference backend, and where the
    extension was built without threads. Raises as `backend`.
    """
    return limits.number() if active() and _has_threads() else 1


@contextmanager
def use(backend: str, isa: str = "auto") -> Iterator[None]:
    """Choose a backend for the duration of a ``with`` block, in the whole process.

    Meant for tests and benchmarks. Raises as `backend`.
    """
    global _chosen
    before, _chosen = _chosen, _choose(backend, isa)
    try:
        yield
    finally:
        _chosen = before


@cache
def _load() -> tuple[Any, str | None]:
    """Return the extension module, or None and why there isn't one."""
    try:
        extension = import_module("._native", __package__)
    except ImportError as error:
        return None, f"{error}; install with a C compiler at hand to have it built"
    if extension.lib.dc_has_threads():
        limits.register()
    return extension, None


@cache
def _has_threads() -> bool:
    return bool(_lib().dc_has_threads())


@cache
def _isas() -> dict[str, int]:
    """Return the instruction sets that run here, the best one last."""
    extension, _ = _load()
    if extension is None:
        return {}
    lib = extension.lib
    return {
        _text(lib.dc_isa_name(isa)): isa
        for isa in range(lib.DC_ISA_COUNT)
        if lib.dc_isa_available(isa)
    }


def _choice() -> _Choice:
    """Return the choice in force, made from the environment at the first call."""
    global _chosen
    if _chosen is None:
        _chosen = _choose(
            os.environ.get("DEEPCOMPRESS_BACKEND", "auto"),
            os.environ.get("DEEPCOMPRESS_ISA", "auto"),
        )
    return _chosen


def _choose(backend: str, isa: str) -> _Choice:
    """Resolve names; raise as documented at `backend`."""
    if backend not in BACKENDS:
        raise ConfigError(f"unknown backend {backend!r}; choices: {', '.join(BACKENDS)}")
    extension, reason = _load()
    if extension is None and backend == "native":
        raise BackendError(f"the native backend isn't available: {reason}")
    if backend == "reference" or (extension is None and isa == "auto"):
        return _Choice("reference", -1)
    isas = _isas()
    if isa != "auto" and isa not in isas:
        raise BackendError(
            f"instruction set {isa!r} isn't available here; choices: {', '.join(['auto', *isas])}"
        )
    return _Choice("native", [*isas.values()][-1] if isa == "auto" else isas[isa])


def _check(status: int, at: int) -> None:
    """Raise the error that stands for a status, if it does."""
    if status != _lib().DC_OK:
        kind, unit = _ERRORS[_ffi().typeof("enum dc_status").elements[status]]
        raise kind(f"{_text(_lib().dc_strerror(status))} ({unit} {at})")


def _lib() -> Any:
    return _load()[0].lib


def _ffi() -> Any:
    return _load()[0].ffi


def _text(chars: Any) -> str:
    return str(_ffi().string(chars).decode())


def _bytes(array: UInt8Array) -> Any:
    return _ffi().from_buffer("uint8_t[]", array)


def _floats(array: Float32Array) -> Any:
    return _ffi().from_buffer("float[]", array)
