"""Losses on outputs with more axes beside PyTorch's: sequences, images, labels that do not count.

A sample's value is the mean over its positions that count; it weighs as many as there are of them, so that
without sample weights L is PyTorch's mean over all labels that count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import retrograd as rg  # noqa: E402

F = torch.nn.functional
Array = np.ndarray
TOLERANCE = 1e-10
BATCH = 7


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def outputs_as_parameters(z: Array, loss: Any) -> rg.Trainer:
    """A model of one sample whose outputs are a parameter: its gradient is dL/dz. [batch, ...]"""
    x = rg.Input((BATCH,))
    shape = z.shape[1:]
    table = rg.Variable(z.reshape(BATCH, -1), name="z")
    row = rg.Reshape(shape)(rg.ops.matmul(x, table))
    return rg.Trainer(rg.Model(x, row, dtype="float64"), loss=loss, optimizer=rg.SGD(0.1))


def assert_alike(
    z: Array, y: Array, loss: Any, theirs: Callable[[Any], Any], sample_weight: Array | None = None
) -> None:
    """Value and gradient of a batch; ``theirs`` maps PyTorch's z to the loss."""
    trainer = outputs_as_parameters(z, loss)
    leaf = torch.tensor(z, requires_grad=True)
    expected = theirs(leaf)
    expected.backward()
    found = trainer.gradients(np.eye(BATCH), y, sample_weight=sample_weight)
    assert found == pytest.approx(float(expected.detach()), rel=TOLERANCE, abs=TOLERANCE)
    gradient = trainer.model.gradients["z"].reshape(z.shape)
    np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=0, atol=TOLERANCE)
    assert trainer.evaluate(np.eye(BATCH), y, sample_weight=sample_weight)["loss"] == pytest.approx(found)


def numbers(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=(BATCH, *shape))


SHAPES = [(5,), (4, 5), (3, 4, 5), (3, 4, 1)]
ELEMENTWISE: dict[
    str, tuple[Any, Callable[..., Any], Callable[[np.random.Generator, tuple[int, ...]], Array]]
] = {
    "mean_squared_error": (rg.MeanSquaredError(), F.mse_loss, lambda r, s: r.normal(size=s)),
    "mean_absolute_error": (rg.MeanAbsoluteError(), F.l1_loss, lambda r, s: r.normal(size=s)),
    "huber": (
        rg.Huber(0.6),
        lambda z, t: F.huber_loss(z, t, delta=0.6),
        lambda r, s: r.normal(size=s),
    ),
    "binary_cross_entropy": (
        rg.BinaryCrossEntropy(),
        F.binary_cross_entropy_with_logits,
        lambda r, s: r.integers(0, 2, size=s).astype(float),
    ),
    "poisson": (
        rg.Poisson(),
        lambda z, t: F.poisson_nll_loss(z, t, log_input=True),
        lambda r, s: r.poisson(1.5, size=s).astype(float),
    ),
    "hinge": (
        rg.Hinge(),
        lambda z, t: torch.clamp(1 - t * z, min=0).mean(),
        lambda r, s: r.choice([-1.0, 1.0], size=s),
    ),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_means_over_all_outputs(name: str, shape: tuple[int, ...]) -> None:
    """Images too: a sample's value is the mean over its pixels, and L PyTorch's mean over everything."""
    loss, theirs, draw = ELEMENTWISE[name]
    z = numbers(0, *shape)
    t = draw(np.random.default_rng(1), z.shape)
    assert_alike(z, t, loss, lambda leaf: theirs(leaf, torch.tensor(t)))


@pytest.mark.parametrize("positions", [(), (6,), (3, 4)], ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("ignore", [None, -100, 1])
def test_cross_entropy_of_labels(positions: tuple[int, ...], smoothing: float, ignore: int | None) -> None:
    classes = 5
    z = numbers(2, *positions, classes)
    y = np.random.default_rng(3).integers(0, classes, size=(BATCH, *positions))
    settings: dict[str, Any] = {"label_smoothing": smoothing}
    if ignore is not None:
        settings["ignore_index"] = ignore
        y[np.random.default_rng(4).random(y.shape) < 0.4] = ignore
        y[2] = ignore  # a sample of which nothing counts
    counted = y != settings.get("ignore_index", -100)
    assert counted.any()

    def theirs(leaf: Any) -> Any:
        return F.cross_entropy(leaf.reshape(-1, classes), torch.tensor(y.reshape(-1)), **settings)

    assert_alike(z, y, rg.CrossEntropy(**settings), theirs)


def test_cross_entropy_of_labels_with_weights() -> None:
    """L = sum_i w_i c_i L_i / sum_i w_i c_i: c_i is the share of sample i's labels that count."""
    classes = 4
    z = numbers(5, 6, classes)
    y = np.random.default_rng(6).integers(0, classes, size=(BATCH, 6))
    y[0, :4] = y[3, 1:] = -100
    w = np.linspace(0.5, 2.0, BATCH)

    def theirs(leaf: Any) -> Any:
        each = F.cross_entropy(leaf.reshape(-1, classes), torch.tensor(y.reshape(-1)), reduction="none")
        weight = torch.tensor((w[:, None] * (y != -100)).reshape(-1))
        return (weight * each).sum() / weight.sum()

    assert_alike(z, y, rg.CrossEntropy(), theirs, w)


@pytest.mark.parametrize("positions", [(), (6,), (3, 4)], ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_of_probabilities(positions: tuple[int, ...], smoothing: float) -> None:
    z = numbers(7, *positions, 5)
    q = np.random.default_rng(8).dirichlet(np.ones(5), size=(BATCH, *positions))

    def theirs(leaf: Any) -> Any:
        target = torch.tensor(q.reshape(-1, 5))
        return F.cross_entropy(leaf.reshape(-1, 5), target, label_smoothing=smoothing)

    assert_alike(z, q, rg.CrossEntropy(label_smoothing=smoothing), theirs)


@pytest.mark.parametrize("positions", [(), (6,), (3, 4)], ids=str)
def test_kl_divergence(positions: tuple[int, ...]) -> None:
    z = numbers(9, *positions, 5)
    q = np.random.default_rng(10).dirichlet(np.ones(5), size=(BATCH, *positions))
    q[0] = np.eye(5)[0]  # zeros: q log q is 0 there

    def theirs(leaf: Any) -> Any:
        log_p = F.log_softmax(leaf, dim=-1).reshape(-1, 5)
        return F.kl_div(log_p, torch.tensor(q.reshape(-1, 5)), reduction="batchmean")

    assert_alike(z, q, rg.KLDivergence(), theirs)


@pytest.mark.parametrize("positions", [(), (6,), (3, 4)], ids=str)
def test_cosine_similarity(positions: tuple[int, ...]) -> None:
    z, t = numbers(11, *positions, 5), numbers(12, *positions, 5)
    theirs = lambda leaf: (1 - F.cosine_similarity(leaf, torch.tensor(t), dim=-1)).mean()  # noqa: E731
    assert_alike(z, t, rg.CosineSimilarity(), theirs)


def test_cosine_similarity_of_nothing() -> None:
    """A vector of zeros has no direction: it counts as orthogonal, as in PyTorch, and nothing is NaN."""
    z, t = numbers(13, 5), numbers(14, 5)
    t[1] = 0.0
    t[3] *= 1e-10  # shorter than what counts
    theirs = lambda leaf: (1 - F.cosine_similarity(leaf, torch.tensor(t), dim=-1)).mean()  # noqa: E731
    assert_alike(z, t, rg.CosineSimilarity(), theirs)
    z[2] = 0.0
    trainer = outputs_as_parameters(z, rg.CosineSimilarity())
    expected = float(theirs(torch.tensor(z)))
    assert trainer.gradients(np.eye(BATCH), t) == pytest.approx(expected, rel=1e-12)
    assert np.isfinite(trainer.model.flat_gradients).all()


def test_a_softmax_at_the_end_of_a_sequence_is_paired() -> None:
    """Probabilities of each position out of the model, logits into the loss."""
    x = rg.Input((6, 3))
    net = rg.Model(x, rg.Dense(4, activation="softmax")(x), dtype="float64", seed=1)
    data = np.random.default_rng(15).normal(size=(BATCH, 6, 3))
    y = np.random.default_rng(16).integers(0, 4, size=(BATCH, 6))
    p = net.predict(data)
    expected = -np.log(np.take_along_axis(p, y[..., None], axis=-1)).mean()
    assert rg.Trainer(net, "cross_entropy").evaluate(data, y)["loss"] == pytest.approx(expected, rel=1e-12)


def test_metrics_of_positions_leave_ignored_labels_out() -> None:
    z = numbers(17, 6, 4)
    y = np.random.default_rng(18).integers(0, 4, size=(BATCH, 6))
    y[:, 4:] = -100
    trainer = outputs_as_parameters(z, "cross_entropy")
    trainer = rg.Trainer(trainer.model, "cross_entropy", metrics=["accuracy", "iou", "top_k_accuracy"])
    found = trainer.evaluate(np.eye(BATCH), y)
    counted = y != -100
    assert found["accuracy"] == pytest.approx((z.argmax(axis=-1) == y)[counted].mean())
    assert found["iou"] == pytest.approx(rg.metrics.iou(y[counted], z[counted]))
