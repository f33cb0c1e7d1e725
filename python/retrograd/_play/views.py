"""Numbers for the eye: frames, maps of the plane, scores, texts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd._flow import RANGES, SILENT
from retrograd._play import wire
from retrograd._play.look import Column, Look, columns_of, look_at
from retrograd.errors import NonFiniteError, StateError
from retrograd.model import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from retrograd._play.run import Run

__all__ = ["Views", "exact", "short"]

GRID = 48
ROWS = 2000  # scores and counts of units look at so many rows at most
DRAWN = 32  # units of a layer whose texts are sent


def exact(value: Any) -> str:
    """The shortest decimal number that is this very value."""
    number = value if isinstance(value, float) else value.item() if value.dtype == np.float64 else value
    text = str(number)
    return text.removesuffix(".0") if text != "-0.0" else "0"


def short(value: float, digits: int = 3) -> str:
    """Three significant digits; 1.2e-5 where it is small or large, a dash where there is none."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e4:
        text = f"{value:.{digits}g}"
        return text if "e" not in text else f"{value:.0f}"
    mantissa, _, exponent = f"{value:.{digits - 2}e}".partition("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


class Views:
    """What can be seen of one run.

    Attributes
    ----------
    columns
        The layers that are drawn.
    focus
        The row of the sample whose z, a and delta are shown.
    unit
        (layer, unit) of the large map; None: the output.
    known
        The network that the columns are of.
    maps
        Whether a small map of every unit is sent too.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.focus = int(run.batch_rows()[0])
        self.unit: tuple[int, int] | None = None
        self.maps = False
        self.rev = 0
        self.inspected: tuple[Any, Any] | None = None
        self._seen: tuple[Any, ...] | None = None
        self._look: Look | None = None
        self.renew()

    def renew(self) -> None:
        """For a network that is new."""
        self.columns = columns_of(self.run.model)
        self.known = self.run.model
        self.run.layers = len(self.columns)
        self._model: Model | None = None
        self._of: Model | None = None
        self.rev += 1
        count = len(self.run.scene.x)
        if self.focus >= count:
            self.focus = int(self.run.batch_rows()[0])
        if self.unit is not None and not self._has(*self.unit):
            self.unit = None
        self.layout, self.floats = wire.layout(self._sizes(), self.run.scene.inputs)
        self.scores: dict[str, float] = {}
        self.dead: list[list[int]] = [[] for _ in self.columns]
        self.saturated = [math.nan] * len(self.columns)
        self._grid_points = self._plane(GRID)
        self._half_points = self._plane(GRID // 2)

    def _has(self, layer: int, unit: int) -> bool:
        return 1 <= layer <= len(self.columns) and unit < self.columns[layer - 1].units

    def _sizes(self) -> list[tuple[int, int]]:
        return [(column.units, column.inputs) for column in self.columns]

    def _plane(self, size: int) -> NDArray[Any] | None:
        """[size^2, 2], the rows of the picture from the top; None where the data is no plane."""
        if self.run.scene.inputs != 2:
            return None
        x0, x1, y0, y1 = self.run.scene.domain()
        across = x0 + (np.arange(size) + 0.5) * (x1 - x0) / size
        down = y1 - (np.arange(size) + 0.5) * (y1 - y0) / size
        points = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
        return points.astype(self.run.model.dtype)

    # ------------------------------------------------------------------------------------- one moment

    def look(self) -> Look | None:
        """The numbers of this moment; None where some are not finite."""
        run = self.run
        key = (run.version, run.phase == 4, self.focus, id(run.model))
        if key != self._seen:
            self._look = look_at(run, self.columns, self.focus)
            self._seen = key
        return self._look

    def _probe(self) -> Model:
        """A network with the same weights whose outputs are the activations of all columns."""
        model = self.run.model
        if self._model is None or self._of is not model:
            nodes = [model._core.node(column.a) for column in self.columns]
            self._model, self._of = Model(model.inputs, nodes, dtype=model.dtype), model
        for views, sources in (
            (self._model.parameters, model.parameters),
            (self._model.buffers, model.buffers),
        ):
            for name, view in views.items():
                view[...] = sources[name]
        return self._model

    def activations(self, x: NDArray[Any]) -> list[NDArray[Any]]:
        """What every column makes of these samples, as in prediction."""
        found = self._probe().predict(x)
        return found if isinstance(found, list) else [found]

    def prediction(self, x: NDArray[Any]) -> NDArray[Any]:
        """The output as it is compared with targets: probabilities where it is classes. [n, outputs]"""
        model = self.run.model
        try:
            found = model.predict_proba(x) if self.run.scene.task == "classes" else model.predict(x)
        except StateError:
            found = model.predict(x)  # a loss that compares values, for classes
        result: NDArray[Any] = found.reshape(len(x), -1)
        return result

    # ----------------------------------------------------------------------------------------- scores

    def measure(self) -> None:
        """Loss and accuracy of training and test rows, and the units that are stuck: a few times a second."""
        scene, run = self.run.scene, self.run
        self.scores = {}
        for name, rows in (("", scene.rows[:ROWS]), ("test_", np.flatnonzero(scene.test)[:ROWS])):
            if len(rows) == 0:
                continue
            try:
                loss = run.trainer.evaluate(scene.x[rows], scene.y[rows])["loss"]
            except NonFiniteError:
                loss = math.nan
            self.scores[f"{name}loss"] = loss
            if scene.task == "classes":
                right = self._labels(self.prediction(scene.x[rows])) == scene.shown[rows]
                self.scores[f"{name}accuracy"] = float(right.mean())
        if math.isfinite(self.scores.get("test_loss", math.nan)):
            run.test_losses.add(run.step, self.scores["test_loss"])
        if "accuracy" in self.scores:
            run.accuracies.add(run.step, self.scores["accuracy"])
        self._census()

    @staticmethod
    def _labels(prediction: NDArray[Any]) -> NDArray[Any]:
        if prediction.shape[1] == 1:
            return np.asarray(prediction[:, 0] >= 0.5, dtype=np.float64)
        return np.asarray(prediction.argmax(axis=1), dtype=np.float64)

    def _census(self) -> None:
        """Units that give 0 for every training row, and the share of outputs where the slope is small."""
        outputs = self.activations(self.run.scene.x[self.run.scene.rows[:ROWS]])
        for k, (column, a) in enumerate(zip(self.columns, outputs, strict=True)):
            silent = column.activation in SILENT
            self.dead[k] = [int(u) for u in np.flatnonzero(~a.any(axis=0))] if silent else []
            low, high = RANGES.get(column.activation, (-math.inf, math.inf))
            known = column.activation in RANGES and k + 1 < len(self.columns)
            self.saturated[k] = 1.0 - float(((a > low) & (a < high)).mean()) if known else math.nan

    # ----------------------------------------------------------------------------------------- frames

    def tensors(self) -> NDArray[np.float32]:
        """All tensors of the spec's layout, one after another, and the flow."""
        look, parameters = self.look(), self.run.model.parameters
        update = self._update()
        parts: list[NDArray[Any]] = [self.run.scene.x[self.focus] if look is None else look.a[0]]
        for k, column in enumerate(self.columns, 1):
            W = parameters[column.weight]
            b = parameters[column.bias] if column.bias else np.zeros(column.units)
            if look is None:
                missing = np.full(column.units, np.nan)
                seen = [missing, missing, missing, np.full(W.shape, np.nan), missing]
            else:
                seen = [look.z[k], look.a[k], look.delta[k], look.gW[k], look.gb[k]]
            uW, ub = update[column.weight], update[column.bias] if column.bias else np.zeros(column.units)
            parts += [W, b, *seen, uW, ub]
        with np.errstate(over="ignore"):
            tensors = np.concatenate([part.ravel() for part in parts]).astype(np.float32)
            return np.concatenate([tensors, self.flow().astype(np.float32)])

    def _update(self) -> dict[str, NDArray[Any]]:
        """What the last update added, by parameter."""
        found, first, flat = {}, 0, self.run.last_update
        for name, view in self.run.model.parameters.items():
            found[name] = flat[first : first + view.size]
            first += view.size
        return found

    def flow(self) -> NDArray[Any]:
        """For each layer rms_g, rms_delta, weight_gain, slope_gain, update_ratio, dead, saturated, max_g."""
        look, rows = self.look(), np.full((len(self.columns), 8), np.nan)
        for k, column in enumerate(self.columns):
            rows[k, 5] = len(self.dead[k]) / column.units
            rows[k, 6] = self.saturated[k]
            if look is not None:
                flow = look.flows[k]
                rows[k, :5] = flow.rms_g, flow.rms_delta, flow.weight_gain, flow.slope_gain, flow.update_ratio
                rows[k, 7] = flow.max_g
        flat: NDArray[Any] = rows.ravel()
        return flat

    def grid(self) -> bytes:
        """The large map (of each class where there are several), and small ones where they are asked for."""
        assert self._grid_points is not None
        assert self._half_points is not None
        maps = self._large_map(self._grid_points)
        if self.maps:
            for a in self.activations(self._half_points):
                maps += [_byte_map(a[:, u])[0] for u in range(min(a.shape[1], DRAWN))]
        return b"".join(part.tobytes() for part in maps)

    def _large_map(self, points: NDArray[Any]) -> list[NDArray[np.uint8]]:
        if self.unit is not None:
            layer, unit = self.unit
            return [_byte_map(self.activations(points)[layer - 1][:, unit])[0]]
        low, high = self.run.scene.value_range()
        found = self.prediction(points)
        count = found.shape[1]
        share = np.clip(np.nan_to_num((found - low) / (high - low), nan=0.5), 0.0, 1.0)
        return [np.rint(255.0 * share[:, k]).astype(np.uint8) for k in range(count)]

    @property
    def has_grid(self) -> bool:
        """Whether there is a plane to draw."""
        return self._grid_points is not None

    def grid_spec(self) -> dict[str, Any] | None:
        """Size, domain and meaning of the maps."""
        if not self.has_grid:
            return None
        scene = self.run.scene
        count = int(self.prediction(scene.x[:1]).shape[1])
        return {
            "size": GRID,
            "domain": scene.domain(),
            "range": scene.value_range(),
            "maps": 1 if self.unit is not None else count,
            "unit": None if self.unit is None else {"layer": self.unit[0], "unit": self.unit[1]},
            "small": sum(min(column.units, DRAWN) for column in self.columns) if self.maps else 0,
            "small_size": GRID // 2,
        }

    # ------------------------------------------------------------------------------------------ texts

    def flow_texts(self) -> list[dict[str, str]]:
        """The flow of each layer, for reading."""
        names = ("g", "delta", "weight_gain", "slope_gain", "update_ratio", "dead", "saturated", "max_g")
        rows = []
        for k, values in enumerate(self.flow().reshape(-1, 8)):
            row = {"layer": str(k + 1), "name": self.columns[k].name}
            row |= {name: short(float(value)) for name, value in zip(names, values, strict=True)}
            units = self.columns[k].units
            row["dead"] = f"{len(self.dead[k])} of {units}" if self.columns[k].activation in SILENT else "–"
            row["saturated"] = "–" if math.isnan(values[6]) else f"{100 * values[6]:.0f} %"
            rows.append(row)
        return rows

    def unit_texts(self) -> dict[str, list[list[str]]]:
        """z, a and delta of the units that are drawn, by layer from 0 on; and what is stuck."""
        look = self.look()
        sizes = [self.run.scene.inputs, *(column.units for column in self.columns)]
        found: dict[str, list[list[str]]] = {}
        for name in ("z", "a", "delta"):
            rows: Sequence[NDArray[Any]] = [] if look is None else getattr(look, name)
            found[name] = [[short(float(v)) for v in row[:DRAWN]] for row in rows] or [
                ["–"] * n for n in sizes
            ]
        found["state"] = [[], *(self._unit_states(k, look) for k in range(len(self.columns)))]
        return found

    def _unit_states(self, k: int, look: Look | None) -> list[str]:
        column = self.columns[k]
        low, high = RANGES.get(column.activation, (-math.inf, math.inf))
        states = []
        for unit in range(min(column.units, DRAWN)):
            a = math.nan if look is None else float(look.a[k + 1][unit])
            if not math.isfinite(a):
                states.append("not finite")
            elif unit in self.dead[k]:
                states.append("dead")
            else:
                states.append("" if low < a < high or k + 1 == len(self.columns) else "saturated")
        return states

    def focus_texts(self) -> dict[str, str]:
        """The sample that is looked at: x, y and yhat, exactly."""
        scene, row = self.run.scene, self.focus
        y = float(scene.shown[row])
        label = scene.classes[int(y)] if scene.task == "classes" and 0 <= y < len(scene.classes) else exact(y)
        found = self.prediction(scene.x[row : row + 1])[0]
        return {
            "index": str(row),
            "x": _listed(scene.x[row]),
            "y": label,
            "yhat": _listed(found),
            "set": "test" if scene.test[row] else "train",
        }

    def map_range(self) -> dict[str, str]:
        """What the darkest and the lightest place of the large map stand for."""
        if not self.has_grid:
            return {}
        low, high = self.run.scene.value_range()
        if self.unit is not None:
            assert self._half_points is not None
            layer, unit = self.unit
            high = _byte_map(self.activations(self._half_points)[layer - 1][:, unit])[1]
            low = -high
        return {"low": short(low), "high": short(high)}


def _listed(values: NDArray[Any]) -> str:
    """Numbers one after another, exactly; the first of many."""
    more = f", ... ({len(values)})" if len(values) > DRAWN else ""
    return ", ".join(exact(value) for value in values[:DRAWN]) + more


def _byte_map(values: NDArray[Any]) -> tuple[NDArray[np.uint8], float]:
    """128 is 0; 1 and 255 are minus and plus the largest of all."""
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    scale = float(np.abs(finite).max()) or 1.0
    return (128.0 + np.rint(127.0 * finite / scale)).astype(np.uint8), scale


def column_texts(columns: list[Column]) -> list[dict[str, Any]]:
    """The layers as the spec has them."""
    return [
        {
            "name": column.name,
            "units": column.units,
            "inputs": column.inputs,
            "activation": column.activation,
            "also": list(column.also),
            "bias": bool(column.bias),
        }
        for column in columns
    ]
