"""What is going wrong, in words, with the numbers that say so and what usually helps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from retrograd._play.views import SILENT, short

if TYPE_CHECKING:
    from retrograd._play.run import Run
    from retrograd._play.views import Views

__all__ = ["verdict"]

VANISHING, EXPLODING, LARGE = 1e-3, 1e3, 1e3
SATURATED = 0.5
TOO_LONG, STALLED = 0.1, 1e-6
WINDOW = 20


def verdict(run: Run, views: Views) -> dict[str, str] | None:
    """The first trouble that holds, the worst first; None where there is none."""
    look = views.look()
    if look is None:
        return {
            "kind": "diverged",
            "text": f"After step {run.step} some numbers of the network are no longer finite.",
            "remedy": "Rewind, and use a smaller learning rate or clip_norm.",
        }
    for check in (_flow, _dead, _saturated, _rate):
        found = check(run, views)
        if found is not None:
            return found
    return None


def _flow(run: Run, views: Views) -> dict[str, str] | None:
    look = views.look()
    assert look is not None
    g = [flow.rms_g for flow in look.flows]
    if max(g) > LARGE or (g[-1] > 0 and g[0] / g[-1] > EXPLODING):
        return {
            "kind": "exploding",
            "text": f"The gradients are large: RMS dL/dW is {short(g[0])} in layer 1 and {short(g[-1])} in layer "
            f"{len(g)}.",
            "remedy": "Use clip_norm, a smaller learning rate, or weights that begin smaller (init he or glorot).",
        }
    if len(g) > 1 and g[-1] > 0 and g[0] / g[-1] < VANISHING:
        gains = [(flow.weight_gain, flow.slope_gain) for flow in look.flows[:-1]]
        slopes = math.prod(slope for _, slope in gains)
        weights = math.prod(weight for weight, _ in gains)
        cause = "slopes" if slopes < weights else "weights"
        return {
            "kind": "vanishing",
            "text": f"RMS dL/dW of layer 1 is {short(g[0] / g[-1])} times that of layer {len(g)}: on the way back "
            f"slopes make delta {short(slopes)} times and weights {short(weights)} times as large; mostly the "
            f"{cause}.",
            "remedy": "Use relu or tanh in place of sigmoid, he or glorot initialisation, or fewer layers."
            if cause == "slopes"
            else "Let the weights begin larger: he or glorot initialisation, init_scale 1.",
        }
    return None


def _dead(run: Run, views: Views) -> dict[str, str] | None:
    hidden = range(len(views.columns) - 1)
    count = sum(len(views.dead[k]) for k in hidden)
    if count == 0:
        return None
    total = sum(views.columns[k].units for k in hidden if views.columns[k].activation in SILENT)
    where = ", ".join(f"{len(views.dead[k])} in layer {k + 1}" for k in hidden if views.dead[k])
    return {
        "kind": "dead",
        "text": f"{count} of {total} units give 0 for every training sample ({where}), so nothing changes them.",
        "remedy": "Use a smaller learning rate or leaky_relu, and begin anew: dead units do not come back.",
    }


def _saturated(run: Run, views: Views) -> dict[str, str] | None:
    shares = [(share, k) for k, share in enumerate(views.saturated[:-1]) if share > SATURATED]
    if not shares:
        return None
    share, k = max(shares)
    return {
        "kind": "saturated",
        "text": f"{100 * share:.0f} % of the outputs of layer {k + 1} ({views.columns[k].activation}) lie where its "
        "slope is nearly 0.",
        "remedy": "Let the weights begin smaller, scale the inputs, use a smaller learning rate or another activation.",
    }


def _rate(run: Run, views: Views) -> dict[str, str] | None:
    look = views.look()
    assert look is not None
    ratios = [flow.update_ratio for flow in look.flows if math.isfinite(flow.update_ratio)]
    if run.step == 0 or not ratios:
        return None
    recent = run.losses.values[-2 * WINDOW :]
    if len(recent) == 2 * WINDOW:
        before, after = sum(recent[:WINDOW]) / WINDOW, sum(recent[WINDOW:]) / WINDOW
        if max(ratios) > TOO_LONG and after > 0.95 * before:
            return {
                "kind": "lr too high",
                "text": f"An update changes the weights by {100 * max(ratios):.0f} % at once, and the loss does not "
                f"fall: {short(before)} on average over {WINDOW} steps, then {short(after)}.",
                "remedy": f"Divide the learning rate by 3 to 10 (now {short(run.trainer.lr)}).",
            }
    if max(ratios) < STALLED and run.losses.values and run.losses.values[-1] > 1e-3:
        return {
            "kind": "stalled",
            "text": f"An update changes the weights by {short(100 * max(ratios))} % only.",
            "remedy": f"Multiply the learning rate by 3 to 10 (now {short(run.trainer.lr)}).",
        }
    return None
