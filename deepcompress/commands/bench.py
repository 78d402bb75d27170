"""The verb ``bench``: packed products beside dense ones and CSR, on this machine."""

import os
import sys
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from .. import __version__, native
from ..errors import ArgumentError
from ..files.atomic import write_bytes
from ..nn.parallel import available_threads
from ..reports import cost_timing, plots, product_timing
from ..reports.product_timing import Timing
from ..runtime import costs
from .verb import Answer, Subparsers, add_verb, whole


def add_parser(subparsers: Subparsers) -> None:
    """Add ``bench`` to the command line."""
    help = "time packed products against dense ones and CSR, on this machine"
    parser = add_verb(subparsers, bench, help)
    parser.add_argument("--threads", type=whole(1), metavar="N", help="default: those in use")
    parser.add_argument("--plot", metavar="FILE.png", help="draw the table; needs matplotlib")
    help = "instead, measure what decides between packed and dense weights, and keep it"
    parser.add_argument("--calibrate", action="store_true", help=help)


def bench(threads: int | None = None, plot: str | None = None, calibrate: bool = False) -> Answer:
    """Time packed products against dense ones and CSR, and find where dense ones win.

    Parameters
    ----------
    threads : int, optional
        For packed and dense products; SciPy's take one. As `native.threads` by default.
    plot : str, optional
        A PNG file to write the picture of the table to.
    calibrate : bool
        Whether to measure the costs of `runtime.costs` instead, within seconds, and to keep them
        for this machine.

    Raises
    ------
    ArgumentError
        If `threads` exceeds the processors, or the picture can't be drawn: no matplotlib,
        another name than ``….png``, no such folder; or if `calibrate` has another option beside
        it. Nothing is timed then.
    BackendError, OutputError
        If there are no kernels to calibrate, or the costs can't be kept.
    """
    if calibrate:
        if threads is not None or plot is not None:
            raise ArgumentError("--calibrate goes with neither --threads nor --plot")
        return _calibrate()
    available = available_threads()
    if threads is not None and threads > available:
        raise ArgumentError(f"--threads {threads}: there are {available} processors")
    if plot is not None:
        _check_plot(plot)
    threads = threads or native.threads()
    sizes = product_timing.SIZES if native.active() else product_timing.REFERENCE_SIZES
    cells = len(sizes) * len(product_timing.DENSITIES) * len(product_timing.BATCHES)
    products = product_timing.time_products(threads, sizes)
    timings = [
        *tqdm(products, total=cells, unit="product", leave=False, disable=not sys.stderr.isatty())
    ]
    info = native.info()
    crossovers = product_timing.find_crossovers(timings, info["isa"], threads)
    if plot is not None:
        write_bytes(plot, plots.render(plots.draw_products, timings, crossovers))
    values = {
        "backend": info["backend"],
        "isa": info["isa"],
        "threads": threads,
        "processors": available,
        "rows": [_row(timing) for timing in timings],
        "crossovers": [asdict(crossing) for crossing in crossovers],
        "plot": plot,
    }
    return Answer(values, _format(values))


def _calibrate() -> Answer:
    """Measure the costs and keep them."""
    measured, isa = cost_timing.measure(), native.info()["isa"]
    path = os.fspath(costs.keep(isa, measured, __version__))
    usual = {name: getattr(costs.shipped(isa), name) for name in measured}
    values = {
        "path": path,
        "isa": isa,
        "processor": costs.processor(),
        "costs": measured,
        "shipped": usual,
    }
    width = max(map(len, measured))
    lines = [
        f"Nanoseconds of products on {values['processor']} ({isa}), and as shipped:",
        *(f"{name:{width}}  {measured[name]:10.3f}  {usual[name]:10.3f}" for name in measured),
        f"They decide from now on whether a network's weights run packed or dense: {path}",
    ]
    return Answer(values, "\n".join(lines))


def _check_plot(path: str) -> None:
    """Raise ArgumentError unless a picture can be drawn to this file."""
    if not path.lower().endswith(".png"):
        raise ArgumentError(f"--plot {path}: the name of a picture ends with .png")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise ArgumentError(f"--plot {path}: there is no folder {folder}")
    plots.check_matplotlib()


def _row(timing: Timing) -> dict[str, Any]:
    """Return a row of the table in JSON's types."""
    case = f"{timing.rows}x{timing.cols}-density{timing.density}-batch{timing.batch}"
    return {
        "case": case,
        **asdict(timing),
        "ratio_dense": timing.ratio_dense,
        "ratio_scipy_csr": timing.ratio_scipy_csr,
        "model": "dense" if timing.model_runs_dense else "packed",
    }


def _format(values: dict[str, Any]) -> str:
    """Return both tables as text."""
    kernels = values["isa"] or "NumPy alone"
    lines = [
        f"y = W x with packed weights ({values['backend']} backend, {kernels}), a dense W (NumPy) "
        f"and CSR (SciPy); threads: {values['threads']}, CSR 1",
        "",
        f"{'matrix':>11} {'batch':>5} {'density':>7} {'packed µs':>10} {'dense µs':>10} "
        f"{'CSR µs':>10} {'dense/packed':>12} {'CSR/packed':>10}  model",
    ]
    rows = values["rows"]
    for row in rows:
        micros = [f"{1e6 * row[f'{one}_seconds']:10,.1f}" for one in ("ours", "dense", "scipy_csr")]
        lines.append(
            f"{row['rows']:4} x {row['cols']:4} {row['batch']:5} {row['density']:7.0%} "
            f"{' '.join(micros)} {row['ratio_dense']:12.2f} {row['ratio_scipy_csr']:10.2f}  "
            f"{row['model']}"
        )
    right = sum((row["model"] == "dense") == (row["ratio_dense"] < 1) for row in rows)
    lines += [
        "",
        f"The model picks the faster one in {right} of {len(rows)} rows.",
        "",
        "Dense products are faster from this density on:",
        f"{'matrix':>11} {'batch':>5} {'measured':>9} {'model':>9}",
    ]
    beyond = f"> {max(row['density'] for row in rows):.0%}"
    for row in values["crossovers"]:
        measured = beyond if row["measured"] is None else f"{row['measured']:.1%}"
        model = "never" if row["model"] is None else f"{row['model']:.1%}"
        matrix = f"{row['rows']:4} x {row['cols']:4}"
        lines.append(f"{matrix} {row['batch']:5} {measured:>9} {model:>9}")
    return "\n".join([*lines, *([os.fspath(values["plot"])] if values["plot"] else [])])
