"""The stages in order: weights -> mask -> codebook + labels -> gaps -> bits -> file, and back.

This package alone knows the order; each stage stands in a module of its own. `weights` takes one
tensor through them, `models` all of a model.
"""

from .models import at_fixed_width, compress, from_bytes, load

__all__ = ["at_fixed_width", "compress", "from_bytes", "load"]
