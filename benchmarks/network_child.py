"""What `bench_networks` runs in processes of their own; each prints a JSON object.

``python -m benchmarks.network_child KIND FILE BATCH THREADS ROUNDS CLOCK [whole] [ENGINE ...]``,
where KIND is

- ``times``: all contestants take turns, in one process, further engines of `engines` among them;
  then again, layer by layer, unless the ``whole`` network is enough;
- ``packed``, ``dense`` or ``torch``: one alone, for its peak memory.
"""

import json
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from deepcompress import CompressedNetwork, native
from deepcompress.native.program import Session
from deepcompress.nn.wiring import Stage
from deepcompress.runtime.inference import Inference
from deepcompress.runtime.program import Programs

from .network_files import read_dense

TOLERANCE = 1e-4  # of the largest output: some hundred times what one float32 rounds
CLOCKS = {"wall": time.perf_counter, "process": time.process_time}
# MNN rounds more, by Winograd's transforms; that of 8 bits is another, but not by as much as it is.
TOLERANCES = {"mnn": 1e-3, "onnxruntime-int8": 1.0}
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
    path: Path,
    batch: int,
    threads: int,
    rounds: int,
    by_layer: bool = True,
    engines: Sequence[str] = (),
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
    if engines:
        from . import engines as others
        from .onnx_networks import write

        graph = write(packed.network, params, batch, path.with_name(f"{path.stem}-{batch}.onnx"))
        for name in engines:
            contestants[name] = others.ENGINES[name](graph, x, threads)
    expected = contestants["torch"]().numpy()
    differences = {}
    for name, call in contestants.items():
        difference = np.abs(np.asarray(call()) - expected).max() / np.abs(expected).max()
        if not difference <= TOLERANCES.get(name, TOLERANCE):
            raise SystemExit(f"{path.stem}: {name} gives a wrong answer, off by {difference}")
        differences[name] = float(difference)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            seconds[name].append(timed(call, threads))
    medians = {
        f"{name.replace('-', '_')}_seconds": statistics.median(turns)
        for name, turns in seconds.items()
    }
    faster = last if medians["torch_channels_last_seconds"] < medians["torch_seconds"] else x_torch
    in_place = {
        "ours": layers_of(packed, x),
        "dense": layers_of(dense, x),
        "torch": layers_of_torch(packed.network, model, faster),
    }
    return {
        **medians,
        "relative_differences": differences,
        "layers": layers(in_place, packed.network, threads, rounds) if by_layer else [],
        "params": [
            {"name": one.name, "is_packed": one.is_packed, "density": one.density}
            | {"bytes": one.nbytes, "elements": int(np.prod(one.shape))}
            for one in packed.params
        ],
        "activation_elements": sum(int(np.prod(shape)) for shape in packed.network.shapes.values()),
    }


def rest(threads: int) -> None:
    """Let the threads of the one before come to rest: they spin on for 30 ms."""
    time.sleep(0.05 if threads > 1 else 0)


def timed(call: Callable[[], Any], threads: int) -> float:
    """Return the seconds of a second call; the first warms what others have used."""
    rest(threads)
    call()
    started = clock()
    call()
    return clock() - started


class TimedPrograms:
    """Runs stages as `runtime.program.Programs` does, and adds up the time of each layer."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._sessions: dict[Any, tuple[list[str], Session]] = {}
        self.seconds: Counter[str] = Counter()

    def __call__(self, stages: Sequence[Stage], x: np.ndarray, source: str) -> np.ndarray:
        """Return the output for x, the output of `source`."""
        key = stages[0].name, x.shape
        if key not in self._sessions:
            program = self._programs.compiled(stages, x.shape, source)
            if program is None:
                raise SystemExit("a layer isn't to be had in C")
            layers = {stage.name: stage.step.layer.name for stage in stages}
            given = [one.given for one in program.operations]  # a copy's is a pair
            names = [layers[one[0] if isinstance(one, tuple) else one] for one in given]
            self._sessions[key] = names, Session(program)
        names, session = self._sessions[key]
        seconds = np.zeros(len(names))
        y = session.run(np.require(x, np.float32, ["C", "A"]), seconds)
        for name, taken in zip(names, seconds, strict=True):
            self.seconds[name] += taken
        if y is None:
            raise SystemExit("something isn't finite")
        return y


def layers_of(network: CompressedNetwork, x: np.ndarray) -> Callable[[], dict[str, float]]:
    """Return what runs the network and tells the seconds of each layer in its place."""
    programs = TimedPrograms(network._programs)
    inference = Inference(network.network, programs)

    def run() -> dict[str, float]:
        programs.seconds.clear()
        inference.run(network._params, x)
        return dict(programs.seconds)

    return run


def layers_of_torch(network: Any, model: Any, x: Any) -> Callable[[], dict[str, float]]:
    """Return the same for PyTorch."""
    started: dict[str, float] = {}
    seconds: dict[str, float] = {}

    def run() -> dict[str, float]:
        hooks = []
        for step, module in zip(network.steps, model.modules_in_order, strict=True):
            name = step.layer.name
            hooks += [
                module.register_forward_pre_hook(
                    lambda *_, name=name: started.update({name: clock()})
                ),
                module.register_forward_hook(
                    lambda *_, name=name: seconds.update({name: clock() - started[name]})
                ),
            ]
        model(x)
        for hook in hooks:
            hook.remove()
        return dict(seconds)

    return run


def layers(
    calls: dict[str, Callable[[], dict[str, float]]], network: Any, threads: int, rounds: int
) -> list[dict[str, Any]]:
    """Time each layer where it is in the network, ours with the ReLU behind it."""
    turns: dict[str, list[dict[str, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            rest(threads)
            call()
            turns[name].append(call())
    return [
        {"layer": step.layer.name, "kind": type(step.layer).__name__}
        | {
            f"{name}_seconds": statistics.median(turn.get(step.layer.name, 0.0) for turn in mine)
            for name, mine in turns.items()
        }
        for step in network.steps
    ]


def main() -> None:
    """Do what the arguments say."""
    global clock
    kind, path = sys.argv[1], Path(sys.argv[2])
    batch, threads, rounds = map(int, sys.argv[3:6])
    clock = CLOCKS[sys.argv[6]]
    native.active()  # loads the kernels: limits hold for libraries that are there
    with threadpool_limits(threads):
        if native.threads() != threads:
            raise SystemExit(f"{native.threads()} threads of ours, not {threads}")
        if kind == "times":
            whole = sys.argv[7:8] == ["whole"]
            answer = times(path, batch, threads, rounds, not whole, sys.argv[8 if whole else 7 :])
        else:
            answer = memory(kind, path, batch, threads)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
