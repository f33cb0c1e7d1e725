"""What a node says to those who take it for an array."""

from __future__ import annotations

import pytest
import retrograd as rg


def test_a_node_has_no_parts() -> None:
    x = rg.Input(3, name="x")
    expected = (
        r"<Node x: shape \(batch, 3\)> is one node and can be neither indexed nor unpacked; rg\.ops\.slice"
    )
    with pytest.raises(rg.GraphError, match=expected):
        x[:, 0]
    with pytest.raises(rg.GraphError, match=expected):
        _first, _second = x


def test_a_loss_that_unpacks_its_only_target_learns_why_not() -> None:
    net = rg.Sequential([rg.Input(2), rg.Dense(2)])
    with pytest.raises(rg.GraphError, match="can be neither indexed nor unpacked"):
        rg.Trainer(net, lambda z, t: z * t[0] * t[1]).step([[1.0, 2.0]], [[0.0, 1.0]])
