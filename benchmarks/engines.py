"""Other engines as contestants: what runs a network's ONNX file dense on the same input.

Each function takes the file, the input and the number of threads, and returns a call without
arguments that gives the logits. Each engine has its usual settings for a short time per answer,
and float32 throughout; `onnxruntime-int8` has weights and activations of 8 bits, so that its
logits are others.
"""

import importlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[], np.ndarray[Any, Any]]


def onnxruntime(path: Path, x: np.ndarray[Any, Any], threads: int) -> Call:
    """Return a call of ONNX Runtime, all its graph's optimizations on."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, feed)[0]  # type: ignore[no-any-return]


def onnxruntime_int8(path: Path, x: np.ndarray[Any, Any], threads: int) -> Call:
    """Return the same with weights (a scale per channel) and activations of 8 bits.

    The ranges of activations are those of this very input.
    """
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = [{"x": x}]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    narrow = path.with_suffix(".int8.onnx")
    if not narrow.exists():
        quantization.quantize_static(str(path), str(narrow), Reader(), per_channel=True)
    return onnxruntime(narrow, x, threads)


def openvino(path: Path, x: np.ndarray[Any, Any], threads: int) -> Call:
    """Return a call of OpenVINO, planned for a short time per answer."""
    ov: Any = importlib.import_module("openvino")
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = ov.Core().compile_model(str(path), "CPU", settings).create_infer_request()
    return lambda: request.infer([x], share_inputs=True)[0]  # type: ignore[no-any-return]


def mnn(path: Path, x: np.ndarray[Any, Any], threads: int) -> Call:
    """Return a call of MNN, of high precision: float32, with Winograd where it wants to."""
    MNN: Any = importlib.import_module("MNN")
    own = path.with_suffix(".mnn")
    if not own.exists():
        tools: Any = importlib.import_module("_tools")
        command = ["MNNConvert", "-f", "ONNX", "--modelFile", str(path), "--MNNModel", str(own)]
        tools.mnnconvert([*command, "--bizCode", "biz"])
    interpreter = MNN.Interpreter(str(own))
    session = interpreter.createSession({"numThread": threads, "precision": "high"})
    given = interpreter.getSessionInput(session)
    answer = interpreter.getSessionOutput(session)
    kind = MNN.Tensor_DimensionType_Caffe
    host = MNN.Tensor(x.shape, MNN.Halide_Type_Float, x, kind)
    shape = answer.getShape()

    def call() -> np.ndarray[Any, Any]:
        given.copyFrom(host)
        interpreter.runSession(session)
        out = MNN.Tensor(shape, MNN.Halide_Type_Float, np.empty(shape, np.float32), kind)
        answer.copyToHostTensor(out)
        return np.array(out.getNumpyData()).reshape(shape)

    call.session = session, interpreter  # type: ignore[attr-defined]  # kept while it is called
    return call


ENGINES: dict[str, Callable[[Path, np.ndarray[Any, Any], int], Call]] = {
    "onnxruntime": onnxruntime,
    "openvino": openvino,
    "mnn": mnn,
    "onnxruntime-int8": onnxruntime_int8,
}


def versions(engines: list[str]) -> dict[str, str]:
    """Return the versions of the engines' packages."""
    packages = {name.partition("-")[0] for name in engines}
    return {name: metadata.version(name) for name in sorted(packages)}
