"""PyTorch, or one error that says how to install it."""

try:
    import torch as torch
except ImportError as error:
    raise ImportError(
        "deepcompress.torch needs PyTorch: pip install 'deepcompress-nn[torch]'", name="torch"
    ) from error
