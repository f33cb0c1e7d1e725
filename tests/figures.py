"""What the tests of rg.plot share: reading a figure again, and leaving matplotlib as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import retrograd as rg

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Settings of matplotlib are as before, and every figure that a test left is closed."""
    before = dict(matplotlib.rcParams)
    yield
    assert dict(matplotlib.rcParams) == before
    plt.close("all")


def trained_on_moons() -> rg.Trainer:
    x, y = rg.datasets.moons(100)
    net = rg.Sequential([rg.Input(2), rg.Dense(8, "tanh"), rg.Dense(1)])
    trainer = rg.Trainer(net, "bce", rg.Adam(0.03))
    trainer.fit(x, y, epochs=40, progress=False)
    return trainer


def pixels(ax: Any) -> np.ndarray:
    ax.figure.set_dpi(50)
    ax.figure.canvas.draw()
    return np.asarray(ax.figure.canvas.buffer_rgba())


def texts(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.texts]


def assert_sound(ax: Any) -> None:
    """Something is drawn, and the legend stands outside of the axes."""
    assert len(np.unique(pixels(ax).view(np.uint32))) > 3
    legend = ax.get_legend()
    if legend is not None:
        box = legend.get_window_extent()
        assert not box.overlaps(ax.get_window_extent()) or box.y0 >= ax.get_window_extent().y1 - 1
        assert box.x1 <= ax.figure.bbox.x1 + 1
