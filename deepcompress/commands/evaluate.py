"""The verb ``evaluate``: the error of a file's network, with its weights packed."""

import time

from .. import native
from ..errors import ArgumentError, FormatError
from ..experiments import recipes
from ..nn.losses import error_count
from ..pipeline import load
from ..runtime.network import CompressedNetwork
from .run import DATA, load_data
from .verb import Answer, Subparsers, add_file, add_verb


def add_parser(subparsers: Subparsers) -> None:
    """Add ``evaluate`` to the command line."""
    parser = add_verb(subparsers, evaluate, "measure a file's network, with its weights packed")
    add_file(parser)
    parser.add_argument("--data", metavar="DIR", help=f"{DATA}; not used for the demo's network")


def evaluate(file: str, data: str | None = None) -> Answer:
    """Run a file's network on its test images, with the weights packed.

    Parameters
    ----------
    file : str
        Its metadata names the network.
    data : str, optional
        As for `datasets.load_mnist`; the demo's network needs none.

    Raises
    ------
    ArgumentError
        If the file holds no network, or one that we have no test images for.
    """
    model = load(file)
    try:
        network = CompressedNetwork.of(model)
    except (ArgumentError, FormatError) as error:
        raise type(error)(f"{file}: {error}") from None
    name = network.name
    if name not in {recipes.DEMO.network, *(network for _, network in recipes.RECIPES)}:
        raise ArgumentError(f"{file}: there are no test images for network {name!r}; see predict")
    dataset = load_data("digits" if name == recipes.DEMO.network else "mnist", data)
    start = time.perf_counter()
    logits = network.predict(dataset.test_images, batch_size=250)
    error_percent = 100 * error_count(logits, dataset.test_labels) / len(logits)
    seconds = time.perf_counter() - start
    values = {
        "file": file,
        "network": name,
        "error_percent": error_percent,
        "images": len(dataset.test_images),
        "seconds": round(seconds, 3),
        "backend": native.backend(),
    }
    text = (
        f"{file}: {name}, error {error_percent:.2f} % of {len(dataset.test_images):,} test images, "
        f"{seconds:.2f} s with packed weights ({native.backend()} backend)"
    )
    return Answer(values, text)
