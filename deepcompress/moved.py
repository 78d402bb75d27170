"""The names that modules had before they got folders; importing one gives the module of today."""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PREFIX = __package__ + "."
MOVED = {
    "atomic": "files.atomic",
    "bitpack": "bits.packing",
    "blocks": "coding.join",
    "choice": "coding.prices",
    "code_table": "huffman.table",
    "coders": "coding.coders",
    "compressed": "packed.tensor",
    "compressed_conversions": "packed.tensor",
    "compressed_network": "runtime.network",
    "compressed_parts": "packed.stream",
    "container_header": "container.header",
    "container_layout": "container.sizes",
    "container_reader": "container.reader",
    "container_shared": "container.shared_weights",
    "container_writer": "container.writer",
    "crossover": "runtime.crossover",
    "cursor": "container.cursor",
    "datasets": "experiments.datasets",
    "decoding": "coding.decoder",
    "delta_tokens": "bits.tokens",
    "experiment": "experiments.run",
    "idx": "formats.idx",
    "initial_centroids": "quantize.starts",
    "journal": "experiments.journal",
    "layout": "spmv.lanes",
    "layout_choice": "spmv.choose",
    "layout_tiles": "spmv.tiles",
    "ledger": "reports.ledger",
    "lloyd": "quantize.lloyd",
    "memory": "coding.memory",
    "modelfile": "model_file",
    "network_file": "runtime.loading",
    "npz": "formats.npz",
    "paper": "reports.paper",
    "pictures": "runtime.pictures",
    "plot_series": "reports.series",
    "plots": "reports.plots",
    "prefix_code": "huffman.codes",
    "preprocessing": "runtime.preprocessing",
    "program": "runtime.program",
    "program_memory": "runtime.arena",
    "rans": "coding.rans",
    "rans_table": "coding.rans_levels",
    "recipes": "experiments.recipes",
    "report": "reports.tables",
    "selection": "prune",
    "sources": "formats.registry",
    "spconv": "spmv.convolution",
    "spconv_blocks": "spmv.column_blocks",
    "strict_json": "files.strict_json",
    "symbol_counts": "coding.counts",
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
