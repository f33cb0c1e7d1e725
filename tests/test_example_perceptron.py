"""Rosenblatt's rule is run by the core, weight by weight."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np


def test_perceptron(example: Callable[[str], ModuleType]) -> None:
    module = example("perceptron")
    figures = module.main()
    for name in ("AND", "XOR", "digits"):
        by_retrograd, by_rule = figures[name]
        assert by_retrograd.tobytes() == by_rule.tobytes(), name
    assert len(figures["digits"][0]) == 3600

    weights, _ = figures["AND"]
    assert figures["AND right"] == 4
    assert (weights[-4:] == weights[-1]).all()  # solved: a whole epoch without an update

    weights, _ = figures["XOR"]
    assert figures["XOR right"] < 4
    np.testing.assert_array_equal(weights[-4:], weights[-8:-4])  # the same epoch again and again...
    assert not (weights[-4:] == weights[-1]).all()  # ...and it goes on updating
    np.testing.assert_array_equal(figures["two layers"], module.XOR)

    assert figures["digits right"] == 360
