"""The only door to the C kernels: nothing outside this package knows cffi."""

from .gateway import BACKENDS, active, backend, info, threads, use
from .pool import set_threads

__all__ = [
    "BACKENDS",
    "active",
    "backend",
    "info",
    "set_threads",
    "threads",
    "use",
]
