"""Deep Compression (Han, Mao, Dally, ICLR 2016): prune, share, code, and run what was coded.

::

    weights -prune-> mask -quantize-> codebook + labels -relindex-> gaps -huffman-> bits
            -container-> file
    file -container-> bits -huffman-> labels + gaps -> CompressedTensor -spmv-> y = W x

Each stage is a module of its own name; `pipeline` puts them in this order. The
names below are what most users need.
"""

from . import moved
from .config import Config, TensorConfig, paper_config
from .errors import (
    ArgumentError,
    BackendError,
    ChecksumError,
    ConfigError,
    DataError,
    DeepCompressError,
    FormatError,
    OutputError,
    TruncatedError,
    VersionError,
)
from .model import CompressedModel
from .model_file import ModelFile, open_file
from .native.gateway import backend
from .native.pool import set_threads
from .packed.tensor import CompressedTensor
from .pipeline import compress, load
from .presets import preset
from .runtime.network import CompressedNetwork
from .streaming import compress_to

__version__ = "0.1.0"

moved.install()

__all__ = [
    "ArgumentError",
    "BackendError",
    "ChecksumError",
    "CompressedModel",
    "CompressedNetwork",
    "CompressedTensor",
    "Config",
    "ConfigError",
    "DataError",
    "DeepCompressError",
    "FormatError",
    "ModelFile",
    "OutputError",
    "TensorConfig",
    "TruncatedError",
    "VersionError",
    "backend",
    "compress",
    "compress_to",
    "load",
    "open_file",
    "paper_config",
    "preset",
    "set_threads",
]
