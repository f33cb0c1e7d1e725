"""Networks: a graph of nodes with its parameters, ready to predict and to be trained."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakValueDictionary, ref

import numpy as np

from retrograd import _core
from retrograd._arguments import integer, seed_of, unknown
from retrograd._bound import BoundLayer, Views
from retrograd._core import direct_predict
from retrograd._summary import Summary
from retrograd.data import match_inputs
from retrograd.errors import ArgumentError, DTypeError, GraphError, ShapeError, StateError
from retrograd.graph import Node, shape_text
from retrograd.layers import Layer
from retrograd.metrics import probabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import DTypeLike, NDArray

    from retrograd._core import Array, Model32, Model64
    from retrograd._trace import Trace

    Path = str | os.PathLike[str]

__all__ = ["Model", "Sequential", "load"]

SUFFIX = ".safetensors"
_OTHERS = ("constant:", "optimizer:", "loss:", "epoch:", "note:")  # how tensors that are none begin
_LINK = "retrograd.link"  # in a file's metadata: what makes probabilities of each output

# The model whose weights a parameter's (or buffer's) node stands for, as long as that model lives.
_HOMES: WeakValueDictionary[Node, Model] = WeakValueDictionary()
_MOVING = threading.RLock()  # held by whoever changes homes


class Model:
    """Any directed acyclic graph from inputs to outputs, with its parameters.

    Layers that belong to a model already bring their weights into a new one as they are at that moment:
    ``rg.Model(net.inputs, rg.Dense(3)(net["dense_0"].output))`` begins with what ``net`` has learned. From
    then on each model has its own.

    Parameters
    ----------
    inputs, outputs
        A node or a list of nodes. What the outputs reach is the model.
    seed
        Of the initial parameters: the same seed, the same bytes, on every machine.
    dtype
        ``"float32"`` or ``"float64"``.

    Raises
    ------
    GraphError
        An input that is reached but not listed, or listed but not reached; two nodes of one name.
    ArgumentError
        A seed that is none.
    DTypeError
        Another dtype.
    """

    _core: Model32 | Model64
    _links: list[str]
    _lender: ClassVar[ref[Model] | None] = None  # of which a node was asked for last

    def __init__(
        self,
        inputs: Node | Sequence[Node],
        outputs: Node | Sequence[Node],
        seed: int = 0,
        dtype: DTypeLike = "float32",
    ) -> None:
        made = _core.Model64 if _float_type("Model", dtype) == np.float64 else _core.Model32
        self._adopt(made(_nodes("inputs", inputs), _nodes("outputs", outputs), seed_of("Model", seed)))
        for node, name in self._weights.items():
            learned = home_value(node)
            if learned is not None:
                self._weight(name)[...] = learned
        self._settle()

    def _adopt(self, core: Model32 | Model64, links: Sequence[str] = ()) -> None:
        self._core = core
        outputs = core.outputs
        self._links = list(links) if len(links) == len(outputs) else [""] * len(outputs)
        self._parameters = Views(dict(core.parameters()), "parameter")
        self._gradients: Views[Array] | None = None
        self._weights = {core.node(name): name for name in self._trained_names()}

    def _weight(self, name: str) -> Array:
        return self._parameters[name] if name in self._parameters else self.buffers[name]

    def _settle(self) -> None:
        """Be the home of nodes that have none."""
        with _MOVING:
            for node in self._weights:
                _HOMES.setdefault(node, self)

    def _lend(self) -> None:
        """Be the home of all its nodes: one of them is about to be taken from here."""
        if Model._lender is not None and Model._lender() is self:
            return
        with _MOVING:
            Model._lender = ref(self)
            for node in self._weights:
                _HOMES[node] = self

    @classmethod
    def _of(cls, core: Model32 | Model64, links: Sequence[str] | None = None) -> Model:
        model = cls.__new__(cls)
        saved = core.metadata.get(_LINK, "")
        model._adopt(core, saved.split(",") if links is None else links)
        model._settle()
        return model

    # -------------------------------------------------------------------------------- prediction

    @direct_predict
    def predict(self, x: Any, batch_size: int = 256, out: Any = None, threads: int | None = None) -> Any:
        """The outputs for every row of x.

        Parameters
        ----------
        x
            [rows, ...] as the input expects it; a list of arrays for several inputs. See
            :mod:`retrograd.data`.
        batch_size
            Rows that are computed at once: memory against speed, the values are the same.
        out
            A contiguous array of the model's dtype (a list of them for several outputs) for the result.
        threads
            None: chosen by the work. Any number gives the same bits.

        Returns
        -------
        ndarray
            [rows, ...]; a list of arrays where the model has several outputs.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
            x or out does not fit, or x has a value that is not finite.
        """
        arrays = match_inputs(x, self._core.inputs)
        team = 0 if threads is None else integer("predict: threads", threads)
        given = None if out is None else self._out(out, len(arrays[0]))
        found = self._core.predict(arrays, integer("predict: batch_size", batch_size), team, given)
        if out is not None:
            return out
        return found[0] if len(found) == 1 else found

    def _out(self, out: Any, rows: int) -> list[Array]:
        nodes = self._core.outputs
        several = isinstance(out, list | tuple) and len(nodes) > 1
        given = list(out) if several else [out]
        if len(given) != len(nodes):
            raise ShapeError(f"out: the model has {len(nodes)} outputs, got {len(given)} arrays")
        for i, (array, node) in enumerate(zip(given, nodes, strict=True)):
            name = f"out[{i}]" if several else "out"
            if not isinstance(array, np.ndarray) or array.dtype != self.dtype:
                kind = f"dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
                raise DTypeError(f"{name}: expected an array of {self.dtype}, got {kind}")
            if array.shape != (rows, *node.shape[1:]):
                raise ShapeError(f"{name}: expected shape {(rows, *node.shape[1:])}, got {array.shape}")
            if not array.flags.writeable:
                raise ArgumentError(f"{name}: it is read-only; give an array that can be written")
            if not (array.flags.c_contiguous and array.flags.aligned):
                raise ArgumentError(
                    f"{name}: its rows do not lie one after another; give a contiguous array, or no out="
                )
        return given

    __call__ = predict

    def predict_proba(self, x: Any, batch_size: int = 256, threads: int | None = None) -> Any:
        """Probabilities for every row of x.

        An output that is a softmax or a sigmoid is taken as it is. Otherwise it is logits, and the loss the
        model was trained with decides: softmax for cross-entropy, sigmoid for binary cross-entropy. Before
        any training a last axis of 1 means sigmoid, a longer one softmax. Where the model has several
        outputs, those that are values stay as they are.

        Raises
        ------
        StateError
            The model was trained with a loss whose outputs are no logits.
        ShapeError, DTypeError, ArgumentError
            As in ``predict``.
        """
        links = [self._link(k) for k in range(len(self._core.outputs))]
        outputs = self.predict(x, batch_size, threads=threads)
        several = len(links) > 1
        found = [
            probabilities(output, link).astype(output.dtype, copy=False)
            for output, link in zip(outputs if several else [outputs], links, strict=True)
        ]
        return found if several else found[0]

    def _link(self, k: int) -> str:
        """What makes probabilities of output k: "softmax", "sigmoid" or "" where they are that already."""
        node = self._core.outputs[k]
        if node.op in ("softmax", "sigmoid"):
            return ""
        link = self._links[k]
        if link == "none":
            if len(self._links) > 1:
                return ""  # values stay values beside the probabilities of other outputs
            raise StateError(
                "predict_proba: the loss this model was trained with takes its outputs as values, not as "
                "logits; "
                "use predict"
            )
        return link or ("sigmoid" if len(node.shape) < 2 or node.shape[-1] == 1 else "softmax")

    # --------------------------------------------------------------------------------- parameters

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        return np.dtype(np.float64 if isinstance(self._core, _core.Model64) else np.float32)

    @property
    def parameters(self) -> Views[Array]:
        """Name -> view of each trained array: ``net.parameters["dense_0.weight"]``."""
        return self._parameters

    @property
    def gradients(self) -> Views[Array]:
        """Name -> view of dL/d parameter, as the last backward left it.

        Whoever has them may write into them, so from then on every call that trains begins by clearing all
        of them, also where an :class:`retrograd.Embedding` could do with few rows.
        """
        if self._gradients is None:
            self._gradients = Views(dict(self._core.gradients()), "gradient")
        return self._gradients

    @property
    def buffers(self) -> Views[Array]:
        """Name -> view of what is saved but not trained."""
        return Views(dict(self._core.buffers()), "buffer")

    @property
    def flat_parameters(self) -> NDArray[Any]:
        """All parameters as one 1-D array: the same memory as ``parameters``."""
        return self._core.flat_parameters

    @property
    def flat_gradients(self) -> NDArray[Any]:
        """All gradients as one 1-D array: the same memory as ``gradients``."""
        return self._core.flat_gradients

    def set_parameters(self, parameters: Mapping[str, Any] | Path, strict: bool = True) -> None:
        """Write parameters and buffers in place, by name; on an error nothing is changed.

        Parameters
        ----------
        parameters
            Name -> array, or the path of a safetensors file.
        strict
            Whether every parameter must be given, and no other name; else what is common is written.

        Raises
        ------
        ArgumentError
            Missing and unexpected names, all of them listed, or a number that is not finite.
        ShapeError
            An array of another shape.
        DTypeError
            An array that is not made of real numbers.
        FileFormatError
            Not a safetensors file.
        """
        if isinstance(parameters, str | os.PathLike):
            tensors = _core.read_tensors(os.fspath(parameters))
            # a file of ours has the constants of its graph too, and maybe a trainer: no parameters
            parameters = {name: array for name, array in tensors.items() if not name.startswith(_OTHERS)}
        if not isinstance(parameters, Mapping):
            raise ArgumentError(
                "set_parameters: expected a mapping of names to arrays or a path, got "
                f"{type(parameters).__name__}"
            )
        own = {**self.parameters, **self.buffers}
        # constants of the graph are part of it and need not be given again
        missing = [name for name in self.parameters if name not in parameters] if strict else []
        unexpected = [str(name) for name in parameters if name not in own] if strict else []
        writes, wrong = [], []
        for name, view in own.items():
            if name not in parameters:
                continue
            array = np.asarray(parameters[name])
            if array.dtype.kind not in "fiub":
                raise DTypeError(f"set_parameters: {name} has dtype {array.dtype}, expected real numbers")
            if array.shape != view.shape:
                wrong.append(f"{name} is {array.shape}, expected {view.shape}")
            writes.append((name, view, array))
        parts = [f"missing: {', '.join(missing)}"] if missing else []
        parts += [f"unexpected: {', '.join(unexpected)}"] if unexpected else []
        parts += [f"of another shape: {'; '.join(wrong)}"] if wrong else []
        if missing or unexpected:
            raise ArgumentError(f"set_parameters: {'; '.join(parts)}; strict=False writes what is common")
        if wrong:
            raise ShapeError(f"set_parameters: {'; '.join(parts)}")
        # one of the arrays may be a view of this very model, so all are read before any is written
        with np.errstate(over="ignore"):
            copies = [(name, view, array.astype(view.dtype)) for name, view, array in writes]
        for name, _, copy in copies:
            finite = np.isfinite(copy)
            if not finite.all():
                index = tuple(int(i) for i in np.argwhere(~finite)[0])
                raise ArgumentError(
                    f"set_parameters: {name} has {copy[index]} at {list(index)}, expected numbers "
                    f"that are finite in {self.dtype}"
                )
        for _, view, copy in copies:
            view[...] = copy

    @property
    def frozen(self) -> list[str]:
        """The names of the parameters and buffers that training leaves alone."""
        return self._core.frozen()

    def freeze(self, *patterns: str) -> None:
        """Leave parameters out of training: those whose name, or whose layer's name, matches a pattern.

        A layer of which the running statistics are frozen (``BatchNorm``) uses them in training as well, and
        leaves them as they are.

        ``net.freeze("conv*", "dense_0")``; * is any text, ? one character; no pattern: all parameters.

        Raises
        ------
        ArgumentError
            A pattern that matches nothing, with the names there are.
        """
        self._core.set_frozen(self.matching("freeze", patterns or ("*",), self._trained_names()), True)

    def unfreeze(self, *patterns: str) -> None:
        """Train these parameters again; patterns as in ``freeze``.

        Raises
        ------
        ArgumentError
            A pattern that matches nothing, with the names there are.
        """
        self._core.set_frozen(self.matching("unfreeze", patterns or ("*",), self._trained_names()), False)

    def _trained_names(self) -> list[str]:
        buffers = [name for info in self._core.layers() for name in info.buffers.values()]
        return [*self._parameters, *buffers]

    def matching(self, who: str, patterns: Iterable[str], names: Sequence[str] | None = None) -> list[str]:
        """The parameters whose name, or whose layer's name, matches a pattern, in the model's order.

        Parameters
        ----------
        who
            Begins the message of an error.
        patterns
            ``*`` stands for any text, ``?`` for one character.
        names
            Those to choose from; None: all parameters.

        Raises
        ------
        ArgumentError
            A pattern that matches nothing.
        """
        from fnmatch import fnmatchcase
        from itertools import accumulate

        names = list(self._parameters) if names is None else names
        found: set[str] = set()
        for pattern in patterns:
            if not isinstance(pattern, str):
                raise ArgumentError(
                    f"{who}: expected a pattern such as 'dense_0' or 'conv*', got {pattern!r}"
                )
            matched = {
                name
                for name in names
                if any(fnmatchcase(part, pattern) for part in accumulate(name.split("."), "{}.{}".format))
            }
            if not matched:
                known = ", ".join(names) or "none"
                raise ArgumentError(f"{who}: {pattern!r} matches no parameter; there are {known}")
            found |= matched
        return [name for name in names if name in found]

    # ------------------------------------------------------------------------------------- the graph

    @property
    def inputs(self) -> list[Node]:
        """The input nodes."""
        self._lend()
        return self._core.inputs

    @property
    def outputs(self) -> list[Node]:
        """The output nodes; another model may be built from them, and begins with the weights of this one."""
        self._lend()
        return self._core.outputs

    @property
    def layers(self) -> list[BoundLayer]:
        """The layers in the order of the graph."""
        return [BoundLayer(self, info) for info in self._core.layers()]

    def __getitem__(self, name: str) -> BoundLayer:
        infos = self._core.layers()
        for info in infos:
            if info.name == name:
                return BoundLayer(self, info)
        raise unknown("model: layer", name, [info.name for info in infos])

    def trace(self, x: Any, y: Any, loss: Any, sample_weight: Any = None) -> Trace:
        """Every number of one forward and backward pass: z, a, da, delta, dW, db and dx of each layer.

        Nothing is changed. See :class:`retrograd._trace.Trace`.

        Parameters
        ----------
        x, y
            Samples and targets, all of them in one batch.
        loss
            A name, an object of :mod:`retrograd.losses` or a function of nodes.
        sample_weight
            One weight for each sample.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
            x, y or the weights do not fit.
        """
        from retrograd._trace import trace

        return trace(self, x, y, loss, sample_weight)

    def summary(self, batch_size: int = 256) -> Summary:
        """A table of layers, output shapes, parameters, cost and memory; print it, or let a notebook show it.

        ``summary().memory`` has the bytes of the parameters, their gradients, buffers, and what a prediction
        of ``batch_size`` rows takes. Training takes more: ``trainer.summary()``. Backward's multiply-adds,
        bytes and time of a step: ``rg.cost(net)``.

        Raises
        ------
        ArgumentError
            batch_size below 1.
        """
        return Summary(self, integer("summary: batch_size", batch_size))

    def __repr__(self) -> str:
        def sizes(nodes: list[Node]) -> str:
            return ", ".join(shape_text(node.shape) for node in nodes)

        count = self._core.flat_parameters.size
        return f"<Model {sizes(self.inputs)} -> {sizes(self.outputs)}: {count:,} parameters, {self.dtype}>"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    # ------------------------------------------------------------------------------- copies and files

    def copy(self, dtype: DTypeLike | None = None) -> Model:
        """The same network with parameters of its own, in another precision if asked.

        Raises
        ------
        DTypeError
            A dtype other than float32 and float64.
        """
        wanted = self.dtype if dtype is None else _float_type("copy", dtype)
        core: Any = self._core
        if wanted != self.dtype:
            return Model._of(core.to64() if wanted == np.float64 else core.to32(), self._links)
        return Model._of(core.copy(), self._links)

    def __copy__(self) -> Model:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.to_bytes(), self.frozen)

    @property
    def metadata(self) -> dict[str, str]:
        """The strings saved with the model this one was loaded from."""
        return {name: text for name, text in self._core.metadata.items() if not name.startswith("retrograd.")}

    def _strings(self, metadata: Mapping[str, str] | None) -> dict[str, str]:
        strings = dict(self.metadata if metadata is None else metadata)
        for name, value in strings.items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise ArgumentError(f"metadata: names and values must be strings, got {name!r}: {value!r}")
            if name.startswith("retrograd."):
                raise ArgumentError(
                    f"metadata: {name!r} is one of our own names; choose one without 'retrograd.'"
                )
        return strings | {_LINK: ",".join(self._links)}

    def to_bytes(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """What ``save`` would write.

        Raises
        ------
        ArgumentError
            metadata that is not made of strings.
        """
        return self._core.to_bytes(self._strings(metadata))

    @classmethod
    def from_bytes(cls, data: bytes) -> Model:
        """The model that ``to_bytes`` wrote.

        Raises
        ------
        FileFormatError
            Anything else, or bytes that were changed.
        """
        return cls._of(_core.model_from_bytes(bytes(data)))

    def save(self, path: Path, metadata: Mapping[str, str] | None = None) -> str:
        """Write the graph and the parameters into a safetensors file, whole or not at all.

        Parameters
        ----------
        path
            ``.safetensors`` is added where the name has no suffix.
        metadata
            Strings of your own to keep with it; None keeps those it was loaded with.

        Returns
        -------
        str
            The path that was written.

        Raises
        ------
        OSError
            The file cannot be written.
        ArgumentError
            metadata that is not made of strings.
        """
        target = os.fspath(path)
        if not os.path.splitext(target)[1]:
            target += SUFFIX
        self._core.save(target, self._strings(metadata))
        return target

    @classmethod
    def load(cls, path: Path) -> Model:
        """The model of a file that ``save`` wrote, checked against its own expected output.

        Parameters
        ----------
        path
            ``.safetensors`` may be left out.

        Raises
        ------
        FileFormatError
            The file is not what it should be.
        OSError
            The file cannot be read.
        """
        source = os.fspath(path)
        if not os.path.exists(source) and os.path.exists(source + SUFFIX):
            source += SUFFIX
        return cls._of(_core.load_model(source))


def home_value(node: Node) -> Array | None:
    """What the model that a parameter or buffer belongs to has in it; None where it belongs to none."""
    home = _HOMES.get(node)
    return None if home is None else home._weight(home._weights[node])


def _restored(data: bytes, frozen: list[str]) -> Model:
    model = Model.from_bytes(data)
    model._core.set_frozen(frozen, True)
    return model


def load(path: Path) -> Model:
    """The model of a file that ``Model.save`` wrote; see :meth:`Model.load`.

    Raises
    ------
    FileFormatError
        The file is not what it should be.
    OSError
        The file cannot be read.
    """
    return Model.load(path)


def _float_type(who: str, dtype: DTypeLike) -> np.dtype[Any]:
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = np.dtype(object)
    if wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise DTypeError(f"{who}: dtype must be 'float32' or 'float64', got {dtype!r}")
    return wanted


def _nodes(who: str, value: Any) -> list[Node]:
    nodes = list(value) if isinstance(value, list | tuple) else [value]
    for node in nodes:
        if not isinstance(node, Node):
            raise GraphError(f"{who}: expected a node or a list of nodes, got {type(node).__name__}")
    return nodes


def Sequential(
    layers: Sequence[Node | Layer | Callable[[Node], Node]], seed: int = 0, dtype: DTypeLike = "float32"
) -> Model:
    """A model of layers one after another: ``rg.Sequential([rg.Input(784), rg.Dense(10)])``.

    Parameters
    ----------
    layers
        First ``rg.Input(shape)``, then layers or functions of a node (``rg.ops.relu``, a function of one's
        own).
    seed, dtype
        As for :class:`Model`.

    Raises
    ------
    ArgumentError
        The first is no Input, or a later one is neither a layer nor a function of a node.
    """
    if not isinstance(layers, list | tuple):
        raise ArgumentError(f"Sequential: expected a list [rg.Input(shape), layer, ...], got {layers!r}")
    if not layers or not isinstance(layers[0], Node) or layers[0].kind != "input":
        found = f"got {layers[0]!r}" if layers else "the list is empty"
        raise ArgumentError(f"Sequential: begin with rg.Input(shape), the shape of one sample; {found}")
    if len(layers) < 2:
        raise ArgumentError("Sequential: there is nothing after the Input; add layers")
    node = layers[0]
    for position, layer in enumerate(layers[1:], 1):
        if isinstance(layer, type):
            raise ArgumentError(
                f"Sequential: item {position} is the class {layer.__name__}; write {layer.__name__}(...)"
            )
        result = layer(node) if callable(layer) else None
        if not isinstance(result, Node):
            given = f"a function that returned {type(result).__name__}" if callable(layer) else f"{layer!r}"
            raise ArgumentError(
                f"Sequential: item {position} is {given}, expected a layer or a function that returns a node"
            )
        node = result
    return Model(layers[0], node, seed=seed, dtype=dtype)
