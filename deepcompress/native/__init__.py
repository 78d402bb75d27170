"""The only door to the C kernels: nothing outside this package knows cffi."""

from .gateway import BACKENDS, active, backend, info, threads, use

__all__ = ["BACKENDS", "active", "backend", "info", "threads", "use"]
