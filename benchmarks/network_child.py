"""What `bench_networks` runs in processes of their own; each prints a JSON object.

``python -m benchmarks.network_child KIND FILE BATCH THREADS ROUNDS CLOCK [whole]``, where KIND is

- ``times``: all contestants take turns, in one process; then layers alone, unless the ``whole``
  network is enough;
- ``packed``, ``dense`` or ``torch``: one alone, for its peak memory.
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from deepcompress import CompressedNetwork
from deepcompress.nn.inference import Stage
from deepcompress.nn.layers import Concat, Dropout, Flatten, Linear
from deepcompress.nn.wiring import INPUT, Step

from .network_files import read_dense

TOLERANCE = 1e-4  # of the largest output: some hundred times what one float32 rounds
CLOCKS = {"wall": time.perf_counter, "process": time.process_time}
DEVIATION = 60.0  # of random pixels, about that of photographs

clock = time.perf_counter


def peak_bytes() -> int:
    """Return the most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's ru_maxrss starts with that of the process before
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def inputs(network: Any, batch: int) -> np.ndarray:
    """Return random pictures as they are after preprocessing."""
    rng = np.random.default_rng(1)
    return rng.normal(0, DEVIATION, (batch, *network.input_shape)).astype(np.float32)


def torch_network(network: Any, params: Any, threads: int) -> Any:
    """Return the network in PyTorch."""
    import torch

    from .torch_networks import TorchNetwork

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    return TorchNetwork(network, params)


def memory(kind: str, path: Path, batch: int, threads: int) -> dict[str, Any]:
    """Predict twice, alone in the process."""
    if kind == "torch":
        import torch
    runtime = peak_bytes()
    if kind == "torch":
        from deepcompress.nn import zoo

        network = zoo.build(path.stem)
        model = torch_network(network, read_dense(path), threads)
        x = torch.from_numpy(inputs(network, batch))
        logits = [model(x).numpy() for _ in range(2)][-1]
    else:
        own = CompressedNetwork.load(path, dense="always" if kind == "dense" else "auto")
        logits = [own.predict(inputs(own, batch), batch) for _ in range(2)][-1]
    return {"peak_bytes": peak_bytes(), "runtime_bytes": runtime, "outputs": logits.shape}


def times(
    path: Path, batch: int, threads: int, rounds: int, by_layer: bool = True
) -> dict[str, Any]:
    """Verify all contestants' answers, then let them take turns."""
    import torch

    packed, dense = (CompressedNetwork.load(path, dense=how) for how in ("auto", "always"))
    params = read_dense(path)
    model = torch_network(dense.network, params, threads)
    x = inputs(packed, batch)
    x_torch = torch.from_numpy(x)
    last = x_torch.to(memory_format=torch.channels_last) if x.ndim == 4 else x_torch
    contestants: dict[str, Callable[[], Any]] = {
        "ours": lambda: packed.predict(x, batch),
        "dense": lambda: dense.predict(x, batch),
        "torch": lambda: model(x_torch),
        "torch_channels_last": lambda: model(last),
    }
    expected = contestants["torch"]().numpy()
    differences = {}
    for name, call in contestants.items():
        difference = np.abs(np.asarray(call()) - expected).max() / np.abs(expected).max()
        if not difference <= TOLERANCE:
            raise SystemExit(f"{path.stem}: {name} gives a wrong answer, off by {difference}")
        differences[name] = float(difference)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            seconds[name].append(timed(call, threads))
    return {
        **{f"{name}_seconds": statistics.median(turns) for name, turns in seconds.items()},
        "relative_differences": differences,
        "layers": layers(packed, dense, model, x, threads, max(3, rounds // 2)) if by_layer else [],
        "inside": inside(packed, model, x, threads, rounds) if by_layer else [],
        "params": [
            {"name": one.name, "is_packed": one.is_packed, "density": one.density}
            | {"bytes": one.nbytes, "elements": int(np.prod(one.shape))}
            for one in packed.params
        ],
        "activation_elements": sum(int(np.prod(shape)) for shape in packed.network.shapes.values()),
    }


def timed(call: Callable[[], Any], threads: int) -> float:
    """Return the seconds of a second call; the first warms what others have used."""
    time.sleep(0.05 if threads > 1 else 0)  # the threads of the one before spin on for 30 ms
    call()
    started = clock()
    call()
    return clock() - started


def layers(
    packed: CompressedNetwork,
    dense: CompressedNetwork,
    model: Any,
    x: np.ndarray,
    threads: int,
    rounds: int,
) -> list[dict[str, Any]]:
    """Time each layer by itself, on the same inputs: packed, dense here, and in PyTorch.

    A whole network wakes its threads once, computes a ReLU with the layer before it, and has no
    concatenation to do, so that it is faster than the sum of its layers.
    """
    import torch

    def alone(network: CompressedNetwork, step: Step, taken: Any) -> Any:
        if isinstance(step.layer, (Concat, Dropout, Flatten)):  # nothing to do for a program
            return step.layer.infer(network._params, taken)
        stage = Stage(step, False, step.layer.name)
        return network._inference.evaluate((stage,), network._params, taken, step.sources[0])

    values = {INPUT: packed.network.columns(x)}
    rows = []
    for step, module in zip(packed.network.steps, model.modules_in_order, strict=True):
        taken = step.of(values)
        first = [values[name] for name in step.sources]
        as_torch = [torch.from_numpy(np.array(np.moveaxis(v, -1, 0), order="C")) for v in first]
        calls: dict[str, Callable[[], Any]] = {
            "ours": lambda step=step, taken=taken: alone(packed, step, taken),
            "dense": lambda step=step, taken=taken: alone(dense, step, taken),
            "torch": lambda module=module, given=as_torch: module(*given),
        }
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                seconds[name].append(timed(call, threads))
        values[step.layer.name] = calls["ours"]()
        for name in step.done:
            del values[name]
        rows.append(
            {"layer": step.layer.name, "kind": type(step.layer).__name__}
            | {f"{name}_seconds": statistics.median(turns) for name, turns in seconds.items()}
        )
    return rows


def inside(
    packed: CompressedNetwork, model: Any, x: np.ndarray, threads: int, rounds: int
) -> list[dict[str, Any]]:
    """Time each fully connected layer where it is: after all layers before it have run.

    Its weights then aren't in a near cache any more. The ReLU of ours is included.
    """
    import torch

    inference = packed._inference
    split = inference._split
    head, tail = inference._stages[:split], inference._stages[split:]
    seconds: dict[str, list[tuple[float, float]]] = {}
    started: dict[str, float] = {}
    ours: dict[str, float] = {}
    theirs: dict[str, float] = {}
    hooks = []
    for step, module in zip(packed.network.steps, model.modules_in_order, strict=True):
        if isinstance(step.layer, Linear):
            name = step.layer.name
            hooks += [
                module.register_forward_pre_hook(
                    lambda *_, name=name: started.update({name: clock()})
                ),
                module.register_forward_hook(
                    lambda *_, name=name: theirs.update({name: clock() - started[name]})
                ),
            ]
    x_torch = torch.from_numpy(x)
    for _ in range(rounds + 1):
        time.sleep(0.05 if threads > 1 else 0)
        parts = [packed.network.columns(x[i : i + 1]) for i in range(len(x) if head else 0)]
        outputs = [inference.evaluate(head, packed._params, one) for one in parts]
        y = np.concatenate(outputs, axis=-1) if head else packed.network.columns(x)
        source = head[-1].name if head else INPUT
        for stage in tail:
            before = clock()
            y = inference.evaluate((stage,), packed._params, y, source)
            ours[stage.step.layer.name] = clock() - before
            source = stage.name
        time.sleep(0.05 if threads > 1 else 0)
        model(x_torch)
        for name, taken in theirs.items():
            seconds.setdefault(name, []).append((ours[name], taken))
    for hook in hooks:
        hook.remove()
    medians = {
        name: [statistics.median(turn) for turn in zip(*turns[1:], strict=True)]
        for name, turns in seconds.items()
    }
    return [
        {"layer": name, "ours_seconds": mine, "torch_seconds": torch_s, "ratio": torch_s / mine}
        for name, (mine, torch_s) in medians.items()
    ]


def main() -> None:
    """Do what the arguments say."""
    global clock
    kind, path = sys.argv[1], Path(sys.argv[2])
    batch, threads, rounds = map(int, sys.argv[3:6])
    clock = CLOCKS[sys.argv[6]]
    with threadpool_limits(threads):
        if kind == "times":
            answer = times(path, batch, threads, rounds, sys.argv[7:] != ["whole"])
        else:
            answer = memory(kind, path, batch, threads)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
