"""What flows through each layer: the size of its deltas, what it puts out, which of its units are stuck.

Shared by ``rg.diagnose`` and by ``fit(record="layers")``; both read a trace of the core and compute no layer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from retrograd import _core
from retrograd._arguments import Record
from retrograd._bound import call_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrograd._core import Array, LayerInfo, Trainer32, Trainer64
    from retrograd._feed import Ready
    from retrograd.model import Model

# Beyond these outputs the slope is below 6 % of its largest (sigmoid: 12 %): the unit hardly learns.
RANGES = {
    "sigmoid": (0.03, 0.97),
    "hard_sigmoid": (0.03, 0.97),
    "tanh": (-0.97, 0.97),
    "softsign": (-0.75, 0.75),
}
SILENT = ("relu", "hard_swish")  # 0 wherever their slope is 0
FADING = ("elu", "selu", "gelu", "silu", "softplus", "mish")  # their slope tends to 0 on the left
OWN = "own"  # a function of one's own, made of several operations
RECURRENT = ("lstm", "gru", "simple_rnn")
FLAT = 0.05  # of a function of one's own: a slope below this counts as saturated
FADED = 0.01  # of the functions that fade: a unit whose slope is below this for all samples is dead
_WEIGHTS = ("weight", "weight_ih", "out_proj.weight")  # the role of W

_BETWEEN = ("batch_norm", "layer_norm", "rms_norm", "add", "dropout")  # may stand before the activation


class Site(Record):
    """Where the numbers of one call of a layer stand in a trace.

    Attributes
    ----------
    name, kind
        ``"dense_0"`` (``"dense_0@1"`` for its second call) and ``"dense"``.
    weight
        The parameter's name; "" where it has none of that role.
    z, u, a
        The nodes of the pre-activation, of what the activation reads (z, or what a normalisation made of it)
        and of the activation.
    activation
        The core's name of it; "" for none, "own" for a function of one's own.
    next, back
        The layer that a goes to first, "" where it goes to none, and the node that this layer reads: its
        gradient is W_next^T delta_next where nobody else reads it.
    """

    name: str
    kind: str
    weight: str
    z: str
    u: str
    a: str
    activation: str
    next: str
    back: str

    def __init__(
        self, name: str, kind: str, weight: str, z: str, u: str, a: str, activation: str, next: str, back: str
    ) -> None:
        self._set(
            name=name, kind=kind, weight=weight, z=z, u=u, a=a, activation=activation, next=next, back=back
        )

    @property
    def saturates(self) -> bool:
        """Whether its activation has flat ends that a unit may be caught in."""
        return self.activation in RANGES or self.activation == OWN

    @property
    def dies(self) -> bool:
        """Whether its activation may pass nothing of a unit for all samples."""
        return self.activation in SILENT or self.activation in FADING or self.activation == OWN


class Flow(Record):
    """Numbers of one layer in one pass.

    Attributes
    ----------
    delta_rms
        The root of the mean of delta^2 over samples and units; NaN where there is no delta.
    activation_mean, activation_std
        Of a, over samples and units.
    saturated
        The share of its outputs where the activation is flat; NaN where that has no meaning.
    dead
        The units that pass nothing of any sample; None where that has no meaning.
    units
        The size of the last axis of a.
    """

    delta_rms: float
    activation_mean: float
    activation_std: float
    saturated: float
    dead: tuple[int, ...] | None
    units: int

    def __init__(
        self,
        delta_rms: float,
        activation_mean: float,
        activation_std: float,
        saturated: float,
        dead: tuple[int, ...] | None,
        units: int,
    ) -> None:
        self._set(
            delta_rms=delta_rms,
            activation_mean=activation_mean,
            activation_std=activation_std,
            saturated=saturated,
            dead=dead,
            units=units,
        )


def sites(model: Model) -> list[Site]:
    """Every call of every layer that has a pre-activation, in the order of the graph.

    What an Embedding or a MultiHeadAttention puts out is linear in its table, or in its last weights, and
    counts as z.
    """
    core = model._core
    infos = [(info, call) for info in core.layers() for call in range(info.calls) if _role(info)]
    nodes = {name: core.node(name) for name in core.node_names}
    readers: dict[str, list[str]] = {name: [] for name in nodes}
    for name, node in nodes.items():
        for given in node.inputs:
            readers[core.name_of(given)].append(name)
    owners = {
        call_name(info, _role(info), call): info.name + (f"@{call}" if call else "") for info, call in infos
    }
    activations = set(_core.op_list("activation")) - {"linear"}

    def activation(info_a: str, z: str) -> tuple[str, str, str]:
        """What the activation reads, what it gives, what it is called."""
        if info_a:
            op = nodes[info_a].op
            direct = [core.name_of(given) for given in nodes[info_a].inputs] == [z]
            return z, info_a, op if (op in activations and direct) or op in RECURRENT else OWN
        here = z
        while len(readers[here]) == 1:
            reader = readers[here][0]
            if nodes[reader].op in activations:
                return here, reader, nodes[reader].op
            if nodes[reader].op not in _BETWEEN:
                break
            here = reader
        return z, z, ""

    def following(a: str) -> tuple[str, str]:
        """The layer that is met first on the way from a to the outputs, and the node it reads."""
        front, seen = [a], {a}
        while front:
            found = [(owners[reader], node) for node in front for reader in readers[node] if reader in owners]
            if found:
                return found[0]
            front = [reader for node in front for reader in readers[node] if reader not in seen]
            front = list(dict.fromkeys(front))
            seen.update(front)
        return "", ""

    made = []
    for info, call in infos:
        z, own = call_name(info, _role(info), call), call_name(info, "a", call)
        u, a, name = activation("" if own == z else own, z)
        weight = next((info.parameters[role] for role in _WEIGHTS if role in info.parameters), "")
        made.append(Site(owners[z], info.kind, weight, z, u, a, name, *following(a)))
    return made


class Probe:
    """What ``fit(record="layers")`` adds to an epoch: one look at every layer, with the same rows each time.

    Parameters
    ----------
    model
        What is trained.
    trained
        The parameters that are not frozen.
    """

    def __init__(self, model: Model, trained: list[str]) -> None:
        self._model = model
        self._trained = trained
        self._sites = sites(model)

    def names(self) -> list[str]:
        """The keys of the history, norms of the core included."""
        by_parameter = ("gradient_norm", "update_norm", "update_ratio")
        by_layer = ("delta_rms", "activation_mean", "activation_std")
        return [
            *(f"{what}/{name}" for what in by_parameter for name in self._trained),
            *(f"{what}/{site.name}" for what in by_layer for site in self._sites),
            *(f"saturated/{site.name}" for site in self._sites if site.saturates),
            *(f"dead/{site.name}" for site in self._sites if site.dies),
        ]

    def look(self, core: Trainer32 | Trainer64, rows: Ready, norms: Mapping[str, float]) -> dict[str, float]:
        """The numbers behind those names, but for the norms, which are given."""
        found = {}
        for name in self._trained:
            weight = self._model.parameters[name]
            size, update = rms(weight) * math.sqrt(weight.size), norms[f"update_norm/{name}"]
            found[f"update_ratio/{name}"] = update / size if size > 0 else math.inf if update > 0 else 0.0
        x, y, weights = rows
        _, values, deltas, _ = core.trace(x, y, weights if weights is not None and weights.any() else None)
        for site in self._sites:
            flow = measure(site, values, deltas)
            found[f"delta_rms/{site.name}"] = flow.delta_rms
            found[f"activation_mean/{site.name}"] = flow.activation_mean
            found[f"activation_std/{site.name}"] = flow.activation_std
            if site.saturates:
                found[f"saturated/{site.name}"] = flow.saturated
            if site.dies and flow.dead is not None:
                found[f"dead/{site.name}"] = len(flow.dead) / flow.units
        return found


def _role(info: LayerInfo) -> str:
    """The role of the node that stands for z; "" for a layer that has none."""
    if "z" in info.nodes:
        return "z"
    return "a" if info.kind in ("embedding", "multi_head_attention") else ""


def rms(values: Array | None) -> float:
    """The root of the mean of the squares; NaN of nothing. Squares are float64: small numbers stay."""
    if values is None or values.size == 0:
        return math.nan
    flat = values.ravel().astype(np.float64, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        # einsum, since the threads of a BLAS would spin beside the training that goes on
        return float(np.sqrt(np.einsum("i,i->", flat, flat) / flat.size))


def measure(site: Site, values: Mapping[str, Array], deltas: Mapping[str, Array]) -> Flow:
    """The numbers of a layer from the values and the deltas of a trace."""
    a = values[site.a]
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = float(a.mean(dtype=np.float64)), float(a.std(dtype=np.float64))
    slope = _slope(deltas.get(site.u), deltas.get(site.a)) if _asks_for_slope(site) else None
    saturated = _saturated(site, a, slope)
    dead = _dead(site, a, slope)
    return Flow(rms(deltas.get(site.z)), mean, spread, saturated, dead, a.shape[-1])


def _asks_for_slope(site: Site) -> bool:
    return site.activation in FADING or site.activation == OWN


def _slope(du: Array | None, da: Array | None) -> Array | None:
    """|act'(u)| = |du / da|, NaN where da is 0 and tells nothing; None where they do not belong together."""
    if du is None or da is None or du.shape != da.shape:
        return None
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope: Array = np.abs(du / da)
    slope[da == 0] = np.nan
    return slope


def _saturated(site: Site, a: Array, slope: Array | None) -> float:
    if site.activation in RANGES:
        low, high = RANGES[site.activation]
        return 1.0 - np.count_nonzero((a > low) & (a < high)) / a.size
    if site.activation == OWN and slope is not None:
        known = np.count_nonzero(~np.isnan(slope))
        return np.count_nonzero((slope > 0) & (slope < FLAT)) / known if known else math.nan
    return math.nan


def _dead(site: Site, a: Array, slope: Array | None) -> tuple[int, ...] | None:
    if site.activation in SILENT:
        off = ~a.reshape(-1, a.shape[-1]).any(axis=0)
    elif slope is not None and site.dies:
        flat = slope.reshape(-1, slope.shape[-1])
        awake = flat > (0.0 if site.activation == OWN else FADED)  # NaN is not awake, and not known either
        off = ~awake.any(axis=0) & ~np.isnan(flat).all(axis=0)
    else:
        return None
    return tuple(int(unit) for unit in np.flatnonzero(off))
