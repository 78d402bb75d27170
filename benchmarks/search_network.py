"""LeNet-300-100, trained for `bench_search` on the first 50,000 training images of MNIST.

``python -m benchmarks.search_network OUT.npz [--epochs N] [--threads N]``
"""

import argparse

import numpy as np

from deepcompress.experiments.datasets import load_mnist
from deepcompress.nn import zoo
from deepcompress.nn.optim import SGD, cosine
from deepcompress.nn.train import fit
from deepcompress.nn.trainable import free

TRAINED_ON = 50_000  # the others are for scores


def main() -> None:
    """Train as Caffe's example does, with a weight decay of 5e-4, and save the arrays."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("out")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    data = load_mnist()
    network = zoo.build("lenet-300-100")
    params = network.init(np.random.default_rng(0))
    fit(
        network,
        params,
        (data.train_images[:TRAINED_ON].reshape(TRAINED_ON, -1), data.train_labels[:TRAINED_ON]),
        free(params),
        SGD(l2=5e-4),
        cosine(0.05, arguments.epochs),
        epochs=arguments.epochs,
        batch_size=100,
        seed=[0],
        threads=arguments.threads,
        on_epoch=lambda epoch, loss, seconds: print(epoch + 1, f"{loss:.4f}", flush=True),
    )
    np.savez(arguments.out, **params)


if __name__ == "__main__":
    main()
