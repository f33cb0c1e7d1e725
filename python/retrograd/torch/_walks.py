"""Recurrent layers in PyTorch: its own where there is no mask, and step by step where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrograd.torch._state import package

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrograd.graph import Node

KINDS = {"simple_rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def whole(node: Node, x: Any, weight: Any, bias: Any, recurrent: Any, shift: Any) -> Any:
    """The walk of torch.nn.LSTM, GRU or RNN over all steps."""
    torch = package()
    reverse = bool(node.attributes["reverse"])
    units = recurrent.shape[1]
    states = [x.new_zeros(1, x.shape[0], units)] * (2 if node.op == "lstm" else 1)
    parameters = [weight, recurrent, bias, shift]
    name = {"lstm": "lstm", "gru": "gru"}.get(node.op) or f"rnn_{node.attributes['activation']}"
    function = getattr(torch, name)
    given = x.flip(1) if reverse else x
    y = function(
        given, states if node.op == "lstm" else states[0], parameters, True, 1, 0.0, False, False, True
    )[0]
    if not node.attributes["return_sequences"]:
        return y[:, -1]
    return y.flip(1) if reverse else y


def stepwise(node: Node, z: Any, recurrent: Any, shift: Any, *mask: Any) -> Any:
    """One step after another; one whose mask is 0 leaves the state as it is."""
    torch = package()
    cell = _CELLS[node.op]
    h = c = z.new_zeros(z.shape[0], recurrent.shape[1])
    times = range(z.shape[1])
    found = {}
    for t in reversed(times) if node.attributes["reverse"] else times:
        p = torch.nn.functional.linear(h, recurrent, shift)
        h_next, c_next = cell(torch, node, z[:, t], p, h, c)
        if mask:
            counts = mask[0][:, t, None] != 0
            h_next, c_next = torch.where(counts, h_next, h), torch.where(counts, c_next, c)
        h, c = h_next, c_next
        found[t] = h
    return torch.stack([found[t] for t in times], 1) if node.attributes["return_sequences"] else h


def _rnn(torch: Any, node: Node, z: Any, p: Any, h: Any, c: Any) -> tuple[Any, Any]:
    return getattr(torch, str(node.attributes["activation"]))(z + p), c


def _lstm(torch: Any, node: Node, z: Any, p: Any, h: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = (z + p).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru(torch: Any, node: Node, z: Any, p: Any, h: Any, c: Any) -> tuple[Any, Any]:
    (z_r, z_u, z_n), (p_r, p_u, p_n) = z.chunk(3, -1), p.chunk(3, -1)
    n = (z_n + (z_r + p_r).sigmoid() * p_n).tanh()
    return n + (z_u + p_u).sigmoid() * (h - n), c


_CELLS: dict[str, Callable[..., tuple[Any, Any]]] = {"simple_rnn": _rnn, "lstm": _lstm, "gru": _gru}
