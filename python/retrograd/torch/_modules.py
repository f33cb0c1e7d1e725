"""PyTorch's modules, each said in operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import activations, ops
from retrograd.errors import GraphError
from retrograd.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Concatenate,
    Dropout,
    Embedding,
    LayerNorm,
    MultiHeadAttention,
    RMSNorm,
    SimpleRNN,
)
from retrograd.onnx._read_layers import dense, with_parameters
from retrograd.onnx._reader import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node

# Modules whose operator has no settings: what a layer may end with.
ACTIVATIONS = {
    "ReLU": "Relu",
    "Sigmoid": "Sigmoid",
    "Tanh": "Tanh",
    "Softsign": "Softsign",
    "Softplus": "Softplus",
    "Hardswish": "HardSwish",
    "Mish": "Mish",
}


class Call:
    """One call of a module or function: where it stands, and what it may use."""

    def __init__(self, walk: Any, name: str, path: str = "") -> None:
        self.walk = walk
        self.reader = walk.reader
        self.name = name
        self.path = path

    def within(self, path: str) -> Call:
        """The same call, of the module of this path."""
        return Call(self.walk, self.name, path)

    def tensor(self, tensor: Any, name: str) -> Value:
        """A parameter or a constant of the module."""
        array = tensor.detach().cpu().numpy()
        trained = isinstance(tensor, self.walk.torch.nn.Parameter)
        known = self.reader.values.setdefault(f"{name} ", Value(name, array=array, trained=trained))
        assert isinstance(known, Value)
        return known

    def parameter(self, module: Any, role: str) -> Value | None:
        """A parameter of the module by its role; None where it has none."""
        tensor = getattr(module, role, None)
        if tensor is None:
            return None
        name = f"{self.path}.{role}" if self.path else role
        return Value(name, array=tensor.detach().cpu().numpy(), trained=True)

    def number(self, value: Any) -> Value:
        """A value of something that may be one already."""
        if isinstance(value, Value):
            return value
        return Value("number", array=np.asarray(value))

    def op(self, op: str, *inputs: Value | None, **attributes: Any) -> Any:
        """What an operator of ONNX makes of values."""
        given = {key: value for key, value in attributes.items() if value is not None}
        return self.walk.operator(op, self.name, list(inputs), given)

    def of(self, node: Node, order: Any = None) -> Value:
        """A value of a node."""
        return Value(self.name, node=node, order=order)

    def layer(self, make: Callable[[str | None], Any]) -> Any:
        """The layer of this module: a module that is called twice is one layer."""
        return self.reader.layer(("module", self.path), self.path or None, make)


def pair(value: Any, axes: int = 2) -> list[int]:
    """A size for each axis."""
    return [int(value)] * axes if isinstance(value, int) else [int(n) for n in value]


def array(tensor: Any) -> Any:
    """The numbers of a tensor, in float64 as layers take them."""
    return tensor.detach().cpu().numpy().astype(np.float64)


def refuse_unless(holds: bool, what: str) -> None:
    """Refuse a setting that has no counterpart.

    Raises
    ------
    GraphError
        It does not hold.
    """
    if not holds:
        raise GraphError(what)


def _linear(call: Call, m: Any, x: Value) -> Any:
    weight, bias = call.parameter(m, "weight"), call.parameter(m, "bias")
    assert weight is not None
    return dense(call.reader, call.name, x, weight, bias)


def _convolution(op: str, axes: int) -> Callable[..., Any]:
    def read(call: Call, m: Any, x: Value) -> Any:
        refuse_unless(m.padding_mode == "zeros", f"padding_mode is {m.padding_mode!r}, expected 'zeros'")
        kernel, dilation = pair(m.kernel_size, axes), pair(m.dilation, axes)
        if m.padding == "same":
            whole = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
            pads = [n // 2 for n in whole] + [n - n // 2 for n in whole]
        else:
            pads = [0] * 2 * axes if m.padding == "valid" else pair(m.padding, axes) * 2
        more = pair(m.output_padding, axes) if op == "ConvTranspose" else None
        return call.op(
            op,
            x,
            call.parameter(m, "weight"),
            call.parameter(m, "bias"),
            strides=pair(m.stride, axes),
            dilations=dilation,
            pads=pads,
            group=m.groups,
            output_padding=more,
        )

    return read


def _batch_norm(call: Call, m: Any, x: Value) -> Any:
    refuse_unless(m.running_mean is not None, "it keeps no running statistics, which ours always does")
    refuse_unless(m.momentum is not None, "momentum is None, expected a number")
    parameters = {"running_mean": m.running_mean, "running_var": m.running_var}
    if m.affine:
        parameters |= {"weight": m.weight, "bias": m.bias}
    arrays = {role: array(tensor) for role, tensor in parameters.items()}
    layer = call.layer(lambda name: with_parameters(BatchNorm(m.eps, m.momentum, m.affine, name), arrays))
    return call.reader.images(layer(call.reader.channels_last(x)), call.name)


def _norm(kind: Any) -> Callable[..., Any]:
    def read(call: Call, m: Any, x: Value) -> Any:
        shape = tuple(m.normalized_shape)
        refuse_unless(len(shape) == 1, f"it goes over axes of {shape}, and over the last one here")
        refuse_unless(m.weight is not None, "it has no parameters (elementwise_affine=False), and ours does")
        eps = m.eps if m.eps is not None else np.finfo(call.walk.dtype).eps
        arrays = {"weight": array(m.weight)}
        if kind is LayerNorm:
            arrays["bias"] = np.zeros(shape) if m.bias is None else array(m.bias)
        layer = call.layer(lambda name: with_parameters(kind(float(eps), name), arrays))
        return call.of(layer(call.reader.node(x)))

    return read


def _dropout(call: Call, m: Any, x: Value) -> Any:
    layer = call.layer(lambda name: Dropout(m.p, name))
    assert x.node is not None
    return call.of(layer(x.node), x.order)


def _embedding(call: Call, m: Any, x: Value) -> Any:
    refuse_unless(m.max_norm is None, "max_norm is given, and rows are not shortened here")
    layer = call.layer(
        lambda name: Embedding(m.num_embeddings, m.embedding_dim, weight_init=array(m.weight), name=name)
    )
    return call.of(layer(call.reader.node(x)))


def _walk(kind: Any) -> Callable[..., Any]:
    """All layers and directions, one upon the other; (sequences, last states), of which the first is made."""

    def read(call: Call, m: Any, x: Value, state: Any = None) -> Any:
        refuse_unless(state is None, "a state before the first step is given, and it is 0 here")
        refuse_unless(not getattr(m, "proj_size", 0), "proj_size is given, which the layers here have not")
        refuse_unless(
            m.batch_first or x.order == (1, 0, 2),
            "it takes the time before the batch, which comes first here; make it with batch_first=True",
        )
        node = call.reader.in_order(x, (0, 1, 2) if m.batch_first else (1, 0, 2))
        last: list[Node] = []
        for depth in range(m.num_layers):
            sides = []
            for reverse in range(2 if m.bidirectional else 1):
                suffix = f"l{depth}" + ("_reverse" if reverse else "")
                sides.append(_side(call, m, kind, suffix, bool(reverse))(node))
                at = 0 if reverse else (node.shape[1] or 1) - 1
                last.append(ops.reshape(ops.slice(sides[-1], 1, at, at + 1), (1, m.hidden_size)))
            node = sides[0] if len(sides) == 1 else Concatenate()(*sides)
            if m.dropout and depth < m.num_layers - 1:
                node = Dropout(m.dropout)(node)
        states = call.of(last[0] if len(last) == 1 else ops.concatenate(last, 1), (1, 0, 2))
        sequences = call.of(node, None if m.batch_first else (1, 0, 2))
        return (sequences, (states, None)) if kind is LSTM else (sequences, states)

    return read


def _side(call: Call, m: Any, kind: Any, suffix: str, reverse: bool) -> Any:
    """The layer of one depth and direction."""
    roles = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    rows = getattr(m, f"weight_ih_{suffix}").shape[0]
    arrays = {
        role: array(getattr(m, f"{role}_{suffix}")) if hasattr(m, f"{role}_{suffix}") else np.zeros(rows)
        for role in roles
    }
    more = {"activation": m.nonlinearity} if kind is SimpleRNN else {}
    path = f"{call.path}.{suffix}" if call.path else suffix

    def make(name: str | None) -> Any:
        layer = kind(m.hidden_size, return_sequences=True, reverse=reverse, name=name, **more)
        return with_parameters(layer, arrays)

    return call.reader.layer(("module", path), path, make)


def _attention(
    call: Call, m: Any, q: Value, k: Value, v: Value, need_weights: bool = True, **others: Any
) -> Any:
    """(result, None): the weights of attention are never made here"""
    given = [name for name, value in others.items() if value is not None and value is not False]
    given = [name for name in given if name != "average_attn_weights"]
    refuse_unless(not given, f"{', '.join(given)} are given, and masks are not read; see docs/torch.md")
    plain = m.in_proj_weight is not None and m.in_proj_bias is not None and m.bias_k is None
    refuse_unless(
        plain and not m.add_zero_attn, "keys or values of other sizes, or no bias: ours has neither"
    )
    order = (0, 1, 2) if m.batch_first else (1, 0, 2)
    parameters = {"in_proj_weight": m.in_proj_weight, "in_proj_bias": m.in_proj_bias}
    parameters |= {"out_proj.weight": m.out_proj.weight, "out_proj.bias": m.out_proj.bias}
    arrays = {role: array(tensor) for role, tensor in parameters.items()}
    layer = call.layer(
        lambda name: with_parameters(MultiHeadAttention(m.num_heads, dropout=m.dropout, name=name), arrays)
    )
    nodes = [call.reader.in_order(x, order) for x in (q, k, v)]
    alone = nodes[0] is nodes[1] is nodes[2]
    return call.of(layer(nodes[0]) if alone else layer(*nodes), order), None


def _pool(op: str, axes: int) -> Callable[..., Any]:
    def read(call: Call, m: Any, x: Value) -> Any:
        refuse_unless(not getattr(m, "return_indices", False), "return_indices is True, which pools have not")
        refuse_unless(getattr(m, "divisor_override", None) is None, "divisor_override is given")
        stride = m.kernel_size if m.stride is None else m.stride
        return call.op(
            op,
            x,
            kernel_shape=pair(m.kernel_size, axes),
            strides=pair(stride, axes),
            pads=pair(m.padding, axes) * 2,
            dilations=pair(getattr(m, "dilation", 1), axes),
            ceil_mode=int(m.ceil_mode),
            count_include_pad=int(getattr(m, "count_include_pad", False)),
        )

    return read


def _global(op: str) -> Callable[..., Any]:
    def read(call: Call, m: Any, x: Value) -> Any:
        sizes = m.output_size if isinstance(m.output_size, list | tuple) else [m.output_size]
        refuse_unless(set(sizes) == {1}, f"output_size is {m.output_size!r}, and only 1 can be read")
        return call.op(op, x)

    return read


def flatten(call: Call, x: Value, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Axes from start to end as one."""
    first, last = start_dim % x.rank, end_dim % x.rank
    shape = [*x.shape[:first], int(np.prod(x.shape[first : last + 1])), *x.shape[last + 1 :]]
    refuse_unless(first > 0, "the batch would be joined with other axes")
    return call.op("Reshape", x, call.number(np.array(shape, np.int64)))


def _unflatten(call: Call, m: Any, x: Value) -> Any:
    axis = m.dim % x.rank
    shape = [*x.shape[:axis], *m.unflattened_size, *x.shape[axis + 1 :]]
    return call.op("Reshape", x, call.number(np.array(shape, np.int64)))


def _upsample(call: Call, m: Any, x: Value) -> Any:
    refuse_unless(not m.align_corners, "align_corners is True, and the corners are no centres here")
    refuse_unless(m.mode in ("nearest", "bilinear"), f"mode is {m.mode!r}, expected 'nearest' or 'bilinear'")
    if m.size is not None:
        scales = [n / size for n, size in zip(pair(m.size), x.shape[2:], strict=True)]
    else:
        scales = [
            float(n) for n in (m.scale_factor if isinstance(m.scale_factor, tuple) else [m.scale_factor] * 2)
        ]
    linear = m.mode == "bilinear"
    return call.op(
        "Resize",
        x,
        None,
        call.number(np.array([1.0, 1.0, *scales])),
        mode="linear" if linear else "nearest",
        coordinate_transformation_mode="half_pixel" if linear else "asymmetric",
        nearest_mode="floor",
    )


def _softmax(op: str) -> Callable[..., Any]:
    def read(call: Call, m: Any, x: Value) -> Any:
        refuse_unless(m.dim is not None, "dim is not given, expected an axis")
        return call.op(op, x, axis=m.dim)

    return read


def _plain(op: str) -> Callable[..., Any]:
    return lambda call, m, x: call.op(op, x)


def _softplus(call: Call, m: Any, x: Value) -> Any:
    refuse_unless(m.beta == 1, f"beta is {m.beta}, and only 1 can be read")
    return call.op("Softplus", x)


def _silu(call: Call, m: Any, x: Value) -> Any:
    node = call.reader.node(x) if x.node is None else x.node
    return call.of(activations.silu(node), x.order)


def _gelu(call: Call, m: Any, x: Value) -> Any:
    return call.op("Gelu", x, approximate=m.approximate)


def _clipped(call: Call, m: Any, x: Value) -> Any:
    return call.op("Clip", x, call.number(m.min_val), call.number(m.max_val))


MODULES: dict[str, Callable[..., Any]] = {
    **{name: _plain(op) for name, op in ACTIVATIONS.items()},
    "Softplus": _softplus,
    "Identity": _plain("Identity"),
    "GELU": _gelu,
    "SiLU": _silu,
    "SELU": _plain("Selu"),
    "LeakyReLU": lambda call, m, x: call.op("LeakyRelu", x, alpha=m.negative_slope),
    "ELU": lambda call, m, x: call.op("Elu", x, alpha=m.alpha),
    "CELU": lambda call, m, x: call.op("Celu", x, alpha=m.alpha),
    "Hardsigmoid": lambda call, m, x: call.op("HardSigmoid", x, alpha=1.0 / 6.0, beta=0.5),
    "Hardtanh": _clipped,
    "ReLU6": _clipped,
    "LogSigmoid": lambda call, m, x: call.op("Log", call.op("Sigmoid", x)),
    "Softmax": _softmax("Softmax"),
    "LogSoftmax": _softmax("LogSoftmax"),
    "Linear": _linear,
    "Conv1d": _convolution("Conv", 1),
    "Conv2d": _convolution("Conv", 2),
    "ConvTranspose2d": _convolution("ConvTranspose", 2),
    "BatchNorm1d": _batch_norm,
    "BatchNorm2d": _batch_norm,
    "LayerNorm": _norm(LayerNorm),
    "RMSNorm": _norm(RMSNorm),
    "Dropout": _dropout,
    "Embedding": _embedding,
    "LSTM": _walk(LSTM),
    "GRU": _walk(GRU),
    "RNN": _walk(SimpleRNN),
    "MultiheadAttention": _attention,
    "MaxPool1d": _pool("MaxPool", 1),
    "MaxPool2d": _pool("MaxPool", 2),
    "AvgPool1d": _pool("AveragePool", 1),
    "AvgPool2d": _pool("AveragePool", 2),
    "AdaptiveAvgPool1d": _global("GlobalAveragePool"),
    "AdaptiveAvgPool2d": _global("GlobalAveragePool"),
    "AdaptiveMaxPool2d": _global("GlobalMaxPool"),
    "Flatten": lambda call, m, x: flatten(call, x, m.start_dim, m.end_dim),
    "Unflatten": _unflatten,
    "Upsample": _upsample,
    "UpsamplingNearest2d": _upsample,
}
