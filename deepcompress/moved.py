"""The names that modules had before they got folders; importing one gives the module of today."""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PREFIX = __package__ + "."
# By the folder of today: modules that kept their names, and FORMER=TODAY of the others.
_MOVED_TO = {
    "": "modelfile=model_file selection=prune",
    "bits.": "bitpack=packing delta_tokens=tokens",
    "coding.": "blocks=join choice=prices coders decoding=decoder memory rans "
    "rans_table=rans_levels symbol_counts=counts",
    "container.": "container_header=header container_layout=sizes container_reader=reader "
    "container_shared=shared_weights container_writer=writer cursor",
    "experiments.": "datasets experiment=run journal recipes",
    "files.": "atomic strict_json",
    "formats.": "idx npz sources=registry",
    "huffman.": "code_table=table prefix_code=codes",
    "packed.": "compressed=tensor compressed_conversions=tensor compressed_parts=stream",
    "quantize.": "initial_centroids=starts lloyd",
    "reports.": "ledger paper plot_series=series plots report=tables",
    "runtime.": "compressed_network=network crossover network_file=loading pictures preprocessing "
    "program program_memory=arena",
    "spmv.": "layout=lanes layout_choice=choose layout_tiles=tiles spconv=convolution "
    "spconv_blocks=column_blocks",
}
MOVED = {
    pair.split("=")[0]: folder + pair.split("=")[-1]
    for folder, pairs in _MOVED_TO.items()
    for pair in pairs.split()
}


class MovedFinder(MetaPathFinder, Loader):
    """Finds a module by its former name, after all other finders."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a former name, else None."""
        is_moved = fullname.startswith(PREFIX) and fullname.removeprefix(PREFIX) in MOVED
        return ModuleSpec(fullname, self) if is_moved else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module of today, which then has two names."""
        new = PREFIX + MOVED[spec.name.removeprefix(PREFIX)]
        warnings.warn(f"{spec.name} is now {new}", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back; it has run already."""
        former = module.__spec__
        module.__spec__ = former.loader_state if former else None


def install() -> None:
    """Have former names found."""
    if not any(isinstance(finder, MovedFinder) for finder in sys.meta_path):
        sys.meta_path.append(MovedFinder())
