"""Functions and methods of tensors that the forward of a module may call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import activations, ops
from retrograd.errors import GraphError
from retrograd.onnx._reader import BATCH, Value
from retrograd.torch._modules import flatten, refuse_unless

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.torch._modules import Call

    Read = Callable[..., Any]


def name_of(target: Any) -> str:
    """ "add" for operator.add, torch.add and the method alike."""
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    return name.strip("_")


def _operator(op: str) -> Read:
    """An operator of two operands; sizes of tensors are plain numbers and stay so."""

    def read(call: Call, a: Any, b: Any, **others: Any) -> Any:
        refuse_unless(not others, f"{', '.join(others)} are not known")
        if not isinstance(a, Value) and not isinstance(b, Value):
            return _sizes(op, a, b)
        return call.op(op, call.number(a), call.number(b))

    return read


def _sizes(op: str, a: Any, b: Any) -> Any:
    rules: dict[str, Callable[[Any, Any], Any]] = {
        "Add": lambda x, y: x + y,
        "Sub": lambda x, y: x - y,
        "Mul": lambda x, y: x * y,
        "Div": lambda x, y: x / y,
    }
    if BATCH in (a, b):
        raise GraphError("the size of the batch is computed with, which a model does not know")
    return rules[op](a, b)


def _one(op: str, **fixed: Any) -> Read:
    return lambda call, x, **others: call.op(op, x, **fixed)


def _silu(call: Call, x: Value, inplace: bool = False) -> Any:
    return call.of(activations.silu(call.reader.node(x) if x.node is None else x.node), x.order)


def _gelu(call: Call, x: Value, approximate: str = "none") -> Any:
    return call.op("Gelu", x, approximate=approximate)


def _leaky(call: Call, x: Value, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    return call.op("LeakyRelu", x, alpha=negative_slope)


def _softmax(op: str) -> Read:
    def read(call: Call, x: Value, dim: int | None = None, **others: Any) -> Any:
        refuse_unless(dim is not None, "dim is not given, expected an axis")
        return call.op(op, x, axis=dim)

    return read


def _reduced(op: str) -> Read:
    def read(call: Call, x: Value, dim: Any = None, keepdim: bool = False, **others: Any) -> Any:
        refuse_unless(dim is not None, "no dim is given, so that it goes over the batch")
        axes = [dim] if isinstance(dim, int) else list(dim)
        given = call.number(np.array(axes, np.int64))
        return call.op(op, x, given, keepdims=int(keepdim))

    return read


def _clamp(call: Call, x: Value, min: float | None = None, max: float | None = None) -> Any:
    ends = [None if end is None else call.number(float(end)) for end in (min, max)]
    return call.op("Clip", x, *ends)


def _dropout(call: Call, x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    return call.op("Dropout", x, ratio=float(p))


def _cat(call: Call, tensors: Any, dim: int = 0, **others: Any) -> Any:
    return call.op("Concat", *tensors, axis=others.get("axis", dim))


def _reshape(call: Call, x: Value, *shape: Any) -> Any:
    sizes = shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape
    return call.op("Reshape", x, call.number(np.array(list(sizes), np.int64)))


def _permute(call: Call, x: Value, *dims: Any) -> Any:
    axes = dims[0] if len(dims) == 1 and isinstance(dims[0], list | tuple) else dims
    return call.op("Transpose", x, perm=[axis % x.rank for axis in axes])


def _transpose(call: Call, x: Value, first: int, second: int) -> Any:
    axes = list(range(x.rank))
    axes[first], axes[second] = axes[second], axes[first]
    return call.op("Transpose", x, perm=axes)


def _size(call: Call, x: Value, dim: int | None = None) -> Any:
    return x.shape if dim is None else x.shape[dim]


def _getattr(call: Call, x: Any, name: str) -> Any:
    refuse_unless(name == "shape" and isinstance(x, Value), f"attribute {name!r} is not known, only shape")
    return x.shape


def _axes_op(op: str) -> Read:
    def read(call: Call, x: Value, dim: int) -> Any:
        return call.op(op, x, call.number(np.array([dim], np.int64)))

    return read


def _item(call: Call, x: Any, index: Any) -> Any:
    """One of several results, a size of a shape, or a part of a tensor."""
    if not isinstance(x, Value):
        return x[index]
    axis = 0
    for place in index if isinstance(index, tuple) else (index,):
        if place is Ellipsis:
            axis = x.rank - (len(index) - 1 - index.index(Ellipsis))
        elif isinstance(place, slice):
            if place != slice(None):
                x = _cut(call, x, axis, place)
            axis += 1
        elif isinstance(place, int):
            x = call.op("Gather", x, call.number(np.array(place, np.int64)), axis=axis)
        else:
            raise GraphError(f"an index of {type(place).__name__} is not known, only numbers and ranges")
    return x


def _cut(call: Call, x: Value, axis: int, part: slice) -> Value:
    assert x.node is not None
    return call.of(ops.slice(x.node, x.order[axis], part.start, part.stop, part.step or 1), x.order)


def _same(call: Call, x: Value, *others: Any, **more: Any) -> Any:
    return x


_BOTH: dict[str, Read] = {
    "add": _operator("Add"),
    "iadd": _operator("Add"),
    "sub": _operator("Sub"),
    "mul": _operator("Mul"),
    "imul": _operator("Mul"),
    "truediv": _operator("Div"),
    "div": _operator("Div"),
    "pow": _operator("Pow"),
    "matmul": _operator("MatMul"),
    "bmm": _operator("MatMul"),
    "maximum": _operator("Max"),
    "minimum": _operator("Min"),
    "neg": _one("Neg"),
    "exp": lambda call, x: call.op("Exp", x),
    "log": _one("Log"),
    "sqrt": _one("Sqrt"),
    "abs": _one("Abs"),
    "sin": _one("Sin"),
    "cos": _one("Cos"),
    "square": lambda call, x: call.op("Mul", x, x),
    "relu": _one("Relu"),
    "sigmoid": _one("Sigmoid"),
    "tanh": _one("Tanh"),
    "softmax": _softmax("Softmax"),
    "log_softmax": _softmax("LogSoftmax"),
    "mean": _reduced("ReduceMean"),
    "sum": _reduced("ReduceSum"),
    "amax": _reduced("ReduceMax"),
    "logsumexp": _reduced("ReduceLogSumExp"),
    "clamp": _clamp,
    "flatten": flatten,
    "reshape": _reshape,
    "permute": _permute,
    "transpose": _transpose,
    "squeeze": _axes_op("Squeeze"),
    "unsqueeze": _axes_op("Unsqueeze"),
}

FUNCTIONS: dict[str, Read] = {
    **_BOTH,
    "cat": _cat,
    "concat": _cat,
    "getitem": _item,
    "getattr": _getattr,
    "gelu": _gelu,
    "silu": _silu,
    "elu": lambda call, x, alpha=1.0, inplace=False: call.op("Elu", x, alpha=alpha),
    "selu": _one("Selu"),
    "mish": _one("Mish"),
    "hardswish": _one("HardSwish"),
    "hardsigmoid": _one("HardSigmoid", alpha=1.0 / 6.0, beta=0.5),
    "leaky_relu": _leaky,
    "softplus": _one("Softplus"),
    "softsign": _one("Softsign"),
    "dropout": _dropout,
}

METHODS: dict[str, Read] = {
    **_BOTH,
    "view": _reshape,
    "size": _size,
    "contiguous": _same,
    "float": _same,
}
