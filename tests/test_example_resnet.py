"""The residual network: what its blocks look like, and a short run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import retrograd as rg

Example = Callable[[str], ModuleType]
DataFile = Callable[[str], Path]


def test_resnet(example: Example, data_file: DataFile, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(data_file("mnist.npz")), "--epochs", "2", "--rows", "6000"]
    accuracies = example("resnet").main(arguments)
    assert len(accuracies) == 2
    assert accuracies[-1] > 0.9  # by the running statistics of nine batch norms
    assert f"test {accuracies[-1]:7.2%}" in capsys.readouterr().out


def test_a_block_has_a_convolution_in_its_short_cut_only_where_the_shape_changes(example: Example) -> None:
    module = example("resnet")
    x = rg.Input((8, 8, 4))
    for filters, stride, shape, convolutions in ((4, 1, (8, 8, 4), 2), (6, 2, (4, 4, 6), 3)):
        net = rg.Model(x, module.block(x, filters, stride))
        assert net.outputs[0].shape[1:] == shape
        assert sum(name.startswith("conv2d") for name in net.parameters) == convolutions
