"""The verb ``info``: the versions and the backend in use."""

import platform

import numpy as np

from .. import __version__, native
from ..native import spmv as native_spmv
from ..nn.parallel import available_threads
from .verb import Answer, Subparsers, add_verb


def add_parser(subparsers: Subparsers) -> None:
    """Add ``info`` to the command line."""
    add_verb(subparsers, info, "show the versions and the backend in use")


def info() -> Answer:
    """Return versions, backend, kernels and threads."""
    values = {
        "deepcompress": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        **(native_info := native.info()),
        "kernels": native_spmv.kernels(native_info["isa"]),
        "processors": available_threads(),
    }
    lines = {key: values[key] for key in ("deepcompress", "python", "numpy")}
    lines["backend"] = (
        f"native: C kernels, for {values['isa']}"
        if values["backend"] == "native"
        else "reference: NumPy alone, without C"
    )
    lines["C extension"] = (
        f"built by {values['compiler']}; runs here: {', '.join(values['available_isas'])}"
        if values["reason"] is None
        else f"there is none: {values['reason']}"
    )
    kernels = values["kernels"].items()
    lines["kernels"] = ", ".join(f"{product} {kernel}" for product, kernel in kernels)
    lines["processors"] = values["processors"]
    spin = f"which look for more work for {values['spin_us']:g} us"
    how = spin if values["has_threads"] else "built without threads"
    lines["threads"] = f"{values['threads']}, {how}" if values["reason"] is None else 1
    width = max(map(len, lines))
    return Answer(values, "\n".join(f"{key:{width}}  {value}" for key, value in lines.items()))
