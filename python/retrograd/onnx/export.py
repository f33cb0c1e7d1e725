"""Writing a model as an ONNX file: the walk over its graph, and the table of what writes each operation."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from retrograd._arguments import integer
from retrograd._core import __version__
from retrograd.errors import ArgumentError, GraphError
from retrograd.model import Model
from retrograd.onnx import _write_elementwise as elementwise
from retrograd.onnx import _write_images as images
from retrograd.onnx import _write_layers as layers
from retrograd.onnx import _write_sequences as sequences
from retrograd.onnx import _write_shapes as shapes
from retrograd.onnx._writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node
    from retrograd.model import Path

    Write = Callable[[Writer, Node], None]

# The version of the file's own structure that goes with an opset; runtimes of 2023 read them all.
IR_VERSION = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10}

WRITE: dict[str, Write] = {
    **elementwise.WRITE,
    **shapes.WRITE,
    **layers.WRITE,
    **images.WRITE,
    **sequences.WRITE,
}


def export(net: Model, path: Path | None = None, opset: int = 17) -> Any:
    """Write a model as ONNX, for inference: dropout drops nothing, batch norm uses its running statistics.

    The inputs and outputs have the model's names and axes, with a free first size called ``batch``; images
    stay [batch, height, width, channels] at the border. Indices are int64, all other numbers of the model's
    own dtype. Parameters keep their names; docs/onnx.md says in which layout.

    Parameters
    ----------
    net
        The model.
    path
        Of the file to write; None: nothing is written.
    opset
        Of the operators, 17 to 21.

    Returns
    -------
    onnx.ModelProto or str
        The model, checked by ``onnx.checker``; the path where one was given.

    Raises
    ------
    GraphError
        An operation that ONNX cannot express: those of losses, for instance.
    ArgumentError
        No model, another opset, or the package onnx is not installed.
    OSError
        The file cannot be written.
    """
    if not isinstance(net, Model):
        raise ArgumentError(f"onnx.export: expected a model, got {type(net).__name__}")
    if integer("onnx.export: opset", opset) not in IR_VERSION:
        known = ", ".join(map(str, IR_VERSION))
        raise ArgumentError(f"onnx.export: opset is {opset}, expected one of {known}")
    writer = Writer(net, opset)
    order = walk(net.outputs)
    for node in order:
        operands = _operands(node)
        # a walk that becomes a Scan takes its parameters as they are
        user = "scan" if node.op in sequences.WALKS and operands == node.inputs else node.op
        for operand in operands:
            writer.users.setdefault(operand, set()).add(user)
    for node in order:
        if node.kind == "operation":
            if node.op not in WRITE:
                raise writer.refuse(node, f"there is no ONNX for it; written are {', '.join(sorted(WRITE))}")
            WRITE[node.op](writer, node)
        elif node.kind == "input":
            writer.result(node)
    model = _model(writer)
    writer.onnx.checker.check_model(model, full_check=True)
    if path is None:
        return model
    target = os.fspath(path)
    with open(target, "wb") as file:
        file.write(model.SerializeToString())
    return target


def _operands(node: Node) -> list[Node]:
    """The nodes whose tensors an operation needs: a recurrent layer's operator takes x itself."""
    return sequences.operands(node) if node.op in sequences.WALKS else node.inputs


def walk(outputs: list[Node]) -> list[Node]:
    """All nodes that are needed, each after those it needs."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack = [(node, False) for node in reversed(outputs)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((operand, False) for operand in reversed(_operands(node)))
    return order


def _model(writer: Writer) -> Any:
    onnx, net = writer.onnx, writer.net
    inputs = [
        onnx.helper.make_tensor_value_info(
            name,
            onnx.TensorProto.INT64 if node.dtype == "index" else writer.element,
            ["batch", *node.sample_shape],
        )
        for name, node in zip(net._core.input_names, net.inputs, strict=True)
    ]
    outputs, names = [], set(net._core.input_names)
    for node in net.outputs:
        if not node.batched or node.dtype == "index":
            raise GraphError(
                f"onnx: output {writer.name_of(node)} is an input of indices or has no batch axis, so "
                "there is nothing to compute"
            )
        name = writer.value(node)
        if name in names:  # a tensor has one name, and an output one of its own
            name = writer.emit("Identity", [name], writer.fresh(f"{name}:output"))
        names.add(name)
        outputs.append(
            onnx.helper.make_tensor_value_info(name, writer.element, ["batch", *node.sample_shape])
        )
    graph = onnx.helper.make_graph(
        writer.nodes, "retrograd", inputs, outputs, list(writer.initializers.values())
    )
    count = net.flat_parameters.size
    graph.doc_string = f"{count:,} parameters, {net.dtype}; images are (batch, height, width, channels)"
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", writer.opset)],
        ir_version=IR_VERSION[writer.opset],
        producer_name="retrograd",
        producer_version=__version__,
        doc_string="A network trained with retrograd, for inference.",
    )
    onnx.helper.set_model_props(model, net.metadata)
    return model
