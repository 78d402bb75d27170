"""Compression of any `torch.nn.Module` within the training loop that it already has.

Three calls around the loop, whatever its optimizer::

    compression = prepare(module, config)      # before it
    compression.step()                         # after each optimizer.step()
    packed = compression.finalize()            # after it

The gradients of weights that share a centroid are summed on their way into ``.grad`` (Han et al.
2016, section 3.3, eq. 3), so that any optimizer which treats each weight alike moves all of them
as it would move the centroid. What momentum, Adam or weight decay do to a pruned weight `step`
undoes. Nothing is added to the module but hooks on its parameters, and these go at the end.
"""

from .compression import Compression, prepare
from .modules import state_dict

__all__ = ["Compression", "prepare", "state_dict"]
