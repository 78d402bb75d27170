"""Small without retraining: second-order pruning and sharing, layer by layer, bits priced in.

`calibrate` takes inputs, without labels; `weights_alone` takes none. Both give a model as
`pipeline.compress` does. `calibrated` is the same for a network of another library, of which a
`Subject` says what reaches each layer.

From weights to labels: `moments` of inputs -> `trust` in them -> curvature of a layer's error ->
`grid` of levels -> `sweep`, with the `rates` of labels -> `centroids`; `layer` is one layer,
`driver` all of them.
"""

from .alone import sharing_alone, weights_alone
from .driver import Calibrated, LayerOutcome, calibrated
from .layer import Effort
from .moments import Moments
from .network import NetworkSubject, calibrate
from .rates import Rates, entropy_rates
from .subject import LayerSpec, Subject
from .trust import Trust

__all__ = [
    "Calibrated",
    "Effort",
    "LayerOutcome",
    "LayerSpec",
    "Moments",
    "NetworkSubject",
    "Rates",
    "Subject",
    "Trust",
    "calibrate",
    "calibrated",
    "entropy_rates",
    "sharing_alone",
    "weights_alone",
]
