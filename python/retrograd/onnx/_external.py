"""Weights that lie in files beside a model's own. The model says in which, and is not believed."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from retrograd.errors import FileFormatError

if TYPE_CHECKING:
    from collections.abc import Iterator


def with_external_data(model: Any, folder: str | None) -> None:
    """Put the data of other files into the model's tensors.

    Parameters
    ----------
    folder
        Of the model; None where it is not a file, so that nothing lies beside it.

    Raises
    ------
    FileFormatError
        A place outside of the folder, or data that are not there.
    """
    for tensor in _tensors(model.graph):
        if tensor.data_location != tensor.EXTERNAL:
            continue
        strings = {entry.key: entry.value for entry in tensor.external_data}
        path = _inside(tensor.name, strings.get("location", ""), folder)
        try:
            offset, length = int(strings.get("offset", 0)), int(strings.get("length", -1))
        except ValueError:
            raise FileFormatError(f"onnx: {tensor.name!r}: offset and length are no numbers") from None
        size = os.path.getsize(path)
        length = size - offset if length < 0 else length
        if offset < 0 or length < 0 or offset + length > size:
            raise FileFormatError(
                f"onnx: {tensor.name!r} is at bytes {offset} to {offset + length} of a file of {size}"
            )
        with open(path, "rb") as file:
            file.seek(offset)
            tensor.raw_data = file.read(length)
        tensor.data_location = tensor.DEFAULT
        del tensor.external_data[:]


def _inside(name: str, location: str, folder: str | None) -> str:
    if folder is None:
        raise FileFormatError(
            f"onnx: {name!r} lies in another file, {location!r}; load the model by its path"
        )
    root = os.path.realpath(folder)
    path = os.path.join(root, location)
    inside = os.path.realpath(path).startswith(os.path.join(root, ""))
    if not location or os.path.isabs(location) or not inside or os.path.islink(path):
        raise FileFormatError(f"onnx: {name!r} lies in {location!r}, outside of the folder of the model")
    if not os.path.exists(path) or not stat.S_ISREG(os.stat(path).st_mode):
        raise FileFormatError(f"onnx: {name!r} lies in {location!r}, which is not there")
    return path


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)
