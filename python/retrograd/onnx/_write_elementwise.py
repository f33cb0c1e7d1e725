"""Operations whose element i depends on element i of each operand: they take any layout of images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node
    from retrograd.onnx._writer import Writer

    Write = Callable[[Writer, Node], None]


def _same(op: str, **attributes: Any) -> Write:
    """ONNX has an operator for it."""

    def write(w: Writer, node: Node) -> None:
        names, first = w.operands(node)
        w.put(node, op, names, first, **attributes)

    return write


def _compared(op: str, negated: bool = False) -> Write:
    """A comparison is a truth value in ONNX, and 1 or 0 here."""

    def write(w: Writer, node: Node) -> None:
        names, first = w.operands(node)
        truth = w.emit(op, names)
        if negated:
            truth = w.emit("Not", [truth])
        w.put(node, "Cast", [truth], first, to=w.element)

    return write


def _where(w: Writer, node: Node) -> None:
    names, first = w.operands(node)
    condition = w.emit("Cast", [names[0]], to=w.onnx.TensorProto.BOOL)
    w.put(node, "Where", [condition, *names[1:]], first)


def _square(w: Writer, node: Node) -> None:
    (x,), first = w.operands(node)
    w.put(node, "Mul", [x, x], first)


def _clip(w: Writer, node: Node) -> None:
    (x,), first = w.operands(node)
    limits = [w.number(node.attributes[end]) for end in ("low", "high")]
    w.put(node, "Clip", [x, *limits], first)


def _gelu(w: Writer, node: Node) -> None:
    """x / 2 (1 + erf(x / sqrt 2)); opset 20 has it as one operator, and 17 does not"""
    (x,), first = w.operands(node)
    erf = w.emit("Erf", [w.emit("Mul", [x, w.number(0.5**0.5)])])
    half = w.emit("Mul", [x, w.number(0.5)])
    w.put(node, "Mul", [half, w.emit("Add", [erf, w.number(1.0)])], first)


def _silu(w: Writer, node: Node) -> None:
    (x,), first = w.operands(node)
    w.put(node, "Mul", [x, w.emit("Sigmoid", [x])], first)


def _mish(w: Writer, node: Node) -> None:
    (x,), first = w.operands(node)
    w.put(node, "Mul", [x, w.emit("Tanh", [w.emit("Softplus", [x])])], first)


def _by_classes(op: str) -> Write:
    """Softmax and its logarithm: over the channels, wherever they are."""

    def write(w: Writer, node: Node) -> None:
        names, first = w.operands(node)
        w.put(node, op, names, first, axis=1 if first else -1)

    return write


def _dropout(w: Writer, node: Node) -> None:
    """Nothing is dropped; the rate stays in the file for those who train further."""
    (x,), first = w.operands(node)
    w.put(node, "Dropout", [x, w.number(node.attributes["rate"])], first)


WRITE: dict[str, Write] = {
    "add": _same("Add"),
    "subtract": _same("Sub"),
    "multiply": _same("Mul"),
    "divide": _same("Div"),
    "power": _same("Pow"),
    "maximum": _same("Max"),
    "minimum": _same("Min"),
    "less": _compared("Less"),
    "less_equal": _compared("LessOrEqual"),
    "greater": _compared("Greater"),
    "greater_equal": _compared("GreaterOrEqual"),
    "equal": _compared("Equal"),
    "not_equal": _compared("Equal", negated=True),
    "where": _where,
    "negative": _same("Neg"),
    "exp": _same("Exp"),
    "log": _same("Log"),
    "sqrt": _same("Sqrt"),
    "square": _square,
    "abs": _same("Abs"),
    "sin": _same("Sin"),
    "cos": _same("Cos"),
    "arctan": _same("Atan"),
    "clip": _clip,
    "identity": _same("Identity"),
    "stop_gradient": _same("Identity"),
    "dropout": _dropout,
    "sigmoid": _same("Sigmoid"),
    "tanh": _same("Tanh"),
    "relu": _same("Relu"),
    "leaky_relu": _same("LeakyRelu", alpha=0.01),
    "elu": _same("Elu", alpha=1.0),
    "selu": _same("Selu"),
    "gelu": _gelu,
    "silu": _silu,
    "softplus": _same("Softplus"),
    "softsign": _same("Softsign"),
    "mish": _mish,
    "hard_sigmoid": _same("HardSigmoid", alpha=1.0 / 6.0, beta=0.5),
    "hard_swish": _same("HardSwish"),
    "softmax": _by_classes("Softmax"),
    "log_softmax": _by_classes("LogSoftmax"),
}
