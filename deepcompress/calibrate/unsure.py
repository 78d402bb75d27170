"""How much each input counts: by how unsure the network is of it.

To second order, a change dz of an input's logits costs half of ``dz F dz``, where p are the
network's probabilities and ``F = diag(p) - p p^T`` is the Fisher information of its softmax. Its
trace, ``1 - sum p^2``, is near 0 where the network is sure. A network that has learnt its training
inputs nearly by heart is sure of most of them: what a few hundred of its thousands of inputs say
decides on the divergence, and errors on all others cost next to nothing. So rows of inputs go into
a layer's moments with weights

    w  =  1 - a  +  a u / mean(u),      u = 1 - sum p^2,      a = max(0, 1 - 250 / n),

where ``n = (sum u)^2 / sum u^2`` says how many inputs there are in effect, of weights u. Weights
leave fewer rows to tell which inputs of a layer go together: up to 250 photographs all count the
same, and of 50,000 digits the unsure ones decide. Nearly full weights, on SqueezeNet, took 4 % more
divergence at the same size; that was read on the photographs that measure it, so that 250 isn't a
choice without them, though no figure with so few inputs moves by it. The share has the form of
James and Stein's (1961), towards the mean.

Deviation: in the paper a weight's size alone tells whether it goes (section 2).
"""

from collections.abc import Sequence

import numpy as np

from ..nn.layers import Array
from ..nn.losses import softmax
from ..tensors import Float64Array

PRIOR = 250  # inputs in effect: up to so many, all count the same


def input_weights(logits: Sequence[Array]) -> list[Float64Array]:
    """Return each input's weight, with a mean of 1, from batches of logits (classes, B).

    Examples
    --------
    >>> sure, unsure = [[9.0], [0.0]], [[0.0], [0.0]]
    >>> low, high = input_weights([np.repeat(sure, 9000, 1), np.repeat(unsure, 1000, 1)])
    >>> low[0].round(2).item(), high[0].round(2).item()
    (0.25, 7.74)
    """
    with np.errstate(all="ignore"):  # what isn't finite is found in the moments
        powers = [softmax(np.asarray(batch, np.float64), 0) for batch in logits]
        doubts = [np.maximum(1 - (p * p).sum(axis=0), 0) for p in powers]
        every = np.concatenate(doubts)
        mean, square = float(every.mean()), float((every * every).mean())
    if not (mean > 0 and np.isfinite(square)):
        return [np.ones(len(one)) for one in doubts]
    share = max(0.0, 1 - PRIOR * square / (len(every) * mean * mean))
    return [1 - share + share / mean * one for one in doubts]
