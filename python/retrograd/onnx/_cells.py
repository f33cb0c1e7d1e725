"""One step of a recurrent layer as the body of a Scan: how a walk with a mask is written, and known again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Emit = Callable[..., str]

MASKED = "mask"


def states(cell: str) -> tuple[str, ...]:
    """What is handed on from step to step."""
    return ("h", "c") if cell == "lstm" else ("h",)


def _rnn(function: str) -> Callable[[Emit], dict[str, str]]:
    def step(emit: Emit) -> dict[str, str]:
        return {"h": emit(function, "h_next", "total")}

    return step


def _lstm(emit: Emit) -> dict[str, str]:
    """i, f, g, o are the quarters of z + p; c' = f c + i g, h' = o tanh(c')"""
    emit("Split", ("z_i", "z_f", "z_g", "z_o"), "total", axis=-1)
    for gate in "ifo":
        emit("Sigmoid", gate, f"z_{gate}")
    emit("Tanh", "g", "z_g")
    c = emit("Add", "c_next", emit("Mul", "fc", "f", "c"), emit("Mul", "ig", "i", "g"))
    return {"h": emit("Mul", "h_next", "o", emit("Tanh", "tanh_c", c)), "c": c}


def _gru(emit: Emit) -> dict[str, str]:
    """r, u = sigmoid of the first two thirds of z + p, n = tanh(z_n + r p_n), h' = n + u (h - n)"""
    emit("Split", ("z_r", "z_u", "z_n"), "z", axis=-1)
    emit("Split", ("p_r", "p_u", "p_n"), "p", axis=-1)
    for gate in "ru":
        emit("Sigmoid", gate, emit("Add", f"total_{gate}", f"z_{gate}", f"p_{gate}"))
    emit("Tanh", "n", emit("Add", "total_n", "z_n", emit("Mul", "r_p_n", "r", "p_n")))
    return {"h": emit("Add", "h_next", "n", emit("Mul", "kept", "u", emit("Sub", "change", "h", "n")))}


CELLS: dict[str, Callable[[Emit], dict[str, str]]] = {
    "tanh": _rnn("Tanh"),
    "relu": _rnn("Relu"),
    "lstm": _lstm,
    "gru": _gru,
}


def body(
    onnx: Any, cell: str, weight: str, bias: str, element: int, masked: bool, sequences: bool, opset: int
) -> Any:
    """The graph of a step: z, the mask and the states go in, the states (and h' once more) come out.

    Parameters
    ----------
    cell
        A key of ``CELLS``.
    weight, bias
        The tensors of the graph around it that hold W_hh^T and b_hh.
    element
        ONNX's number for the type of the numbers.
    """
    helper = onnx.helper
    nodes: list[Any] = []

    def emit(op: str, outputs: str | tuple[str, ...], *inputs: str, **attributes: Any) -> str:
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        if op == "Split" and opset >= 18:
            attributes["num_outputs"] = len(names)
        nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names[0]

    emit("Add", "p", emit("MatMul", "product", "h", weight), bias)
    if cell != "gru":
        emit("Add", "total", "z", "p")
    made = CELLS[cell](emit)
    kept = {}
    for state, new in made.items():
        # a step that is masked leaves the state as it is
        kept[state] = (
            emit("Where", f"{state}_out", MASKED, new, state)
            if masked
            else emit("Identity", f"{state}_out", new)
        )

    def info(name: str, kind: int = element) -> Any:
        return helper.make_tensor_value_info(name, kind, None)

    inputs = [info(state) for state in states(cell)] + [info("z")]
    if masked:
        inputs.append(info(MASKED, onnx.TensorProto.BOOL))
    outputs = [info(kept[state]) for state in states(cell)]
    if sequences:
        outputs.append(info(emit("Identity", "y", kept["h"])))
    return helper.make_graph(nodes, f"a step of {cell}", inputs, outputs)
