"""What products cost on a processor: coefficients for `crossover`, shipped or measured.

`COSTS` were fitted to measurements of a few processors. ``deepcompress bench --calibrate`` measures
the machine that it runs on and keeps the result in the user's folder for caches, as a small file of
JSON. That file counts for the processor and the instruction set that it names, as long as the
package ships the same costs as when they were measured: a version with other kernels has others. A
file that is damaged, stale or from another machine counts for nothing, and the shipped costs stand
in. No written file depends on either: they choose the form in which weights are run, and the two
forms differ by rounding.
"""

import os
import platform
import sys
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import DataError, OutputError
from ..files import strict_json
from ..files.atomic import write_json
from ..files.reading import read_file

FORMAT = 1
MAX_BYTES = 1 << 14  # of a file that is read
FACTOR = 100.0  # by which a measured coefficient may differ from the shipped one


@dataclass(frozen=True)
class Costs:
    """Coefficients of one instruction set, in nanoseconds but for `cache_bytes`."""

    call: float = 4000.0  # overhead of a packed product over a dense one, beside the work
    entry: float = 0.42  # a survivor, with one column
    row: float = 2.0  # a row, with one column
    many_entry: float = 1.5  # unpacking a survivor, with several columns
    many_column: float = 0.023  # a survivor and column, with several of them
    many_x: float = 0.3  # an element of x, with several columns: those of a tile are gathered
    dense_cached: float = 0.067  # a weight of a dense product with one column, from the cache
    dense_memory: float = 0.25  # the same from memory
    dense_weight: float = 0.11  # copying a weight of a dense product, with several columns
    dense_column: float = 0.0245  # a weight and column of it
    convolution_column: float = 0.034  # a survivor and output pixel of a packed convolution
    convolution_dense: float = 0.027  # a weight and output pixel of a dense one
    cache_bytes: int = 1 << 24  # of dense weights, likely to be cached at the next product


COSTS = {
    "avx2": Costs(),
    # The dense product uses the processor's vectors in any case.
    "scalar": Costs(
        entry=0.62,
        many_entry=3.0,
        many_column=0.25,
        convolution_column=0.09,
        convolution_dense=0.075,
    ),
    "avx512": Costs(
        entry=0.22,
        many_entry=1.2,
        many_column=0.03,
        dense_cached=0.06,
        dense_memory=0.27,
        dense_column=0.0165,
    ),
    # The NumPy twins expand all coordinates, and go from row to row in Python.
    None: Costs(call=50000.0, entry=40.0, row=3000.0, many_entry=40.0, many_column=1.0),
}

# What `reports.cost_timing` measures; the others are as shipped.
MEASURED = (
    *("call", "entry", "many_entry", "many_column"),
    *("dense_cached", "dense_memory", "dense_weight", "dense_column"),
)


def of(isa: str | None) -> Costs:
    """Return the costs for an instruction set: this machine's own, if they are known.

    For one without measurements, such as NEON, the shipped costs are those of scalar code: packed
    products with several columns are then taken for slower than they are, and dense ones are
    chosen early.
    """
    own = _kept(path(), isa) if isa is not None else None
    return own or shipped(isa)


def shipped(isa: str | None) -> Costs:
    """Return the costs that the package has for an instruction set."""
    return COSTS.get(isa, COSTS["scalar"])


def path() -> Path:
    """Return the file for this machine's own costs, whether it is there or not."""
    return folder_of_caches() / "deepcompress" / "costs.json"


def folder_of_caches() -> Path:
    """Return the folder in which programs of this user keep what they can make again."""
    if sys.platform == "win32":
        folder = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches"
    else:
        given = os.environ.get("XDG_CACHE_HOME", "")
        # The standard has relative paths ignored.
        folder = given if os.path.isabs(given) else Path.home() / ".cache"
    return Path(folder)


def keep(isa: str, measured: dict[str, float], version: str) -> Path:
    """Write this machine's costs, whole or not at all, and return where.

    Parameters
    ----------
    isa : str
        The instruction set that they are of.
    measured : dict
        A value for each of `MEASURED`.
    version : str
        That of the package, for those who read the file.

    Raises
    ------
    OutputError
        If the file can't be written.
    """
    to = path()
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{to.parent}: {error.strerror or error}") from None
    write_json(to, _about(isa) | {"deepcompress": version, "costs": measured})
    _kept.cache_clear()
    return to


def processor() -> str:
    """Return the name of the processor, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _about(isa: str) -> dict[str, Any]:
    """Return what a file has to say for its costs to count."""
    usual = asdict(shipped(isa))
    return {"format": FORMAT, "processor": processor(), "isa": isa, "shipped": usual}


@cache
def _kept(file: Path, isa: str) -> Costs | None:
    """Return the costs that a file has for an instruction set of this machine, or None."""
    try:
        if os.path.getsize(file) > MAX_BYTES:
            return None
        found = strict_json.parse(read_file(file), unique=True)
    except (OSError, DataError, ValueError):
        return None
    about = _about(isa)
    if not isinstance(found, dict) or found.keys() != {*about, "deepcompress", "costs"}:
        return None
    if any(found[name] != value for name, value in about.items()):
        return None
    usual, costs = asdict(shipped(isa)), found["costs"]
    if not isinstance(costs, dict) or costs.keys() != {*MEASURED}:
        return None
    for name, value in costs.items():
        if (
            type(value) not in (int, float)
            or not usual[name] / FACTOR <= value <= usual[name] * FACTOR
        ):
            return None
    return replace(shipped(isa), **costs)
