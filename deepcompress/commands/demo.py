"""The verb ``demo``: a recipe for the digits that come with scikit-learn, within a minute."""

from ..experiments import recipes
from . import run as runs
from .verb import Answer, Subparsers, add_verb

DEMO_FOLDER = "deepcompress-demo"


def add_parser(subparsers: Subparsers) -> None:
    """Add ``demo`` to the command line."""
    help = "compress a small network for scikit-learn's digits, within a minute"
    parser = add_verb(subparsers, demo, help, resumable=True)
    parser.add_argument("-o", "--out", metavar="DIR", help=f"{runs.FOLDER}; default: {DEMO_FOLDER}")


def demo(out: str | None = None) -> Answer:
    """Run the demo's recipe.

    Parameters
    ----------
    out : str, optional
        As for `commands.run.run`, ``deepcompress-demo`` by default.
    """
    return runs.run_recipe(recipes.DEMO, None, out or DEMO_FOLDER)
