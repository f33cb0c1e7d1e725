"""Attention and normalised rows in PyTorch: same outputs and gradients in float64, from the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd as rg  # noqa: E402

Array = np.ndarray
TOLERANCE = 1e-10


def assert_close(found: Array, expected: Any, what: str) -> None:
    expected = expected.detach().numpy()
    scale = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max())
    assert difference <= TOLERANCE * scale, f"{what}: |difference| {difference:.2e} at a scale of {scale:.2e}"


def load(net: rg.Model, modules: dict[str, Any]) -> None:
    """PyTorch's state dictionaries, under our layers' names."""
    state = {
        f"{layer}.{role}": tensor.numpy()
        for layer, module in modules.items()
        for role, tensor in module.state_dict().items()
    }
    assert set(state) == set(net.parameters) - {n for n in net.parameters if n.startswith("v")}
    net.set_parameters(state, strict=False)


def compare(net: rg.Model, x: list[Array], theirs: Any, inputs: list[Any], modules: dict[str, Any]) -> None:
    """Outputs, and gradients of half the squared error for weights and for what was added to the inputs."""
    y = np.random.default_rng(9).normal(size=theirs.shape)
    assert_close(net.predict(x if len(x) > 1 else x[0]), theirs, "output")
    (0.5 * ((theirs - torch.as_tensor(y)) ** 2).sum() / len(y)).backward()
    rg.Trainer(net, loss="half_squared_error").gradients(x if len(x) > 1 else x[0], y)
    for layer, module in modules.items():
        for role, parameter in module.named_parameters():
            assert_close(net.gradients[f"{layer}.{role}"], parameter.grad, f"{layer}.{role}")
    for i, tensor in enumerate(inputs):
        assert_close(net.gradients[f"v{i}"], tensor.grad.sum(axis=0), f"gradient of input {i}")


def inputs_of(*shapes: tuple[int, ...]) -> tuple[list[Array], list[Any], list[rg.Node], list[rg.Node]]:
    """Numbers, PyTorch's leaves, our inputs, and the same with a variable added whose gradient is dx."""
    rng = np.random.default_rng(4)
    x = [rng.normal(size=shape) for shape in shapes]
    nodes = [rg.Input(shape[1:]) for shape in shapes]
    shifted = [
        node + rg.Variable(np.zeros(shape[1:]), name=f"v{i}")
        for i, (node, shape) in enumerate(zip(nodes, shapes, strict=True))
    ]
    return x, [torch.tensor(a, requires_grad=True) for a in x], nodes, shifted


@pytest.mark.parametrize("masking", ["none", "causal", "padding", "each query", "causal padding"])
@pytest.mark.parametrize("three", [False, True], ids=["self", "cross"])
@pytest.mark.parametrize(("d", "heads"), [(8, 2), (12, 3), (8, 8), (6, 1)])
def test_multi_head_attention(d: int, heads: int, three: bool, masking: str) -> None:
    batch, queries, keys = 3, 37, 45 if three else 37
    torch.manual_seed(d + heads)
    module = torch.nn.MultiheadAttention(d, heads, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    shapes = [(batch, queries, d), (batch, keys, d), (batch, keys, d)][: 3 if three else 1]
    x, leaves, nodes, shifted = inputs_of(*shapes)

    rng, mask, options = np.random.default_rng(5), None, {}
    if "padding" in masking:
        lengths = np.array([keys, 20, 1])
        mask = np.arange(keys) < lengths[:, None]
        options["key_padding_mask"] = torch.as_tensor(~mask)
    elif masking == "each query":
        mask = (rng.random((batch, queries, keys)) < 0.5) | (np.arange(keys) == 0)
        options["attn_mask"] = torch.as_tensor(~mask).repeat_interleave(heads, dim=0)
    if "causal" in masking:
        options["attn_mask"] = torch.ones(queries, keys, dtype=torch.bool).triu(1)
    given = leaves if three else leaves * 3
    theirs, _ = module(*given, need_weights=False, **options)

    layer = rg.MultiHeadAttention(heads, causal="causal" in masking)
    if mask is not None:
        nodes.append(rg.Input(mask.shape[1:], dtype="bool"))
        x.append(mask)
    net = rg.Model(nodes, layer(*shifted, mask=nodes[-1] if mask is not None else None), dtype="float64")
    modules = {"multi_head_attention_0": module}
    load(net, modules)
    compare(net, x, theirs, leaves, modules)


@pytest.mark.parametrize("shape", [(5, 7), (3, 40, 16), (2, 3, 4, 33)])
@pytest.mark.parametrize(
    ("layer", "name", "module"),
    [
        (lambda: rg.LayerNorm(), "layer_norm_0", torch.nn.LayerNorm),
        (lambda: rg.LayerNorm(0.2), "layer_norm_0", lambda n, **o: torch.nn.LayerNorm(n, eps=0.2, **o)),
        (lambda: rg.RMSNorm(), "rms_norm_0", lambda n, **o: torch.nn.RMSNorm(n, eps=1e-6, **o)),
        (lambda: rg.RMSNorm(0.2), "rms_norm_0", lambda n, **o: torch.nn.RMSNorm(n, eps=0.2, **o)),
    ],
    ids=["layer", "layer eps", "rms", "rms eps"],
)
def test_norms(layer: Any, name: str, module: Any, shape: tuple[int, ...]) -> None:
    theirs = module(shape[-1], dtype=torch.float64)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(torch.randn_like(parameter))
    x, leaves, nodes, shifted = inputs_of(shape)
    net = rg.Model(nodes, layer()(*shifted), dtype="float64")
    load(net, {name: theirs})
    compare(net, x, theirs(*leaves), leaves, {name: theirs})


def test_positional_embedding() -> None:
    theirs = torch.nn.Embedding(50, 6, dtype=torch.float64)
    x, leaves, nodes, shifted = inputs_of((4, 37, 6))
    net = rg.Model(nodes, rg.PositionalEmbedding(50)(*shifted), dtype="float64")
    load(net, {"positional_embedding_0": theirs})
    compare(net, x, leaves[0] + theirs(torch.arange(37)), leaves, {"positional_embedding_0": theirs})


def test_a_transformer_block() -> None:
    """Before-norm, causal, gelu, as in PyTorch's own encoder layer, whose weights it takes."""
    d, heads, time = 12, 3, 40
    torch.manual_seed(3)
    block = torch.nn.TransformerEncoderLayer(
        d,
        heads,
        dim_feedforward=4 * d,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
        dtype=torch.float64,
    )
    x, leaves, nodes, shifted = inputs_of((3, time, d))
    h = shifted[0]
    h = h + rg.MultiHeadAttention(heads, causal=True, name="self_attn")(rg.LayerNorm(name="norm1")(h))
    inner = rg.Dense(4 * d, activation="gelu", name="linear1")(rg.LayerNorm(name="norm2")(h))
    net = rg.Model(nodes, h + rg.Dense(d, name="linear2")(inner), dtype="float64")
    modules = {n: getattr(block, n) for n in ("norm1", "self_attn", "norm2", "linear1", "linear2")}
    load(net, modules)
    hidden = torch.ones(time, time, dtype=torch.bool).triu(1)
    compare(net, x, block(leaves[0], src_mask=hidden), leaves, modules)
