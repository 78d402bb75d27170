"""The networks of the paper, SqueezeNet, which its authors compressed, and a small one for a demo.

Those for ImageNet are Caffe's, layer by layer, up to the logits: they lack its final softmax.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from ..errors import ArgumentError, ConfigError
from .conv import Conv2D
from .layers import Concat, Dropout, Flatten, Layer, Linear, ReLU
from .network import Network
from .norm import LocalResponseNorm
from .pool import GlobalAvgPool2D, MaxPool2D


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


def digits(dropout: float = 0.0) -> Network:
    """Perceptron for 8x8 digits: 64-500-300-10.

    Parameters
    ----------
    dropout : float
        Rate after both hidden layers.
    """
    return _mlp("digits", (64, 500, 300, 10), dropout)


def alexnet(dropout: float = 0.5) -> Network:
    """AlexNet as Caffe's ``bvlc_alexnet`` has it: 227x227 images, 60,965,224 parameters.

    The second, fourth and fifth convolution have two groups (Krizhevsky et al. 2012).

    Parameters
    ----------
    dropout : float
        Rate after fc6 and fc7.
    """
    layers = (
        Conv2D("conv1", 3, 96, kernel=11, stride=4),
        ReLU("relu1"),
        LocalResponseNorm("norm1", alpha=1e-4),
        MaxPool2D("pool1", kernel=3, stride=2, round_up=True),
        Conv2D("conv2", 96, 256, kernel=5, padding=2, groups=2),
        ReLU("relu2"),
        LocalResponseNorm("norm2", alpha=1e-4),
        MaxPool2D("pool2", kernel=3, stride=2, round_up=True),
        Conv2D("conv3", 256, 384, kernel=3, padding=1),
        ReLU("relu3"),
        Conv2D("conv4", 384, 384, kernel=3, padding=1, groups=2),
        ReLU("relu4"),
        Conv2D("conv5", 384, 256, kernel=3, padding=1, groups=2),
        ReLU("relu5"),
        MaxPool2D("pool5", kernel=3, stride=2, round_up=True),
        *_classifier(256 * 6 * 6, dropout),
    )
    return Network("alexnet", layers, (3, 227, 227))


def vgg_16(dropout: float = 0.5) -> Network:
    """VGG-16 (Simonyan and Zisserman 2015, configuration D): 224x224, 138,357,544 parameters.

    Parameters
    ----------
    dropout : float
        Rate after fc6 and fc7.
    """
    layers: list[Layer] = []
    inputs = 3
    for block, (count, outputs) in enumerate(
        ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1
    ):
        for index in range(1, count + 1):
            place = f"{block}_{index}"
            layers.append(Conv2D(f"conv{place}", inputs, outputs, kernel=3, padding=1))
            layers.append(ReLU(f"relu{place}"))
            inputs = outputs
        layers.append(MaxPool2D(f"pool{block}", kernel=2, stride=2, round_up=True))
    layers += _classifier(512 * 7 * 7, dropout)
    return Network("vgg-16", tuple(layers), (3, 224, 224))


def _classifier(inputs: int, dropout: float) -> tuple[Layer, ...]:
    """Return the three fully connected layers of AlexNet and VGG-16."""
    return (
        Flatten("flatten"),
        Linear("fc6", inputs, 4096),
        ReLU("relu6"),
        Dropout("drop6", dropout),
        Linear("fc7", 4096, 4096),
        ReLU("relu7"),
        Dropout("drop7", dropout),
        Linear("fc8", 4096, 1000),
    )


def squeezenet(dropout: float = 0.5) -> Network:
    """SqueezeNet 1.0 (Iandola et al. 2016) as the paper's authors compressed it.

    227x227 images, 1,248,424 parameters. The names are those of their file.

    Parameters
    ----------
    dropout : float
        Rate before the last convolution.
    """
    layers: list[Layer] = [Conv2D("conv1", 3, 96, kernel=7, stride=2), ReLU("relu_conv1")]
    sources: dict[str, Sequence[str]] = {}
    pooled_before = {2: "pool1", 5: "pool4", 9: "pool8"}
    inputs = 96
    for index in range(2, 10):
        if index in pooled_before:
            layers.append(MaxPool2D(pooled_before[index], kernel=3, stride=2, round_up=True))
        squeezed = 16 * (index // 2)
        layers += _fire(f"fire{index}", inputs, squeezed, sources)
        inputs = 8 * squeezed
    layers += [
        Dropout("drop9", dropout),
        Conv2D("conv_final", inputs, 1000, kernel=1, padding=1),
        ReLU("relu_conv_final"),
        GlobalAvgPool2D("pool_final"),
    ]
    return Network("squeezenet", tuple(layers), (3, 227, 227), sources)


def squeezenet_1_1(dropout: float = 0.5) -> Network:
    """SqueezeNet 1.1, of the same authors: 227x227 images, 1,235,496 parameters.

    It computes 2.4 times less than version 1.0. The names are those of its parameters in the file
    from which they come, whose last convolution has no padding.

    Parameters
    ----------
    dropout : float
        Rate before the last convolution.
    """
    layers: list[Layer] = [Conv2D("conv1", 3, 64, kernel=3, stride=2), ReLU("relu_conv1")]
    sources: dict[str, Sequence[str]] = {}
    pooled_before = {2: "pool1", 4: "pool3", 6: "pool5"}
    inputs = 64
    for index in range(2, 10):
        if index in pooled_before:
            layers.append(MaxPool2D(pooled_before[index], kernel=3, stride=2, round_up=True))
        squeezed = 16 * (index // 2)
        parts = "squeeze1x1", "expand1x1", "expand3x3"
        layers += _fire(f"fire{index}", inputs, squeezed, sources, parts)
        inputs = 8 * squeezed
    layers += [
        Dropout("drop9", dropout),
        Conv2D("conv10", inputs, 1000, kernel=1),
        ReLU("relu_conv10"),
        GlobalAvgPool2D("pool10"),
    ]
    return Network("squeezenet-1.1", tuple(layers), (3, 227, 227), sources)


def _fire(
    name: str,
    inputs: int,
    squeezed: int,
    sources: dict[str, Sequence[str]],
    parts: Sequence[str] = ("conv1x1_1", "conv1x1_2", "conv3x3_2"),
) -> list[Layer]:
    """Return a fire module: few channels by 1x1 kernels, then more by 1x1 and 3x3 side by side.

    The sources of its branches are added to `sources`; `parts` are the names of the convolutions.
    """
    squeeze, expand1, expand3 = (f"{name}/{part}" for part in parts)
    after = {conv: conv.replace("/", "/relu_") for conv in (squeeze, expand1, expand3)}
    sources[expand3] = [after[squeeze]]
    sources[f"{name}/concat"] = [after[expand1], after[expand3]]
    return [
        Conv2D(squeeze, inputs, squeezed, kernel=1),
        ReLU(after[squeeze]),
        Conv2D(expand1, squeezed, 4 * squeezed, kernel=1),
        ReLU(after[expand1]),
        Conv2D(expand3, squeezed, 4 * squeezed, kernel=3, padding=1),
        ReLU(after[expand3]),
        Concat(f"{name}/concat"),
    ]


ZOO: dict[str, Callable[..., Network]] = {
    "lenet-300-100": lenet_300_100,
    "lenet-5": lenet_5,
    "digits": digits,
    "alexnet": alexnet,
    "vgg-16": vgg_16,
    "squeezenet": squeezenet,
    "squeezenet-1.1": squeezenet_1_1,
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
