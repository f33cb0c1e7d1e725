"""What each optimizer does to one weight, as lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from retrograd._explain.expression import Expression, Number, Power, Quantity, call, product_of
from retrograd._explain.report import Line
from retrograd.optim import SGD, Lion, NAdam, RAdam, RMSprop, Rprop

if TYPE_CHECKING:
    from retrograd.optim import Optimizer

__all__ = ["Weight", "common_lines", "meaning", "update_lines"]

RADAM_TRUSTED = 5  # from which n on RAdam divides by sqrt(v)
NADAM_BASE = 0.96
_PRODUCT_SHOWN = 8  # factors of NAdam's M that are written out


class Weight:
    """One weight (or bias) in an update.

    Attributes
    ----------
    w, w_new
        Before and after.
    g
        Its gradient as the optimizer is given it.
    slots, slots_new
        What the optimizer remembers of it, before and after.
    lr, decay
        The learning rate and the weight decay that hold for it; factors of a group are plain numbers.
    t
        The number of this update, from 1.
    """

    def __init__(
        self,
        w: Quantity,
        w_new: Quantity,
        g: Quantity,
        slots: dict[str, float],
        slots_new: dict[str, float],
        lr: Expression,
        decay: Quantity | Number,
        t: int,
    ) -> None:
        self.w = w
        self.w_new = w_new
        self.g = g
        self.slots = slots
        self.slots_new = slots_new
        self.lr = lr
        self.decay = decay
        self.t = Quantity("t", t)

    def named(self, letter: str, number: float, new: bool = False) -> Quantity:
        """A quantity with this weight's indices."""
        return Quantity(letter, number, self.w.index, 0, self.w.layer, new)

    def slot(self, letter: str, name: str) -> tuple[Quantity, Quantity]:
        """What is remembered, before and after."""
        before = self.named(letter, self.slots.get(name, 0.0))
        return before, self.named(letter, self.slots_new[name], True)


def derived(weight: Weight, letter: str, formula: Expression) -> Line:
    """A step in between that the engine does not keep: its number is the formula's."""
    return Line(weight.named(letter, formula.value()), formula)


def _moved(weight: Weight, step: Expression, shrunk: bool = False) -> Line:
    """w' = w - step, or with the weight shrunk by eta lambda first."""
    if shrunk and weight.decay.number:
        return Line(weight.w_new, weight.w - weight.lr * weight.decay * weight.w - step)
    return Line(weight.w_new, weight.w - step)


def _fading(beta: Quantity, old: Quantity, arriving: Expression) -> Expression:
    """beta old + (1 - beta) arriving"""
    return beta * old + (1 - beta) * arriving


# --------------------------------------------------------------------------------------------- the rules


def _sgd(o: Optimizer, w: Weight) -> list[Line]:
    assert isinstance(o, SGD)
    if o.momentum == 0:
        return [_moved(w, w.lr * w.g)]
    mu, tau = Quantity("mu", o.momentum), Quantity("tau", o.dampening)
    old, new = w.slot("m", "momentum_buffer")
    if w.t.number == 1:
        line = Line(new, w.g, "the first update")
    else:
        line = Line(new, mu * old + ((1 - tau) * w.g if o.dampening else w.g))
    step = w.g + mu * new if o.nesterov else new
    return [line, _moved(w, w.lr * step)]


def _rmsprop(o: Optimizer, w: Weight) -> list[Line]:
    assert isinstance(o, RMSprop)
    alpha, epsilon, mu = Quantity("alpha", o.alpha), Quantity("epsilon", o.eps), Quantity("mu", o.momentum)
    v, v_new = w.slot("v", "square_avg")
    lines = [Line(v_new, _fading(alpha, v, w.g**2))]
    variance: Expression = v_new
    if o.centered:
        c, c_new = w.slot("c", "grad_avg")
        lines.append(Line(c_new, _fading(alpha, c, w.g)))
        variance = call("max", 0, v_new - c_new**2)
    bottom = call("sqrt", variance) + epsilon
    if o.momentum == 0:
        return [*lines, _moved(w, w.lr * (w.g / bottom))]
    m, m_new = w.slot("m", "momentum_buffer")
    return [*lines, Line(m_new, mu * m + w.g / bottom), _moved(w, w.lr * m_new)]


def _adagrad(o: Optimizer, w: Weight) -> list[Line]:
    epsilon, slower = Quantity("epsilon", o.__dict__["eps"]), Quantity("lr_decay", o.__dict__["lr_decay"])
    v, v_new = w.slot("v", "sum")
    rate: Expression = w.lr
    if slower.number:
        rate = w.lr / (1 + (w.t - 1) * slower)
    step = rate * (w.g / (call("sqrt", v_new) + epsilon))
    return [Line(v_new, v + w.g**2), _moved(w, step)]


def _betas(o: Optimizer) -> tuple[Quantity, Quantity]:
    first, second = o.__dict__["betas"]
    return Quantity("beta1", first), Quantity("beta2", second)


def _moments(o: Optimizer, w: Weight) -> tuple[list[Line], Quantity, Quantity]:
    """Adam's m and v, and what they are now."""
    beta1, beta2 = _betas(o)
    m, m_new = w.slot("m", "exp_avg")
    v, v_new = w.slot("v", "exp_avg_sq")
    return [Line(m_new, _fading(beta1, m, w.g)), Line(v_new, _fading(beta2, v, w.g**2))], m_new, v_new


def _corrected(w: Weight, letter: str, moment: Quantity, beta: Quantity) -> Line:
    return derived(w, letter, moment / (1 - Power(beta, w.t)))


def _adam(o: Optimizer, w: Weight) -> list[Line]:
    beta1, beta2 = _betas(o)
    epsilon = Quantity("epsilon", o.__dict__["eps"])
    lines, m, v = _moments(o, w)
    if o.__dict__["amsgrad"]:
        old, new = w.slot("vmax", "max_exp_avg_sq")
        lines.append(Line(new, call("max", old, v)))
        v = new
    lines += [_corrected(w, "mhat", m, beta1), _corrected(w, "vhat", v, beta2)]
    mhat, vhat = lines[-2].quantity, lines[-1].quantity
    step = w.lr * (mhat / (call("sqrt", vhat) + epsilon))
    return [*lines, _moved(w, step, shrunk=o.name == "adamw")]


def _nadam(o: Optimizer, w: Weight) -> list[Line]:
    assert isinstance(o, NAdam)
    beta2 = _betas(o)[1]
    lines, m, v = _moments(o, w)
    lines.append(_corrected(w, "vhat", v, beta2))
    vhat = lines[-1].quantity
    now, after, product = (line.quantity for line in _nadam_lines(o, int(w.t.number)))
    top = (1 - now) / (1 - product) * w.g + after / (1 - product * after) * m
    step = w.lr * (top / (call("sqrt", vhat) + Quantity("epsilon", o.eps)))
    return [*lines, _moved(w, step, shrunk=o.decoupled_weight_decay)]


def _nadam_lines(o: NAdam, t: int) -> list[Line]:
    """mu now and next, and the product of all so far."""
    beta1, psi = Quantity("beta1", o.betas[0]), Quantity("psi", o.momentum_decay)

    def mu(step: Expression) -> Expression:
        return beta1 * (1 - Power(Number(NADAM_BASE), step * psi) / 2)

    time = Quantity("t", t)
    lines = [
        Line(Quantity("mu_now", mu(time).value()), mu(time)),
        Line(Quantity("mu_next", mu(time + 1).value()), mu(time + 1)),
    ]
    product = product_of([mu(Number(n)) for n in range(1, t + 1)])
    total = Quantity("M", product.value())
    if t > _PRODUCT_SHOWN:
        return [*lines, Line(total, total, f"the product of all {t} mu so far")]
    return [*lines, Line(total, product)]


def _radam_lines(o: RAdam, t: int) -> list[Line]:
    """N, n and, where v may be trusted, the factor of the step."""
    beta2, time = Quantity("beta2", o.betas[1]), Quantity("t", t)
    most = 2 / (1 - beta2) - 1
    limit = Quantity("N", most.value())
    power = Power(beta2, time)
    now = limit - 2 * time * power / (1 - power)
    trusted = Quantity("n", now.value())
    why = "n > 5: v may be trusted" if trusted.number > RADAM_TRUSTED else "n ≤ 5: v is of too few gradients"
    lines = [Line(limit, most), Line(trusted, now, why)]
    if trusted.number <= RADAM_TRUSTED:
        return lines
    top, bottom = (trusted - 4) * (trusted - 2) * limit, (limit - 4) * (limit - 2) * trusted
    factor = call("sqrt", top / bottom)
    return [*lines, Line(Quantity("rectified", factor.value()), factor)]


def _radam(o: Optimizer, w: Weight) -> list[Line]:
    assert isinstance(o, RAdam)
    beta1, beta2 = _betas(o)
    lines, m, v = _moments(o, w)
    lines.append(_corrected(w, "mhat", m, beta1))
    step: Expression = w.lr * lines[-1].quantity
    common = _radam_lines(o, int(w.t.number))
    if len(common) > 2:
        unbiased = call("sqrt", 1 - Power(beta2, w.t)) / (call("sqrt", v) + Quantity("epsilon", o.eps))
        step = step * common[-1].quantity * unbiased
    return [*lines, _moved(w, step, shrunk=o.decoupled_weight_decay)]


def _adadelta(o: Optimizer, w: Weight) -> list[Line]:
    rho, epsilon = Quantity("rho", o.__dict__["rho"]), Quantity("epsilon", o.__dict__["eps"])
    v, v_new = w.slot("v", "square_avg")
    u, u_new = w.slot("u", "acc_delta")
    formula = call("sqrt", u + epsilon) / call("sqrt", v_new + epsilon) * w.g
    step = derived(w, "d", formula)
    return [
        Line(v_new, _fading(rho, v, w.g**2)),
        step,
        Line(u_new, _fading(rho, u, step.quantity**2)),
        _moved(w, w.lr * step.quantity),
    ]


def _adamax(o: Optimizer, w: Weight) -> list[Line]:
    beta1, beta2 = _betas(o)
    m, m_new = w.slot("m", "exp_avg")
    u, u_new = w.slot("u", "exp_inf")
    largest = call("max", beta2 * u, call("abs", w.g) + Quantity("epsilon", o.__dict__["eps"]))
    corrected = _corrected(w, "mhat", m_new, beta1)
    return [
        Line(m_new, _fading(beta1, m, w.g)),
        Line(u_new, largest),
        corrected,
        _moved(w, w.lr * (corrected.quantity / u_new)),
    ]


def _lion(o: Optimizer, w: Weight) -> list[Line]:
    assert isinstance(o, Lion)
    beta1, beta2 = _betas(o)
    m, m_new = w.slot("m", "exp_avg")
    direction = derived(w, "c", _fading(beta1, m, w.g))
    step = w.lr * call("sign", direction.quantity)
    return [direction, _moved(w, step, shrunk=True), Line(m_new, _fading(beta2, m, w.g))]


def _rprop(o: Optimizer, w: Weight) -> list[Line]:
    assert isinstance(o, Rprop)
    low, high = Quantity("low", o.step_sizes[0]), Quantity("high", o.step_sizes[1])
    old, new = w.slot("step", "step_size")
    agreement = w.g.number * w.slots.get("prev", 0.0)
    start: Expression = old if old.number else w.lr
    if agreement > 0:
        start, why = start * Quantity("eta_plus", o.etas[1]), "g keeps its sign"
    elif agreement < 0:
        start, why = start * Quantity("eta_minus", o.etas[0]), "g turned"
    else:
        why = "no gradient before to compare with" if not w.slots.get("prev") else "g is 0"
    size = Line(new, call("min", call("max", start, low), high), why)
    if agreement < 0:
        return [size, Line(w.w_new, w.w, "g turned, so it counts as 0 once")]
    return [size, _moved(w, new * call("sign", w.g))]


_RULES: dict[str, Callable[[Optimizer, Weight], list[Line]]] = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adam": _adam,
    "adamw": _adam,
    "nadam": _nadam,
    "radam": _radam,
    "adadelta": _adadelta,
    "adamax": _adamax,
    "lion": _lion,
    "rprop": _rprop,
}


def update_lines(optimizer: Optimizer, weight: Weight) -> list[Line]:
    """All that one update does to one weight."""
    lines = []
    apart = optimizer.name in ("adamw", "lion") or optimizer.__dict__.get("decoupled_weight_decay", False)
    if weight.decay.number and not apart:
        line = derived(weight, "gdecay", weight.g + weight.decay * weight.w)
        weight.g = line.quantity
        lines.append(line)
    return lines + _RULES[optimizer.name](optimizer, weight)


def common_lines(optimizer: Optimizer, t: int) -> list[Line]:
    """What is the same for every weight of an update."""
    if isinstance(optimizer, NAdam):
        return _nadam_lines(optimizer, t)
    return _radam_lines(optimizer, t) if isinstance(optimizer, RAdam) else []


_MEANINGS = {
    "sgd": "by η times its gradient, against it",
    "rmsprop": "by η times its gradient divided by the root of v, the fading mean of the gradient's square",
    "adagrad": "by η times its gradient divided by the root of v, the sum of all its squares so far",
    "adam": "by η times m̂ divided by the root of v̂: the fading means of its gradient and of the square, "
    "corrected for having begun at 0",
    "adamw": "as Adam does, and shrinks it by η λ w, apart from the gradient",
    "nadam": "as Adam does, with a step that looks one momentum ahead",
    "radam": "as Adam does, but divides by the root of v only once enough gradients are in it",
    "adadelta": "by its gradient times the ratio of two fading roots: of steps (u) and of gradients (v)",
    "adamax": "as Adam does, with u, the largest gradient of late, in place of the root of v",
    "lion": "by η against the sign of c, a fading mean of its gradients",
    "rprop": "by a step of its own against the sign of its gradient: longer while that stays, shorter where "
    "it turns",
}


def meaning(optimizer: Optimizer) -> str:
    """An optimizer in words."""
    if isinstance(optimizer, SGD) and optimizer.momentum:
        look = ", looking one step ahead" if optimizer.nesterov else ""
        return f"by η times m, against it; m remembers earlier gradients, fading by μ{look}"
    return _MEANINGS[optimizer.name]
