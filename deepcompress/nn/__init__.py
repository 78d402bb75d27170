"""NumPy networks with manual backpropagation, to train what `deepcompress` compresses.

Nothing here knows about compression: `trainable` says which numbers may change, and a packed
weight runs in these layers if it offers ``weight @ columns``, or ``weight.convolve(x)`` where it
is a convolution's.
"""
