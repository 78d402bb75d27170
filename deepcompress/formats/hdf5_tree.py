"""All of an HDF5 file but its tensors <-> JSON.

A group is ``{"group": [[name, node], …]}`` and a tensor ``{"tensor": path, "dtype": …, "shape":
…}``, with those of ``"chunks"``, ``"maxshape"``, ``"compression"``, ``"level"``, ``"shuffle"`` and
``"fletcher32"`` that it has. Another dataset is ``{"data": value}``, a second link to something
``{"hard": path}``, and a symbolic one ``{"soft": path}``. Groups and datasets may have
``"attributes"``, a list of names and values; `hdf5_values` has the form of values.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..checks import is_whole
from ..errors import ArgumentError, FormatError, shown
from . import hdf5_values

Take = Callable[[str, Any], bool]

_COMPRESSIONS = ("gzip", "lzf", "szip")
_MOST = 2**63 - 1


def encoded(file: Any, take: Take) -> Any:
    """Return the form of an open file.

    Parameters
    ----------
    file : h5py.File
    take : callable
        Takes the path of a dataset and the dataset, and tells whether it is a tensor.
    """
    return _Tree(take).group(file, "")


class _Tree:
    """Looks at everything in a file once; links to what was seen are links again."""

    def __init__(self, take: Take) -> None:
        self._h5py: Any = importlib.import_module("h5py")
        self._take = take
        self._seen: dict[Any, str] = {}

    def group(self, group: Any, path: str) -> dict[str, Any]:
        """Return the form of a group."""
        self._seen[_address(self._h5py, group)] = path
        form: dict[str, Any] = {"group": [[name, self._link(group, path, name)] for name in group]}
        return self._with_attributes(form, group, path)

    def _link(self, group: Any, path: str, name: str) -> dict[str, Any]:
        """Return the form of what a name in a group leads to."""
        path = f"{path}/{name}" if path else name
        link = group.get(name, getlink=True)
        if isinstance(link, self._h5py.SoftLink):
            return {"soft": link.path}
        if not isinstance(link, self._h5py.HardLink):
            raise ArgumentError(f"{path!r} leads to another file")
        node = group[name]
        if (earlier := self._seen.get(_address(self._h5py, node))) is not None:
            return {"hard": f"/{earlier}"}
        if isinstance(node, self._h5py.Group):
            return self.group(node, path)
        if not isinstance(node, self._h5py.Dataset):
            raise ArgumentError(f"{path!r} is a datatype of its own, which can't be kept")
        self._seen[_address(self._h5py, node)] = path
        if node.is_virtual or node.external:
            raise ArgumentError(f"{path!r} has its elements in another file")
        form = self._tensor(path, node) if self._take(path, node) else self._data(path, node)
        return self._with_attributes(form, node, path)

    def _tensor(self, path: str, dataset: Any) -> dict[str, Any]:
        form = {"tensor": path, "dtype": dataset.dtype.str, "shape": list(dataset.shape)}
        if dataset.chunks:
            form["chunks"] = list(dataset.chunks)
        if dataset.maxshape != dataset.shape:
            form["maxshape"] = list(dataset.maxshape)
        if dataset.compression in _COMPRESSIONS:
            form["compression"] = dataset.compression
            if dataset.compression == "gzip":
                form["level"] = dataset.compression_opts
        for name in ("shuffle", "fletcher32"):
            if getattr(dataset, name):
                form[name] = True
        return form

    def _data(self, path: str, dataset: Any) -> dict[str, Any]:
        what = f"dataset {path!r}"
        values = None if dataset.shape is None else dataset[()]
        return {"data": hdf5_values.encoded(values, dataset.dtype, dataset.shape, what)}

    def _with_attributes(self, form: dict[str, Any], node: Any, path: str) -> dict[str, Any]:
        values = []
        for name in node.attrs:
            what = f"attribute {name!r} of {path or '/'!r}"
            ident = node.attrs.get_id(name)
            is_empty = ident.get_space().get_simple_extent_type() == self._h5py.h5s.NULL
            value = None if is_empty else node.attrs[name]
            shape = None if is_empty else ident.shape
            values.append([name, hdf5_values.encoded(value, ident.dtype, shape, what)])
        return {**form, "attributes": values} if values else form


def _address(h5py: Any, node: Any) -> Any:
    return h5py.h5o.get_info(node.id).addr


def decoded(file: Any, form: Any) -> set[str]:
    """Make everything of a form but the elements of tensors; return the tensors' paths.

    Raises
    ------
    FormatError
        If the form isn't valid.
    """
    tensors: set[str] = set()
    links: list[tuple[Any, str, str]] = []
    _fill_group(file, form, "", tensors, links)
    for group, name, target in links:
        try:
            group[name] = file[target]
        except (KeyError, ValueError) as error:
            raise FormatError(f"{name[:40]!r} leads nowhere: {error}") from None
    return tensors


def _fill_group(
    group: Any, form: Any, path: str, tensors: set[str], links: list[tuple[Any, str, str]]
) -> None:
    h5py: Any = importlib.import_module("h5py")
    if not isinstance(form, Mapping) or not isinstance(form.get("group"), list):
        raise FormatError(f"not a group: {shown(form)}")
    _set_attributes(group, form)
    for item in form["group"]:
        if not isinstance(item, list) or len(item) != 2 or not _is_name(item[0]):
            raise FormatError(f"not a name and what it leads to: {shown(item)}")
        name, node = item
        if not isinstance(node, Mapping) or name in group:
            raise FormatError(f"{name[:40]!r} is there twice, or nothing")
        below = f"{path}/{name}" if path else name
        if "group" in node:
            _fill_group(group.create_group(name), node, below, tensors, links)
        elif isinstance(node.get("soft"), str):
            group[name] = h5py.SoftLink(node["soft"])
        elif isinstance(node.get("hard"), str):
            links.append((group, name, node["hard"]))
        elif "data" in node:
            values, dtype, shape = hdf5_values.decoded(node["data"])
            made = h5py.Empty(dtype) if shape is None else values
            kind = None if shape is None else dtype
            _set_attributes(group.create_dataset(name, data=made, dtype=kind), node)
        elif node.get("tensor") == below:
            _set_attributes(_tensor(group, name, node), node)
            tensors.add(below)
        else:
            raise FormatError(f"{name[:40]!r} is nothing: {shown(dict(node))}")


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name not in ("", ".") and not {"/", "\0"} & set(name)


def _tensor(group: Any, name: str, form: Mapping[str, Any]) -> Any:
    """Make a dataset without elements.

    By the functions below `create_dataset`, which refuses chunks that go beyond the axes though
    it makes such chunks itself for axes that are empty.
    """
    h5py: Any = importlib.import_module("h5py")
    shape, maxshape = _shape(form.get("shape")), form.get("maxshape", form.get("shape"))
    if not isinstance(maxshape, list) or len(maxshape) != len(shape):
        raise FormatError(f"not a shape: {shown(maxshape)}")
    limits = tuple(h5py.h5s.UNLIMITED if n is None else _shape([n])[0] for n in maxshape)
    stored = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    stored.set_obj_track_times(False)  # or the bytes would be others every second
    if "chunks" in form:
        stored.set_chunk(_shape(form["chunks"]))
    if form.get("shuffle") is True:
        stored.set_shuffle()
    if form.get("compression") == "gzip":
        stored.set_deflate(form["level"] if is_whole(form.get("level"), 0, 9) else 4)
    elif form.get("compression") == "lzf":
        stored.set_filter(h5py.h5z.FILTER_LZF, h5py.h5z.FLAG_OPTIONAL)
    elif form.get("compression") == "szip":
        stored.set_szip(h5py.h5z.SZIP_NN_OPTION_MASK, 8)
    if form.get("fletcher32") is True:
        stored.set_fletcher32()
    kind = h5py.h5t.py_create(hdf5_values.dtype_of(form.get("dtype")), logical=True)
    space = h5py.h5s.create_simple(shape, limits)
    return h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, dcpl=stored))


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(is_whole(n, 0, _MOST) for n in value):
        raise FormatError(f"not a shape: {shown(value)}")
    return tuple(value)


def _set_attributes(node: Any, form: Mapping[str, Any]) -> None:
    h5py: Any = importlib.import_module("h5py")
    items = form.get("attributes", [])
    if not isinstance(items, list):
        raise FormatError(f"not attributes: {shown(items)}")
    for item in items:
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], str):
            raise FormatError(f"not an attribute: {shown(item)}")
        values, dtype, shape = hdf5_values.decoded(item[1])
        if shape is None:
            node.attrs.create(item[0], h5py.Empty(dtype))
        else:
            node.attrs.create(item[0], np.asarray(values), shape, dtype)
