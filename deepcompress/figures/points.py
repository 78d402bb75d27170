"""One point of a curve: a network pruned, shared, or factored, retrained for a while, measured.

Each function is given a `Bench` and numbers alone, finds the trained network in the cache, and
keeps its own result there, so that points can be computed by any process, in any order.

Retraining here is far shorter than a recipe's, and without dropout: all points of a figure are
treated alike, and none as well as a network that is to be used.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import prune, quantize
from ..config import Config
from ..experiments.phases import error_percent
from ..nn import optim, zoo
from ..nn.conv import Conv2D
from ..nn.layers import Layer, Linear
from ..nn.network import Network
from ..nn.train import fit
from ..nn.trainable import Free, Masked, Shared, Trainable
from ..pipeline import compress
from ..reports.ledger import account
from ..spreading import Parcel, spread
from ..tensors import BoolArray, Float32Array, SharedWeights
from .bench import Bench, overall
from .cache import remembered
from .networks import key_of, trained

WIDEST = 8  # bits of labels that are there only to find out what positions take
SMALL = 0.02  # of all weights, in a layer that is too small to be factored
WORK = 1 << 20  # bytes that a point is taken to hold, which only bounds how many are in flight

Params = dict[str, Float32Array]


def spread_over(
    bench: Bench, function: Callable[..., dict[str, Any]], points: Iterable[tuple[Any, ...]]
) -> list[dict[str, Any]]:
    """Return the results of points, `Bench.jobs` at once, in order."""
    parcels = (Parcel((bench, *point), WORK) for point in points)
    return list(spread(function, parcels, bench.jobs))


def kept(
    bench: Bench, network: str, what: str, settings: Mapping[str, Any], function: Callable[[], Any]
) -> dict[str, Any]:
    """Return a point from the cache, or compute it."""
    key = {"what": what, "images": bench.images_of(network)}
    key |= {"network": key_of(bench, network), "settings": dict(settings)}
    return remembered(Path(bench.cache) / "points", key, function)


def retrain(
    bench: Bench,
    network: Network,
    params: Params,
    trainables: Sequence[Trainable],
    rate: float,
    name: str,
) -> None:
    """Train in place, once with each of the bench's images, by SGD at a rate that falls to 0."""
    data, count = bench.dataset(name), bench.images_of(name)
    recipe = bench.recipe_of(name)
    fit(
        network,
        params,
        (data.train_images[:count], data.train_labels[:count]),
        trainables,
        optim.SGD(momentum=recipe.momentum),
        optim.cosine(rate, 1),
        epochs=1,
        batch_size=recipe.batch_size,
        seed=(bench.seed, 1),
        threads=bench.threads,
    )


def measured(bench: Bench, name: str, params: Mapping[str, Any]) -> float:
    """Return the error on the test images, in percent."""
    return error_percent(zoo.build(name), params, bench.dataset(name), bench.threads)


def density_masks(
    params: Params, densities: Mapping[str, float], masks: Mapping[str, BoolArray] | None = None
) -> dict[str, BoolArray]:
    """Keep the largest weights of each tensor, of those that a mask has left."""
    return {
        name: prune.sparsity_mask(params[name], 1 - density, masks[name] if masks else None)
        for name, density in densities.items()
    }


def profile(bench: Bench, network: str, params: Params, density: float) -> dict[str, float]:
    """Return a density for each tensor: the paper's, all to one power, so that all have `density`.

    So small layers keep more of their weights, as in the paper's tables.
    """
    papers = bench.densities(network)
    sizes = {name: params[name].size for name in papers}
    low, high = 0.0, 64.0
    for _ in range(60):
        power = (low + high) / 2
        tried = {name: value**power for name, value in papers.items()}
        low, high = (power, high) if overall(tried, sizes) > density else (low, power)
    return {name: value**low for name, value in papers.items()}


def pruned(bench: Bench, network: str, densities: Sequence[float]) -> dict[str, Any]:
    """Prune to a density by way of those before it, retraining each time, from the dense network.

    Returns the error of the last, before it was retrained and after, and its ``params/`` and
    ``masks/``.
    """

    def compute() -> dict[str, Any]:
        params, masks = trained(bench, network).reference, None
        if len(densities) > 1:
            before = pruned(bench, network, densities[:-1])
            params, masks = parts(before, "params"), parts(before, "masks")
        params = {name: values.copy() for name, values in params.items()}
        masks = density_masks(params, profile(bench, network, params, densities[-1]), masks)
        for name, mask in masks.items():
            params[name] *= mask
        cut = measured(bench, network, params)
        trainables: list[Trainable] = [
            Masked(name, values, masks[name]) if name in masks else Free(name, values)
            for name, values in params.items()
        ]
        rate = bench.recipe_of(network).rounds[0].retrain.rate
        retrain(bench, zoo.build(network), params, trainables, rate, network)
        found: dict[str, Any] = {"cut_error": cut, "error": measured(bench, network, params)}
        found |= sizes(params, dict.fromkeys(masks, WIDEST))
        found |= {f"params/{name}": values for name, values in params.items()}
        return found | {f"masks/{name}": mask for name, mask in masks.items()}

    return kept(bench, network, "pruned", {"densities": list(densities)}, compute)


def parts(record: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return the arrays of a record that are of one part, by tensor."""
    start = f"{part}/"
    return {name.removeprefix(start): one for name, one in record.items() if name.startswith(start)}


def start_of(
    bench: Bench, network: str, densities: Sequence[float]
) -> tuple[Params, dict[str, BoolArray]]:
    """Return parameters and masks: of the network pruned to the last density, or dense."""
    if densities:
        found = pruned(bench, network, densities)
        return parts(found, "params"), parts(found, "masks")
    params = dict(trained(bench, network).reference)
    return params, {name: np.ones(params[name].shape, np.bool_) for name in _weights(params)}


def _weights(params: Params) -> list[str]:
    return [name for name in params if name.endswith(".weight")]


def shared(
    bench: Bench,
    network: str,
    densities: Sequence[float],
    bits: Mapping[str, int],
    init: str = "linear",
) -> dict[str, Any]:
    """Share weights of some tensors, train centroids and biases, and measure.

    `densities` is the way of pruning before, none for the dense network. Tensors that aren't in
    `bits` stay as they are.
    """
    settings = {"densities": list(densities), "bits": dict(bits), "init": init}

    def compute() -> dict[str, Any]:
        params, masks = start_of(bench, network, densities)
        params, recipe = dict(params), bench.recipe_of(network)
        weights: dict[str, SharedWeights] = {}
        squares = {}
        for index, (name, width) in enumerate(bits.items()):
            rng = np.random.default_rng([bench.seed, index])
            values = params[name]
            one = quantize.share_weights(values, masks[name], width, init, rng=rng)
            weights[name] = one
            survivors = values[masks[name]]
            squares[name] = quantize.sum_of_squares(survivors, one) / float(
                np.sum(survivors.astype(np.float64) ** 2)
            )
            params[name] = np.zeros_like(values)
            params[name][masks[name]] = one.codebook[one.labels]
        found: dict[str, Any] = {"clustered_error": measured(bench, network, params)}
        trainables: list[Trainable] = [
            Shared(name, one.codebook, one.labels, np.flatnonzero(masks[name]))
            for name, one in weights.items()
        ]
        trainables += [
            Free(name, values) for name, values in params.items() if name.endswith(".bias")
        ]
        params = {name: values.copy() for name, values in params.items()}
        retrain(bench, zoo.build(network), params, trainables, recipe.fine_tune.rate, network)
        found["error"] = measured(bench, network, params)
        found["distortion"] = squares  # sum of squares left, against the weights' own
        if len(bits) == len(_weights(params)):
            found |= sizes(params, bits)
        return found

    return kept(bench, network, "shared", settings, compute)


def sizes(params: Params, bits: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes of files with these weights after P, P+Q and P+Q+H, biases included.

    The file after P has a float32 number for each weight and the gaps.
    """
    config = Config(by_name={name: {"bits": width} for name, width in bits.items()})
    stages = account(compress(params, config).to_bytes()).stages
    return {
        "bytes_P": stages["P"],
        "bytes_PQ": stages["P+Q"],
        "bytes_PQH": stages["P+Q+H"],
    }


def factored(bench: Bench, network: str, rate: float) -> dict[str, Any]:
    """Put two thin layers in the place of each layer, by singular values; retrain, and measure.

    The two have at most `rate` times its weights, but a rank of one at least. A convolution
    becomes one with few outputs and a 1 x 1 convolution. Layers with less than `SMALL` of all
    weights stay whole: of a rank of one or two, such a last layer can't tell classes apart, and
    there is little to gain. Bytes are those of float32 numbers.
    """

    def compute() -> dict[str, Any]:
        dense = trained(bench, network).reference
        thin, params = _factored(zoo.build(network), dense, rate)
        found = {"cut_error": _error(bench, network, thin, params)}
        trainables = [Free(name, values) for name, values in params.items()]
        learning = bench.recipe_of(network).rounds[0].retrain.rate
        retrain(bench, thin, params, trainables, learning, network)
        found["error"] = _error(bench, network, thin, params)
        found["bytes"] = sum(values.nbytes for values in params.values())
        return found

    return kept(bench, network, "factored", {"rate": rate, "small": SMALL}, compute)


def _error(bench: Bench, name: str, network: Network, params: Params) -> float:
    return error_percent(network, params, bench.dataset(name), bench.threads)


def _factored(network: Network, dense: Params, rate: float) -> tuple[Network, Params]:
    layers: list[Layer] = []
    params: Params = {}
    least = SMALL * sum(values.size for values in dense.values())
    for layer in network.layers:
        weight = dense.get(f"{layer.name}.weight")
        if weight is None or not isinstance(layer, Linear | Conv2D):
            layers.append(layer)
            continue
        matrix = weight.reshape(len(weight), -1).astype(np.float64)
        rows, cols = matrix.shape
        rank = max(int(rate * rows * cols / (rows + cols)), 1)
        bias = dense[f"{layer.name}.bias"].copy()
        if weight.size < least or rank * (rows + cols) >= rows * cols:
            layers.append(layer)
            params |= {f"{layer.name}.weight": weight.copy(), f"{layer.name}.bias": bias}
            continue
        left, values, right = np.linalg.svd(matrix, full_matrices=False)
        roots = np.sqrt(values[:rank])
        first, second = f"{layer.name}.thin", layer.name
        thin, wide = roots[:, None] * right[:rank], left[:, :rank] * roots
        if isinstance(layer, Linear):
            layers += [Linear(first, cols, rank), Linear(second, rank, rows)]
        else:
            layers.append(Conv2D(first, layer.inputs, rank, kernel=layer.kernel))
            layers.append(Conv2D(second, rank, rows, kernel=1))
            thin = thin.reshape(rank, *weight.shape[1:])
            wide = wide.reshape(rows, rank, 1, 1)
        params[f"{first}.weight"] = thin.astype(np.float32)
        params[f"{first}.bias"] = np.zeros(rank, np.float32)
        params[f"{second}.weight"], params[f"{second}.bias"] = wide.astype(np.float32), bias
    return Network(network.name, tuple(layers), network.input_shape), params


def pruned_alone(bench: Bench, network: str, tensor: str, density: float) -> dict[str, Any]:
    """Prune one tensor of the dense network, without retraining, and measure."""

    def compute() -> dict[str, Any]:
        params = dict(trained(bench, network).reference)
        params[tensor] = params[tensor] * prune.sparsity_mask(params[tensor], 1 - density)
        return {"error": measured(bench, network, params)}

    return kept(bench, network, "alone", {"tensor": tensor, "density": density}, compute)
