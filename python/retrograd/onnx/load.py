"""Reading an ONNX file: what is checked before anything of it is believed, and the walk over operators."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd.errors import ArgumentError, FileFormatError, GraphError, RetrogradError, ShapeError
from retrograd.graph import Input
from retrograd.model import Model
from retrograd.onnx import _read_elementwise as elementwise
from retrograd.onnx import _read_images as images
from retrograd.onnx import _read_layers as layers
from retrograd.onnx import _read_reductions as reductions
from retrograd.onnx import _read_sequences as sequences
from retrograd.onnx import _read_shapes as shapes
from retrograd.onnx._external import with_external_data
from retrograd.onnx._fold import FOLD, MOVES
from retrograd.onnx._reader import Reader, Step, Value
from retrograd.onnx._writer import package

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.model import Path

    Read = Callable[[Reader, Step], Any]

LARGEST = 2**31 - 1  # bytes of a file: what protobuf can hold
MOST_NODES = 65_536
OLDEST, NEWEST = 7, 28  # opsets

READ: dict[str, Read] = {
    **elementwise.READ,
    **shapes.READ,
    **reductions.READ,
    **layers.READ,
    **images.READ,
    **sequences.READ,
}
SUPPORTED = sorted({*READ, *FOLD, "Constant", "Shape"})


def load(source: Path | bytes | Any) -> Model:
    """The network of an ONNX model, with parameters that can be trained further.

    Files of :func:`export` come back as they were; what PyTorch, Keras and others write is read as far as
    docs/onnx.md says. The first axis of an input is the batch, or the only one without a fixed size. Images
    stay as the file has them, [batch, channels, height, width] mostly.

    Parameters
    ----------
    source
        The path of a file, its bytes, or an ``onnx.ModelProto``.

    Returns
    -------
    Model
        float64 where the file's numbers are double, else float32.

    Raises
    ------
    FileFormatError
        No ONNX file, or one that contradicts itself.
    GraphError
        An operator that is not read, or a use of one: the message says which, and where.
    ShapeError
        Sizes that do not fit, or an input without fixed sizes.
    ArgumentError
        The package onnx is not installed.
    OSError
        The file cannot be read.
    """
    onnx = package()
    model = _parsed(onnx, source)
    try:
        _refuse_unknown(model)
        onnx.checker.check_model(model)
        with np.errstate(all="ignore"):  # what is not finite is refused where it would be a parameter
            return _model(onnx, model)
    except RetrogradError:
        raise
    except onnx.checker.ValidationError as error:
        raise FileFormatError(f"onnx: the model contradicts itself: {str(error).strip()}") from None
    except (KeyError, IndexError, ValueError, TypeError, OverflowError, AssertionError) as error:
        raise FileFormatError(f"onnx: the model contradicts itself: {error!r}") from error


def _parsed(onnx: Any, source: Any) -> Any:
    folder = None
    if isinstance(source, onnx.ModelProto):
        model = onnx.ModelProto()
        model.CopyFrom(source)
    else:
        data = source
        if isinstance(source, str | os.PathLike):
            path = os.fspath(source)
            if os.path.getsize(path) > LARGEST:
                raise FileFormatError(f"onnx: {path} is larger than {LARGEST:,} bytes, which no ONNX file is")
            with open(path, "rb") as file:
                data = file.read()
            folder = os.path.dirname(os.path.abspath(path))
        if not isinstance(data, bytes | bytearray | memoryview):
            raise ArgumentError(
                f"onnx.load: expected a path, bytes or an onnx.ModelProto, got {type(source).__name__}"
            )
        model = onnx.ModelProto()
        try:
            model.ParseFromString(bytes(data))
        except Exception as error:  # protobuf's own classes differ between its versions
            raise FileFormatError(f"onnx: this is no ONNX model: {error}") from None
    if not model.HasField("graph") or not model.opset_import:
        raise FileFormatError("onnx: this is no ONNX model: it has no graph, or no version of operators")
    if len(model.graph.node) > MOST_NODES:
        raise FileFormatError(
            f"onnx: {len(model.graph.node):,} operators, and at most {MOST_NODES:,} are read"
        )
    with_external_data(model, folder)
    return model


def _refuse_unknown(model: Any) -> None:
    strange = [
        f"{node.domain + '.' if node.domain else ''}{node.op_type} ({node.name or node.output[:1]})"
        for node in model.graph.node
        if node.domain not in ("", "ai.onnx") or node.op_type not in SUPPORTED
    ]
    if strange:
        raise GraphError(
            f"onnx: {', '.join(strange[:8])}{', ...' if len(strange) > 8 else ''} cannot be read; the "
            f"operators that can are {', '.join(SUPPORTED)}"
        )


def _opset(model: Any) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or not OLDEST <= versions[0] <= NEWEST:
        found = versions[0] if versions else "none"
        raise GraphError(f"onnx: opset {found} cannot be read, expected {OLDEST} to {NEWEST}")
    return int(versions[0])


def _model(onnx: Any, model: Any) -> Model:
    graph = model.graph
    ours = model.producer_name == "retrograd"
    initial = {tensor.name: _array(onnx, tensor) for tensor in graph.initializer}
    given = [info for info in graph.input if info.name not in initial]
    doubles = [
        info.type.tensor_type.elem_type == onnx.TensorProto.DOUBLE for info in [*graph.input, *graph.output]
    ]
    dtype = np.float64 if any(doubles) else np.float32
    reader = Reader(_opset(model), ours, dtype)
    reader.handlers = READ
    reader.outputs = {info.name for info in graph.output}
    _count_uses(reader, graph, initial)
    for name, array in initial.items():
        real = array.dtype.kind == "f"
        # one number alone is an epsilon or a scale that a program has put beside its weights
        reader.values[name] = Value(name, array=array, trained=real and (ours or array.size > 1))
    inputs = [_input(onnx, reader, info) for info in given]
    for node in sorted(graph.node, key=lambda node: node.op_type != "Constant"):
        if not all(name in reader.values for name in node.output if name):
            _read(onnx, reader, node)
    outputs = [_output(reader, info.name) for info in graph.output]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    made = Model(inputs, outputs, dtype=dtype)
    return Model.from_bytes(made.to_bytes(metadata)) if metadata else made


def _array(onnx: Any, tensor: Any) -> Any:
    try:
        array = onnx.numpy_helper.to_array(tensor)
    except Exception as error:  # sizes that do not fit, types that NumPy has not
        raise FileFormatError(f"onnx: tensor {tensor.name!r} cannot be read: {error}") from None
    return array.astype(np.float32) if array.dtype.kind == "V" or array.dtype == np.float16 else array


def _count_uses(reader: Reader, graph: Any, initial: dict[str, Any]) -> None:
    """Who takes a tensor, and which kinds of operators take a parameter, turned or not."""
    sources: dict[str, set[str]] = {name: {name} for name in initial}
    for node in graph.node:
        for step in (inner for entry in node.attribute for inner in entry.g.node):
            for root in set().union(*(sources.get(name, set()) for name in step.input)):
                reader.uses.setdefault(root, set()).add(node.op_type)
        behind = set().union(*(sources.get(name, set()) for name in node.input))
        for name in node.input:
            reader.takers.setdefault(name, []).append(node)
        reader.makers.update(dict.fromkeys(node.output, node))
        table = node.op_type == "Gather" and node.input[0] in sources and node.input[1] not in sources
        if node.op_type in MOVES and not table:
            for name in node.output:
                sources[name] = behind
        else:
            # a product with another bias, or with none, is another layer's
            shift = ",".join(name for name in node.input[2:] if name in sources)
            kind = f"MatMul {shift}" if node.op_type in ("Gemm", "MatMul") else node.op_type
            for root in behind:
                reader.uses.setdefault(root, set()).add(kind)


def _input(onnx: Any, reader: Reader, info: Any) -> Any:
    tensor = info.type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in tensor.shape.dim]
    if not sizes:
        raise ShapeError(f"onnx: input {info.name!r} has no axis, expected a batch of samples")
    free = [axis for axis, size in enumerate(sizes) if size <= 0]
    at = free[0] if len(free) == 1 else 0
    reader.fixed = sizes[at]
    rest = [size for axis, size in enumerate(sizes) if axis != at]
    if any(size <= 0 for size in rest):
        raise ShapeError(
            f"onnx: input {info.name!r} has several axes without a size, {sizes} with 0 for those; only the "
            "batch may be free, so fix the others, for instance by onnx.tools.update_model_dims"
        )
    index = tensor.elem_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    node = Input(rest, dtype="int64" if index else None, name=info.name)
    places = iter(range(1, len(sizes)))
    order = [0 if axis == at else next(places) for axis in range(len(sizes))]
    reader.values[info.name] = Value(info.name, node=node, order=order)
    return node


def _read(onnx: Any, reader: Reader, node: Any) -> None:
    where = f"onnx: {node.op_type} {node.name or ', '.join(node.output)!r}"
    inputs = [reader.values[name] if name else None for name in node.input]
    attributes = {entry.name: _attribute(onnx, entry) for entry in node.attribute}
    step = Step(node.op_type, node.name, inputs, attributes, list(node.output))
    try:
        found = _computed(reader, step)
    except RetrogradError as error:
        raise type(error)(f"{where}: {error}") from None
    except (KeyError, IndexError, ValueError, TypeError, OverflowError, AttributeError) as error:
        raise FileFormatError(f"{where}: it contradicts itself: {error!r}") from error
    for name, value in zip(step.outputs, found, strict=False):
        if name and value is not None:
            value.name = name
            reader.values[name] = value


def _computed(reader: Reader, step: Step) -> list[Any]:
    if step.op == "Constant":
        values = [value for name, value in step.attributes.items() if name.startswith("value")]
        return [Value(step.outputs[0], array=np.asarray(values[0]))]
    if step.op == "Shape":
        start, end = step.attributes.get("start", 0), step.attributes.get("end")
        return [Value(step.outputs[0], array=np.array(step.value(0).shape[start:end], np.int64))]
    operands = [value for value in step.inputs if value is not None]
    if step.op in FOLD and operands and all(value.array is not None for value in operands):
        trained = any(value.trained for value in operands)
        if not trained or step.op in MOVES:
            arrays = FOLD[step.op](step, [value.array for value in operands if value.array is not None])
            several = arrays if isinstance(arrays, list) else [arrays]
            return [
                Value(name, array=np.asarray(array), trained=trained, step=step if trained else None)
                for name, array in zip(step.outputs, several, strict=True)
            ]
    if step.op not in READ:
        raise GraphError("it is read only where its operands are known when the file is read")
    found = READ[step.op](reader, step)
    return found if isinstance(found, list) else [found]


def _attribute(onnx: Any, entry: Any) -> Any:
    value = onnx.helper.get_attribute_value(entry)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return _array(onnx, value)
    if isinstance(value, list) or hasattr(value, "append"):
        return [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value]
    return value


def _output(reader: Reader, name: str) -> Any:
    if name not in reader.values:
        maker = reader.makers.get(name)
        if maker is None:
            raise FileFormatError(f"onnx: no operator makes the output {name!r}")
        raise GraphError(
            f"onnx: output {name!r} is one of {maker.op_type} that cannot be read, only its first one"
        )
    value = reader.values[name]
    if not value.batched:
        raise GraphError(f"onnx: output {name!r} does not depend on an input")
    return reader.batch_first(value)[0]
