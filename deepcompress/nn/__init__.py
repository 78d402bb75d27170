"""NumPy networks with manual backpropagation, to train what `deepcompress` compresses.

Nothing here knows about compression: `trainable` says what may change, and the compressed
tensors only need to offer ``weight @ columns`` to run in `layers`, and may offer
``weight.convolve(x)`` to run in `conv` without the columns that im2col makes.
"""
