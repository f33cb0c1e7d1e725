"""The independent truth: everything retrograd computes, in plain NumPy float64, slow and readable.

Nothing here imports retrograd, and nothing in retrograd imports this file: two separate derivations that
agree are worth more than one. Every member of the library has one row in a dictionary below, and
``test_reference.py`` checks each derivative here against differences, so that this file may be trusted.

Notation (batch on axis 0; for layer l):

    z     = a_prev W^T + b     [batch, units]   pre-activation; W has shape [units, inputs]
    a     = act(z)             [batch, units]   activation
    da    = dL/da                               gradient that arrives from above
    delta = dL/dz = da * act'(z)                error of the layer
    dW    = delta^T a_prev     [units, inputs]
    db    = sum over the batch of delta
    L     = sum_i w_i L_i / sum_i w_i           weighted mean of one value per sample
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray
State = dict[str, Array]

_erf = np.vectorize(math.erf, otypes=[np.float64])


# ------------------------------------------------------------------------------------------ activations


@dataclass(frozen=True)
class Activation:
    """``value(z)``; ``vjp(z, da)`` is dL/dz for a given dL/da; ``derivative`` where it is elementwise."""

    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array] | None = None
    row_vjp: Callable[[Array, Array], Array] | None = None
    kinks: tuple[float, ...] = ()  # where a derivative (of first or second order) jumps

    def vjp(self, z: Array, da: Array) -> Array:
        if self.row_vjp is not None:
            return self.row_vjp(z, da)
        assert self.derivative is not None
        return da * self.derivative(z)


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), written so that exp never overflows."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, e) / (1.0 + e)


def d_sigmoid(z: Array) -> Array:
    s = sigmoid(z)
    return s * (1.0 - s)


def softplus(z: Array) -> Array:
    return np.logaddexp(0.0, z)


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(z: Array) -> Array:
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax_vjp(z: Array, da: Array) -> Array:
    """J = diag(y) - y y^T is symmetric, so J da = y * (da - <da, y>)."""
    y = softmax(z)
    return y * (da - (da * y).sum(axis=-1, keepdims=True))


def log_softmax_vjp(z: Array, da: Array) -> Array:
    return da - softmax(z) * da.sum(axis=-1, keepdims=True)


def gelu(z: Array) -> Array:
    """z * P(N(0, 1) <= z), with the exact normal distribution function (not the tanh approximation)."""
    return 0.5 * z * (1.0 + _erf(z / math.sqrt(2.0)))


def d_gelu(z: Array) -> Array:
    distribution = 0.5 * (1.0 + _erf(z / math.sqrt(2.0)))
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return distribution + z * density


def d_silu(z: Array) -> Array:
    s = sigmoid(z)
    return s * (1.0 + z * (1.0 - s))


def d_mish(z: Array) -> Array:
    t = np.tanh(softplus(z))
    return t + z * (1.0 - t * t) * sigmoid(z)


def hard_sigmoid(z: Array) -> Array:
    return np.clip(z + 3.0, 0.0, 6.0) / 6.0


LEAKY_SLOPE = 0.01
SELU_ALPHA = 1.6732632423543772848170429916717  # these two make mean 0, variance 1 a fixed point
SELU_SCALE = 1.0507009873554804934193349852946


def _negative(z: Array) -> Array:
    """Keeps exp of large positive arguments, which np.where would throw away, from overflowing."""
    return np.minimum(z, 0.0)


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda z: z + 0.0, np.ones_like),
    "sigmoid": Activation(sigmoid, d_sigmoid),
    "tanh": Activation(np.tanh, lambda z: 1.0 - np.tanh(z) ** 2),
    "relu": Activation(lambda z: np.maximum(z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0), kinks=(0.0,)),
    "leaky_relu": Activation(
        lambda z: np.where(z > 0, z, LEAKY_SLOPE * z),
        lambda z: np.where(z > 0, 1.0, LEAKY_SLOPE),
        kinks=(0.0,),
    ),
    "elu": Activation(
        lambda z: np.where(z > 0, z, np.expm1(_negative(z))),
        lambda z: np.where(z > 0, 1.0, np.exp(_negative(z))),
        kinks=(0.0,),
    ),
    "selu": Activation(
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(_negative(z))),
        lambda z: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * np.exp(_negative(z))),
        kinks=(0.0,),
    ),
    "gelu": Activation(gelu, d_gelu),
    "silu": Activation(lambda z: z * sigmoid(z), d_silu),
    "softplus": Activation(softplus, sigmoid),
    "softsign": Activation(
        lambda z: z / (1.0 + np.abs(z)), lambda z: 1.0 / (1.0 + np.abs(z)) ** 2, kinks=(0.0,)
    ),
    "mish": Activation(lambda z: z * np.tanh(softplus(z)), d_mish),
    "hard_sigmoid": Activation(
        hard_sigmoid, lambda z: np.where(np.abs(z) < 3.0, 1.0 / 6.0, 0.0), kinks=(-3.0, 3.0)
    ),
    "hard_swish": Activation(
        lambda z: z * hard_sigmoid(z),
        lambda z: np.where(z <= -3.0, 0.0, np.where(z < 3.0, z / 3.0 + 0.5, 1.0)),
        kinks=(-3.0, 3.0),
    ),
    "exp": Activation(np.exp, np.exp),
    "softmax": Activation(softmax, row_vjp=softmax_vjp),
    "log_softmax": Activation(log_softmax, row_vjp=log_softmax_vjp),
}


# ----------------------------------------------------------------------------------------------- losses


@dataclass(frozen=True)
class Loss:
    """One value per sample and its derivative with respect to the network's output z [batch, units].

    ``draw(rng, batch, units)`` makes valid targets; ``kink_distance(z, t)`` says how far the nearest point
    without a derivative is, since differences mean nothing across one.
    """

    value: Callable[..., Array]
    derivative: Callable[..., Array]
    draw: Callable[[np.random.Generator, int, int], Array]
    kink_distance: Callable[..., float] = field(default=lambda z, t, **_: math.inf)


def _rows(values: Array) -> Array:
    """All axes but the batch in one."""
    return values.reshape(len(values), -1)


def half_squared_error(z: Array, t: Array) -> Array:
    return 0.5 * (_rows(z - t) ** 2).sum(axis=1)


def mean_squared_error(z: Array, t: Array) -> Array:
    return (_rows(z - t) ** 2).mean(axis=1)


def mean_absolute_error(z: Array, t: Array) -> Array:
    return np.abs(_rows(z - t)).mean(axis=1)


def huber(z: Array, t: Array, delta: float = 1.0) -> Array:
    """A parabola near the target, straight lines of slope +-delta away from it."""
    error = np.abs(_rows(z - t))
    return np.where(error <= delta, 0.5 * error**2, delta * (error - 0.5 * delta)).mean(axis=1)


def d_huber(z: Array, t: Array, delta: float = 1.0) -> Array:
    return np.clip(z - t, -delta, delta) / _rows(z).shape[1]


def binary_cross_entropy(z: Array, t: Array) -> Array:
    """-t log s(z) - (1-t) log(1 - s(z)) = softplus(z) - t z, on logits."""
    return _rows(softplus(z) - t * z).mean(axis=1)


def class_probabilities(z: Array, t: Array) -> Array:
    """Labels as one row per sample with a single 1 (ignored ones: zeros); probabilities unchanged."""
    if not np.issubdtype(np.asarray(t).dtype, np.integer):
        return np.asarray(t, np.float64)
    classes = np.arange(z.shape[-1])
    return (np.asarray(t).reshape(len(z), 1) == classes).astype(np.float64)


def not_ignored(z: Array, t: Array, ignore_index: int = -100) -> Array:
    """1 for a sample that counts, 0 for one whose label is ignore_index: it leaves the weighted mean."""
    if not np.issubdtype(np.asarray(t).dtype, np.integer):
        return np.ones(len(z))
    return (np.asarray(t).reshape(len(z)) != ignore_index).astype(np.float64)


def _smoothed(z: Array, t: Array, label_smoothing: float) -> Array:
    p = class_probabilities(z, t)
    return (1.0 - label_smoothing) * p + label_smoothing / z.shape[-1]


def cross_entropy(z: Array, t: Array, label_smoothing: float = 0.0, ignore_index: int = -100) -> Array:
    """- sum_k p_k log softmax(z)_k; zero for an ignored sample."""
    keep = not_ignored(z, t, ignore_index)
    return -keep * (_smoothed(z, t, label_smoothing) * log_softmax(z)).sum(axis=-1)


def d_cross_entropy(z: Array, t: Array, label_smoothing: float = 0.0, ignore_index: int = -100) -> Array:
    p = _smoothed(z, t, label_smoothing)
    return not_ignored(z, t, ignore_index)[:, None] * (softmax(z) * p.sum(axis=-1, keepdims=True) - p)


def poisson(z: Array, t: Array) -> Array:
    """Negative log-likelihood of counts t at rate exp(z), without the term log(t!) that has no gradient."""
    return _rows(np.exp(z) - t * z).mean(axis=1)


def hinge(z: Array, t: Array) -> Array:
    """Targets are -1 and +1."""
    return _rows(np.maximum(0.0, 1.0 - t * z)).mean(axis=1)


def d_hinge(z: Array, t: Array) -> Array:
    return np.where(t * z < 1.0, -t, 0.0) / _rows(z).shape[1]


def kl_divergence(z: Array, t: Array) -> Array:
    """sum_k t_k (log t_k - log softmax(z)_k), where 0 log 0 = 0."""
    entropy = np.where(t > 0, t * np.log(np.where(t > 0, t, 1.0)), 0.0)
    return (entropy - t * log_softmax(z)).sum(axis=-1)


def d_kl_divergence(z: Array, t: Array) -> Array:
    return softmax(z) * t.sum(axis=-1, keepdims=True) - t


def cosine_similarity(z: Array, t: Array) -> Array:
    """1 - cos of the angle between output and target."""
    return 1.0 - (z * t).sum(axis=-1) / (np.linalg.norm(z, axis=-1) * np.linalg.norm(t, axis=-1))


def d_cosine_similarity(z: Array, t: Array) -> Array:
    z_norm = np.linalg.norm(z, axis=-1, keepdims=True)
    t_norm = np.linalg.norm(t, axis=-1, keepdims=True)
    cosine = (z * t).sum(axis=-1, keepdims=True) / (z_norm * t_norm)
    return (cosine * z / z_norm - t / t_norm) / z_norm


def _draw_normal(rng: np.random.Generator, batch: int, units: int) -> Array:
    return rng.normal(size=(batch, units))


def _draw_bits(rng: np.random.Generator, batch: int, units: int) -> Array:
    return rng.integers(0, 2, size=(batch, units)).astype(np.float64)


def _draw_labels(rng: np.random.Generator, batch: int, units: int) -> Array:
    return rng.integers(0, units, size=batch)


def _draw_probabilities(rng: np.random.Generator, batch: int, units: int) -> Array:
    p = rng.random((batch, units)) + 0.05
    return p / p.sum(axis=1, keepdims=True)


def _draw_counts(rng: np.random.Generator, batch: int, units: int) -> Array:
    return rng.poisson(1.5, size=(batch, units)).astype(np.float64)


def _draw_signs(rng: np.random.Generator, batch: int, units: int) -> Array:
    return 2.0 * _draw_bits(rng, batch, units) - 1.0


def _mean_over_outputs(derivative: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    return lambda z, t: derivative(z, t) / _rows(z).shape[1]


LOSSES: dict[str, Loss] = {
    "half_squared_error": Loss(half_squared_error, lambda z, t: z - t, _draw_normal),
    "mean_squared_error": Loss(
        mean_squared_error, _mean_over_outputs(lambda z, t: 2.0 * (z - t)), _draw_normal
    ),
    "mean_absolute_error": Loss(
        mean_absolute_error,
        _mean_over_outputs(lambda z, t: np.sign(z - t)),
        _draw_normal,
        lambda z, t, **_: float(np.abs(z - t).min()),
    ),
    "huber": Loss(
        huber,
        d_huber,
        _draw_normal,
        lambda z, t, delta=1.0: float(np.abs(np.abs(z - t) - delta).min()),
    ),
    "binary_cross_entropy": Loss(
        binary_cross_entropy, _mean_over_outputs(lambda z, t: sigmoid(z) - t), _draw_bits
    ),
    "cross_entropy": Loss(cross_entropy, d_cross_entropy, _draw_labels),
    "poisson": Loss(poisson, _mean_over_outputs(lambda z, t: np.exp(z) - t), _draw_counts),
    "hinge": Loss(hinge, d_hinge, _draw_signs, lambda z, t, **_: float(np.abs(1.0 - t * z).min())),
    "kl_divergence": Loss(kl_divergence, d_kl_divergence, _draw_probabilities),
    "cosine_similarity": Loss(
        cosine_similarity,
        d_cosine_similarity,
        _draw_normal,
        # the angle of a very short vector turns quickly: treat its end as the neighbourhood of a kink
        lambda z, t, **_: 0.0 if np.linalg.norm(z, axis=-1).min() < 0.2 else math.inf,
    ),
}


def weighted_mean(values: Array, weights: Array | None = None) -> float:
    """sum_i w_i v_i / sum_i w_i"""
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    return float((weights * values).sum() / weights.sum())


def balanced_class_weights(labels: Array, classes: int) -> Array:
    """n / (classes * count of the class): every class has the same total weight."""
    return len(labels) / (classes * np.bincount(labels, minlength=classes))


# ------------------------------------------------------------------------------------ a dense network


@dataclass
class DenseLayer:
    weight: Array  # [units, inputs]
    bias: Array  # [units]
    activation: str = "linear"


@dataclass
class LayerTrace:
    """Every number of one layer in one forward and backward pass."""

    x: Array
    z: Array
    a: Array
    da: Array | None = None  # None where loss and activation are one formula and da never arises
    delta: Array | None = None
    dW: Array | None = None
    db: Array | None = None
    dx: Array | None = None


@dataclass
class NetworkTrace:
    layers: list[LayerTrace]
    yhat: Array
    loss: float
    losses: Array  # one value per sample


# The loss takes the pre-activation: log(softmax(z)) and log(sigmoid(z)) stay exact where softmax rounds to 0.
PAIRED = {
    ("softmax", "cross_entropy"),
    ("softmax", "kl_divergence"),
    ("sigmoid", "binary_cross_entropy"),
}


def mlp_forward(layers: Sequence[DenseLayer], x: Array) -> list[LayerTrace]:
    traces = []
    for layer in layers:
        z = x @ layer.weight.T + layer.bias
        a = ACTIVATIONS[layer.activation].value(z)
        traces.append(LayerTrace(x=x, z=z, a=a))
        x = a
    return traces


def mlp(
    layers: Sequence[DenseLayer],
    x: Array,
    target: Array,
    loss: str,
    sample_weight: Array | None = None,
    **options: Any,
) -> NetworkTrace:
    """Forward, then the same loop backward. ``options`` go to the loss (delta=, label_smoothing=, ...)."""
    traces = mlp_forward(layers, np.asarray(x, np.float64))
    rule = LOSSES[loss]
    last = layers[-1].activation
    paired = (last, loss) in PAIRED
    output = traces[-1].z if paired else traces[-1].a

    losses = rule.value(output, target, **options)
    weights = np.ones(len(output)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if loss == "cross_entropy":
        weights = weights * not_ignored(output, target, options.get("ignore_index", -100))
    share = (weights / weights.sum()).reshape(-1, *[1] * (output.ndim - 1))
    d_output = share * rule.derivative(output, target, **options)

    da = None if paired else d_output
    for number in reversed(range(len(layers))):
        layer, trace = layers[number], traces[number]
        trace.da = da
        trace.delta = d_output if da is None else ACTIVATIONS[layer.activation].vjp(trace.z, da)
        trace.dW = trace.delta.T @ trace.x
        trace.db = trace.delta.sum(axis=0)
        trace.dx = trace.delta @ layer.weight
        da = trace.dx
    return NetworkTrace(traces, traces[-1].a, weighted_mean(losses, weights), losses)


def kink_distance(layers: Sequence[DenseLayer], x: Array, target: Array, loss: str, **options: Any) -> float:
    """How near this point of the whole network is to one where a derivative jumps."""
    traces = mlp_forward(layers, x)
    distance = math.inf
    for layer, trace in zip(layers, traces, strict=True):
        for kink in ACTIVATIONS[layer.activation].kinks:
            distance = min(distance, float(np.abs(trace.z - kink).min()))
    output = traces[-1].z if (layers[-1].activation, loss) in PAIRED else traces[-1].a
    return min(distance, LOSSES[loss].kink_distance(output, target, **options))


def penalty(weights: Sequence[Array], l1: float = 0.0, l2: float = 0.0) -> float:
    """l1 * sum |w| + l2 / 2 * sum w^2, over weights and not over biases."""
    return sum(l1 * float(np.abs(w).sum()) + 0.5 * l2 * float((w**2).sum()) for w in weights)


def d_penalty(weight: Array, l1: float = 0.0, l2: float = 0.0) -> Array:
    return l1 * np.sign(weight) + l2 * weight


def clip_by_norm(gradients: Sequence[Array], limit: float) -> list[Array]:
    """All gradients times one factor, so that the norm of all of them together is at most ``limit``."""
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    return [g * min(1.0, limit / (norm + 1e-6)) for g in gradients]


# ------------------------------------------------------------------------------------------- optimizers
# One step: (t, w, g, state, hyper-parameters) -> (w, state), where t counts steps from 1 and state is {} at
# first. Formulas, defaults and the names in the state are PyTorch's.


def sgd(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> tuple[Array, State]:
    g = g + weight_decay * w
    if momentum:
        # the first gradient enters undamped: there is no velocity yet that it could disturb
        v = g if t == 1 else momentum * state["momentum_buffer"] + (1.0 - dampening) * g
        state = {"momentum_buffer": v}
        g = g + momentum * v if nesterov else v
    return w - lr * g, state


def rmsprop(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
) -> tuple[Array, State]:
    zero = np.zeros_like(w)
    g = g + weight_decay * w
    square_avg = alpha * state.get("square_avg", zero) + (1.0 - alpha) * g * g
    new = {"square_avg": square_avg}
    variance = square_avg
    if centered:
        new["grad_avg"] = alpha * state.get("grad_avg", zero) + (1.0 - alpha) * g
        variance = square_avg - new["grad_avg"] ** 2
    step = g / (np.sqrt(variance) + eps)
    if momentum:
        step = momentum * state.get("momentum_buffer", zero) + step
        new["momentum_buffer"] = step
    return w - lr * step, new


def adagrad(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float = 1e-2,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
) -> tuple[Array, State]:
    g = g + weight_decay * w
    total = state.get("sum", np.full_like(w, initial_accumulator_value)) + g * g
    rate = lr / (1.0 + (t - 1) * lr_decay)
    return w - rate * g / (np.sqrt(total) + eps), {"sum": total}


def adam(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> tuple[Array, State]:
    zero = np.zeros_like(w)
    beta1, beta2 = betas
    g = g + weight_decay * w
    m = beta1 * state.get("exp_avg", zero) + (1.0 - beta1) * g
    v = beta2 * state.get("exp_avg_sq", zero) + (1.0 - beta2) * g * g
    new = {"exp_avg": m, "exp_avg_sq": v}
    if amsgrad:  # the largest second moment ever seen: steps can only become shorter
        v = np.maximum(state.get("max_exp_avg_sq", zero), v)
        new["max_exp_avg_sq"] = v
    # both averages start at 0 and are too small by these factors
    m_hat = m / (1.0 - beta1**t)
    v_hat = v / (1.0 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), new


def adamw(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
) -> tuple[Array, State]:
    """Adam whose decay shrinks the weight itself and so is not divided by the second moment."""
    return adam(t, w * (1.0 - lr * weight_decay), g, state, lr=lr, betas=betas, eps=eps, amsgrad=amsgrad)


def adadelta(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> tuple[Array, State]:
    """The step is the ratio of two root mean squares, of past steps and of gradients, times g."""
    zero = np.zeros_like(w)
    g = g + weight_decay * w
    s = rho * state.get("square_avg", zero) + (1.0 - rho) * g * g
    past = state.get("acc_delta", zero)
    d = np.sqrt((past + eps) / (s + eps)) * g
    return w - lr * d, {"square_avg": s, "acc_delta": rho * past + (1.0 - rho) * d * d}


def _decayed(w: Array, g: Array, lr: float, weight_decay: float, decoupled: bool) -> tuple[Array, Array]:
    return (w * (1.0 - lr * weight_decay), g) if decoupled else (w, g + weight_decay * w)


def _moments(g: Array, state: State, betas: tuple[float, float]) -> State:
    zero = np.zeros_like(g)
    m = betas[0] * state.get("exp_avg", zero) + (1.0 - betas[0]) * g
    v = betas[1] * state.get("exp_avg_sq", zero) + (1.0 - betas[1]) * g * g
    return {"exp_avg": m, "exp_avg_sq": v}


def nadam(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> tuple[Array, State]:
    w, g = _decayed(w, g, lr, weight_decay, decoupled_weight_decay)
    new = _moments(g, state, betas)
    mu = [betas[0] * (1.0 - 0.5 * 0.96 ** (i * momentum_decay)) for i in range(1, t + 2)]
    so_far, with_next = math.prod(mu[:-1]), math.prod(mu)
    ahead = (1.0 - mu[-2]) / (1.0 - so_far) * g + mu[-1] / (1.0 - with_next) * new["exp_avg"]
    return w - lr * ahead / (np.sqrt(new["exp_avg_sq"] / (1.0 - betas[1] ** t)) + eps), new


def radam(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
) -> tuple[Array, State]:
    w, g = _decayed(w, g, lr, weight_decay, decoupled_weight_decay)
    new = _moments(g, state, betas)
    m = new["exp_avg"] / (1.0 - betas[0] ** t)
    correction = 1.0 - betas[1] ** t
    longest = 2.0 / (1.0 - betas[1]) - 1.0
    length = longest - 2.0 * t * betas[1] ** t / correction
    if length <= 5.0:  # the second moment has hardly seen anything: do without
        return w - lr * m, new
    r = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
    return w - lr * r * m * math.sqrt(correction) / (np.sqrt(new["exp_avg_sq"]) + eps), new


def adamax(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float = 2e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[Array, State]:
    zero = np.zeros_like(w)
    g = g + weight_decay * w
    m = betas[0] * state.get("exp_avg", zero) + (1.0 - betas[0]) * g
    u = np.maximum(betas[1] * state.get("exp_inf", zero), np.abs(g) + eps)
    return w - lr / (1.0 - betas[0] ** t) * m / u, {"exp_avg": m, "exp_inf": u}


def lion(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float = 1e-4,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> tuple[Array, State]:
    """The direction looks at the newest gradient more than the memory does."""
    m = state.get("exp_avg", np.zeros_like(w))
    direction = np.sign(betas[0] * m + (1.0 - betas[0]) * g)
    return w - lr * (direction + weight_decay * w), {"exp_avg": betas[1] * m + (1.0 - betas[1]) * g}


def rprop(
    t: int,
    w: Array,
    g: Array,
    state: State,
    *,
    lr: float = 1e-2,
    etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0),
) -> tuple[Array, State]:
    before, size = state.get("prev", np.zeros_like(w)), state.get("step_size", np.full_like(w, lr))
    agreement = np.sign(g * before)
    size = np.clip(size * np.choose(agreement.astype(int) + 1, [etas[0], 1.0, etas[1]]), *step_sizes)
    g = np.where(agreement < 0, 0.0, g)
    return w - size * np.sign(g), {"prev": g, "step_size": size}


Optimizer = Callable[..., tuple[Array, State]]
OPTIMIZERS: dict[str, Optimizer] = {
    "SGD": sgd,
    "RMSprop": rmsprop,
    "Adagrad": adagrad,
    "Adam": adam,
    "AdamW": adamw,
    "Adadelta": adadelta,
    "NAdam": nadam,
    "RAdam": radam,
    "Adamax": adamax,
    "Lion": lion,
    "Rprop": rprop,
}


# -------------------------------------------------------------------------------------------- schedules
# The learning rate of the step that follows t completed ones (t = 0, 1, 2, ...).


def constant(t: int, lr: float) -> float:
    return lr


def step(t: int, lr: float, step_size: int, gamma: float = 0.1) -> float:
    return lr * gamma ** (t // step_size)


def exponential(t: int, lr: float, gamma: float) -> float:
    return lr * gamma**t


def cosine(t: int, lr: float, total: int, min_lr: float = 0.0) -> float:
    """Half a period of a cosine from lr down to min_lr, where it stays."""
    return min_lr + (lr - min_lr) * 0.5 * (1.0 + math.cos(math.pi * min(t, total) / total))


def warmup_cosine(t: int, lr: float, warmup: int, total: int, min_lr: float = 0.0) -> float:
    """A straight line that would begin at 0 one step earlier, then the cosine over what is left."""
    rise = lr * (t + 1) / (warmup + 1)
    return rise if t < warmup else cosine(t - warmup, lr, total - warmup, min_lr)


def one_cycle(
    t: int,
    max_lr: float,
    total: int,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> float:
    """Half a cosine up, half a cosine down, whose last step is number total - 1."""
    low, top, last = max_lr / div_factor, pct_start * total - 1, total - 1
    if t < top:
        return low + (max_lr - low) * math.sin(0.5 * math.pi * t / top) ** 2
    fall = min((t - top) / (last - top), 1.0)
    return max_lr + (low / final_div_factor - max_lr) * math.sin(0.5 * math.pi * fall) ** 2


def piecewise(t: int, boundaries: Sequence[int], values: Sequence[float]) -> float:
    return values[int(np.searchsorted(boundaries, t, side="right"))]


def reduce_on_plateau(
    values: Sequence[float],
    lr: float,
    factor: float = 0.1,
    patience: int = 10,
    maximise: bool = False,
    threshold: float = 1e-4,
    relative: bool = True,
    cooldown: int = 0,
    min_lr: float = 0.0,
    eps: float = 1e-8,
) -> list[float]:
    """The rate after each value."""
    rates, bad, rest = [], 0, 0
    best = -math.inf if maximise else math.inf
    for value in values:
        change = abs(threshold * best) if relative and math.isfinite(best) else threshold
        if value > best + change if maximise else value < best - change:
            best, bad = value, 0
        else:
            bad += 1
        if rest:
            rest, bad = rest - 1, 0
        if bad > patience:
            bad, rest = 0, cooldown
            if lr - max(lr * factor, min_lr) > eps:
                lr = max(lr * factor, min_lr)
        rates.append(lr)
    return rates


SCHEDULES: dict[str, Callable[..., float]] = {
    "WarmupCosine": warmup_cosine,
    "OneCycle": one_cycle,
    "Piecewise": piecewise,
    "ReduceOnPlateau": lambda t, lr: lr,  # of time: what it is shown comes from elsewhere
    "Constant": constant,
    "Step": step,
    "Exponential": exponential,
    "Cosine": cosine,
}


# ----------------------------------------------------------------------------------------- initialisers


@dataclass(frozen=True)
class Distribution:
    """What the weights of a layer must look like; bounds are None for unbounded distributions."""

    mean: float
    std: float
    low: float | None = None
    high: float | None = None


def _normal(variance: float) -> Distribution:
    return Distribution(0.0, math.sqrt(variance))


def _uniform(variance: float) -> Distribution:
    bound = math.sqrt(3.0 * variance)  # the variance of U(-b, b) is b^2 / 3
    return Distribution(0.0, math.sqrt(variance), -bound, bound)


def _between(low: float, high: float) -> Distribution:
    return Distribution(0.5 * (low + high), (high - low) / math.sqrt(12.0), low, high)


# He keeps the variance through a ReLU (which halves it), LeCun through a linear unit, and Glorot is the
# compromise between forward (fan_in) and backward (fan_out).
INITIALISERS: dict[str, Callable[..., Distribution]] = {
    "he_normal": lambda fan_in, fan_out: _normal(2.0 / fan_in),
    "he_uniform": lambda fan_in, fan_out: _uniform(2.0 / fan_in),
    "glorot_normal": lambda fan_in, fan_out: _normal(2.0 / (fan_in + fan_out)),
    "glorot_uniform": lambda fan_in, fan_out: _uniform(2.0 / (fan_in + fan_out)),
    "lecun_normal": lambda fan_in, fan_out: _normal(1.0 / fan_in),
    "lecun_uniform": lambda fan_in, fan_out: _uniform(1.0 / fan_in),
    "normal": lambda fan_in, fan_out, std=0.05: Distribution(0.0, std),
    "uniform": lambda fan_in, fan_out, low=-0.05, high=0.05: _between(low, high),
    "zeros": lambda fan_in, fan_out: Distribution(0.0, 0.0, 0.0, 0.0),
    "ones": lambda fan_in, fan_out: Distribution(1.0, 0.0, 1.0, 1.0),
    # rows or columns of length 1: entries have mean square 1 / max(fan_in, fan_out)
    "orthogonal": lambda fan_in, fan_out: Distribution(0.0, max(fan_in, fan_out) ** -0.5, -1.0, 1.0),
}


def orthogonality_error(weight: Array) -> float:
    """How far the rows (or the columns, if there are more rows) are from being orthonormal."""
    weight = np.asarray(weight, np.float64)
    product = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
    return float(np.abs(product - np.eye(len(product))).max())


# --------------------------------------------------------------------------------------------- metrics
# y_pred: scores [batch, classes] for the class metrics, probabilities for the binary ones, values else.


def accuracy(y_true: Array, y_pred: Array) -> float:
    return float(np.mean(np.argmax(y_pred, axis=-1) == y_true))


def top_k_accuracy(y_true: Array, y_pred: Array, k: int = 5) -> float:
    """The share of samples where fewer than k classes score above the right one."""
    right = np.take_along_axis(y_pred, np.asarray(y_true)[:, None], axis=-1)
    return float(np.mean((y_pred > right).sum(axis=-1) < k))


def binary_accuracy(y_true: Array, y_pred: Array) -> float:
    return float(np.mean((y_pred > 0.5) == (y_true > 0.5)))


def _counts(y_true: Array, y_pred: Array) -> tuple[int, int, int]:
    """True positives, false positives, false negatives."""
    said, true = np.ravel(y_pred) > 0.5, np.ravel(y_true) > 0.5
    return int((said & true).sum()), int((said & ~true).sum()), int((~said & true).sum())


def precision(y_true: Array, y_pred: Array) -> float:
    hit, false_alarm, _ = _counts(y_true, y_pred)
    return hit / (hit + false_alarm) if hit + false_alarm else 0.0


def recall(y_true: Array, y_pred: Array) -> float:
    hit, _, miss = _counts(y_true, y_pred)
    return hit / (hit + miss) if hit + miss else 0.0


def f1(y_true: Array, y_pred: Array) -> float:
    hit, false_alarm, miss = _counts(y_true, y_pred)
    return 2 * hit / (2 * hit + false_alarm + miss) if hit + false_alarm + miss else 0.0


def iou(y_true: Array, y_pred: Array) -> float:
    hit, false_alarm, miss = _counts(y_true, y_pred)
    return hit / (hit + false_alarm + miss) if hit + false_alarm + miss else 0.0


def auc(y_true: Array, y_pred: Array) -> float:
    """The share of all pairs (member, other) where the member scores higher; ties count half."""
    members, others = y_pred[y_true > 0.5], y_pred[y_true <= 0.5]
    difference = members[:, None] - others[None, :]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def r2(y_true: Array, y_pred: Array) -> float:
    """1 - (squared error) / (squared error of always predicting the mean)."""
    return 1.0 - float(((y_true - y_pred) ** 2).sum() / ((y_true - y_true.mean(axis=0)) ** 2).sum())


METRICS: dict[str, Callable[..., float]] = {
    "accuracy": accuracy,
    "top_k_accuracy": top_k_accuracy,
    "binary_accuracy": binary_accuracy,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "iou": iou,
    "auc": auc,
    "mean_squared_error": lambda y_true, y_pred: float(np.mean((y_true - y_pred) ** 2)),
    "mean_absolute_error": lambda y_true, y_pred: float(np.mean(np.abs(y_true - y_pred))),
    "r2": r2,
}
