"""The written rule of who may import whom."""

import ast
from pathlib import Path

import pytest

import deepcompress

PACKAGE = Path(deepcompress.__file__).parent
BASE = {"errors", "tensors", "bitpack", "native"}
BASE |= {"native_join", "native_spmv", "native_spconv"}
STAGES = {
    "prune": BASE | {"selection"},
    "selection": BASE,
    "quantize": BASE | {"native_quantize", "initial_centroids", "lloyd"},
    "lloyd": BASE | {"native_quantize"},
    "initial_centroids": set(),
    "relindex": BASE,
    "prefix_code": BASE,
    "delta_tokens": BASE | {"prefix_code"},
    "code_table": BASE | {"prefix_code", "delta_tokens"},
    "huffman": BASE | {"prefix_code", "code_table"},
    "blocks": BASE | {"relindex"},
    "rans_table": BASE | {"prefix_code", "delta_tokens"},
    "rans": BASE | {"prefix_code", "rans_table"},
    "container": BASE | {"cursor"},
    # Writer and readers are checked against each other: neither knows the other.
    "container_layout": BASE | {"container", "cursor"},
    "container_writer": BASE | {"container", "container_layout", "cursor"},
    "container_shared": BASE | {"container", "container_layout", "cursor"},
    "container_header": BASE | {"container", "container_layout", "cursor", "strict_json"},
    "container_reader": BASE
    | {"container", "container_layout", "cursor"}
    | {"container_header", "container_shared"},
    "spmv": BASE,
    "spconv": BASE | {"spmv"},
    "spconv_blocks": BASE,
    "layout": BASE | {"layout_tiles"},
    "layout_choice": BASE | {"layout", "layout_tiles"},
    "layout_tiles": BASE,
    "bitpack": {"errors", "tensors", "native"},
    "native": {"errors", "tensors", "_native"},
    "native_join": {"errors", "tensors", "native"},
    "native_spmv": {"errors", "tensors", "native"},
    "native_spconv": {"tensors", "native", "native_spmv"},
    "native_quantize": {"tensors", "native"},
    "native_program": {"tensors", "native", "native_spmv", "native_spconv"},
    "tensors": {"errors"},
    "errors": set(),
    "locks": set(),
    "crossover": set(),
    "program_memory": set(),
    "preprocessing": {"errors", "tensors"},
    # Unites what stages made, for use.
    "compressed": BASE
    | {"compressed_conversions", "compressed_parts", "relindex"}
    | {"layout", "layout_choice", "locks"}
    | {"spconv", "spconv_blocks", "spmv"},
    "compressed_conversions": BASE | {"relindex", "spmv"},
    "compressed_parts": BASE | {"relindex"},
}


def is_for_types_only(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imports(path):
    """Absolute dotted names of the modules that run when this one does, at any depth of it."""
    package = ["deepcompress", *path.relative_to(PACKAGE).parts[:-1]]
    pending = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if is_for_types_only(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            # `from . import x` imports modules, `from .x import y` names of one.
            plain = module in ("deepcompress", "deepcompress.commands", "deepcompress.nn")
            yield from ([f"{module}.{a.name}" for a in node.names] if plain else [module])
        pending.extend(ast.iter_child_nodes(node))


def own(path):
    """Names within the package of the modules that this one imports."""
    prefix = "deepcompress."
    return {name.removeprefix(prefix) for name in imports(path) if name.startswith(prefix)}


MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_stages_import_only_what_they_may(stage):
    assert own(PACKAGE / f"{stage}.py") - STAGES[stage] == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_native_alone_touches_cffi(path):
    if path.name not in ("native.py", "native_build.py"):
        names = {name.split(".")[0] for name in imports(path)} | own(path)
        assert names & {"cffi", "_native"} == set()
    if not path.name.startswith("native"):  # they share what is private
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        assert not {"_ffi", "_lib"} & {getattr(n, "attr", getattr(n, "id", "")) for n in tree}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_networks_know_nothing_of_compression(path):
    if path.parent.name == "nn":
        assert {name for name in own(path) if not name.startswith("nn.")} <= {
            "errors",
            "locks",
            "tensors",
        }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_a_command_knows_the_formats_of_others(path):
    if path.parent.name != "formats" and path.name not in ("conversion.py", "sources.py"):
        assert {name for name in own(path) if name.split(".")[0] == "formats"} == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_the_command_line_knows_what_commands_do(path):
    if path.parent.name != "commands" and path.name != "cli.py":
        assert {name for name in own(path) if name.split(".")[0] == "commands"} == set()
