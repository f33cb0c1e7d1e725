"""The whole calculation of one training step of a small network, as a textbook would write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._arguments import flag, integer
from retrograd._explain.backward import gradient_section, hidden_section, output_section
from retrograd._explain.case import Case
from retrograd._explain.forward import forward_section, loss_section, setup_section
from retrograd._explain.network import Stage, read_stages
from retrograd._explain.notation import Digits
from retrograd._explain.report import Explanation
from retrograd._explain.update import outcome_section, update_section
from retrograd._explain.verify import verification_section
from retrograd.errors import ArgumentError
from retrograd.model import Model
from retrograd.optim import SGD
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from retrograd.optim import Optimizer

__all__ = ["Explanation", "explain"]

LINES = 2000  # of a report
TERMS = 32  # of a sum
LR = 0.1  # of plain SGD, where no optimizer is given


def explain(
    net_or_trainer: Model | Trainer,
    x: Any,
    y: Any,
    loss: Any = None,
    optimizer: Optimizer | str | None = None,
    sample_weight: Any = None,
    digits: int = 6,
    verify: bool = False,
) -> Explanation:
    """Write out one training step: every z, a, da, delta, dW, db and updated weight, formula and numbers.

    The engine carries the step out on a copy, and the report reads its numbers; what is rounded for display
    never enters a later line. Only what the engine does not keep (Adam's m_hat and v_hat, a clipped gradient)
    is evaluated from the exact numbers of its line. For networks of dense layers, of at most 2,000 lines and
    sums of at most 32 terms.

    Parameters
    ----------
    net_or_trainer
        A model; or a trainer, whose loss, optimizer, penalties, clipping and state then hold. Neither is
        changed.
    x, y, sample_weight
        A few samples, their targets and, if they do not count alike, their weights.
    loss
        A name or an object of :mod:`retrograd.losses`; for a model.
    optimizer
        A name or an object of :mod:`retrograd.optim`; for a model. None: ``rg.SGD(0.1)``.
    digits
        Significant digits that are shown, 1 to 17; 17 are exact.
    verify
        Whether to add a table that compares each gradient with the central difference of the loss.

    Returns
    -------
    Explanation
        Print it, or write ``to_text()``, ``to_markdown()``, ``to_html()``, ``to_latex()``, ``to_dict()``.

    Raises
    ------
    ArgumentError
        A network with other layers or too large to read, no loss, or a loss of one's own.
    ShapeError, DTypeError
        The data does not fit.
    NonFiniteError
        The step is not finite.
    """
    count = integer("explain: digits", digits, 1, 17)
    trainer = _trainer_of(net_or_trainer, loss, optimizer)
    stages = read_stages(trainer.model)
    _check_size(trainer, stages, x)
    case = Case(trainer, x, y, sample_weight)
    sections = [
        setup_section(case),
        forward_section(case),
        loss_section(case),
        output_section(case),
        hidden_section(case),
        gradient_section(case),
        update_section(case),
        outcome_section(case),
    ]
    if flag("explain: verify", verify):
        sections.append(verification_section(trainer, x, y, sample_weight))
    shape = "-".join(map(str, [case.numbers.size(case.numbers.input), *(stage.size for stage in stages)]))
    facts = {"title": f"One training step of a {shape} network", "dtype": str(trainer.model.dtype)}
    return Explanation(
        sections,
        case.numbers.trace,
        case.numbers_after.trace,
        case.before,
        case.after,
        Digits(count, np.dtype(trainer.model.dtype)),
        facts,
    )


def _trainer_of(given: Any, loss: Any, optimizer: Any) -> Trainer:
    if isinstance(given, Trainer):
        for name, value in (("loss", loss), ("optimizer", optimizer)):
            if value is not None:
                raise ArgumentError(
                    f"explain: a trainer has its own {name}; leave {name}= out, or pass trainer.model in its "
                    "place"
                )
        return given
    if not isinstance(given, Model):
        raise ArgumentError(f"explain: expected a Model or a Trainer, got {type(given).__name__}")
    read_stages(given)
    if loss is None:
        raise ArgumentError(
            "explain: a model has no loss; pass loss='half_squared_error' for instance, or a Trainer"
        )
    return Trainer(given.copy(), loss, SGD(LR) if optimizer is None else optimizer)


def _check_size(trainer: Trainer, stages: list[Stage], x: Any) -> None:
    """Refuse what nobody would read, before it is written.

    Raises
    ------
    ArgumentError
        Too many lines, or a sum of too many terms.
    """
    samples = len(x) if hasattr(x, "__len__") else 1
    per_weight = 2 + 6  # a gradient and a row of the table, and about as many lines as Adam has
    if trainer.optimizer.name == "sgd":
        per_weight = 3
    weights = sum(view.size for view in trainer.model.parameters.values())
    units = sum(stage.size for stage in stages)
    lines = 4 * samples * units + per_weight * weights
    inputs = int(np.prod(trainer.model.inputs[0].sample_shape))
    terms = max(samples, inputs, *(stage.size for stage in stages))
    if lines > LINES or terms > TERMS:
        raise ArgumentError(
            f"explain: {samples} samples, {units} units and {weights:,} weights make about {lines:,} lines "
            f"with sums of up to {terms} terms, and at most {LINES:,} lines and {TERMS} terms can be read; "
            "pass fewer samples or build a smaller network of the same kind. net.trace(x, y, loss) has all "
            "numbers of any network"
        )
