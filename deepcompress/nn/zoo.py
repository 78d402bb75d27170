"""The networks of the paper that train on MNIST, and a small one for a demo."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from ..errors import ArgumentError, ConfigError
from .conv import Conv2D
from .layers import Dropout, Flatten, Layer, Linear, ReLU
from .network import Network
from .pool import MaxPool2D


def _mlp(name: str, sizes: Sequence[int], dropout: float) -> Network:
    """Fully connected layers ip1, ip2, …, each but the last with ReLU and dropout.

    drop0 is for the inputs; only a recipe gives it a rate.
    """
    layers: list[Layer] = [Dropout("drop0", 0.0)]
    for index, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        if index > 1:
            layers += [ReLU(f"relu{index - 1}"), Dropout(f"drop{index - 1}", dropout)]
        layers.append(Linear(f"ip{index}", inputs, outputs))
    return Network(name, tuple(layers), (sizes[0],))


def lenet_300_100(dropout: float = 0.0) -> Network:
    """LeNet-300-100 (LeCun et al. 1998): 784-300-100-10, 266,610 parameters.

    Parameters
    ----------
    dropout : float
        Rate after both hidden layers.
    """
    return _mlp("lenet-300-100", (784, 300, 100, 10), dropout)


def lenet_5(dropout: float = 0.0, conv_dropout: float = 0.0) -> Network:
    """LeNet-5 as Caffe's MNIST example has it, the one of the paper: 431,080 parameters.

    As there, no ReLU follows the convolutions: the only one is after ip1.

    Parameters
    ----------
    dropout : float
        Rate after ip1.
    conv_dropout : float
        Rate after each pooling.
    """
    layers = (
        Conv2D("conv1", 1, 20, kernel=5),
        MaxPool2D("pool1", kernel=2, stride=2),
        Dropout("drop_pool1", conv_dropout),
        Conv2D("conv2", 20, 50, kernel=5),
        MaxPool2D("pool2", kernel=2, stride=2),
        Dropout("drop_pool2", conv_dropout),
        Flatten("flatten"),
        Linear("ip1", 800, 500),
        ReLU("relu1"),
        Dropout("drop1", dropout),
        Linear("ip2", 500, 10),
    )
    return Network("lenet-5", layers, (1, 28, 28))


def digits(hidden: Sequence[int] = (500, 300), dropout: float = 0.0) -> Network:
    """Perceptron for 8x8 digits, 64-500-300-10 by default: layers ip1, ip2, ….

    Parameters
    ----------
    hidden : sequence of int
        Sizes of the hidden layers.
    dropout : float
        Rate after each hidden layer.
    """
    return _mlp("digits", (64, *hidden, 10), dropout)


ZOO: dict[str, Callable[..., Network]] = {
    "lenet-300-100": lenet_300_100,
    "lenet-5": lenet_5,
    "digits": digits,
}


def build(name: str, **options: object) -> Network:
    """Build a network of the zoo by name.

    Parameters
    ----------
    name : str
        A key of `ZOO`.
    **options
        Arguments of the network's function, such as ``dropout=0.5``.

    Raises
    ------
    ConfigError
        If there is no network of that name.
    ArgumentError
        If it has no such option.
    """
    if name not in ZOO:
        raise ConfigError(f"network {name!r}: choose from {', '.join(sorted(ZOO))}")
    try:
        return ZOO[name](**options)
    except TypeError as error:
        raise ArgumentError(f"network {name!r}: {error}") from error
