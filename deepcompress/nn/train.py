"""The training loop: the same numbers for every number of threads.

Each mini-batch is split into a fixed number of shards. A thread takes a shard through the network
and back with a single-threaded BLAS, and the gradients are added in the order of the shards. So
the arithmetic depends on `shards`, never on `threads`.

Training has diverged once the loss isn't finite after a step, or a parameter or the optimizer's
state after an epoch. They then go back to the end of the epoch before: what the steps in between
have left is rarely of use, and it is from the end of an epoch that `fit` can go on.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError
from .layers import Array, Dropout
from .network import Network
from .optim import Optimizer, Schedule, State
from .parallel import Run, available_threads, workers
from .stacks import Stack, stack_of
from .trainable import Trainable

OnEpoch = Callable[[int, float, float], None]  # epoch, mean loss, seconds
Prepare = Callable[[Array, np.random.Generator], Array]
Indices = npt.NDArray[np.intp]

_SHUFFLE, _DROPOUT, _PREPARE = 0, 1, 2  # which stream of random numbers


def fit(
    network: Network,
    params: dict[str, Array],
    data: tuple[Array, npt.NDArray[np.integer]],
    trainables: Sequence[Trainable],
    optimizer: Optimizer,
    schedule: Schedule,
    *,
    epochs: int,
    batch_size: int,
    seed: Sequence[int],
    start_epoch: int = 0,
    state: State | None = None,
    shards: int = 2,
    threads: int | None = None,
    on_epoch: OnEpoch | None = None,
    prepare: Prepare | None = None,
) -> State:
    """Train by mini-batches, in place.

    Parameters
    ----------
    network : Network
    params : dict of str to ndarray
        All parameters, finite; those of `trainables` are updated in place, the others don't change.
    data : (x, labels)
        Inputs of shape (n, ...), of the parameters' dtype, and classes of shape (n,).
    trainables : sequence of Trainable
        The variables that may change; training starts at their `value`.
    optimizer : Optimizer
    schedule : callable
        Epochs done (with fraction) -> learning rate.
    epochs : int
        Train epochs ``start_epoch … epochs - 1``.
    batch_size : int
        The last batch of an epoch may be smaller.
    seed : sequence of int
        Source of the order of images and of dropout. An epoch depends on it and on the epoch's
        number only: a run that stops after an epoch and is started again with its parameters and
        `state` gives the same bytes as one that didn't.
    start_epoch : int
    state : dict, optional
        State of the optimizer, from `Optimizer.init` or an earlier run; updated in place.
    shards : int
        Parts of a mini-batch; at most as many threads have work.
    threads : int, optional
        All available processors by default; has no influence on the result.
    on_epoch : callable, optional
        Called after each epoch with its number, mean loss (without L2) and seconds.
    prepare : callable, optional
        Called on the threads with some of the inputs, which it doesn't change, and a source of
        random numbers; returns what the network is trained on in their place, such as shifted
        images. Like `seed`, it must be the same in a run that goes on.

    Returns
    -------
    dict of str to ndarray
        The optimizer's state.

    Raises
    ------
    ArgumentError
        If data, parameters, trainables, state and network don't fit each other, or aren't
        finite. If training diverges: the message names step and epoch, from 1 on, and the input
        that isn't finite or what to change; parameters, trainables and state are again those
        after the last whole epoch.
    """
    x, labels = data
    _check(network, params, x, labels, trainables, prepare)
    if batch_size < 1 or shards < 1:
        raise ArgumentError(f"batch_size {batch_size} and shards {shards} must be positive")
    fresh = optimizer.init(trainables)
    state = fresh if state is None else state
    if {name: a.shape for name, a in state.items()} != {n: a.shape for n, a in fresh.items()}:
        raise ArgumentError("the optimizer's state doesn't belong to it and these trainables")
    if unfit := _not_finite(_variables(trainables, state)):
        raise ArgumentError(f"{unfit} holds NaN or infinity")
    for trainable in trainables:
        trainable.bind(params)
    variables = _variables(trainables, state)
    steps = -(-len(x) // batch_size)
    count = available_threads() if threads is None else threads
    stack = stack_of(network, params, count)
    with workers(threads) as run:
        for epoch in range(start_epoch, epochs):
            started = time.perf_counter()
            order = _rng(seed, epoch, _SHUFFLE).permutation(len(x))
            sources = [_rng(seed, epoch, _PREPARE, shard) for shard in range(shards)]
            kept = {name: array.copy() for name, array in variables.items()}
            total = 0.0
            for step in range(steps):
                batch = order[step * batch_size : (step + 1) * batch_size]
                parts = _split(batch, min(shards, len(batch)))
                rngs = _dropout_rngs(network, len(parts), seed, epoch, step)
                source = _source(prepare, data, sources)
                rate = schedule(epoch + step / steps)
                with np.errstate(all="ignore"):  # what isn't finite is found below
                    loss, grads = _gradients(run, stack, network, params, source, parts, rngs)
                    gathered = [t.gather(grads[t.name]) for t in trainables]
                    optimizer.update(trainables, gathered, state, rate, run, count)
                total += loss * len(batch)
                # What breaks shows in the next loss, or else at the epoch's end.
                broken = None if math.isfinite(loss) else "the loss"
                if step == steps - 1 and not broken:
                    broken = _not_finite(variables)
                for name, array in kept.items() if broken else ():
                    variables[name][...] = array
                for trainable in trainables:
                    trainable.scatter(params)
                if broken:
                    raise _diverged(broken, x, epoch + 1, step + 1, rate)
            if on_epoch is not None:
                on_epoch(epoch, total / len(x), time.perf_counter() - started)
    return state


def _gradients(
    run: Run,
    stack: Stack | None,
    network: Network,
    params: dict[str, Array],
    source: Callable[[int, Indices], tuple[Array, npt.NDArray[np.integer]]],
    parts: Sequence[Indices],
    rngs: Sequence[np.random.Generator | None],
) -> tuple[float, dict[str, Array]]:
    """Return the mean loss of a mini-batch, given as shards of indices, and its gradients."""
    count = sum(len(part) for part in parts)
    shards = [source(index, part) for index, part in enumerate(parts)] if stack else []
    if stack and stack.takes(shards):
        return stack.gradients(shards, rngs, count)

    def shard(index: int) -> tuple[float, dict[str, Array]]:
        inputs, labels = shards[index] if shards else source(index, parts[index])
        with np.errstate(all="ignore"):  # of this thread; what isn't finite shows in the loss
            return network.loss_and_grads(params, inputs, labels, rngs[index], count)

    (loss, grads), *others = run(shard, range(len(parts)))
    for other_loss, other_grads in others:
        loss += other_loss
        for name, grad in other_grads.items():
            grads[name] += grad
    return loss, grads


def _source(
    prepare: Prepare | None,
    data: tuple[Array, npt.NDArray[np.integer]],
    rngs: Sequence[np.random.Generator],
) -> Callable[[int, Indices], tuple[Array, npt.NDArray[np.integer]]]:
    """Return what gives the inputs and labels of a shard, by its number and indices."""
    x, labels = data

    def source(shard: int, part: Indices) -> tuple[Array, npt.NDArray[np.integer]]:
        if prepare is None:
            return x[part], labels[part]
        return prepare(x[part], rngs[shard]), labels[part]

    return source


def _split(batch: Indices, count: int) -> list[Indices]:
    """Return what `numpy.array_split` does: so many parts, the first ones longer by one."""
    size, longer = divmod(len(batch), count)
    ends = [(part + 1) * size + min(part + 1, longer) for part in range(count)]
    return [batch[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _variables(trainables: Sequence[Trainable], state: State) -> dict[str, Array]:
    """Return all that a step changes, named for messages."""
    values = {f"parameter {one.name!r}": one.value for one in trainables}
    return values | {f"the optimizer's {name!r}": array for name, array in state.items()}


def _not_finite(arrays: Mapping[str, Array]) -> str | None:
    """Return the name of the first array that isn't finite, if there is one."""
    return next((name for name, array in arrays.items() if not np.isfinite(array).all()), None)


def _diverged(broken: str, x: Array, epoch: int, step: int, rate: float) -> ArgumentError:
    """Return the error for a loss or variable that isn't finite; an input may be the cause."""
    finite = np.isfinite(x.reshape(len(x), -1)).all(axis=1)
    if finite.all():
        cause = f"{broken} isn't finite at a rate of {rate:g}"
        cure = "lower the rate or the momentum, or scale the inputs or the initial weights down"
    else:
        cause = f"input {finite.argmin()} of {len(x)} holds NaN or infinity"
        cure = "correct it or leave it out"
    return ArgumentError(
        f"training diverged in step {step} of epoch {epoch}: {cause}; {cure}. "
        f"Parameters and optimizer are again as before epoch {epoch}"
    )


def _dropout_rngs(
    network: Network, shards: int, seed: Sequence[int], epoch: int, step: int
) -> list[np.random.Generator | None]:
    """Return each shard's source of noise; None where the network draws none."""
    if any(isinstance(layer, Dropout) and layer.rate for layer in network.layers):
        return [_rng(seed, epoch, _DROPOUT, step, shard) for shard in range(shards)]
    return [None] * shards


def _rng(seed: Sequence[int], *key: int) -> np.random.Generator:
    """Return the stream of random numbers that belongs to `key`."""
    return np.random.default_rng(np.random.SeedSequence(tuple(seed), spawn_key=key))


def _check(
    network: Network,
    params: dict[str, Array],
    x: Array,
    labels: npt.NDArray[np.integer],
    trainables: Sequence[Trainable],
    prepare: Prepare | None,
) -> None:
    """Raise `ArgumentError` unless the arguments of `fit` fit each other."""
    network.check_params(params)
    network.check_inputs(x if prepare is None else prepare(x[:1], np.random.default_rng(0)))
    classes = network.output_shape[0]
    if len(labels) != len(x) or len(x) == 0:
        raise ArgumentError(f"{len(x)} inputs with {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= classes:
        raise ArgumentError(f"labels must lie in 0 … {classes - 1}")
    for name, tensor in params.items():
        if not isinstance(tensor, np.ndarray) or tensor.dtype != x.dtype:
            raise ArgumentError(f"parameter {name!r} isn't an ndarray of dtype {x.dtype}")
        if not np.isfinite(tensor).all():
            raise ArgumentError(f"parameter {name!r} holds NaN or infinity")
    for trainable in trainables:
        if trainable.name not in params:
            raise ArgumentError(f"network {network.name!r} has no parameter {trainable.name!r}")
        if trainable.value.dtype != x.dtype:
            raise ArgumentError(f"{trainable.name}: value isn't of dtype {x.dtype}")
