"""Small networks of PyTorch, with seeded weights and batch normalization that has statistics."""

import io
import warnings

import onnx
import torch
from torch import nn

SIDE = 32  # of the images that they take


class _Block(nn.Module):
    """A residual block, with a shortcut by a convolution where the shape changes."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class _ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layers = nn.Sequential(_Block(8, 8, 1), _Block(8, 16, 2), _Block(16, 24, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(24, 10)

    def forward(self, x):
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


class _VGG(nn.Module):
    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for outputs in (8, 16, 24):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(
            *(nn.Linear(96, 32), nn.ReLU(), nn.Dropout(), nn.Linear(32, 10))
        )

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(x.view(x.size(0), -1))


class _Mobile(nn.Module):
    """Depthwise convolutions, a channel gate, and most activations."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 5, 2, 2, groups=8, bias=False)
        self.gate = nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1)),
            nn.Hardsigmoid(),
        )
        self.project = nn.Conv2d(8, 12, 1)
        self.up = nn.ConvTranspose2d(12, 6, 3, 2, 1, 1)
        self.fc = nn.Linear(6 * 64, 10)

    def forward(self, x):
        x = nn.functional.hardswish(self.bn(self.stem(x)))
        x = nn.functional.relu6(self.depthwise(x))
        x = nn.functional.silu(self.project(x * self.gate(x)))
        x = nn.functional.leaky_relu(self.up(x), 0.1)
        x = nn.functional.avg_pool2d(x, 3, 2, 1)
        return torch.softmax(self.fc(x.flatten(1)), dim=1)


KINDS = {"resnet": _ResNet, "vgg": _VGG, "mobile": _Mobile}


def exported(kind, *, dynamo, optimize=False):
    """Return the ONNX model of a network, by the new exporter or the old one, any batch.

    The new one leaves batch normalization in unless it may `optimize`.
    """
    torch.manual_seed(7)
    model = KINDS[kind]().train()
    with torch.no_grad():  # statistics that aren't those of a fresh normalization
        model(torch.rand(16, 3, SIDE, SIDE) * 2 - 1)
        for name, parameter in model.named_parameters():
            if "bn" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    example = torch.zeros(2, 3, SIDE, SIDE)
    options = {"input_names": ["image"], "output_names": ["logits"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters about themselves
        if dynamo:
            shapes = {"x": {0: torch.export.Dim("n")}}
            program = torch.onnx.export(
                model.eval(),
                (example,),
                dynamo=True,
                dynamic_shapes=shapes,
                verbose=False,
                optimize=optimize,
                **options,
            )
            return program.model_proto
        file = io.BytesIO()
        torch.onnx.export(
            model.eval(),
            (example,),
            file,
            dynamo=False,
            dynamic_axes={"image": {0: "n"}},
            do_constant_folding=True,
            training=torch.onnx.TrainingMode.PRESERVE,
            **options,
        )
    return onnx.load_from_string(file.getvalue())
