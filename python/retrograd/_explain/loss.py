"""Each loss of one sample, and its derivative, as formulas.

``u`` is what the loss takes of the sample: the outputs yhat, or the z before an activation that it undoes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from retrograd._explain.activation import log_sum, softmax
from retrograd._explain.expression import Expression, Number, Quantity, call, sum_of
from retrograd.losses import CrossEntropy, Huber

if TYPE_CHECKING:
    from retrograd.losses import Loss

__all__ = ["Sample", "derivative", "general", "sample_loss", "smoothed", "unfused", "unfused_derivative"]

_LOGIT_FITS = 20  # beyond, the log of 1 + exp(z) and the y z that is taken from it lose digits

Branch: TypeAlias = tuple[Expression, str]
Row: TypeAlias = Sequence[Quantity]


class Sample:
    """One sample as its loss sees it.

    Attributes
    ----------
    u
        What the loss takes: z where it undoes the output's activation, else yhat.
    yhat
        The outputs; only where the loss undoes their activation they are not u.
    y
        Targets; of a label the numbers 0 and 1 of its class.
    label
        Whether the target is a label: then only one y is not 0.
    paired
        Whether loss and activation are one formula.
    lengths
        Of cosine_similarity: yhat . y, |yhat|, |y|.
    """

    def __init__(
        self, loss: Loss, u: Row, yhat: Row, y: Row, label: bool, paired: bool, lengths: Row = ()
    ) -> None:
        self.loss = loss
        self.u = u
        self.yhat = yhat
        self.y = y
        self.label = label
        self.paired = paired
        self.lengths = lengths

    def before_activation(self) -> Sample:
        """The same with the loss written of z in place of the outputs."""
        return Sample(self.loss, self.u, self.yhat, self.y, self.label, False)


_WORDS = {
    "half_squared_error": "half the sum over the outputs of (ŷ − y)²",
    "mean_squared_error": "the mean over the outputs of (ŷ − y)²",
    "mean_absolute_error": "the mean over the outputs of |ŷ − y|",
    "huber": "the mean over the outputs of (ŷ − y)² / 2 up to |ŷ − y| = κ, and of κ·(|ŷ − y| − κ / 2) beyond",
    "binary_cross_entropy": "the mean over the outputs of −y ln p − (1 − y) ln(1 − p)",
    "cross_entropy": "minus the sum over the classes of y ln p; of a label y is 1 for its class, else 0",
    "poisson": "the mean over the outputs of exp(ŷ) − y ŷ",
    "hinge": "the mean over the outputs of max(0, 1 − y ŷ)",
    "kl_divergence": "the sum over the classes of y (ln y − ln p); classes with y = 0 add nothing",
    "cosine_similarity": "1 − c / (‖ŷ‖ ‖y‖), with c the sum of ŷ y over the outputs and ‖ŷ‖ the root of that "
    "of ŷ²",
}


def general(loss: Loss, paired: bool) -> str:
    """The loss of a sample in words."""
    words = _WORDS[loss.name]
    if loss.link:
        words += (
            f"; p is the output ŷ, a {loss.link} already" if paired else f"; p is {loss.link} of the output ŷ"
        )
    if isinstance(loss, CrossEntropy) and loss.label_smoothing:
        words += "; y is smoothed to (1 − ς) y + ς / classes"
    return words


def _mean(terms: Sequence[Expression]) -> Expression:
    return sum_of(terms) / len(terms) if len(terms) > 1 else terms[0]


# ------------------------------------------------------------------------------- losses of each output


def _half_squared_error(s: Sample) -> Expression:
    return sum_of([(a - y) ** 2 for a, y in zip(s.u, s.y, strict=True)]) / 2


def _mean_squared_error(s: Sample) -> Expression:
    return _mean([(a - y) ** 2 for a, y in zip(s.u, s.y, strict=True)])


def _mean_absolute_error(s: Sample) -> Expression:
    return _mean([call("abs", a - y) for a, y in zip(s.u, s.y, strict=True)])


def _kappa(s: Sample) -> Quantity:
    assert isinstance(s.loss, Huber)
    return Quantity("huber", s.loss.delta)


def _within(s: Sample, j: int) -> bool:
    return abs(s.u[j].number - s.y[j].number) <= _kappa(s).number


def _huber(s: Sample) -> Expression:
    kappa, terms = _kappa(s), []
    for j, (a, y) in enumerate(zip(s.u, s.y, strict=True)):
        inner, outer = (a - y) ** 2 / 2, kappa * (call("abs", a - y) - kappa / 2)
        terms.append(inner if _within(s, j) else outer)
    return _mean(terms)


def _binary_cross_entropy(s: Sample) -> Expression:
    if s.paired:
        terms = []
        for p, y in zip(s.yhat, s.y, strict=True):
            # a term with the factor 0 would have the logarithm of what may have rounded to 0
            if y.number == 1:
                terms.append(-call("log", p))
            elif y.number == 0:
                terms.append(-call("log", 1 - p))
            else:
                terms.append(-(y * call("log", p)) - (1 - y) * call("log", 1 - p))
        return _mean(terms)
    return _mean([_of_logit(z, y) for z, y in zip(s.u, s.y, strict=True)])


def _of_logit(z: Quantity, y: Quantity) -> Expression:
    if abs(z.number) < _LOGIT_FITS:
        return call("log", 1 + call("exp", z)) - y * z
    return call("max", z, 0) - y * z + call("log", 1 + call("exp", -call("abs", z)))


def _poisson(s: Sample) -> Expression:
    return _mean([call("exp", a) - y * a for a, y in zip(s.u, s.y, strict=True)])


def _hinge(s: Sample) -> Expression:
    return _mean([call("max", 0, 1 - y * a) for a, y in zip(s.u, s.y, strict=True)])


# --------------------------------------------------------------------------------- losses of all outputs


def smoothed(s: Sample, k: int) -> Expression:
    """The target of class k with label smoothing."""
    smoothing = s.loss.label_smoothing if isinstance(s.loss, CrossEntropy) else 0.0
    if smoothing == 0:
        return s.y[k]
    rate = Quantity("smoothing", smoothing)
    return (1 - rate) * s.y[k] + rate / len(s.y)


def _log_probability(s: Sample, k: int) -> Expression:
    return call("log", s.yhat[k]) if s.paired else s.u[k] - log_sum(s.u)


def _cross_entropy(s: Sample) -> Expression:
    counted = [k for k in range(len(s.y)) if smoothed(s, k).value() != 0]
    if not counted:
        return Number(0)
    if s.label and len(counted) == 1:
        return -call("log", s.yhat[counted[0]]) if s.paired else log_sum(s.u) - s.u[counted[0]]
    if s.paired:
        return -sum_of([smoothed(s, k) * call("log", s.yhat[k]) for k in counted])
    return sum_of([smoothed(s, k) * (log_sum(s.u) - s.u[k]) for k in counted])


def _kl_divergence(s: Sample) -> Expression:
    terms: list[Expression] = [
        y * (call("log", y) - _log_probability(s, k)) for k, y in enumerate(s.y) if y.number > 0
    ]
    return sum_of(terms)


def _cosine_similarity(s: Sample) -> Expression:
    dot, length, target_length = s.lengths
    return 1 - dot / (length * target_length)


_VALUES: dict[str, Callable[[Sample], Expression]] = {
    "half_squared_error": _half_squared_error,
    "mean_squared_error": _mean_squared_error,
    "mean_absolute_error": _mean_absolute_error,
    "huber": _huber,
    "binary_cross_entropy": _binary_cross_entropy,
    "cross_entropy": _cross_entropy,
    "poisson": _poisson,
    "hinge": _hinge,
    "kl_divergence": _kl_divergence,
    "cosine_similarity": _cosine_similarity,
}


def sample_loss(s: Sample) -> Expression:
    """L of one sample."""
    return _VALUES[s.loss.name](s)


# ------------------------------------------------------------------------------------------ derivatives


def _probability(s: Sample, j: int) -> Expression:
    """softmax or sigmoid of u: an output where loss and activation are one formula."""
    if s.paired:
        return s.yhat[j]
    if s.loss.link == "sigmoid":
        return call("sigmoid", s.u[j])
    return softmax(s.u, j)


def _each(s: Sample, formula: Expression) -> Expression:
    return formula / len(s.y) if len(s.y) > 1 else formula


def _cosine_derivative(s: Sample, j: int) -> Expression:
    dot, length, target_length = s.lengths
    first = s.y[j] / (length * target_length)
    if length.number <= 1e-8:  # a length that is held there does not vary
        return -first
    return dot * s.u[j] / (length**3 * target_length) - first


def _kl_derivative(s: Sample, j: int) -> Expression:
    return _probability(s, j) * sum_of(list(s.y)) - s.y[j]


def derivative(s: Sample, j: int) -> Branch:
    """dL/du_j of one sample, before its share of the mean; and why the formula is this one."""
    a, y = s.u[j], s.y[j]
    if s.loss.name == "huber":
        if _within(s, j):
            return _each(s, a - y), "|ŷ − y| ≤ κ"
        return _each(s, _kappa(s) * call("sign", a - y)), "|ŷ − y| > κ"
    if s.loss.name == "hinge":
        inside = 1 - y.number * a.number > 0
        return (_each(s, -y), "y·ŷ < 1") if inside else (Number(0), "y·ŷ ≥ 1")
    formulas: dict[str, Callable[[], Expression]] = {
        "half_squared_error": lambda: a - y,
        "mean_squared_error": lambda: _each(s, 2 * (a - y)),
        "mean_absolute_error": lambda: _each(s, call("sign", a - y)),
        "binary_cross_entropy": lambda: _each(s, _probability(s, j) - y),
        "cross_entropy": lambda: _probability(s, j) - smoothed(s, j),
        "poisson": lambda: _each(s, call("exp", a) - y),
        "kl_divergence": lambda: _kl_derivative(s, j),
        "cosine_similarity": lambda: _cosine_derivative(s, j),
    }
    return formulas[s.loss.name](), ""


def unfused_derivative(s: Sample, j: int) -> Expression:
    """dL/dyhat_j where loss and activation are one formula: what a textbook begins with."""
    p = s.yhat[j]
    if s.loss.name == "binary_cross_entropy":
        return _each(s, (p - s.y[j]) / (p * (1 - p)))
    return -(smoothed(s, j) / p)


def unfused(name: str) -> Callable[[Any, Any], Any]:
    """The loss of probabilities, as a function of nodes: what the engine joins with the activation."""
    from retrograd import ops

    def cross_entropy(p: Any, q: Any) -> Any:
        return ops.negative(ops.sum(ops.multiply(q, ops.log(p)), axis=-1))

    def binary_cross_entropy(p: Any, t: Any) -> Any:
        right = ops.multiply(t, ops.log(p))
        wrong = ops.multiply(ops.subtract(1.0, t), ops.log(ops.subtract(1.0, p)))
        return ops.negative(ops.mean(ops.add(right, wrong), axis=-1))

    return binary_cross_entropy if name == "binary_cross_entropy" else cross_entropy
