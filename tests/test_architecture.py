"""The written rule of who may import whom, and of what holds for every module."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import deepcompress

PACKAGE = Path(deepcompress.__file__).parent

GROUND = {"errors", "dtypes", "locks", "tensors", "structs", "checks", "files", "trellis"}
STAGES = {"prune", "quantize", "relindex", "huffman", "container", "spmv"}
PRODUCT = {
    *("packed", "coding", "kinds", "config", "presets", "ties"),
    *("inputs", "model_file", "model", "pipeline", "spreading", "streaming"),
}

# What each part of the package may import. A part is a module or a folder of `deepcompress`; what
# isn't named here may not exist. Stages know the ground, C, and bits: never each other. Whoever
# imports `__init__` wants the version.
MAY_IMPORT = {
    "errors": set(),
    "moved": set(),
    "locks": set(),
    "dtypes": {"errors"},
    "tensors": {"errors", "dtypes"},
    "structs": {"errors", "tensors"},
    "trellis": {"tensors"},
    "checks": {"errors", "tensors"},
    "files": {"errors"},
    "native": GROUND,
    "bits": GROUND | {"native"},
    **dict.fromkeys(STAGES, GROUND | {"native", "bits"}),
    "packed": GROUND | {"native", "bits", "relindex", "spmv"},
    "coding": GROUND | {"native", "bits", "relindex", "huffman", "container", "packed"},
    "kinds": {"errors"},
    "ties": {"dtypes", "tensors", "container"},
    "config": GROUND | {"quantize", "coding", "container", "kinds"},
    "presets": {"errors", "config", "kinds"},
    "inputs": GROUND | {"container"},
    "spreading": {"errors", "checks"},
    "model_file": GROUND | {"native", "container", "packed", "coding", "inputs"},
    "model": GROUND | {"container", "packed", "coding", "inputs", "model_file"},
    "pipeline": GROUND | STAGES | {"bits"} | PRODUCT - {"pipeline", "streaming"},
    "streaming": GROUND | STAGES | PRODUCT - {"streaming"},
    "nn": {"errors", "locks", "tensors", "checks", "native"},
    "runtime": GROUND | STAGES | PRODUCT | {"native", "bits", "nn"},
    "calibrate": GROUND | PRODUCT - {"streaming"} | {"native", "container", "nn"},
    "search": GROUND | PRODUCT - {"streaming"} | {"nn", "calibrate"},
    "formats": GROUND | STAGES | PRODUCT | {"bits", "nn"},
    "reports": GROUND | STAGES | PRODUCT | {"native", "bits", "runtime", "formats"},
    "training": GROUND | STAGES | PRODUCT | {"nn"},
    "torch": GROUND | PRODUCT | {"training"},
    "sklearn": GROUND | STAGES | PRODUCT | {"nn", "runtime", "training"},
    "experiments": GROUND
    | STAGES
    | PRODUCT
    | {"__init__", "native", "nn", "runtime", "formats", "reports"},
    "figures": GROUND | STAGES | PRODUCT | {"__init__", "nn", "formats", "reports", "experiments"},
    "commands": GROUND
    | STAGES
    | PRODUCT
    | {"__init__", "native", "nn", "runtime", "calibrate", "search"}
    | {"formats", "reports", "experiments", "figures"},
    "cli": GROUND | {"__init__", "commands"},
    "__main__": {"cli"},
    "__init__": GROUND | PRODUCT | {"moved", "native", "runtime"},
}

MODULES = sorted(PACKAGE.rglob("*.py"))
each_module = pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix()
)


def dotted(path):
    """Return the parts of a module's name below `deepcompress`; a package's own is its face."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts


NAMES = {".".join(dotted(path)): path for path in MODULES}


def part(name):
    return name.split(".")[0]


@cache
def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path):
    """Return absolute names of what a module imports anywhere, types included."""
    return tuple(_imports(path))


def _imports(path):
    package = ["deepcompress", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:  # a module, or a name of the module
                full = f"{module}.{alias.name}"
                yield full if full.removeprefix("deepcompress.") in NAMES else module


def own(path):
    """Return the names below `deepcompress` of the modules that one imports."""
    names = {name.removeprefix("deepcompress.") for name in imports(path) if is_ours(name)}
    return {"__init__" if name == "deepcompress" else name for name in names}


def is_ours(name):
    return name.split(".")[0] == "deepcompress"


def components(graph):
    """Return the strongly connected components of a graph (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for following in graph[node]:
            if following not in index:
                visit(following)
            if following in stack:
                low[node] = min(low[node], low[following])
        if low[node] == index[node]:
            at = stack.index(node)
            found.append(set(stack[at:]))
            del stack[at:]

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_every_part_is_in_the_table():
    assert {part(name) for name in NAMES} == set(MAY_IMPORT)


@each_module
def test_parts_import_only_what_they_may(path):
    name = ".".join(dotted(path))
    assert {part(other) for other in own(path)} - {part(name)} - MAY_IMPORT[part(name)] == set()


def test_no_module_comes_back_to_itself():
    graph = {name: own(path) & NAMES.keys() for name, path in NAMES.items()}
    assert [sorted(found) for found in components(graph) if len(found) > 1] == []


def test_no_part_comes_back_to_itself():
    graph = {mine: set() for mine in MAY_IMPORT}
    for name, path in NAMES.items():
        graph[part(name)] |= {part(other) for other in own(path)} - {part(name)}
    assert [sorted(found) for found in components(graph) if len(found) > 1] == []


@each_module
def test_native_alone_touches_cffi(path):
    if part(".".join(dotted(path))) == "native":
        return
    names = {name.split(".")[0] for name in imports(path)} | own(path)
    assert names & {"cffi", "native._native"} == set()
    nodes = ast.walk(parsed(path))
    assert not {"_ffi", "_lib"} & {getattr(n, "attr", getattr(n, "id", "")) for n in nodes}


@each_module
def test_faces_hold_no_code(path):
    if path.name == "__init__.py" and path.parent != PACKAGE:
        assert path.read_text(encoding="utf-8").count("\n") <= 40
        tree = parsed(path)
        is_docstring = isinstance(tree.body[0], ast.Expr)
        assert is_docstring
        for node in tree.body[1:]:
            assert isinstance(node, ast.ImportFrom) or ast.unparse(node).startswith("__all__")


def test_classes_have_names_of_their_own():
    seen = {}
    for name, path in NAMES.items():
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef):
                seen.setdefault(node.name, []).append(name)
    assert {name: places for name, places in seen.items() if len(places) > 1} == {}


CSRC = Path(__file__).parents[1] / "csrc"
SOURCES = sorted(CSRC.rglob("*.[ch]"))
each_source = pytest.mark.parametrize(
    "path", SOURCES, ids=lambda path: path.relative_to(CSRC).as_posix()
)

# What each folder of the C kernels may include besides headers at the top.
MAY_INCLUDE = {
    "": set(),
    "bits": set(),
    "quantize": set(),
    "calibrate": {"pool"},
    "nn": {"pool"},
    "relindex": set(),
    "planes": {"bits", "crc", "huffman", "pool"},
    "crc": set(),
    "pages": set(),
    "huffman": {"bits"},
    "rans": {"bits"},
    "context": set(),
    "join": {"bits"},
    "pool": set(),
    "layout": {"bits", "pool"},
    "spmv": {"bits", "layout", "pool"},
    "spconv": {"bits", "layout", "pool"},
    "program": {"bits", "layout", "spmv", "spconv", "pool"},
}
PLATFORM = re.compile(r"__(x86_64|aarch64|arm|GNUC|clang|BYTE_ORDER)_*\b")


def folder_of(source):
    """Return the folder of a C file, or nothing for one at the top."""
    return source.split("/")[0] if "/" in source else ""


@each_source
def test_folders_of_c_include_only_what_they_may(path):
    name = path.relative_to(CSRC).as_posix()
    included = re.findall(r'^#include "(.+)"', path.read_text(encoding="utf-8"), re.MULTILINE)
    folders = {folder_of(other) for other in included} - {"", folder_of(name)}
    if name != "dispatch.c":  # which has the kernels of all
        assert folders <= MAY_INCLUDE[folder_of(name)]


@each_source
def test_one_header_asks_for_the_platform(path):
    text = path.read_text(encoding="utf-8")
    if path.name not in ("platform.h", "status.c"):  # the latter names the compiler
        assert not [line for line in text.splitlines() if line[:1] == "#" and PLATFORM.search(line)]


@each_source
def test_c_has_no_mutable_state(path):
    text = path.read_text(encoding="utf-8")
    declared = re.findall(r"^\s*(?:static|_Thread_local)\s[^(){]*[=;]", text, re.MULTILINE)
    assert not [line for line in declared if "const" not in line]


@pytest.mark.parametrize(
    "name",
    sorted(
        STAGES | PRODUCT | {"nn", "runtime", "calibrate", "training", "torch", "sklearn", "search"}
    ),
)
def test_tests_are_named_after_parts(name):
    assert list(Path(__file__).parent.glob(f"test_{name}*.py"))


def test_each_folder_of_c_has_a_gateway():
    csrc = Path(__file__).parents[1] / "csrc"
    folders = [path.name for path in csrc.iterdir() if path.is_dir()]
    assert [name for name in folders if f"native.{name}" not in NAMES] == []
