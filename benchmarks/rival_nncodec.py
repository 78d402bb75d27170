"""Parameters as NNCodec's files have them, for ``bench_calibrate --rebuilt``.

``python benchmarks/rival_nncodec.py PARAMS.npz OUT [--qp Q …] [--nonweight-qp Q …] [--uniform]``

It runs in an environment of its own, without deepcompress: numpy 1.26.4, PyTorch, nncodec 2.1.3.
NNCodec's face imports torchvision, for its training examples: an empty module stands for it where
it isn't installed. PARAMS come from ``bench_calibrate --export``. For each step ``qp`` and each of
biases (steps are 2 ** (qp / 4)), with dependent quantization and without, OUT gets a file of the
parameters as decoded, with ``file_bytes``, the length of the bit stream, whole.
"""

import argparse
import contextlib
import itertools
import os
import sys
import types
from pathlib import Path

import numpy as np


class _Made:
    """Stands for a class that is derived from, or called, while modules are imported."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass


class _Anything(types.ModuleType):
    """A module with every name, as `torchvision` is only imported."""

    __path__ = ()

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_Made,), {}) if name[0].isupper() else _Anything(name)

    def __call__(self, *args: object, **kwargs: object) -> "_Anything":
        return self


class _Finder:
    """Finds `_Anything` for what isn't installed and isn't needed to code."""

    NAMES = ("torchvision", "h5py", "pandas", "sklearn", "flwr", "wandb", "timm", "scipy")
    NAMES += ("matplotlib", "torchmetrics", "datasets", "transformers", "sentencepiece", "PIL")
    NAMES += ("tqdm", "cv2", "ray", "hydra", "omegaconf", "tensorboard", "peft", "requests")

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, self) if name.split(".")[0] in self.NAMES else None

    def create_module(self, spec: object) -> types.ModuleType:
        return _Anything(spec.name)  # type: ignore[attr-defined]

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def main() -> None:
    """Encode and decode with all settings, and keep what comes back."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("params")
    parser.add_argument("out")
    parser.add_argument("--qp", type=int, nargs="+", default=[-38, -34, -30, -26])
    parser.add_argument("--nonweight-qp", type=int, nargs="+", default=[-75])
    parser.add_argument("--uniform", action="store_true", help="without dependent quantization")
    parser.add_argument("--opt-qp", action="store_true", help="its own choice of a step by tensor")
    arguments = parser.parse_args()
    sys.meta_path.append(_Finder())
    from nncodec.nn import decode, encode

    with np.load(arguments.params) as values:
        params = {name: np.ascontiguousarray(values[name], np.float32) for name in values}
    short = {f"t{index:03d}{'w' if params[name].ndim > 1 else 'b'}": name
             for index, name in enumerate(params)}  # fmt: skip
    model = {key: params[name] for key, name in short.items()}
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    for qp, other in itertools.product(arguments.qp, arguments.nonweight_qp):
        how = {"qp": qp, "nonweight_qp": other, "use_dq": not arguments.uniform, "verbose": False}
        how |= {"opt_qp": arguments.opt_qp, "results": str(out)}
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            stream = encode({key: value.copy() for key, value in model.items()}, args=how)
            back = decode(stream, args={"verbose": False})
        found = {name: np.asarray(back[key], np.float32) for key, name in short.items()}
        assert all(found[name].shape == params[name].shape for name in params)
        kind = "uniform" if arguments.uniform else "dependent"
        name = f"nncodec_{kind}_qp{qp}_nonweight{other}" + "_opt" * arguments.opt_qp
        np.savez(out / f"{name}.npz", file_bytes=len(stream), **found)
        print(name, len(stream), flush=True)
        for leftover in out.glob("*.nnc"):
            leftover.unlink()


if __name__ == "__main__":
    main()
