"""Sizes and damage of networks without retraining: with inputs, with weights alone, and of rivals.

``python -m benchmarks.bench_calibrate squeezenet [--lam L …] [--error E …] [--json FILE]``
``python -m benchmarks.bench_calibrate efficientnet [--lam L …] [--error E …] [--json FILE]``
``python -m benchmarks.bench_calibrate mnist MODEL.dcnn [--lam L …] [--damping R] [--json FILE]``

``--export FILE.npz`` writes the network's parameters, for a rival in an environment of its own;
``--rebuilt FILE.npz …`` measures what it made of them: its parameters, and the bytes of its file
as ``file_bytes``. See `trained` for the networks and their inputs.

``kl`` is the mean of KL(original || compressed) of the outputs, in nats, ``top1`` and ``agree`` are
per cent, of the file as it is read back. With MNIST, ``held_kl`` and ``held_top1`` are of training
images that calibrate nothing: on these, settings are chosen; errors are those of the test images.

``seconds`` are of the whole calibration, on a machine with whatever else it does (``load``);
``process_seconds`` are the processors' own.
"""

import argparse
import hashlib
import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import deepcompress
from deepcompress import CompressedModel, CompressedNetwork
from deepcompress.calibrate import calibrate, weights_alone
from deepcompress.calibrate.divergence import kl_divergence

from . import trained
from .harness import machine
from .trained import Array, Trained


def measured(
    subject: Trained, make: Callable[[], CompressedModel], references: list[Array]
) -> dict[str, Any]:
    """Make a model; return size, damage, and what it took."""
    started, of_process = time.perf_counter(), time.process_time()
    model = make()
    seconds, process_seconds = time.perf_counter() - started, time.process_time() - of_process
    peak, data = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, model.to_bytes()
    back = dict(deepcompress.pipeline.from_bytes(data).tensors)
    return {
        "bytes": len(data),
        "ratio": sum(value.nbytes for value in subject.params.values()) / len(data),
        **damage(subject, back, references),
        "sha256": hashlib.sha256(data).hexdigest()[:16],
        "seconds": round(seconds, 1),
        "process_seconds": round(process_seconds, 1),
        "peak_mb": round(peak / 1000),
        "load": os.getloadavg()[0],
    }


def rebuilt(subject: Trained, file: str, references: list[Array]) -> dict[str, Any]:
    """Return size and damage of what a rival made, by its file of parameters."""
    with np.load(file) as values:
        size = int(values["file_bytes"])
        params = {name: np.asarray(values[name], np.float32) for name in subject.params}
    return {"rebuilt": Path(file).stem, "bytes": size, **damage(subject, params, references)}


def damage(subject: Trained, params: dict[str, Any], references: list[Array]) -> dict[str, Any]:
    """Return how parameters' outputs differ from the original's."""
    runs = CompressedNetwork(subject.network, params)
    logits = runs.predict(subject.x)
    best, before = logits.argmax(axis=1), references[0].argmax(axis=1)
    found: dict[str, Any] = {
        "kl": kl_divergence(references[0], logits),
        "top1": 100 * float((best == subject.labels).mean()),
        "reference_top1": 100 * float((before == subject.labels).mean()),
        "agree": 100 * float((best == before).mean()),
    }
    if subject.held is not None:
        logits = runs.predict(subject.held)
        best, before = logits.argmax(axis=1), references[1].argmax(axis=1)
        found |= {
            "held_kl": kl_divergence(references[1], logits),
            "held_top1": 100 * float((best == subject.held_labels).mean()),
            "held_reference_top1": 100 * float((before == subject.held_labels).mean()),
        }
    return found


def main() -> None:
    """Run what is asked for, print it, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("network", choices=["squeezenet", "efficientnet", "mnist"])
    parser.add_argument("model", nargs="?", help="for mnist")
    parser.add_argument("--lam", type=float, nargs="*", default=[])
    parser.add_argument("--error", type=float, nargs="*", default=[])
    parser.add_argument("--damping", type=float, nargs="*", default=[0.01])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--export")
    parser.add_argument("--rebuilt", nargs="*", default=[])
    parser.add_argument("--json")
    arguments = parser.parse_args()
    if arguments.network == "mnist":
        subject = trained.mnist(arguments.model)
    else:
        subject = getattr(trained, arguments.network)()
    params = subject.params
    if arguments.export:
        np.savez(arguments.export, **params)
    original = CompressedNetwork(subject.network, dict(params))
    references = [original.predict(x) for x in (subject.x, subject.held) if x is not None]
    rows: list[dict[str, Any]] = []

    def keep(row: dict[str, Any]) -> None:
        rows.append(row)
        print(json.dumps(row), flush=True)
        if arguments.json:
            told = {k: v for k, v in vars(arguments).items() if k not in ("json", "export")}
            told["model"] = arguments.model and Path(arguments.model).name
            told["rebuilt"] = [Path(file).stem for file in arguments.rebuilt]
            kept = {"machine": machine(), "arguments": told, "rows": rows}
            Path(arguments.json).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")

    for file in arguments.rebuilt:
        keep(rebuilt(subject, file, references))
    for error in arguments.error:
        how: dict[str, Any] = {"error": error}
        alone = {"half": True, **how}
        keep(how | measured(subject, lambda a=alone: weights_alone(params, **a), references))
    for damping in arguments.damping:
        for lam in arguments.lam:
            how = {"lam": lam, "damping": damping}
            options: dict[str, Any] = {**how, "half": True, "threads": arguments.threads}
            given = subject.network, params, subject.inputs
            make = lambda o=options, g=given: calibrate(*g, **o).model  # noqa: E731
            keep(how | measured(subject, make, references))


if __name__ == "__main__":
    main()
