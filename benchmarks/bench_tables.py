"""The paper's tables 4 and 5: AlexNet and VGG-16 pruned, shared and coded, at their real size.

``python -m benchmarks.bench_tables [--network alexnet|vgg-16] [--weights FILE]
[--convolutions FOLDER] [--jobs N] [--iterations CONV FC] [--coder CODER] [--seed N] [--json FILE]
[--keep FILE.dcnn]``

Without ``--weights`` the weights are synthetic (`synthetic` says how they are drawn and what they
can't show), but for the convolutions where a folder of real ones is given, of the files that
`figures.bench` names. AlexNet's are of the network with one tower, of 64, 192, 384, 256 and 256
channels, where the paper's has two: its rows have other numbers of weights than the paper's. Each
layer is pruned to the density that the paper has for it, convolutional ones are shared at 8 bits
and the others at 5. A process of its own compresses them from mapped files: its wall and
processor time, and its peak memory, in which the mapped pages count. Then the file is checked:
``verify``, and each decoded tensor against the weights.

The paper doesn't say when its k-means stops, and bytes depend on it: the nearer the centroids
are to their even start, the rarer are the labels of large weights, and the fewer bits a label
takes, at a larger error. The rule here is that of its equation 2, which asks for the least sum of
squares: k-means goes on until no weight changes its cluster. The paper's own sizes are those of one
that stops early. Its tables have 4.2 to 6.8 bits per label of a convolution: an even codebook gives
that (5.1 to 6.4 here), k-means to its end 6.6 to 7.7. In fully connected layers the paper has 3.6
to 4.0 bits, 50 iterations give 3.4 to 3.6, 100 give 3.7 to 3.8, 200 give 4.0 and the end 4.2
(entropies). ``--iterations 0 50`` leads to the paper's sizes, and is no rule: it was found by them.

Megabytes are millions of bytes. Ours are those of the whole file, with biases.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import deepcompress
from benchmarks import synthetic
from benchmarks.harness import machine
from benchmarks.tables_check import check, layer_costs
from deepcompress.commands.verify import verify
from deepcompress.container.records import CODERS
from deepcompress.figures.bench import CONVOLUTIONS, Bench
from deepcompress.formats.npy import NpyFolder
from deepcompress.formats.registry import open_source
from deepcompress.nn.parallel import available_threads
from deepcompress.quantize import MAX_ITERATIONS
from deepcompress.reports.ledger import account
from deepcompress.reports.paper import PAPER
from deepcompress.reports.tables import align, format_layers

MB = 10**6
ITERATIONS = [MAX_ITERATIONS, MAX_ITERATIONS]  # convolutions and others: to the end of k-means


def config(network: str, iterations: list[int], coder: str) -> deepcompress.Config:
    """Return the paper's widths and, per layer, its densities."""
    sparsities = {name: 1 - density for name, density in synthetic.densities(network).items()}
    conv, fc = iterations
    return deepcompress.Config(
        deepcompress.TensorConfig(coder=coder),
        by_kind={
            "conv": {"bits": 8, "max_iterations": conv},
            "fc": {"bits": 5, "max_iterations": fc},
        },
        by_name={name: {"sparsity": sparsity} for name, sparsity in sparsities.items()},
    )


class Renamed(Mapping[str, Any]):
    """A source under the names of the paper's layers.

    A tensor of the same name is taken, as it is, or else the source's weights, convolutions first
    and in the order of the numbers in their names, as in ``features.0.weight``, with their biases.
    """

    def __init__(self, source: Mapping[str, Any], network: str) -> None:
        self._source = source
        self.shapes = synthetic.shapes(network)
        own = dict(source.shapes)  # type: ignore[attr-defined]
        if self.shapes.keys() <= own.keys():
            self._names = {name: name for name in self.shapes}
            self.shapes = {name: own[name] for name in self.shapes}
        else:
            weights = [name for name in own if len(own[name]) > 1]
            weights.sort(key=lambda name: (-len(own[name]), _natural(name)))
            theirs = [
                name for weight in weights for name in (weight, weight.replace("weight", "bias"))
            ]
            if len(theirs) != len(self.shapes):
                raise SystemExit(f"{len(weights)} weights, {network} has {len(self.shapes) // 2}")
            self._names = dict(zip(self.shapes, theirs, strict=True))
        for name, theirs_name in self._names.items():
            if own.get(theirs_name) != self.shapes[name]:
                raise SystemExit(
                    f"{theirs_name}: shape {own.get(theirs_name)}, {network}'s {name} has "
                    f"{self.shapes[name]}"
                )

    def __getitem__(self, name: str) -> Any:
        return self._source[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


@contextmanager
def weights_of(network: str, options: argparse.Namespace) -> Iterator[Renamed]:
    """Open the weights that were given, or draw them into a temporary folder."""
    if options.weights:
        with open_source(options.weights) as source:
            yield Renamed(source, network)
    elif options.folder:
        yield Renamed(NpyFolder(options.folder), network)


def put_convolutions(network: str, source: str, folder: Path) -> None:
    """Write real convolutions in the place of synthetic ones, with their own shapes."""
    found = Bench("", weights=source).convolutions(network)
    names = [name for name, shape in synthetic.shapes(network).items() if len(shape) == 4]
    with open_source(str(Path(source) / CONVOLUTIONS[network][0])) as tensors:
        for name, theirs in zip(names, found, strict=True):
            np.save(folder / f"{name}.npy", found[theirs])
            bias = name.replace("weight", "bias")
            np.save(folder / f"{bias}.npy", np.asarray(tensors[f"{theirs}.bias"]))


def described(network: str, options: argparse.Namespace) -> str:
    """Return what weights these are."""
    if options.weights:
        return Path(options.weights).name
    if not options.convolutions:
        return f"synthetic, seed {options.seed}"
    tower = ", of one tower" if network == "alexnet" else ""
    return f"real convolutions{tower}; fully connected layers synthetic, seed {options.seed}"


def compress(network: str, options: argparse.Namespace, path: str) -> dict[str, Any]:
    """Compress in this process, which does nothing else; return what it took."""
    with weights_of(network, options) as source:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        started, processor = time.perf_counter(), time.process_time()
        size = deepcompress.compress_to(
            source,
            path,
            config(network, options.iterations, options.coder),
            metadata={"network": network},
            jobs=options.jobs,
        )
        return {
            "seconds": time.perf_counter() - started,
            "processor_seconds": time.process_time() - processor,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "peak_bytes_before": before,
            "file_bytes": size,
        }


def measure(network: str, options: argparse.Namespace, path: str) -> dict[str, Any]:
    """Compress in a process of its own, check the file, and return its table."""
    command = [sys.executable, "-m", "benchmarks.bench_tables", "--network", network]
    command += ["--jobs", str(options.jobs), "--coder", options.coder, "--compress-only", path]
    command += ["--iterations", *map(str, options.iterations)]
    command += ["--weights", options.weights] if options.weights else ["--folder", options.folder]
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    took: dict[str, Any] = json.loads(child.stdout)
    verify(path)
    with weights_of(network, options) as source:
        errors = check(path, source, config(network, options.iterations, options.coder))
    data = Path(path).read_bytes()
    books = account(data, path)
    return {
        "network": network,
        "weights": described(network, options),
        "jobs": options.jobs,
        "iterations": options.iterations,
        "coder": options.coder,
        **took,
        "reference_bytes": books.reference_bytes,
        "ratio": books.ratio,
        "stages": books.stages,
        "layers": [asdict(row) for row in books.layers],
        "costs": [cost | errors[cost["layer"]] for cost in layer_costs(data)],
    }


def text(result: dict[str, Any]) -> str:
    """Return a result as text, beside the paper's."""
    paper = PAPER[result["network"]]
    rows = [row for row in result["layers"] if row["layer"].endswith(".weight")]
    head = (
        f"{result['network']}, {result['weights']}:\n{result['file_bytes'] / MB:.2f} MB, "
        f"{result['ratio']:.1f}x; the paper: {paper.file_bytes / MB:.1f} MB, {paper.ratio}x\n"
        f"compressed in {result['seconds']:.1f} s ({result['processor_seconds']:.1f} s of "
        f"processors, {result['jobs']} jobs), peak memory {result['peak_bytes'] / MB:,.0f} MB, "
        "mapped pages included; verified"
    )
    costs = [["layer", "bits", "label entropy", "the rest", "independent", "rms error %"]]
    for row in result["costs"]:
        keys = ("bits", "label_entropy", "position_bits", "independent_bits")
        numbers = [f"{row[key]:.2f}" for key in keys]
        costs.append([row["layer"], *numbers, f"{100 * row['rms_error']:.2f}"])
    return "\n\n".join(
        [
            head,
            format_layers([*rows, total(rows)]),
            "The paper's table:\n" + format_layers([asdict(row) for row in paper.rows]),
            "Bits per surviving weight, all overhead included: the entropy of its label, and the\n"
            "rest, for its position, beside the entropy of independent positions; the error that\n"
            "sharing makes, against the survivors' root mean square:\n" + align(costs),
        ]
    )


def total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the line below the layers' rows."""
    weights = sum(row["weights"] for row in rows)
    line: dict[str, Any] = dict.fromkeys(rows[0]) | {"layer": "total", "weights": weights}
    line["kept_percent"] = sum(row["kept_percent"] * row["weights"] for row in rows) / weights
    for stage in ("PQ", "PQH"):
        stored = sum(row[f"bytes_{stage}"] for row in rows)
        line[f"rate_{stage}_percent"] = 100 * stored / (4 * weights)
    return line


def main() -> None:
    """Draw, compress, check and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", choices=synthetic.NETWORKS, action="append")
    parser.add_argument("--weights", help="a .safetensors or .npz file, or a folder of .npy files")
    parser.add_argument("--convolutions", help="a folder of real ones, for --network's")
    parser.add_argument("--jobs", type=int, default=available_threads())
    parser.add_argument(
        "--iterations", type=int, nargs=2, default=ITERATIONS, metavar=("CONV", "FC")
    )
    parser.add_argument("--coder", choices=CODERS, default="huffman")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--keep", help="file for the compressed network")
    parser.add_argument("--compress-only", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    networks = options.network or list(synthetic.NETWORKS)
    if (options.weights or options.keep) and len(networks) > 1:
        parser.error("--weights and --keep are for one --network")
    if options.compress_only:
        print(json.dumps(compress(networks[0], options, options.compress_only)))
        return
    results = []
    for network in networks:
        with tempfile.TemporaryDirectory() as folder:
            if not options.weights:
                options.folder = os.path.join(folder, "weights")
                synthetic.write(network, Path(options.folder), options.seed)
                if options.convolutions:
                    put_convolutions(network, options.convolutions, Path(options.folder))
            path = options.keep or os.path.join(folder, f"{network}.dcnn")
            results.append(measure(network, options, path))
        print(text(results[-1]) + "\n", flush=True)
    if options.json:
        content = {"machine": machine(), "results": results}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
