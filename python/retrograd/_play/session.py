"""A conversation with the page, without any sockets: texts in, texts and bytes out.

One thread at a time may call a session. ``open`` begins, ``handle`` answers a message, ``tick`` trains for a
moment while playing, ``frame`` draws.
"""

from __future__ import annotations

import math
import secrets
from time import monotonic
from typing import TYPE_CHECKING, Any

from retrograd._core import __version__
from retrograd._play import commands, wire
from retrograd._play.config import CHOICES, Config
from retrograd._play.lessons import LESSONS
from retrograd._play.limits import LIMITS, SettingError
from retrograd._play.run import BACKWARD, UPDATE, Given, Run
from retrograd._play.verdicts import verdict
from retrograd._play.views import Views, column_texts, short
from retrograd._play.wire import ProtocolError, Refusal
from retrograd.errors import RetrogradError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ProtocolError", "Session"]

TEXT_SECONDS = 0.1  # between two texts while playing
QUOTA_SECONDS = 0.1  # without a frame, this is how long one lasts
PHASE_SECONDS = 0.7
FRAME_SECONDS = 1 / 60
CREDIT = 2  # frames under way
POINTS_SHOWN = 2000


class Session:
    """One network, or two side by side, and the page that shows them.

    Parameters
    ----------
    config
        Where it begins; the defaults are XOR and a 2-4-3-1 network.
    given
        A network from Python, in place of the one of the settings.
    clock
        Seconds; only differences count.

    Raises
    ------
    SettingError
        Settings that do not go together.
    ArgumentError
        A given network that cannot be drawn.
    """

    def __init__(
        self, config: Config | None = None, given: Given | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._begin(Run(config or Config(), given), clock)

    @classmethod
    def around(cls, run: Run, like: Views) -> Session:
        """A session of a run that is there, seen as another one is."""
        session = cls.__new__(cls)
        session._begin(run, monotonic)
        session.views[0].focus, session.views[0].unit, session.views[0].maps = (
            like.focus,
            like.unit,
            like.maps,
        )
        return session

    def _begin(self, run: Run, clock: Callable[[], float]) -> None:
        self.id = secrets.token_hex(8)
        self.runs = [run]
        self.views = [Views(run)]
        self.given = run.given
        self.playing = False
        self.speed, self.by_phase = 1, False
        self.draft: dict[str, Any] | None = None
        self.lesson: dict[str, Any] | None = None
        self.watched: list[list[dict[str, Any]]] = [[], []]
        self._clock = clock
        self._seq = 0
        self._unacked: list[set[int]] = [set(), set()]
        self._drawn: list[tuple[Any, ...] | None] = [None, None]
        self._frames = [0, 0]
        self._draw_ms = 0.0
        self._quota = 0
        self._quota_at = self._text_at = self._phase_at = -math.inf
        self._rate = (clock(), 0)
        self._steps_per_second = 0.0
        self._curve_at = [-1, -1]
        self._whole = [True, True]
        self._detailed: list[tuple[Any, ...] | None] = [None, None]

    # ---------------------------------------------------------------------------------- what is said

    @property
    def model(self) -> Any:
        """The network that is trained."""
        return self.runs[0].model

    def open(self) -> list[str]:
        """What a page that has just come is told."""
        self._unacked = [set(), set()]
        self._drawn = [None, None]
        self._detailed = [None, None]
        return [wire.text(self._hello()), *self.told(range(len(self.runs)), spec=True)]

    def _hello(self) -> dict[str, Any]:
        choices = dict(CHOICES)
        choices["dataset"] = [name for name in CHOICES["dataset"] if name not in ("points", "csv", "given")]
        return {
            "t": "hello",
            "v": wire.VERSION,
            "package": "retrograd",
            "version": __version__,
            "session": self.id,
            "dtype": str(self.model.dtype),
            "limits": LIMITS,
            "choices": {
                "activations": choices["activations"],
                "outputs": choices["output"],
                "optimizers": choices["optimizer"],
                "initialisers": choices["init"],
                "losses": choices["loss"],
                "datasets": choices["dataset"],
            },
            "lessons": [{"id": name, "title": lesson.title} for name, lesson in LESSONS.items()],
            "given": self.given is not None,
        }

    def told(self, lanes: Any, spec: bool = False) -> list[str]:
        """State, curve and details of some lanes; behind the spec where it is new, or asked for."""
        found: list[str] = []
        for lane in lanes:
            run, views = self.runs[lane], self.views[lane]
            changed = views.known is not run.model  # on the way back in time there may be another one
            if changed:
                views.renew()
            if spec or changed:
                found.append(wire.text(self._spec(lane)))
                self._whole[lane] = True
            views.measure()
            found.append(wire.text(self._state(lane)))
            found.append(wire.text(self._curve(lane)))
            found += self._events(lane)
            found += self._details(lane)
            run.events.clear()
        return found

    def _spec(self, lane: int) -> dict[str, Any]:
        run, views = self.runs[lane], self.views[lane]
        scene = run.scene
        points: dict[str, Any] = {
            "x": scene.x[:POINTS_SHOWN].tolist() if scene.inputs <= 2 else [],
            "y": scene.shown[:POINTS_SHOWN].tolist(),
            "split": [int(kept) for kept in scene.test[:POINTS_SHOWN]],
        }
        if self.draft is not None:
            points = {"x": self.draft["x"], "y": self.draft["y"], "split": [0] * len(self.draft["y"])}
        return {
            "t": "spec",
            "lane": lane,
            "rev": views.rev,
            "config": run.config.to_dict(data=False),
            "layers": column_texts(views.columns),
            "layout": views.layout,
            "floats": views.floats,
            "grid": views.grid_spec(),
            "points": points,
            "inputs": scene.inputs,
            "task": scene.task,
            "classes": list(scene.classes),
            "focus": views.focus,
            "parameters": int(run.model.flat_parameters.size),
            "rows": len(scene.rows),
            "test_rows": int(scene.test.sum()),
            "batches": run.batches,
            "loss": commands.loss_name(run),
            "draft": None if self.draft is None else commands.DRAFT,
            "lesson": None if self.lesson is None else self.lesson,
        }

    def _state(self, lane: int) -> dict[str, Any]:
        run, views = self.runs[lane], self.views[lane]
        scores = views.scores
        texts = {
            "step": f"{run.step:,}".replace(",", "\u202f"),
            "epoch": f"{run.epochs:.1f}",
            "loss": short(scores.get("loss", math.nan), 4),
            "batch_loss": short(run.loss, 4),
            "test_loss": short(scores.get("test_loss", math.nan), 4),
            "accuracy": _percent(scores.get("accuracy")),
            "test_accuracy": _percent(scores.get("test_accuracy")),
            "lr": short(run.trainer.lr, 4),
            "steps_per_second": short(self._steps_per_second) if self.playing else "–",
        }
        known = {name: scores.get(name, math.nan) for name in ("loss", "test_loss")} | {
            "batch_loss": run.loss
        }
        stale = run.phase == UPDATE
        return {
            "t": "state",
            "lane": lane,
            "rev": views.rev,
            "step": run.step,
            "epoch": run.epochs,
            "phase": run.phase,
            "phase_layer": run.phase_layer,
            "playing": self.playing,
            "speed": {"n": self.speed, "unit": "phase" if self.by_phase else "steps"},
            "text": texts,
            "exact": {name: repr(value) if math.isfinite(value) else "–" for name, value in known.items()},
            "flow": views.flow_texts(),
            "verdict": verdict(run, views),
            "snapshots": {
                "first": run.snapshots.first,
                "last": run.snapshots.last,
                "count": len(run.snapshots),
            },
            "weights_step": run.step - stale,
            "stale": stale,
            "focus": views.focus_texts(),
            "units": views.unit_texts(),
            "map": views.map_range(),
            "config": {
                "lr": run.config.lr,
                "batch_size": run.config.batch_size,
                "optimizer": run.config.optimizer,
            },
        }

    def _curve(self, lane: int) -> dict[str, Any]:
        run = self.runs[lane]
        since = -1 if self._whole[lane] else self._curve_at[lane]
        whole = self._whole[lane] or since > run.step
        since = -1 if whole else since
        self._whole[lane], self._curve_at[lane] = False, run.snapshots.last
        return {
            "t": "curve",
            "lane": lane,
            "whole": whole,
            "from_step": since,
            **self.pairs(lane, since),
            "events": [mark for mark in run.marks if mark["step"] >= since],
        }

    def pairs(self, lane: int, since: int) -> dict[str, list[list[Any]]]:
        """The curves after a step, as pairs of step and value."""
        run = self.runs[lane]
        curves = {"loss": run.losses, "test_loss": run.test_losses, "accuracy": run.accuracies}
        return {name: [[s, _rounded(v)] for s, v in curve.since(since)] for name, curve in curves.items()}

    def _events(self, lane: int) -> list[str]:
        events = self.runs[lane].events
        return [wire.text({"t": "event", "lane": lane, **event}) for event in events]

    def _details(self, lane: int) -> list[str]:
        run, views = self.runs[lane], self.views[lane]
        if not self.watched[lane]:
            return []
        key = (run.version, run.phase, run.phase_layer, views.focus, views.rev, str(self.watched[lane]))
        if key == self._detailed[lane]:
            return []
        self._detailed[lane] = key
        return [wire.text(commands.detail(self, lane, target)) for target in self.watched[lane]]

    # -------------------------------------------------------------------------------- what is answered

    def handle(self, raw: str) -> list[str | bytes]:
        """The answers to one message.

        Raises
        ------
        ProtocolError
            It is no message of the protocol, and the connection is to be closed.
        """
        message = wire.parse(raw)
        if message["t"] == "ack":
            draw = message.get("draw_ms", 0.0)
            plain = isinstance(draw, int | float) and not isinstance(draw, bool) and abs(draw) < 1e6
            self.ack(message["seq"], float(draw) if plain else 0.0)
            return []
        number, op = message["id"], message["op"]
        try:
            lane = message.get("lane", 0)
            if not isinstance(lane, int) or isinstance(lane, bool) or not 0 <= lane < len(self.runs):
                raise Refusal("bad_value", "lane", f"lane: there are {len(self.runs)}, got {lane!r:.40}")
            args = wire.arguments(op, message.get("args"))
            result, follows = getattr(commands, f"do_{op}")(self, lane, **args)
        except Refusal as refusal:
            return [self._error(number, refusal.code, refusal.field, refusal.message)]
        except SettingError as error:
            return [self._error(number, error.code, error.field, error.message)]
        except ImportError as error:
            return [self._error(number, "refused", op, str(error))]
        except RetrogradError as error:
            return [self._error(number, "bad_state", op, str(error))]
        return [wire.text({"t": "ok", "id": number, "result": result}), *follows]

    def _error(self, number: int, code: str, field: str, message: str) -> str:
        return wire.text({"t": "error", "id": number, "code": code, "field": field, "message": message})

    # ---------------------------------------------------------------------------------------- playing

    def pause(self) -> None:
        """Stop playing; a step that was begun by phases stays where it is."""
        self.playing = False

    def forget_drawn(self) -> None:
        """Draw the next frame whatever has been drawn."""
        self._drawn = [None, None]

    def advance(self, steps: int) -> None:
        """Whole steps, both lanes side by side; playing ends where something calls for a halt."""
        made = self.runs[0].train(steps)
        if len(self.runs) > 1:
            self.runs[1].train(made)
            if self.runs[1].step < self.runs[0].step:
                self.runs[0].seek(self.runs[1].step)
        self._halt()

    def advance_phase(self) -> None:
        """One phase, in both lanes; backward through the last layers waits for the deeper network."""
        for run in self._first(lambda run: run.phase == BACKWARD and run.phase_layer > 1):
            run.next_phase()
        self._halt()

    def back_phase(self) -> None:
        """One phase back, in both lanes."""
        for run in self._first(lambda run: run.phase == BACKWARD and run.phase_layer < run.layers):
            run.previous_phase()

    def _first(self, inside: Callable[[Run], bool]) -> list[Run]:
        """The runs that are still inside of a phase, or all of them."""
        return [run for run in self.runs if inside(run)] or self.runs

    def _halt(self) -> None:
        if any(event["kind"] in ("diverged", "stopped") for run in self.runs for event in run.events):
            self.playing = False

    def tick(self, budget_s: float = 0.008) -> list[str]:
        """Train for a moment if playing, and say what has come of it, ten times a second."""
        if not self.playing:
            return []
        now = self._clock()
        if self.by_phase:
            if now - self._phase_at >= PHASE_SECONDS:
                self._phase_at = now
                self.advance_phase()
                return self._spoken()
            return []
        if self._quota <= 0 and now - self._quota_at >= QUOTA_SECONDS:
            self._renew_quota(now)
        before = self.runs[0].step
        while self.playing and self._quota > 0:
            steps = min(self._quota, 16)
            self.advance(steps)
            self._quota -= steps
            if self._clock() - now >= budget_s:
                break
        self._count(self.runs[0].step - before)
        if not self.playing or now - self._text_at >= TEXT_SECONDS:
            return self._spoken()
        return []

    @property
    def rest_s(self) -> float:
        """How long a tick would do nothing, at most a frame's time: who calls ticks may sleep so long."""
        if not self.playing:
            return FRAME_SECONDS
        now = self._clock()
        due = self._phase_at + PHASE_SECONDS if self.by_phase else self._quota_at + QUOTA_SECONDS
        if self._quota > 0 and not self.by_phase:
            return 0.0
        return min(max(due - now, 0.0), FRAME_SECONDS)

    def _spoken(self) -> list[str]:
        self._text_at = self._clock()
        return self.told(range(len(self.runs)))

    def _renew_quota(self, now: float) -> None:
        self._quota, self._quota_at = self.speed, now

    def _count(self, steps: int) -> None:
        since, made = self._rate
        now = self._clock()
        if now - since >= 0.5:
            self._steps_per_second = (made + steps) / (now - since)
            self._rate = (now, 0)
        else:
            self._rate = (since, made + steps)

    def start(self) -> None:
        """Play from now on."""
        self.playing = True
        self._quota, self._quota_at = 0, -math.inf
        self._phase_at = self._clock()
        self._rate, self._steps_per_second = (self._clock(), 0), 0.0

    # ----------------------------------------------------------------------------------------- frames

    def frame(self, lane: int = 0) -> bytes | None:
        """A picture of this moment; None where nothing is new, or the page is still busy with others."""
        if lane >= len(self.runs) or len(self._unacked[lane]) >= CREDIT:
            return None
        run, views = self.runs[lane], self.views[lane]
        key = (
            *(run.version, run.phase, run.phase_layer, views.focus, views.rev, views.unit, views.maps),
            self.playing,
        )
        if key == self._drawn[lane]:
            return None
        self._drawn[lane] = key
        self._seq += 1
        self._frames[lane] += 1
        with_grid = views.has_grid and (not self.playing or self._frames[lane] % self._grid_every() == 0)
        look = views.look()
        flags = (wire.PLAYING * self.playing) | (wire.HAS_GRID * with_grid)
        flags |= (wire.NONFINITE * (look is None or not look.finite)) | (wire.STALE * (run.phase == UPDATE))
        scores = views.scores
        numbers = {
            "lane": lane,
            "rev": views.rev,
            "seq": self._seq,
            "phase": run.phase,
            "phase_layer": run.phase_layer,
            "step": float(run.step),
            "epoch": run.epochs,
            "loss": run.loss,
            "test_loss": scores.get("test_loss", math.nan),
            "accuracy": scores.get("accuracy", math.nan),
            "test_accuracy": scores.get("test_accuracy", math.nan),
        }
        self._unacked[lane].add(self._seq)
        if lane == 0:
            self._renew_quota(self._clock())
        return wire.pack_frame(numbers, flags, views.tensors(), views.grid() if with_grid else b"")

    def _grid_every(self) -> int:
        """Every how many frames the plane is drawn while playing: less often for a page that is slow."""
        return 2 if self._draw_ms <= 12.0 else 4 if self._draw_ms <= 24.0 else 8

    def ack(self, seq: int, draw_ms: float) -> None:
        """The page has drawn a frame, and took so long."""
        for waiting in self._unacked:
            waiting.discard(seq)
        self._draw_ms += 0.2 * (draw_ms - self._draw_ms)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %".replace(".0 %", " %")


def _rounded(value: float) -> float | None:
    """Enough digits to draw."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
