"""The operators of ONNX that are layers here, and the function by which each becomes one.

A function takes the graph and a node, appends layers, and returns what the node gives.
"""

from collections.abc import Callable

from ..nn import activations
from ..nn.layers import ReLU
from .onnx_arithmetic import (
    activation,
    add,
    batch_normalization,
    clip,
    divide,
    gemm,
    matmul,
    multiply,
    softmax,
    subtract,
    sum_of_all,
)
from .onnx_builder import Builder, Node
from .onnx_shapes import (
    cast,
    cast_like,
    concat,
    flatten,
    identity,
    reshape,
    shape,
    squeeze,
    transpose,
)
from .onnx_values import Constant, Value
from .onnx_windows import (
    average_pool,
    conv,
    conv_transpose,
    global_average,
    global_max,
    lrn,
    max_pool,
    pad,
    reduce_mean,
)

OPERATORS: dict[str, Callable[[Builder, Node], Constant | Value]] = {
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "CastLike": cast_like,
    "Clip": clip,
    "Concat": concat,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Div": divide,
    "Dropout": identity,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average,
    "GlobalMaxPool": global_max,
    "HardSigmoid": activation(activations.HardSigmoid, alpha=0.2, beta=0.5),
    "HardSwish": activation(activations.HardSwish),
    "Identity": identity,
    "LRN": lrn,
    "LeakyRelu": activation(activations.LeakyReLU, alpha=0.01),
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Mul": multiply,
    "Pad": pad,
    "ReduceMean": reduce_mean,
    "Relu": activation(ReLU),
    "Reshape": reshape,
    "Shape": shape,
    "Sigmoid": activation(activations.Sigmoid),
    "Softmax": softmax,
    "Squeeze": squeeze,
    "Sub": subtract,
    "Sum": sum_of_all,
    "Tanh": activation(activations.Tanh),
    "Transpose": transpose,
    "Unsqueeze": squeeze,
}
