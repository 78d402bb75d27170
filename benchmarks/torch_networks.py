"""Our networks as PyTorch modules, dense, layer by layer from the same definition."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Concat, Dropout, Flatten, Layer, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import LocalResponseNorm
from deepcompress.nn.pool import GlobalAvgPool2D, MaxPool2D
from deepcompress.nn.wiring import INPUT


class Join(nn.Module):
    """Concatenation of channels."""

    def forward(self, *parts: torch.Tensor) -> torch.Tensor:
        """Return the parts one behind the other."""
        return torch.cat(parts, dim=1)


class GlobalMean(nn.Module):
    """Mean of each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, C)."""
        return x.mean(dim=(2, 3))


def module(layer: Layer) -> nn.Module:
    """Return PyTorch's module for a layer, its parameters not yet set."""
    match layer:
        case Conv2D():
            sides = layer.kernel, layer.stride, layer.padding
            return nn.Conv2d(layer.inputs, layer.outputs, *sides, groups=layer.groups)
        case Linear():
            return nn.Linear(layer.inputs, layer.outputs)
        case ReLU():
            return nn.ReLU(inplace=True)
        case Dropout():
            return nn.Identity()
        case Flatten():
            return nn.Flatten()
        case MaxPool2D():
            sides = layer.kernel, layer.stride, layer.padding
            return nn.MaxPool2d(*sides, ceil_mode=layer.round_up)
        case LocalResponseNorm():
            return nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
        case GlobalAvgPool2D():
            return GlobalMean()
        case Concat():
            return Join()
    raise SystemExit(f"layer {layer.name!r}: {type(layer).__name__} has no module here")


class TorchNetwork(nn.Module):
    """A network with dense parameters that uses memory no longer than needed."""

    def __init__(self, network: Network, params: Mapping[str, np.ndarray[Any, Any]]) -> None:
        super().__init__()
        self.steps = network.steps
        with torch.device("meta"):  # the parameters come from the file, no memory for others
            modules = [module(step.layer) for step in self.steps]
        for step, made in zip(self.steps, modules, strict=True):
            for part, _ in list(made.named_parameters()):
                values = torch.from_numpy(params[f"{step.layer.name}.{part}"])
                setattr(made, part, nn.Parameter(values, requires_grad=False))
        self.modules_in_order = nn.ModuleList(modules)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of x, (n, C, H, W)."""
        values = {INPUT: x}
        for step, made in zip(self.steps, self.modules_in_order, strict=True):
            taken = [values[name] for name in step.sources]
            for name in step.done:
                del values[name]
            x = values[step.layer.name] = made(*taken)
        return x
