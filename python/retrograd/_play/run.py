"""One network in training: by phases, steps and epochs, back in time, and as two that go side by side.

The numbers are those of ``rg.Trainer``; what is here decides which call comes next.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _core
from retrograd._play.config import (
    LIVE,
    STRUCTURE,
    Config,
    make_model,
    make_trainer,
    optimizer_of,
    trainer_of,
)
from retrograd._play.limits import SettingError
from retrograd._play.scenes import Scene, make_scene
from retrograd._play.timeline import Change, Curve, Edited, Snapshot, Snapshots
from retrograd.errors import NonFiniteError, StateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrograd.model import Model
    from retrograd.trainer import Trainer

__all__ = ["BACKWARD", "FORWARD", "IDLE", "LOSS", "UPDATE", "Given", "Run"]

IDLE, FORWARD, LOSS, BACKWARD, UPDATE = range(5)
RUNAWAY = 1e4  # times the first loss: no number has overflowed yet, but nothing is learned any more

# A change of these needs another trainer; where the optimizer is of one kind, it keeps what it remembers.
_TRAINER = ("optimizer", "momentum", "beta1", "beta2", "l1", "l2", "clip_norm", "dropout")


class Given:
    """A network from Python, with the loss and the optimizer it is to be trained with."""

    def __init__(self, model: Model, loss: Any, optimizer: Any, scene: Scene) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.scene = scene


class Run:
    """A model, its trainer, and where they are.

    Attributes
    ----------
    config, scene, model, trainer
        Settings, data, network and trainer of this moment.
    step, epoch, row
        Updates made; passes done; the next row in the order of this pass.
    phase, phase_layer
        0 idle, 1 forward, 2 loss, 3 backward (of layer phase_layer, the last first), 4 update.
    layers
        How many layers backward is shown in.
    loss
        Of the batch of the last forward; NaN before.
    rows_before
        The rows of the last update.
    version
        Another number whenever parameters, batch or data may be others.
    events
        What has happened since it was last emptied: {"kind", "step", "text", "actions"}.
    """

    def __init__(self, config: Config, given: Given | None = None) -> None:
        self.given = given
        self.config = config
        self.layers = 1
        self.version = 0
        self.events: list[dict[str, Any]] = []
        self._begin(given.scene if given else make_scene(config))

    def _begin(self, scene: Scene) -> None:
        """Step 0 of the present settings."""
        self.scene = scene
        self._rows = scene.rows
        if len(self._rows) == 0:
            raise SettingError("test_share", "test_share: no row is left to train on")
        self.model = self.given.model if self.given else self._network(self.config)
        self._first_config = self.config
        self.trainer = self._new_trainer(self.config)
        self.step = self.epoch = self.row = 0
        self.phase, self.phase_layer = IDLE, 0
        self.loss = math.nan
        self.changes: list[Change] = []
        self._applied = 0
        self.snapshots = Snapshots()
        self.losses, self.test_losses, self.accuracies = Curve(), Curve(), Curve()
        self.marks: list[dict[str, Any]] = []
        self._bound()
        self._here = self._origin = self._snapshot()
        self._before = self._after = self._here.parameters
        self.snapshots.add(self._here)
        self._warned = False
        self._edited: Edited | None = None
        self._order_of: tuple[int, int] | None = None
        self.rows_before = self.batch_rows()
        self.version += 1

    def _network(self, config: Config) -> Model:
        return make_model(config, self.scene.inputs, self.scene.task, len(self.scene.classes))

    def _new_trainer(self, config: Config) -> Trainer:
        if self.given is None:
            return make_trainer(config, self.model, self.scene.task, len(self.scene.classes))
        kept = config.optimizer == "given"
        optimizer = self.given.optimizer if kept else optimizer_of(config)
        trainer = trainer_of(config, self.model, self.given.loss, optimizer)
        if config.lr is not None:
            trainer.lr = config.lr
        return trainer

    def _bound(self) -> None:
        """Views of what a snapshot copies; they stay valid as long as model and trainer are the same."""
        self._flat = self.model.flat_parameters
        self._slots = [view for _, _, view in self.trainer._core.optimizer_state()]
        self._buffers = list(self.model.buffers.values())

    # -------------------------------------------------------------------------------------- the data

    def _order(self) -> NDArray[np.int64]:
        """The rows of this pass, in the order of ``rg.data.batches``."""
        key = (self.config.seed, self.epoch)
        if self._order_of != key:
            order = _core.permutation(len(self._rows), self.config.seed, self.epoch)
            self._rows_in_order = self._rows[order]
            self._order_of = key
        return self._rows_in_order

    def batch_rows(self) -> NDArray[np.int64]:
        """The rows of the next step."""
        return self._order()[self.row : self.row + self.config.batch_size]

    def batch(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """x and y of the next step."""
        rows = self.batch_rows()
        return self.scene.x[rows], self.scene.y[rows]

    @property
    def batches(self) -> int:
        """Steps of an epoch."""
        return -(-len(self._rows) // self.config.batch_size)

    @property
    def epochs(self) -> float:
        """Passes done, with the part of the present one."""
        return self.epoch + self.row / len(self._rows)

    # ------------------------------------------------------------------------------ phases and steps

    def next_phase(self) -> None:
        """Forward, loss, backward layer by layer, update, idle.

        Raises
        ------
        NonFiniteError
            Nothing has changed; the phase is idle again.
        """
        try:
            self._next_phase()
        except NonFiniteError as error:
            self._diverged(error)

    def _next_phase(self) -> None:
        if self.phase == IDLE:
            self.loss = self.trainer.forward(*self.batch())
            self.phase = FORWARD
        elif self.phase == FORWARD:
            self.phase = LOSS
        elif self.phase == LOSS:
            self.trainer.backward()
            self.phase, self.phase_layer = BACKWARD, self.layers
        elif self.phase == BACKWARD and self.phase_layer > 1:
            self.phase_layer -= 1
        elif self.phase == BACKWARD:
            self.trainer.update()
            self._forget_later()
            self._advanced(self.loss)
            self.phase, self.phase_layer = UPDATE, 0
        else:
            self._to_idle()

    def previous_phase(self) -> None:
        """One phase back; from idle to the update before it, from update to the last of backward."""
        if self.phase == UPDATE:
            self.seek(self.step - 1)
            self._replay_phase(BACKWARD, 1)
        elif self.phase == IDLE:
            if self.step > 0:
                self.seek(self.step - 1)
                self._replay_phase(UPDATE, 0)
        elif self.phase == BACKWARD and self.phase_layer < self.layers:
            self.phase_layer += 1
        elif self.phase == BACKWARD:
            self.phase, self.phase_layer = LOSS, 0
        else:
            self.phase -= 1

    def _replay_phase(self, phase: int, layer: int) -> None:
        """The phases of the next step again, without forgetting what comes later."""
        if phase == UPDATE:
            self._one_step(keep=False)
        else:
            self.loss = self.trainer.forward(*self.batch())
            self.trainer.backward()
        self.phase, self.phase_layer = phase, layer

    def _to_idle(self) -> None:
        """Give up a step that was begun; forward and backward have changed nothing."""
        updated = self.phase == UPDATE
        self.phase, self.phase_layer = IDLE, 0
        if updated:
            self.version += 1
            self._redo_changes()  # made by hand after this update, before we went back to it

    def train(self, steps: int = 1) -> int:
        """Whole steps; one that was begun by phases is the first of them. Returns how many were made.

        It stops early where a step is not finite, and says so in ``events``.
        """
        made = 0
        try:
            if self.phase in (FORWARD, LOSS, BACKWARD):
                while self.phase != UPDATE:
                    self._next_phase()
                made = 1
            self._to_idle()
            self._forget_later()
            while made < steps:
                self._one_step()
                made += 1
                if self._over():
                    break
        except NonFiniteError as error:
            self._diverged(error)
        return made

    def _one_step(self, keep: bool = True) -> None:
        self._advanced(self.trainer.step(*self.batch()), keep)

    def _advanced(self, loss: float, keep: bool = True) -> None:
        """Count an update that was made."""
        self.loss = loss
        self.rows_before = self.batch_rows()
        self.step += 1
        self.row += self.config.batch_size
        if self.row >= len(self._rows):
            self.epoch, self.row = self.epoch + 1, 0
            self.trainer.epoch = self.epoch
        self._before = self._here.parameters
        self._here = self._snapshot()
        self._after = self._here.parameters
        self.version += 1
        if keep:
            self.losses.add(self.step, loss)
            self.snapshots.add(self._here)

    def _over(self) -> bool:
        """Whether something calls for a halt: a loss that has run away, or the end that was asked for."""
        first = self.losses.values[0] if self.losses.values else self.loss
        if not self._warned and self.loss > RUNAWAY * max(1.0, abs(first)):
            self._warned = True
            self._ran_away(first)
            return True
        config = self.config
        if config.stop_epoch is not None and self.row == 0 and self.epoch == config.stop_epoch:
            self._event("stopped", f"epoch {self.epoch} is complete")
            return True
        if config.stop_loss is not None and self.loss <= config.stop_loss:
            self._event("stopped", f"the loss of the batch is {self.loss!r}, not above {config.stop_loss!r}")
            return True
        return False

    def _ran_away(self, first: float) -> None:
        name, view = max(
            self.model.parameters.items(), key=lambda item: float(np.abs(item[1]).max(initial=0))
        )
        index = tuple(int(i) for i in np.unravel_index(int(np.abs(view).argmax()), view.shape))
        place = f"{name}[{', '.join(map(str, index))}]"
        self._event(
            "diverged",
            f"step {self.step}: the loss of the batch is {self.loss:.4g}, "
            f"{self.loss / max(1.0, abs(first)):.3g} "
            f"times where it began ({first:.4g}); the largest parameter is {place} = {view[index]:.4g}. "
            "The steps are too long: a smaller lr, clip_norm or scaled inputs usually help",
            ["rewind", "reset"],
        )

    def _diverged(self, error: NonFiniteError) -> None:
        self._to_idle()
        self._event("diverged", f"step {self.step + 1}: {error}", ["rewind", "reset"])

    def _event(self, kind: str, text: str, actions: list[str] | None = None) -> dict[str, Any]:
        event = {"kind": kind, "step": self.step, "text": text, "actions": actions or []}
        self.events.append(event)
        self.marks = [mark for mark in self.marks if mark["step"] <= self.step][-500:]
        mark = {"step": self.step, "kind": kind, "text": text}
        self.marks.append(mark)
        return mark

    # ---------------------------------------------------------------------------------- back in time

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            self.step,
            self.trainer.iteration,
            self.epoch,
            self.row,
            self._applied,
            self._flat.copy(),
            [view.copy() for view in self._slots],
            [view.copy() for view in self._buffers],
        )

    def _restore(self, snapshot: Snapshot) -> None:
        config = self._config_at(snapshot.changes)
        if config is not self.config:
            self._use(config)
        self._flat[...] = snapshot.parameters
        for view, saved in zip(self._slots, snapshot.slots, strict=True):
            view[...] = saved
        for view, saved in zip(self._buffers, snapshot.buffers, strict=True):
            view[...] = saved
        self.trainer.iteration = snapshot.iteration
        self.trainer.epoch = snapshot.epoch
        self.step, self.epoch, self.row = snapshot.step, snapshot.epoch, snapshot.row
        self._applied = snapshot.changes
        self._here = snapshot
        self._before = self._after = snapshot.parameters
        self.phase, self.phase_layer = IDLE, 0
        self.version += 1

    def _config_at(self, changes: int) -> Config:
        for change in reversed(self.changes[:changes]):
            if change.kind == "set":
                config: Config = change.data
                return config
        return self._first_config

    def _use(self, config: Config) -> None:
        """Other live settings, with the parameters as they are; the optimizer begins anew."""
        if config.dropout != self.config.dropout and self.given is None:
            old = self.model
            self.model = self._network(config)
            self.model.flat_parameters[...] = old.flat_parameters
        self.config = config
        self.trainer = self._new_trainer(config)
        self._bound()

    def seek(self, step: int) -> None:
        """Be where the run was after so many steps: restore the nearest state before, and repeat from there.

        Raises
        ------
        StateError
            The run has not been there.
        """
        if not 0 <= step <= self.snapshots.last:
            raise StateError(f"seek: expected a step from 0 to {self.snapshots.last}, got {step}")
        self._warned = False
        self.loss = math.nan
        # from the step before, so that the last update is known too
        self._restore(self.snapshots.at_or_before(max(step - 1, 0)))
        self._redo_changes()
        while self.step < step:
            self._one_step(keep=False)
            self._redo_changes()

    def _redo_changes(self) -> None:
        while self._applied < len(self.changes) and self.changes[self._applied].step == self.step:
            self._redo(self.changes[self._applied])

    def _redo(self, change: Change) -> None:
        if change.kind == "set":
            self._switch(change.data)
        else:
            name, index, value = change.data
            self.model.parameters[name][index] = value
        self._applied += 1
        self._here = self._snapshot()
        self.version += 1

    def _forget_later(self) -> None:
        """What came after this step is another story now."""
        del self.changes[self._applied :]
        if self.snapshots.last > self.step:
            self.snapshots.forget_after(self.step)
            self.snapshots.add(self._here)
            for curve in (self.losses, self.test_losses, self.accuracies):
                curve.forget_after(self.step)
            self.marks = [mark for mark in self.marks if mark["step"] <= self.step]

    # ------------------------------------------------------------------------------- changes by hand

    def set(self, values: dict[str, Any]) -> bool:
        """Change settings; True where that made a new network, at step 0.

        Raises
        ------
        SettingError
            A value that cannot be; nothing has changed.
        """
        config = self.config.changed(values)
        if self.given is not None:
            fixed = sorted({path.partition("[")[0] for path in values} & STRUCTURE)
            if fixed:
                raise SettingError(
                    fixed[0],
                    f"{fixed[0]}: the network was given from Python and cannot be changed here",
                    "refused",
                )
        if config == self.config:
            return False
        changed = {name for name in config.to_dict() if getattr(config, name) != getattr(self.config, name)}
        if changed <= LIVE:
            self.change(config)
            return False
        self.rebuild(config)
        return True

    def rebuild(self, config: Config) -> None:
        """Begin anew with these settings; on an error everything is as before."""
        if self.given is None:
            trial = Run(config)  # whatever is wrong shows here
            version, events, layers = self.version, self.events, self.layers
            self.__dict__.update(trial.__dict__)
            self.version, self.events, self.layers = version + 1, events, layers
            return
        self.config = config
        self._flat[...] = self._origin.parameters
        for view, saved in zip(self._buffers, self._origin.buffers, strict=True):
            view[...] = saved
        self._begin(self.scene)

    def reset(self) -> None:
        """Back to step 0, with the present settings."""
        self.rebuild(self.config)

    def change(self, config: Config) -> None:
        """Live settings, from the next step on."""
        if self.phase != IDLE and self.needs_trainer(self.config, config):
            self._to_idle()
        self._forget_later()
        before = self.config
        change = Change(self.step, "set", config)
        self._switch(config)
        self._changed(change)
        names = [name for name in LIVE if getattr(before, name) != getattr(config, name)]
        text = ", ".join(
            f"{name} {getattr(before, name)} to {getattr(config, name)}" for name in sorted(names)
        )
        self._event("changed", text)

    @staticmethod
    def needs_trainer(old: Config, new: Config) -> bool:
        """Whether a change of live settings makes another trainer."""
        return any(getattr(old, name) != getattr(new, name) for name in _TRAINER)

    def _switch(self, config: Config) -> None:
        if self.needs_trainer(self.config, config):
            same_kind = config.optimizer == self.config.optimizer
            iteration = self.trainer.iteration
            slots = [(p, s, v.copy()) for p, s, v in self.trainer._core.optimizer_state()]
            self._use(config)
            self.trainer.epoch = self.epoch
            now = self.trainer._core.optimizer_state()
            if same_kind:
                self.trainer.iteration = iteration
                saved = {(p, s): v for p, s, v in slots}
                for p, s, view in now:
                    if (p, s) in saved:
                        view[...] = saved[p, s]
        elif config.lr != self.config.lr and config.lr is not None:
            self.trainer.lr = config.lr
        self.config = config

    def edit(self, name: str, index: tuple[int, ...], value: float) -> None:
        """Write one parameter by hand."""
        view = self._writable(name, value)
        self._to_idle()
        self._forget_later()
        before = float(view[index])
        view[index] = value
        place = f"{name}[{', '.join(map(str, index))}]"
        change = Change(self.step, "edit", (name, index, value))
        self._changed(change)
        mark = self._event("edited", f"{place} from {before!r} to {float(view[index])!r}")
        self._edited = Edited(self.version, name, index, before, change, mark)

    def edit_on(self, name: str, index: tuple[int, ...], value: float) -> None:
        """Another value for what was just edited, as if it had been written at once.

        Where that is the value before, nothing was edited.

        Raises
        ------
        SettingError
            The last thing done was no edit of this parameter.
        """
        before = self.before_edit(name, index)
        view = self._writable(name, value)
        edited, self._edited = self._edited, None
        self._to_idle()
        if edited is not None and self.changes and self.changes[-1] is edited.change:
            self.changes.pop()
            self.marks = [mark for mark in self.marks if mark is not edited.mark]
        view[index] = before
        if value != before:
            self.edit(name, index, value)
            return
        self._changed()
        self._edited = Edited(self.version, name, index, before)

    def before_edit(self, name: str, index: tuple[int, ...]) -> float:
        """What a parameter was before it was edited just now; a SettingError where it was not."""
        edited = self._edited
        if edited is None or (edited.version, edited.name, edited.index) != (self.version, name, index):
            raise SettingError("join", f"join: the last thing done was no edit of {name}{list(index)}")
        return edited.before

    def _writable(self, name: str, value: float) -> NDArray[Any]:
        """A parameter that can take a value."""
        view: NDArray[Any] = self.model.parameters[name]
        if not math.isfinite(value) or not math.isfinite(float(view.dtype.type(value))):
            raise SettingError("value", f"value: expected a finite number, got {value}")
        return view

    def load(self, parameters: dict[str, NDArray[Any]]) -> None:
        """All parameters from a file; the run begins anew at step 0 with them."""
        self.model.set_parameters(parameters)
        self._begin(self.scene)

    def _changed(self, *changes: Change) -> None:
        self.changes += changes
        self._applied = len(self.changes)
        self._here = self._snapshot()
        self.snapshots.add(self._here)
        self._warned = False
        self.version += 1

    # ----------------------------------------------------------------------------------- what is seen

    @property
    def parameters_before(self) -> NDArray[Any]:
        """The parameters before the last update: those that z, a and delta belong to in phase update."""
        return self._before

    @property
    def last_update(self) -> NDArray[Any]:
        """What the last update added; zeros before any."""
        update: NDArray[Any] = self._after - self._before
        return update

    def fork(self) -> Run:
        """An exact copy, with a network and a trainer of its own."""
        other = Run.__new__(Run)
        other.__dict__.update(self.__dict__)
        other.model = self.model.copy()
        if self.given is not None:
            other.given = Given(other.model, self.given.loss, self.given.optimizer, self.scene)
        other.trainer = other._new_trainer(self.config)
        other._bound()
        other.changes, other.marks, other.events = list(self.changes), list(self.marks), []
        other.snapshots = self.snapshots.copy()
        other.losses, other.test_losses = self.losses.copy(), self.test_losses.copy()
        other.accuracies = self.accuracies.copy()
        other._restore(self._here)
        other._before, other._after, other.loss = self._before, self._after, self.loss
        if self.phase in (FORWARD, LOSS, BACKWARD):
            other.trainer.forward(*other.batch())
            if self.phase == BACKWARD:
                other.trainer.backward()
        other.phase, other.phase_layer = self.phase, self.phase_layer
        return other
