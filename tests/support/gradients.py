"""What tests of layers share: backward against central differences, and fit numbers for it."""

import numpy as np


def check_backward(layer, params, x, training_seed=None):
    """Compare `backward` with central differences of a random projection of the output."""

    def forward():
        rng = None if training_seed is None else np.random.default_rng(training_seed)
        return layer.forward(params, x, rng)

    inputs = x if layer.several else [x]
    shapes = [one.shape[:-1] for one in inputs]
    y, cache = forward()
    expected = layer.output_shape(shapes if layer.several else shapes[0])
    assert y.shape == (*expected, inputs[0].shape[-1])
    direction = np.random.default_rng(1).standard_normal(y.shape)
    dx, grads = layer.backward(params, cache, direction.copy())
    assert set(grads) == set(layer.param_shapes())
    pairs = list(zip(inputs, dx if layer.several else [dx], strict=True))
    for tensor, grad in [*pairs, *((params[name], grads[name]) for name in grads)]:
        check_gradient(lambda: (forward()[0] * direction).sum(), tensor, grad)


def check_gradient(function, tensor, grad):
    """Compare the gradient of a function of nothing, by a tensor it looks at."""
    assert grad.shape == tensor.shape
    for index in np.ndindex(tensor.shape):
        kept = tensor[index]
        tensor[index] = kept + 1e-6
        above = function()
        tensor[index] = kept - 1e-6
        below = function()
        tensor[index] = kept
        assert abs((above - below) / 2e-6 - grad[index]) < 1e-6 * (1 + abs(grad[index]))


def random_params(layer, rng):
    """Draw parameters; those of one axis are positive, as variances have to be."""
    return {
        name: rng.uniform(0.5, 2, shape) if len(shape) == 1 else rng.standard_normal(shape)
        for name, shape in layer.param_shapes().items()
    }


def distinct(rng, shape):
    """Numbers that are further apart than the differences' step, so that no maximum changes."""
    return rng.permutation(int(np.prod(shape))).reshape(shape) / 8 + 1 / 16 - 2
