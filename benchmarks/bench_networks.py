"""Run whole networks, packed, against the same networks dense in PyTorch.

``python -m benchmarks.bench_networks [--networks NAME ...] [--batches 1,32] [--threads N]
[--engines NAME ...] [--rounds N] [--clock process] [--whole] [--folder DIR] [--json FILE]``

LeNet-5, AlexNet and VGG-16 with the paper's densities, and the authors' SqueezeNet (see
`network_files`). Contestants: the file as `CompressedNetwork.load` runs it ("ours"), with all
weights as dense arrays ("dense"), PyTorch with its oneDNN in its usual memory format and with
the channels last; `ratio_torch` is the faster of the two over ours. Further `--engines` run the
same graph from an ONNX file that is made here (see `engines`); `ratio_fastest` is the fastest of
all in float32 over ours, `ratio_int8` that of 8 bits. First all in float32 must give the same
logits. Then they take turns; a turn warms up once. Medians. `layers` are timed where they are, in
further runs of the whole network; ours has the ReLU behind a layer in it, and concatenates
without work of its own; PyTorch has the faster memory format. On a machine that has other work,
``--clock process`` counts the time that the processor spent on a contestant, of one thread
(`layers` of ours and "dense" have the wall's).

Peak memory is that of a whole process which loads the network and predicts, by
itself, `runtime_bytes` what it takes before that, with its libraries imported.

The energy is a model, no measurement: each weight comes from DRAM once per batch, for 640 pJ per
32 bits, and each activation is written and read once in SRAM, for 5 pJ per 32 bits each (Han et
al. 2016, section 6.3 and table 1 of the authors' EIE); arithmetic counts nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .engines import versions
from .harness import machine, require_kernels
from .network_files import NETWORKS, build, write_dense

ENGINES = ("onnxruntime", "openvino", "mnn", "onnxruntime-int8")  # beside PyTorch
INT8 = ENGINES[-1]
DRAM_PJ, SRAM_PJ = 640 / 4, 5 / 4  # per byte


def child(kind: str, path: Path, *options: object) -> dict[str, Any]:
    """Return what a process of `network_child` answers; engines write lines of their own before."""
    command = [sys.executable, "-m", "benchmarks.network_child", kind, str(path)]
    command += map(str, options)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def energy(weight_bytes: int, activation_elements: int, batch: int) -> float:
    """Return the joules per image that moving bytes takes in the model."""
    return 1e-12 * (weight_bytes * DRAM_PJ / batch + 2 * 4 * activation_elements * SRAM_PJ)


def measure(
    path: Path,
    batch: int,
    threads: int,
    rounds: int,
    clock: str,
    whole: bool,
    engines: list[str],
) -> dict[str, Any]:
    """Return the row of a case."""
    more = [*(["whole"] if whole else []), *engines]
    row = child("times", path, batch, threads, rounds, clock, *more)
    params, activations = row.pop("params"), row.pop("activation_elements")
    layers = row.pop("layers")
    weight_bytes = sum(one["bytes"] for one in params)
    dense_bytes = 4 * sum(one["elements"] for one in params)
    torch = min(row["torch_seconds"], row["torch_channels_last_seconds"])
    row = {
        "case": f"{path.stem}, batch {batch}",
        "threads": threads,
        "clock": clock,
        "file_bytes": path.stat().st_size,
        **row,
        "ratio_torch": torch / row["ours_seconds"],
        "ratio_dense": row["dense_seconds"] / row["ours_seconds"],
        "images_per_second": batch / row["ours_seconds"],
        "torch_images_per_second": batch / torch,
        "weight_bytes": weight_bytes,
        "dense_weight_bytes": dense_bytes,
        "model_joules_per_image": energy(weight_bytes, activations, batch),
        "model_dense_joules_per_image": energy(dense_bytes, activations, batch),
    }
    if engines:
        own = {name: row[f"{name}_seconds"] for name in engines if name != INT8}
        fastest = min({"torch": torch, **own}.items(), key=lambda item: item[1])
        row["fastest"] = fastest[0]
        row["ratio_fastest"] = fastest[1] / row["ours_seconds"]
        if INT8 in engines:
            row["ratio_int8"] = row["onnxruntime_int8_seconds"] / row["ours_seconds"]
    for kind, name in (("packed", "ours"), ("dense", "dense"), ("torch", "torch")):
        answer = child(kind, path, batch, threads, 1, clock)
        row[f"{name}_peak_bytes"] = answer["peak_bytes"]
        row[f"{name}_runtime_bytes"] = answer["runtime_bytes"]
    row["ratio_peak_torch"] = row["torch_peak_bytes"] / row["ours_peak_bytes"]
    by_name = {one["name"].removesuffix(".weight"): one for one in params}
    for layer in layers:
        weight = by_name.get(layer["layer"])
        layer["form"] = "" if weight is None else "packed" if weight["is_packed"] else "dense"
        layer["density"] = None if weight is None else weight["density"]
        if weight is not None:
            layer["ratio_torch"] = layer["torch_seconds"] / layer["ours_seconds"]
    return row | {"layers": layers}


def show(row: dict[str, Any]) -> None:
    """Print a case and its layers."""
    print(
        f"{row['case']:22} {row['images_per_second']:8.1f} images/s  torch "
        f"{row['torch_images_per_second']:8.1f}  ratios: torch {row['ratio_torch']:.2f}, dense "
        f"{row['ratio_dense']:.2f}  peak {row['ours_peak_bytes'] / 1e6:.0f} MB, torch "
        f"{row['torch_peak_bytes'] / 1e6:.0f} MB ({row['ratio_peak_torch']:.1f}x)  energy model: "
        f"{1e3 * row['model_joules_per_image']:.2f} mJ/image, dense "
        f"{1e3 * row['model_dense_joules_per_image']:.2f}"
    )
    if "fastest" in row:
        int8 = f", int8 {row['ratio_int8']:.2f}" if "ratio_int8" in row else ""
        print(f"    of all engines {row['fastest']}: ratio {row['ratio_fastest']:.2f}{int8}")
    total = sum(layer["ours_seconds"] for layer in row["layers"])
    for layer in row["layers"]:
        if "ratio_torch" in layer or layer["ours_seconds"] > 0.005 * total:
            density = "" if layer["density"] is None else f"{100 * layer['density']:.0f} %"
            ratio = f"  ratio: torch {layer['ratio_torch']:.2f}" if "ratio_torch" in layer else ""
            print(
                f"    {layer['layer']:22} {layer['form']:6} {density:>5}  "
                f"{1e3 * layer['ours_seconds']:8.3f} ms  dense "
                f"{1e3 * layer['dense_seconds']:8.3f}  torch {1e3 * layer['torch_seconds']:8.3f}"
                f"{ratio}"
            )
    sys.stdout.flush()


def main() -> None:
    """Measure, print and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--batches", default="1,32", help="comma-separated; default: 1,32")
    parser.add_argument("--threads", type=int, default=1, help="of every contestant; default: 1")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=[])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--clock", choices=("wall", "process"), default="wall")
    parser.add_argument("--whole", action="store_true", help="without a look at the layers")
    parser.add_argument("--folder", type=Path, help="keeps the files; default: a temporary one")
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    require_kernels()
    if options.clock == "process" and options.threads > 1:
        raise SystemExit("the time of several threads is that of the wall")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for name in options.networks:
            path = build(name, options.folder or Path(temporary))
            write_dense(path)
            for batch in map(int, options.batches.split(",")):
                how = options.rounds, options.clock, options.whole, options.engines
                rows.append(measure(path, batch, options.threads, *how))
                show(rows[-1])
    if options.json:
        from .bench_spmv import peers

        machines = machine(options.threads, **peers() | versions(options.engines))
        content = {"machine": machines, "rows": rows}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
