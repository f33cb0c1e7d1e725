"""rg.plot of planes and tables: decision boundaries, loss landscapes, confusion matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from figures import assert_sound, pixels, trained_on_moons, untouched  # noqa: F401
from matplotlib import colors
from retrograd.plot._canvas import PALETTE
from retrograd.plot._landscape import _filter_normalised, _principal, _table


@pytest.fixture(scope="module")
def moons() -> rg.Trainer:
    return trained_on_moons()


# ------------------------------------------------------------------------------- decision boundary


def grid_of(ax: Any, count: int) -> np.ndarray:
    """The middles of the image's cells, written apart from the library."""
    left, right, bottom, top = ax.images[0].get_extent()
    return np.array(
        [
            [left + (j + 0.5) * (right - left) / count, bottom + (i + 0.5) * (top - bottom) / count]
            for i in range(count)
            for j in range(count)
        ]
    )


def test_boundary_of_two_classes(moons: rg.Trainer) -> None:
    x, y = rg.datasets.moons(100)
    ax = rg.plot.decision_boundary(moons, x, y, resolution=30)
    shown = np.asarray(ax.images[0].get_array())
    logits = moons.model.predict(grid_of(ax, 30))[:, 0].astype(np.float64)
    np.testing.assert_allclose(shown.ravel(), 1 / (1 + np.exp(-logits)), rtol=1e-5)
    line = ax.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(moons.model.predict_proba(line), 0.5, atol=0.1)
    for part, label in zip(ax.collections[1:], (0, 1), strict=True):
        np.testing.assert_allclose(part.get_offsets(), x[y == label])
    assert len({part.get_paths()[0].vertices.shape for part in ax.collections[1:]}) == 2  # two shapes
    assert ax.figure.axes[1].get_ylabel() == "probability of class 1"
    assert_sound(ax)


def test_boundary_of_many_classes() -> None:
    x, y = rg.datasets.gaussians(60, classes=5)
    net = rg.Sequential([rg.Input(2), rg.Dense(5)])
    ax = rg.plot.decision_boundary(net, x, y, resolution=20)
    best = net.predict(grid_of(ax, 20)).argmax(axis=1)
    image = np.asarray(ax.images[0].get_array()).reshape(-1, 3)
    p = net.predict_proba(grid_of(ax, 20))
    mixed = p @ np.array([colors.to_rgb(c) for c in PALETTE.series[:5]])
    np.testing.assert_allclose(image, 0.55 + 0.45 * mixed, atol=1e-6)
    assert len(np.unique(best)) > 1
    assert_sound(ax)
    one_hot = rg.plot.decision_boundary(net, x, np.eye(5)[y], resolution=20)
    np.testing.assert_array_equal(one_hot.images[0].get_array(), ax.images[0].get_array())


def test_boundary_of_values() -> None:
    x = np.random.default_rng(0).normal(size=(30, 2))
    y = x[:, 0] * 0.3
    net = rg.Sequential([rg.Input(2), rg.Dense(1)])
    ax = rg.plot.decision_boundary(net, x, y, resolution=10)
    np.testing.assert_allclose(np.ravel(ax.images[0].get_array()), net.predict(grid_of(ax, 10))[:, 0])
    np.testing.assert_array_equal(ax.collections[0].get_array(), y)
    assert_sound(ax)


def test_boundary_of_a_hinge_is_where_the_score_is_0() -> None:
    x, y = rg.datasets.gaussians(60, classes=2)
    trainer = rg.Trainer(rg.Sequential([rg.Input(2), rg.Dense(1)]), "hinge", rg.SGD(0.1))
    trainer.fit(x, 2 * y - 1, epochs=5, progress=False)
    ax = rg.plot.decision_boundary(trainer, x, 2 * y - 1, resolution=20)
    line = ax.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(trainer.model.predict(line), 0.0, atol=1e-4)  # a straight line
    assert ax.figure.axes[1].get_ylabel() == "output"


# ---------------------------------------------------------------------------------- loss landscape


def test_landscape_of_a_linear_model_is_the_formula() -> None:
    """L(w) = mean (x w - y)^2, on a plane that NumPy computes."""
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(20, 3)), rng.normal(size=(1, 3))
    y = x @ rng.normal(size=(3, 1))
    net = rg.Sequential([rg.Input(3), rg.Dense(1, use_bias=False, weight_init=w)], dtype="float64")
    directions, s, t = rng.normal(size=(2, 3)), np.linspace(-1, 1, 4), np.linspace(-2, 2, 5)
    table = _table(rg.Trainer(net.copy(), "mse", "sgd"), x, y, w[0], directions, s, t)
    for i, j in np.ndindex(5, 4):
        moved = w[0] + s[j] * directions[0] + t[i] * directions[1]
        np.testing.assert_allclose(table[i, j], np.mean((x @ moved - y[:, 0]) ** 2), rtol=1e-12)


def test_directions_are_filter_normalised() -> None:
    net = rg.Sequential([rg.Input((6, 6, 2)), rg.Conv2D(3, 3), rg.BatchNorm(), rg.Flatten(), rg.Dense(4)])
    net.freeze("batch_norm_0")
    direction = _filter_normalised(net, np.random.default_rng(0))
    start = 0
    for name, weight in net.parameters.items():
        part = direction[start : start + weight.size].reshape(weight.shape)
        start += weight.size
        if weight.ndim == 1:
            assert not part.any(), name
            continue
        for filter_, moved in zip(weight, part, strict=True):
            assert np.linalg.norm(moved) == pytest.approx(np.linalg.norm(filter_), rel=1e-6)
    assert start == direction.size


def test_landscape_leaves_the_model_alone(moons: rg.Trainer) -> None:
    x, y = rg.datasets.moons(100)
    before, iteration = moons.model.flat_parameters.copy(), moons.iteration
    probabilities = moons.model.predict_proba(x)
    ax = rg.plot.loss_landscape(moons, x, y, "bce", resolution=7, radius=0.5)
    np.testing.assert_array_equal(moons.model.flat_parameters, before)
    assert moons.iteration == iteration
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 0.5), (-0.5, 0.5))
    star = next(line for line in ax.lines if line.get_marker() == "*")
    assert star.get_label() == f"the model: loss {moons.evaluate(x, y)['loss']:.4g}"
    assert ax.figure.axes[1].get_ylabel() == "loss [nats]"
    assert_sound(ax)
    rg.plot.loss_landscape(moons, x, y[:, None], "mse", resolution=3)
    np.testing.assert_array_equal(moons.model.predict_proba(x), probabilities)  # its outputs are still logits
    again = rg.plot.loss_landscape(moons, x, y, "bce", resolution=7, radius=0.5)
    other = rg.plot.loss_landscape(moons, x, y, "bce", resolution=7, radius=0.5, seed=1)
    first, same, different = (
        np.concatenate([path.vertices for path in one.collections[0].get_paths()])
        for one in (ax, again, other)
    )
    np.testing.assert_array_equal(first, same)
    assert first.shape != different.shape or (first != different).any()


def test_landscape_of_a_trajectory(moons: rg.Trainer) -> None:
    x, y = rg.datasets.moons(100)
    center = moons.model.flat_parameters.astype(np.float64)
    rng = np.random.default_rng(0)
    u, v = np.linalg.qr(rng.normal(size=(center.size, 2)))[0].T
    way = [(-4.0, 1.0), (-3.0, -1.0), (-1.0, 0.5), (0.0, 0.0)]
    vectors = [center + a * u + b * v for a, b in way]
    directions, path, shares = _principal(center, vectors)
    values, found = np.linalg.eigh(sum(np.outer(w - center, w - center) for w in vectors))
    for k in range(2):
        assert abs(directions[k] @ found[:, -1 - k]) == pytest.approx(1.0)
        assert shares[k] == pytest.approx(values[-1 - k] / values.sum())
    np.testing.assert_allclose(
        np.linalg.norm(path, axis=1), [math.hypot(*point) for point in way], atol=1e-12
    )
    ax = rg.plot.loss_landscape(moons, x, y, "bce", resolution=7, trajectory=vectors)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), path)
    low, high = ax.get_xlim()
    assert low < path[:, 0].min() < path[:, 0].max() < high
    assert_sound(ax)


# -------------------------------------------------------------------------------- confusion matrix


def test_confusion_matrix() -> None:
    true, predicted = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 2, 1, 0, 2]
    ax = rg.plot.confusion_matrix(true, predicted, ["cat", "dog", "cow"])
    shares = [[0.75, 0.0, 0.25], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    np.testing.assert_allclose(ax.images[0].get_array(), shares)
    cells = {text.get_position()[::-1]: text.get_text() for text in ax.texts}
    assert cells == {
        (0, 0): "3\n75 %",
        (0, 2): "1\n25 %",
        (1, 0): "1\n50 %",
        (1, 1): "1\n50 %",
        (2, 2): "1\n100 %",
    }
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["cat", "dog", "cow"]
    assert ax.get_title() == "5 of 7 right (71.4 %)"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert_sound(ax)


def test_confusion_matrix_of_probabilities() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1]])
    by_scores = rg.plot.confusion_matrix(np.eye(3)[[0, 1, 1]], scores)
    by_labels = rg.plot.confusion_matrix([0, 1, 1], [0, 2, 1])
    np.testing.assert_array_equal(by_scores.images[0].get_array(), by_labels.images[0].get_array())
    binary = rg.plot.confusion_matrix([0, 1, 1], np.array([[0.2], [0.7], [0.4]]))
    np.testing.assert_array_equal(binary.images[0].get_array(), [[1.0, 0.0], [0.5, 0.5]])


def test_confusion_matrix_of_20_classes_fits_its_cells() -> None:
    true = np.repeat(np.arange(20), 300)
    ax = rg.plot.confusion_matrix(true, (true + (np.arange(6000) % 100 == 0)) % 20)
    pixels(ax)
    cell = ax.get_window_extent().width / 20
    assert len(ax.texts) == 40
    for text in ax.texts:
        box = text.get_window_extent()
        assert box.width < cell
        assert box.height < cell
