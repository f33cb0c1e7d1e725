"""Training: forward, backward, update, and the loop around them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import _checkpoint, _core, data, losses, metrics, optim
from retrograd._arguments import integer, real, seed_of, unknown
from retrograd._bound import Views
from retrograd._feed import ArrayFeed, BatchFeed
from retrograd._objective import Objective, objective_of
from retrograd._progress import progress_of
from retrograd._run import Run
from retrograd._summary import Summary
from retrograd.callbacks import monitored
from retrograd.errors import ArgumentError, FileFormatError, ShapeError, StateError
from retrograd.graph import Node
from retrograd.history import History
from retrograd.losses import Loss
from retrograd.model import SUFFIX, Model
from retrograd.schedules import ReduceOnPlateau
from retrograd.stream import Indexed, Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from retrograd._core import Array, Trainer32, Trainer64
    from retrograd._flow import Probe
    from retrograd._trace import Trace
    from retrograd.model import Path
    from retrograd.optim import Optimizer, ParamGroup

__all__ = ["Trainer"]

_FIRST = ("loss",)
_LAST = ("lr", "penalty", "gradient_norm", "seconds", "samples_per_second")


class Trainer:
    """Lowers a loss by changing a model's parameters.

    Parameters
    ----------
    model
        What is trained, in place.
    loss
        A name, an object of :mod:`retrograd.losses` or a function ``f(output, target)`` of nodes that returns
        one value per sample; for several outputs a list of those, or one function ``f(outputs, targets)``.
    optimizer
        A name or an object of :mod:`retrograd.optim`.
    metrics
        Names, functions ``f(y_true, y_pred) -> float``, or a mapping from names of one's own to either; see
        :mod:`retrograd.metrics`. With several outputs each metric is computed for each of them.
    loss_weights
        A factor for each of several losses.
    param_groups
        :class:`retrograd.ParamGroup` objects: settings of their own for some parameters; the first that
        matches counts.
    l1, l2
        The penalty l1 sum |w| + l2/2 sum w^2 over weights (not biases), logged apart from the loss.
    clip_norm, clip_value
        Limits for the norm of all gradients together, and for each of their entries, applied in ``update``.
    threads
        None: chosen by the work and by measuring, at most what affinity, the container's quota,
        OMP_NUM_THREADS and threadpoolctl leave. Any number gives the same bits.
    seed
        Of the order of the data.

    Raises
    ------
    ArgumentError
        A name or a number that cannot be, or losses that do not fit the outputs.
    GraphError
        A parameter that the loss does not reach.
    """

    def __init__(
        self,
        model: Model,
        loss: Any,
        optimizer: Optimizer | str = "adam",
        metrics: Any = (),
        loss_weights: Sequence[float] | None = None,
        param_groups: Sequence[ParamGroup] = (),
        l1: float = 0.0,
        l2: float = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        threads: int | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(model, Model):
            raise ArgumentError(f"Trainer: expected a Model, got {type(model).__name__}")
        objective = Objective(model, loss, loss_weights)
        optimizer = optim.resolve("Trainer", optimizer)
        schedule = optimizer.schedule()
        made = _core.Trainer64 if isinstance(model._core, _core.Model64) else _core.Trainer32
        core = made(
            model._core,
            objective.spec,
            objective.core_weights,
            optimizer.name,
            optimizer.hyper(),
            (schedule.kind, schedule.settings()),
            _groups(model, param_groups),
            real("Trainer: l1", l1, 0.0),
            real("Trainer: l2", l2, 0.0),
            0.0 if clip_norm is None else real("Trainer: clip_norm", clip_norm, above=0.0),
            0.0 if clip_value is None else real("Trainer: clip_value", clip_value, above=0.0),
            0 if threads is None else integer("Trainer: threads", threads),
            seed_of("Trainer", seed),
        )
        settings = {"loss_weights": loss_weights, "param_groups": param_groups, "l1": l1, "l2": l2}
        settings |= {"clip_norm": clip_norm, "clip_value": clip_value}
        given = settings | {"loss": loss, "threads": threads, "seed": seed}
        self._attach(model, core, objective, optimizer, _resolve_metrics(metrics), settings, given)

    def _attach(
        self,
        model: Model,
        core: Trainer32 | Trainer64,
        objective: Objective,
        optimizer: Optimizer,
        metrics: dict[str, Any],
        settings: dict[str, Any],
        given: dict[str, Any],
    ) -> None:
        self._model, self._core, self._objective = model, core, objective
        self._optimizer, self._metrics = optimizer, metrics
        self._settings, self._given = settings, given  # as given, for a copy
        self._seed = int(given["seed"])
        schedule = optimizer.schedule()
        self._plateau = schedule if isinstance(schedule, ReduceOnPlateau) else None
        model._links = objective.links()
        self._history = History()
        self._stop_reason = ""
        self._running = False
        self._monitors: list[str] = []
        self._seen: list[tuple[Array, Array]] = []
        self._run: Run | None = None  # the fit that is running, or was interrupted
        self._stored: tuple[dict[str, Any], dict[str, Array]] | None = None  # or the one that a file has
        self._plain_x, self._plain_y = self._plain_ranks()

    def _plain_ranks(self) -> tuple[int, tuple[int, ...]]:
        """The ranks of x and y for which a step needs no preparation; -1 and none where it always does."""
        inputs, parts = self._model.inputs, self._objective.losses
        if len(inputs) != 1 or parts is None or len(parts) != 1 or not parts[0].built_in:
            return -1, ()
        shape = self._objective.outputs[0].shape
        rank = len(shape)
        if isinstance(parts[0], losses.CrossEntropy):
            return len(inputs[0].shape), (rank - 1,)
        return len(inputs[0].shape), (rank, 1) if shape[1:] == (1,) else (rank,)

    def _twin(self, dtype: str) -> Trainer:
        """A trainer of a copy of the model, in the same state: its next step is what this one's would be."""
        twin = Trainer(self._model.copy(dtype=dtype), optimizer=self._optimizer, **self._given)
        twin._core.iteration, twin._core.epoch = self._core.iteration, self._core.epoch
        if self._plateau is not None:
            twin._core.schedule_state = self._core.schedule_state
        if twin.lr != self.lr:  # it was set
            twin.lr = self.lr
        for name, slots in twin.optimizer_state.items():
            for slot, view in slots.items():
                view[...] = self.optimizer_state[name][slot]
        return twin

    # -------------------------------------------------------------------------------------- properties

    @property
    def model(self) -> Model:
        """The model that is trained."""
        return self._model

    @property
    def history(self) -> History:
        """All epochs so far, over all calls of ``fit``; an interrupted one included as far as it came."""
        return self._history

    @property
    def optimizer(self) -> Optimizer:
        """As it was given; the present rate is ``lr``."""
        return self._optimizer

    @property
    def lr(self) -> float:
        """The learning rate of the next update. Setting it replaces the schedule by this constant."""
        return self._core.lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._core.set_lr(real("Trainer: lr", value, 0.0))
        self._plateau = None

    def observe(self, value: float) -> None:
        """Show ``ReduceOnPlateau`` how an epoch went, in a loop of one's own; ``fit`` does so itself.

        Raises
        ------
        StateError
            The schedule depends on time alone.
        """
        if not isinstance(value, float):  # NaN is no better than anything, and allowed
            value = real("observe: value", value)
        self._core.observe(value)

    @property
    def schedule_state(self) -> dict[str, float]:
        """What ``ReduceOnPlateau`` remembers: best, bad, cooldown, lr. Settable; empty for others."""
        return self._core.schedule_state

    @schedule_state.setter
    def schedule_state(self, state: Mapping[str, float]) -> None:
        self._core.schedule_state = {name: float(value) for name, value in state.items()}

    @property
    def iteration(self) -> int:
        """How many updates were made. Settable: optimizers, schedules and dropout count by it."""
        return self._core.iteration

    @iteration.setter
    def iteration(self, value: int) -> None:
        self._core.iteration = integer("Trainer: iteration", value, 0)

    @property
    def epoch(self) -> int:
        """How many epochs are complete. Settable: the order of the data and schedules depend on it."""
        return self._core.epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._core.epoch = integer("Trainer: epoch", value, 0)

    @property
    def optimizer_state(self) -> Views[Views[Array]]:
        """What the optimizer remembers, as views: ``optimizer_state["dense_0.weight"]["exp_avg"]``."""
        slots: dict[str, dict[str, Array]] = {}
        for parameter, slot, view in self._core.optimizer_state():
            slots.setdefault(parameter, {})[slot] = view
        return Views(
            {name: Views(views, f"state of {name}") for name, views in slots.items()}, "optimizer state of"
        )

    @property
    def threads_used(self) -> int:
        """How many threads the last call really had."""
        return self._core.threads_used

    @property
    def penalty(self) -> float:
        """l1 sum |w| + l2/2 sum w^2 of the last backward."""
        return self._core.penalty

    @property
    def gradient_norm(self) -> float:
        """The norm of all gradients of the last backward, before clipping."""
        return self._core.gradient_norm

    @property
    def monitors(self) -> list[str]:
        """The names that the epochs of the present (or last) ``fit`` have in the history."""
        return list(self._monitors)

    @property
    def has_custom_loss(self) -> bool:
        """Whether the loss is a function of one's own, of which nothing is known but its value."""
        return self._objective.losses is None

    def __repr__(self) -> str:
        function = self._objective.function
        name = getattr(function, "__name__", "function")
        parts: list[Any] = [name] if self._objective.losses is None else list(self._objective.losses)
        loss = parts[0] if len(parts) == 1 else parts
        return f"<Trainer of {self._model!r}: {loss}, {self._optimizer!r}, iteration {self.iteration}>"

    # ------------------------------------------------------------------------------------ single steps

    def _batch(
        self, xb: Any, yb: Any, sample_weight: Any
    ) -> tuple[list[Array], list[Array], NDArray[np.float64] | None]:
        plain = type(xb) is np.ndarray and type(yb) is np.ndarray and sample_weight is None
        plain = plain and xb.ndim == self._plain_x and yb.ndim in self._plain_y and yb.dtype.kind in "fiu"
        if plain and xb.size and yb.size:
            # the core checks all the rest, and this is most of what a small step costs
            return [xb], [yb], None
        x = data.match_inputs(xb, self._model.inputs)
        y = data.match_targets(yb, self._objective.outputs, self._objective.losses)
        self._check_rows(x, y)
        return x, y, data.sample_weights(sample_weight, len(x[0]))

    def _check_rows(self, x: list[Array], y: list[Array], prefix: str = "") -> int:
        named = {f"{prefix}x": x[0]}
        named |= {f"{prefix}y[{k}]" if len(y) > 1 else f"{prefix}y": array for k, array in enumerate(y)}
        return data.same_length(named)

    def step(self, xb: Any, yb: Any, sample_weight: Any = None) -> float:
        """Forward, backward and update with one batch: exactly those three calls, bit for bit.

        Returns
        -------
        float
            The loss before the update, without penalty.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
            The batch does not fit.
        NonFiniteError
            The loss, a gradient or a new parameter is not finite; nothing has changed.
        """
        return self._core.step(*self._batch(xb, yb, sample_weight))

    def forward(self, xb: Any, yb: Any, sample_weight: Any = None) -> float:
        """The loss of a batch; keeps what ``backward`` needs.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
            The batch does not fit.
        """
        return self._core.forward(*self._batch(xb, yb, sample_weight))

    def backward(self, accumulate: bool = False) -> None:
        """The gradients of the last ``forward`` (and of the penalty) into ``model.gradients``.

        Parameters
        ----------
        accumulate
            Add to what is there, for one update after several batches.

        Raises
        ------
        StateError
            There was no forward before.
        """
        self._core.backward(bool(accumulate))

    def update(self) -> None:
        """Clip, and change the parameters by the gradients: one iteration.

        Raises
        ------
        StateError
            There was no backward before.
        NonFiniteError
            A gradient or a new parameter is not finite; nothing has changed.
        """
        self._core.update()

    def gradients(self, xb: Any, yb: Any, sample_weight: Any = None) -> float:
        """Forward and backward: fills ``model.gradients`` and changes nothing else.

        Returns
        -------
        float
            The loss, without penalty.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
            The batch does not fit.
        """
        return self._core.gradients(*self._batch(xb, yb, sample_weight))

    def trace(self, x: Any, y: Any, sample_weight: Any = None) -> Trace:
        """Every number of one forward and backward pass; see :class:`retrograd._trace.Trace`.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
            x, y or the weights do not fit.
        """
        from retrograd._trace import trace_of

        return trace_of(self._model, self._core, *self._batch(x, y, sample_weight))

    def plan(self) -> dict[str, Any]:
        """What the last training call was compiled to: steps, what is fused, bytes and cost.

        Raises
        ------
        StateError
            There was no training call yet.
        """
        return self._core.plan()

    def summary(self, batch_size: int = 128) -> Summary:
        """The model's table, with the memory that training with such batches takes.

        ``summary().memory`` has the bytes of the parameters, their gradients, buffers, the optimizer's state,
        and of the workspace: activations, their gradients, labels, scratch of each thread. It can be asked
        before anything is trained. Your data, the shuffled order (8 bytes a row), outputs kept for metrics
        and the code itself come on top.

        Raises
        ------
        ArgumentError
            batch_size below 1.
        """
        size = integer("summary: batch_size", batch_size)
        return Summary(self._model, size, self._core.memory(size))

    # ------------------------------------------------------------------------------------------ evaluate

    def evaluate(
        self, x: Any, y: Any = None, batch_size: int = 256, sample_weight: Any = None
    ) -> dict[str, float]:
        """The loss and all metrics over these samples, in inference mode.

        x may be a stream (see :mod:`retrograd.stream`), and y is then part of it. Metrics are not weighted;
        they keep the targets and outputs of the whole pass.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
            The data does not fit.
        """
        size = integer("evaluate: batch_size", batch_size)
        if isinstance(x, Stream | Indexed):
            _alone("evaluate", y=y, sample_weight=sample_weight)
            return self._evaluate(BatchFeed(x, self._stream_batch, size))
        return self._evaluate(ArrayFeed(self._whole(x, y, sample_weight), size))

    def _whole(
        self, x: Any, y: Any, sample_weight: Any, prefix: str = ""
    ) -> tuple[list[Array], list[Array], NDArray[np.float64] | None]:
        """Checked data of a whole pass."""
        xs = data.match_inputs(x, self._model.inputs, f"{prefix}x")
        ys = data.match_targets(y, self._objective.outputs, self._objective.losses, f"{prefix}y")
        rows = self._check_rows(xs, ys, prefix)
        for k, (array, part) in enumerate(zip(ys, self._objective.losses or (), strict=False)):
            name = f"{prefix}y[{k}]" if len(ys) > 1 else f"{prefix}y"
            data.check_labels(array, part, self._objective.outputs[k].shape[-1] or 1, name)
        self._check_comparable(ys)
        return xs, ys, data.sample_weights(sample_weight, rows, f"{prefix}sample_weight")

    def _check_comparable(self, y: list[Array]) -> None:
        if self._metrics and len(y) != len(self._objective.outputs):
            raise ArgumentError(
                f"metrics: the model has {len(self._objective.outputs)} outputs but there are {len(y)} "
                "targets, so they cannot be compared; leave metrics out"
            )

    def _stream_batch(
        self, xb: Any, yb: Any, sample_weight: Any
    ) -> tuple[list[Array], list[Array], NDArray[np.float64] | None]:
        x, y, weight = self._batch(xb, yb, sample_weight)
        self._check_comparable(y)
        return x, y, weight

    def _evaluate(self, feed: ArrayFeed | BatchFeed) -> dict[str, float]:
        loss, targets, outputs = feed.evaluate(self._core, bool(self._metrics))
        return {"loss": loss} | (self._measure(targets, outputs) if self._metrics else {})

    def _metric_name(self, name: str, k: int) -> str:
        if len(self._objective.outputs) == 1:
            return name
        return f"{self._model._core.name_of(self._objective.outputs[k]).rpartition('.')[0] or k}_{name}"

    def _measure(self, targets: list[Array], outputs: list[Array]) -> dict[str, float]:
        """All metrics of a pass, from whole arrays."""
        found = {}
        for k, (true, output) in enumerate(zip(targets, outputs, strict=True)):
            loss = self._objective.losses[k] if self._objective.losses else None
            true, output = _without_ignored(loss, true, output)
            predicted: Array | None = None
            for name, metric in self._metrics.items():
                function, y_true = metric, true
                built_in = metrics.is_built_in(metric)
                if built_in and isinstance(loss, losses.CrossEntropy) and true.ndim == output.ndim:
                    y_true = true.argmax(axis=-1)
                if metric is metrics.accuracy and isinstance(loss, losses.BinaryCrossEntropy | losses.Hinge):
                    function = metrics.binary_accuracy  # each output is a yes or no of its own
                if built_in and loss is not None and metric in (metrics.accuracy, metrics.top_k_accuracy):
                    # the largest score is the largest probability
                    y_pred = output if loss.link == "softmax" else self._objective.prediction(k, output)
                elif built_in or not isinstance(loss, losses.Hinge):
                    if predicted is None:
                        predicted = self._objective.prediction(k, output)
                    y_pred = predicted
                else:
                    y_pred = output
                found[self._metric_name(name, k)] = float(function(y_true, y_pred))
        return found

    def training_errors(self) -> NDArray[np.float64]:
        """The largest |yhat - y| of each sample in the last epoch, each before its batch's update. [n]"""
        errors: NDArray[np.float64] | None = None
        for k, (true, output) in enumerate(self._seen):
            predicted = self._objective.prediction(k, output)
            if true.ndim < predicted.ndim:
                # labels: the probability of the right class is the farthest from its target
                right = np.take_along_axis(
                    predicted, np.maximum(true, 0)[..., None].astype(np.int64), axis=-1
                )
                difference = 1.0 - right
            else:
                difference = np.abs(predicted - true)
            largest = difference.reshape(len(difference), -1).max(axis=1).astype(np.float64)
            errors = largest if errors is None else np.maximum(errors, largest)
        return np.zeros(0) if errors is None else errors

    # ----------------------------------------------------------------------------------------------- fit

    def fit(
        self,
        x: Any,
        y: Any = None,
        epochs: int = 1,
        batch_size: int = 128,
        shuffle: bool = True,
        validation_data: Any = None,
        validation_split: float = 0.0,
        sample_weight: Any = None,
        class_weight: Any = None,
        record: str | None = None,
        callbacks: Any = (),
        progress: bool | None = None,
    ) -> History:
        """Train for so many more epochs.

        Everything is checked before the first step.

        Parameters
        ----------
        x, y
            [rows, ...]: arrays, frames or lists (see :mod:`retrograd.data`); a list of arrays for several
            inputs or outputs. Arrays are read in place, batch by batch, and may be memory-mapped. Or x alone:
            a stream (:mod:`retrograd.stream`), whose batches have x and y.
        epochs
            Passes over the data.
        batch_size
            Samples of an update; the last batch of an epoch may have fewer. A ``Stream`` has its own.
        shuffle
            Whether each epoch has an order of its own, given by the trainer's seed and the epoch's number.
        validation_data
            ``(x, y)`` or ``(x, y, sample_weight)``, or a stream, evaluated after each epoch.
        validation_split
            Or this share of the rows, chosen by the seed, stratified for labels; they are not trained on.
        sample_weight
            One weight for each row.
        class_weight
            ``{label: weight}``, one weight for each class, or ``"balanced"``. Multiplies sample_weight, but
            does not enter val_loss.
        record
            ``"layers"``: for every parameter the norms of gradient and update, and RMS update / RMS weight
            (``gradient_norm/dense_0.weight``, ``update_norm/``, ``update_ratio/``), means over every
            sixteenth iteration of the epoch from the first on; for every layer, from one trace of 256 rows
            after the epoch, ``delta_rms/dense_0``, ``activation_mean/``, ``activation_std/``, and the shares
            ``saturated/`` of its outputs and ``dead/`` of its units. The 256 rows are the first of the first
            epoch. Training is not touched.
        callbacks
            Rules of :mod:`retrograd.stop`, objects of :mod:`retrograd.callbacks`, or anything with their
            methods.
        progress
            None: a bar where standard error is a terminal. True: always (in a notebook one line of HTML),
            False: never.

        Returns
        -------
        History
            ``trainer.history``, all epochs so far.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
            Something does not fit.
        NonFiniteError
            A step whose loss or gradients are not finite; the parameters are as before that step.
        KeyboardInterrupt
            Ctrl-C: the last complete step stands, and ``trainer.history`` has all complete epochs.
        """
        count = integer("fit: epochs", epochs)
        size = integer("fit: batch_size", batch_size)
        if record not in (None, "layers"):
            raise unknown("fit: record", record, ("layers",))
        settings = {
            "epochs": count,
            "batch_size": size,
            "shuffle": bool(shuffle),
            "validation_split": validation_split,
            "class_weight": class_weight,
            "record": record,
            "sample_weight": sample_weight,
        }
        run = self._run_of(x, y, settings, validation_data, callbacks)
        self._stop_reason = ""
        return self._carry_out(run, progress_of(progress, count))

    def _run_of(self, x: Any, y: Any, settings: dict[str, Any], validation_data: Any, callbacks: Any) -> Run:
        """A fit with these settings, at its beginning; everything is checked."""
        size, shuffle, split = (settings[name] for name in ("batch_size", "shuffle", "validation_split"))
        weights, class_weight = settings["sample_weight"], settings["class_weight"]
        feed: ArrayFeed | BatchFeed
        if isinstance(x, Stream | Indexed):
            _alone("fit", y=y, sample_weight=weights)
            feed, validation = self._stream_feeds(x, size, shuffle, validation_data, split, class_weight)
        else:
            whole = self._whole(x, y, weights)
            settings["sample_weight"] = whole[2]
            feed, validation = self._array_feeds(whole, size, shuffle, validation_data, split, class_weight)
        probe = self._probe() if settings["record"] is not None else None
        run = Run(self, settings, feed, validation, callbacks, probe)
        self._monitors = self._names(validation is not None, probe)
        if self._plateau is not None:
            monitored("ReduceOnPlateau", self._plateau.monitor, self)
        if isinstance(feed, ArrayFeed) and callable(self._objective.spec):
            feed.prepare(self._core)
        return run

    def _carry_out(self, run: Run, bar: Any) -> History:
        history = self._history
        history.stop_reason = ""
        self._run, self._stored, run.bar = run, None, bar
        try:
            run.go()
            self._run, self._seen = None, []
        except KeyboardInterrupt:
            history.stop_reason = f"interrupted in epoch {self.epoch + 1}"
            raise
        except BaseException as error:
            history.stop_reason = f"{type(error).__name__} in epoch {self.epoch + 1}"
            raise
        finally:
            if bar is not None:
                bar.close()
        return history

    def resume(
        self,
        x: Any,
        y: Any = None,
        validation_data: Any = None,
        callbacks: Any = (),
        progress: bool | None = None,
    ) -> History:
        """Finish the fit that was interrupted, bit for bit as if it never had been.

        It goes on with the settings of that fit from the iteration it had reached: after Ctrl-C or an
        exception in this process, or in a trainer that was loaded. Streams are asked for their batches anew,
        and those that were trained on are passed over.

        Parameters
        ----------
        x, y, validation_data
            The same data; shape, dtype and a hash of the numbers are compared (of an array above 16 MB a hash
            of 1,024 rows; of a stream its kind and length). Weights are remembered.
        callbacks
            The same classes in the same order. A callback with ``state_dict`` and ``load_state_dict``, as all
            of :mod:`retrograd.stop` and :mod:`retrograd.callbacks` that keep count, goes on where it was;
            another one begins anew, by ``on_train_begin``.
        progress
            As for ``fit``.

        Raises
        ------
        StateError
            There is no interrupted fit, or the trainer has trained on since.
        ArgumentError
            Other data or callbacks.
        """
        before, stored = self._run, self._stored
        if before is None and stored is None:
            done = self._history.stop_reason
            raise StateError(
                f"resume: the fit is finished ({done}); fit(...) trains on"
                if done
                else "resume: no fit was interrupted; call fit(...)"
            )
        if self._running or (before is not None and before.is_left) or self._has_left(stored):
            raise StateError(
                "resume: the trainer has gone on since the fit was interrupted, so it cannot be finished as "
                "it would have been; call fit(...)"
            )
        if before is not None:
            settings = dict(before.settings)
        else:
            assert stored is not None
            settings = _checkpoint.unpack(stored[0]["settings"], stored[1])
        run = self._run_of(x, y, settings, validation_data, callbacks)
        if before is not None:
            run.take_over(before)
        elif stored is not None:
            run.take_up(*stored)
        return self._carry_out(run, progress_of(progress, run.epochs - run.done))

    def _has_left(self, stored: tuple[dict[str, Any], Any] | None) -> bool:
        return stored is not None and stored[0]["at"] != [self.iteration, self.epoch]

    # ------------------------------------------------------------------------------------------- files

    def save(self, path: Path) -> str:
        """Write a checkpoint: model, optimizer, schedule, counters, history and the running fit, in one file.

        From a callback, or between calls. ``rg.load(path)`` reads the model alone. See docs/file-format.md.

        Parameters
        ----------
        path
            ``.safetensors`` is added where the name has no suffix.

        Returns
        -------
        str
            The path that was written.

        Raises
        ------
        FileFormatError
            The file cannot be written.
        NonFiniteError
            A parameter is not finite.
        StateError
            Another thread is training, or a fit was interrupted where it cannot be taken up from a file.
        ArgumentError
            A callback's state has something that cannot be saved.
        """
        target = os.fspath(path)
        if not os.path.splitext(target)[1]:
            target += SUFFIX
        arrays: dict[str, Array] = {}
        run, fit, uncounted = self._run, None, 0
        if run is not None and not run.is_left:
            run.check_savable()
            fit, uncounted = run.state(arrays), run.iterations
        elif self._stored is not None and not self._has_left(self._stored):
            fit = self._stored[0]
            arrays |= self._stored[1]
        plateau = self._optimizer.schedule()
        notes = {
            "version": 1,
            "losses": _checkpoint.loss_notes(self._objective.losses, self._objective.function),
            "loss_weights": self._objective.weights,
            "watched": {"monitor": plateau.monitor, "mode": plateau.mode}
            if isinstance(plateau, ReduceOnPlateau)
            else {},
            "metrics": _checkpoint.metric_notes(self._metrics),
            "history": _checkpoint.history_notes(self._history, self._history.iterations + uncounted, arrays),
            "fit": fit,
        }
        text = _checkpoint.text(notes)
        _core.save_trainer(self._core, target, self._model._strings(None), {"python": text}, arrays)
        return target

    @classmethod
    def load(cls, path: Path, loss: Any = None, metrics: Any = ()) -> Trainer:
        """The trainer of a file that ``save`` wrote; its ``resume`` finishes the fit that was running.

        Parameters
        ----------
        path
            ``.safetensors`` may be left out.
        loss
            A function of one's own that takes the place of the graph that it made, which the file has. Needed
            for a file that was saved before the first training call.
        metrics
            Those that are functions of one's own, by their names: ``{"mine": f}``.

        Raises
        ------
        FileFormatError
            The file is not what it should be, or cannot be read; nothing is loaded.
        ArgumentError
            A function is missing, or given and not needed.
        """
        source = os.fspath(path)
        if not os.path.exists(source) and os.path.exists(source + SUFFIX):
            source += SUFFIX
        objective: Objective | None = None

        def function(outputs: list[Node], targets: list[Node]) -> Node:
            assert objective is not None
            return objective._call(outputs, targets)

        core, strings, arrays = _core.load_trainer(source, None if loss is None else function)
        notes = _checkpoint.parse(source, strings)
        model = Model._of(core.model)
        settings = _core.trainer_settings(core)
        trainer = cls.__new__(cls)
        try:
            objective = objective_of(model, notes, settings, loss)
            trainer._restore(model, core, objective, notes, settings, arrays, metrics)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            if isinstance(error, ArgumentError):
                raise
            raise FileFormatError(f"{source}: what Python kept in it is not valid: {error!r}") from error
        return trainer

    def _restore(
        self,
        model: Model,
        core: Trainer32 | Trainer64,
        objective: Objective,
        notes: dict[str, Any],
        settings: dict[str, Any],
        arrays: dict[str, Array],
        metrics: Any,
    ) -> None:
        kind, numbers = settings["schedule"]
        schedule = _checkpoint.schedule_of(kind, numbers, notes.get("watched", {}))
        optimizer = _checkpoint.optimizer_of(settings["optimizer"], settings["hyper"], schedule)
        used = _checkpoint.metrics_of(notes.get("metrics", []), metrics)
        given: dict[str, Any] = {
            "loss_weights": objective.weights,
            "param_groups": tuple(optim.ParamGroup(name, **group) for name, group in settings["groups"]),
            "l1": settings["l1"],
            "l2": settings["l2"],
            "clip_norm": settings["clip_norm"] or None,
            "clip_value": settings["clip_value"] or None,
        }
        all_given = given | {
            "loss": objective.function or objective.losses,
            "threads": settings["threads"] or None,
            "seed": settings["seed"],
        }
        self._attach(model, core, objective, optimizer, used, given, all_given)
        if not core.schedule_state:  # lr was set, or the schedule depends on time alone
            self._plateau = None
        if not notes:
            return
        self._history = _checkpoint.history_of(notes["history"], arrays)
        fit = notes["fit"]
        if fit is not None:
            _checkpoint.check_fit(fit, arrays)
            names = {name: array for name, array in arrays.items() if name != "history"}
            self._stored = fit, names

    def _names(self, validation: bool, probe: Probe | None) -> list[str]:
        """What an epoch's row will have, in the order of the history."""
        measured = [
            *_FIRST,
            *(
                self._metric_name(name, k)
                for k in range(len(self._objective.outputs))
                for name in self._metrics
            ),
        ]
        names = measured + ([f"val_{name}" for name in measured] if validation else [])
        return names + list(_LAST[:3]) + (probe.names() if probe is not None else []) + list(_LAST[3:])

    def _probe(self) -> Probe:
        from retrograd._flow import Probe  # few runs are recorded layer by layer

        return Probe(self._model, self._trained())

    def _trained(self) -> list[str]:
        frozen = set(self._model.frozen)
        return [name for name in self._model.parameters if name not in frozen]

    def _array_feeds(
        self,
        arrays: tuple[list[Array], list[Array], NDArray[np.float64] | None],
        batch_size: int,
        shuffle: bool,
        validation_data: Any,
        validation_split: float,
        class_weight: Any,
    ) -> tuple[ArrayFeed, ArrayFeed | BatchFeed | None]:
        """What is trained on and what is evaluated after each epoch."""
        x, y, weight = arrays
        rows: NDArray[np.int64] | None = None
        validation = self._validation(validation_data)
        share = real("fit: validation_split", validation_split, 0.0, below=1.0)
        if share and validation is not None:
            raise ArgumentError(
                "fit: validation_data and validation_split exclude each other; give one of them"
            )
        if share:
            rows, aside = data.split_rows(len(x[0]), share, self._seed, self._objective.labels(y))
            if weight is not None and not weight[aside].any():
                raise ArgumentError("validation_split: the sample weights of the rows set aside are all 0")
            validation = ArrayFeed(arrays, 256, rows=aside)
        if class_weight is not None:
            factor = self._objective.class_weights(class_weight, y, rows)
            weight = factor if weight is None else weight * factor
        if weight is not None and not weight[slice(None) if rows is None else rows].any():
            raise ArgumentError(
                "fit: the weights of all rows to train on are 0, so there is nothing to learn from"
            )
        return ArrayFeed((x, y, weight), batch_size, shuffle, rows, self._seed), validation

    def _stream_feeds(
        self,
        source: Stream | Indexed,
        batch_size: int,
        shuffle: bool,
        validation_data: Any,
        validation_split: float,
        class_weight: Any,
    ) -> tuple[BatchFeed, ArrayFeed | BatchFeed | None]:
        if real("fit: validation_split", validation_split, 0.0, below=1.0):
            raise ArgumentError(
                "fit: validation_split sets rows of arrays aside; with a stream pass validation_data"
            )
        if isinstance(class_weight, str):
            raise ArgumentError(
                f"fit: class_weight={class_weight!r} counts all labels beforehand, and a stream's are not "
                "known; give a dict or an array"
            )

        def prepare(
            xb: Any, yb: Any, sample_weight: Any
        ) -> tuple[list[Array], list[Array], NDArray[np.float64] | None]:
            x, y, weight = self._stream_batch(xb, yb, sample_weight)
            if class_weight is not None:
                factor = self._objective.class_weights(class_weight, y, None)
                weight = factor if weight is None else weight * factor
            return x, y, weight

        feed = BatchFeed(source, prepare, batch_size, shuffle, self._seed)
        return feed, self._validation(validation_data)

    def _validation(self, validation_data: Any) -> ArrayFeed | BatchFeed | None:
        if validation_data is None:
            return None
        if isinstance(validation_data, Stream | Indexed):
            return BatchFeed(validation_data, self._stream_batch, 256, name="validation batch")
        if not isinstance(validation_data, list | tuple) or len(validation_data) not in (2, 3):
            raise ArgumentError(
                "fit: validation_data must be (x, y) or (x, y, sample_weight), "
                f"got {type(validation_data).__name__}"
                + (f" of {len(validation_data)}" if isinstance(validation_data, list | tuple) else "")
            )
        x, y, weight = (*validation_data, None)[:3]
        return ArrayFeed(self._whole(x, y, weight, "validation "), 256)

    def stop(self, reason: str = "stop() was called") -> None:
        """End the present ``fit`` after the running iteration; from a callback or from another thread."""
        self._stop_reason = self._stop_reason or reason
        if self._running:
            self._core.stop()


def _resolve_metrics(given: Any) -> dict[str, Any]:
    return metrics.resolve("Trainer", given)


def _groups(model: Model, groups: Sequence[ParamGroup]) -> list[tuple[str, dict[str, float]]]:
    if isinstance(groups, optim.ParamGroup):
        groups = [groups]
    found = []
    for group in groups:
        if not isinstance(group, optim.ParamGroup):
            raise ArgumentError(f"param_groups: expected rg.ParamGroup objects, got {group!r}")
        model.matching("param_groups", [group.pattern])  # a pattern that matches nothing is a mistake
        found.append((group.pattern, group.settings()))
    return found


def _without_ignored(loss: Loss | None, true: Array, output: Array) -> tuple[Array, Array]:
    """Labels and outputs without those that the loss ignores."""
    if not isinstance(loss, losses.CrossEntropy) or true.ndim == output.ndim:
        return true, output
    keep = true != loss.ignore_index
    if keep.all():
        return true, output
    if not keep.any():
        raise ShapeError(f"metrics: all labels are {loss.ignore_index}, which the loss ignores")
    return true[keep], output[keep]


def _alone(who: str, **given: Any) -> None:
    """A stream stands alone: what else belongs to a sample is in its batches."""
    for name, value in given.items():
        if value is not None:
            raise ArgumentError(
                f"{who}: {name} was given beside a stream; it is part of the stream's batches"
            )
