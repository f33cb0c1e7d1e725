"""The C++ core. Everything here is private: `retrograd` is the public face."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Attribute: TypeAlias = bool | int | float | str | list[int] | list[float]
Attributes: TypeAlias = dict[str, Attribute]
_Method = TypeVar("_Method", bound=Callable[..., Any])

__version__: str
recorded_every: int  # iterations from one whose norms are recorded to the next

class RetrogradError(Exception): ...
class ShapeError(RetrogradError, ValueError): ...
class ArgumentError(RetrogradError, ValueError): ...
class DTypeError(RetrogradError, TypeError): ...
class GraphError(RetrogradError, ValueError): ...
class StateError(RetrogradError, RuntimeError): ...
class NonFiniteError(RetrogradError, ArithmeticError): ...
class FileFormatError(RetrogradError, OSError): ...

def isa() -> str:
    """The instruction set whose kernels run: "baseline", "avx2", "avx512" or "neon"."""

def runnable_isas() -> list[str]: ...
def isa_warning() -> str:
    """Why RETROGRAD_ISA was not followed; empty where it was."""

def parallel_backend() -> str: ...
def available_threads() -> int: ...
def op_names() -> list[str]: ...
def op_list(kind: str) -> list[str]:
    """The members of a list of the core: "activation", "unary", "binary", "loss", "optimizer", "schedule",
    "initialiser", "layer"."""

def permutation(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order in which `fit` visits n rows in an epoch."""

def split_order(n: int, seed: int) -> NDArray[np.int64]:
    """The seeded order that `validation_split` takes its rows from."""

class Node:
    """An immutable, shape-checked expression."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        """None stands for the batch axis."""
    @property
    def sample_shape(self) -> tuple[int, ...]: ...
    @property
    def batched(self) -> bool: ...
    @property
    def dtype(self) -> str:
        """ "real" or "index"."""
    @property
    def kind(self) -> str:
        """ "input", "placeholder", "parameter", "constant" or "operation"."""
    @property
    def op(self) -> str: ...
    @property
    def attributes(self) -> Attributes: ...
    @property
    def inputs(self) -> list[Node]: ...
    @property
    def name(self) -> str:
        """The name given by the user, or "" (a Model gives names when it collects its nodes)."""
    def __hash__(self) -> int: ...  # by identity
    # retrograd.graph attaches the operators
    def __add__(self, other: Any) -> Node: ...
    def __radd__(self, other: Any) -> Node: ...
    def __sub__(self, other: Any) -> Node: ...
    def __rsub__(self, other: Any) -> Node: ...
    def __mul__(self, other: Any) -> Node: ...
    def __rmul__(self, other: Any) -> Node: ...
    def __truediv__(self, other: Any) -> Node: ...
    def __rtruediv__(self, other: Any) -> Node: ...
    def __matmul__(self, other: Any) -> Node: ...
    def __rmatmul__(self, other: Any) -> Node: ...
    def __pow__(self, other: Any) -> Node: ...
    def __rpow__(self, other: Any) -> Node: ...
    def __lt__(self, other: Any) -> Node: ...
    def __le__(self, other: Any) -> Node: ...
    def __gt__(self, other: Any) -> Node: ...
    def __ge__(self, other: Any) -> Node: ...
    def __neg__(self) -> Node: ...
    def __pos__(self) -> Node: ...
    def __abs__(self) -> Node: ...

def input(dims: Sequence[int], dtype: str, name: str) -> Node:
    """A batched input; dtype "real" or "index"."""

def placeholder(dims: Sequence[int], name: str) -> Node: ...
def variable(value: NDArray[np.float64], name: str) -> Node:
    """A trained, unbatched array."""

def variable_by_rule(
    dims: Sequence[int], rule: str, a: float, b: float, fan_in: int, fan_out: int, name: str
) -> Node:
    """A parameter that each model begins by its own seed."""

def constant(value: NDArray[np.float64], name: str) -> Node: ...
def apply(op: str, attributes: Attributes, inputs: Sequence[Node], who: str = "") -> Node:
    """Appends an operation; shapes are checked now. `who` begins error messages (default: the op's name)."""

class Evaluation:
    """An expression that is run in float64, all numbers kept. Nodes are known by their position."""

    def __init__(self, result: Node, seed: int = 0) -> None: ...
    @property
    def nodes(self) -> list[Node]: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def result(self) -> int: ...
    @property
    def visits(self) -> list[int]:
        """Operations in the order in which backward visits them."""
    @property
    def batch(self) -> int: ...
    def forward(self, fed: Sequence[tuple[int, Array]]) -> None: ...
    def backward(self, seed: NDArray[np.float64]) -> None: ...
    def value(self, id: int) -> NDArray[np.float64] | None:
        """A copy; None for indices."""
    def gradient(self, id: int) -> NDArray[np.float64] | None:
        """A copy; None where there is no derivative."""

class Layer:
    """A builder of nodes. The first call makes the parameters; later calls share them."""

    def __init__(
        self,
        kind: str,  # one of op_list("layer")
        config: Attributes,
        name: str = "",
        activation: Callable[[Node], Node] | None = None,  # instead of config["activation"]
        initial: dict[str, NDArray[np.float64]] | None = None,  # "weight", "bias" -> the array to begin with
    ) -> None: ...
    def __call__(self, inputs: Sequence[Node]) -> Node: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str:
        """The name given by the user, or ""."""
    @property
    def config(self) -> Attributes: ...

class LayerInfo:
    """What a Model knows of one layer."""

    name: str
    kind: str  # "dense"
    config: Attributes
    parameters: dict[str, str]  # role -> full name: {"weight": "dense_0.weight"}
    buffers: dict[str, str]  # role -> full name: {"running_mean": "batch_norm_0.running_mean"}
    calls: int
    inputs: list[list[str]]  # for each call: the nodes it was given
    nodes: dict[str, str]  # role -> node name, first call: {"z": "dense_0.z", "a": "dense_0.a"}
    output_shape: tuple[int | None, ...]
    cost: int  # multiply-adds of forward for one sample

class _Model:
    """Model32 and Model64 have the same methods."""

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node], seed: int) -> None: ...
    @property
    def inputs(self) -> list[Node]: ...
    @property
    def outputs(self) -> list[Node]: ...
    @property
    def input_names(self) -> list[str]: ...
    @property
    def node_names(self) -> list[str]: ...
    def node(self, name: str) -> Node: ...
    def name_of(self, node: Node) -> str: ...
    def layers(self) -> list[LayerInfo]: ...
    def parameters(self) -> list[tuple[str, Array]]:
        """Zero-copy writable views which keep the storage alive."""
    def gradients(self) -> list[tuple[str, Array]]: ...
    def buffers(self) -> list[tuple[str, Array]]: ...
    @property
    def flat_parameters(self) -> Array: ...
    @property
    def flat_gradients(self) -> Array: ...
    def frozen(self) -> list[str]: ...
    def set_frozen(self, parameters: Sequence[str], frozen: bool) -> None: ...
    def predict(
        self, x: Sequence[Array], batch_size: int, threads: int, out: Sequence[Array] | None
    ) -> list[Array]:
        """threads 0: chosen by the work. Raises as the array checker does; x[i] is named x or x[i]."""
    def copy(self) -> _Model: ...
    def to32(self) -> Model32: ...
    def to64(self) -> Model64: ...
    def to_bytes(self, metadata: dict[str, str]) -> bytes: ...
    def save(self, path: str, metadata: dict[str, str]) -> None: ...
    @property
    def metadata(self) -> dict[str, str]:
        """What `save` was given when this file was written."""
    def memory(self, batch: int) -> dict[str, int]:
        """Bytes: parameters, gradients, buffers, inference workspace."""

class Model32(_Model): ...
class Model64(_Model): ...

def direct_predict(method: _Method) -> _Method:
    """`Model.predict`, which is called only where the core cannot read an array as it is."""

def load_model(path: str) -> Model32 | Model64: ...
def model_from_bytes(data: bytes) -> Model32 | Model64: ...
def read_tensors(path: str) -> dict[str, Array]:
    """The tensors of any safetensors file, float types as they are."""

LossSpec: TypeAlias = list[tuple[str, Attributes]] | Callable[[list[Node], list[Node]], Node]

class WeightedLoss:
    """sum w_i L_i and sum w_i over some samples, without penalty."""

    @property
    def sum(self) -> float: ...
    @property
    def weight(self) -> float: ...
    @property
    def mean(self) -> float: ...

class EpochResult:
    loss: WeightedLoss
    last_loss: float  # of the last iteration
    penalty: float  # mean over iterations
    gradient_norm: float  # mean over iterations, before clipping
    iterations: int
    samples: int
    stopped: bool  # stop() was called, or on_iteration returned True
    outputs: list[Array]  # collect=True: every model output in the order of visit, else []
    order: NDArray[np.int64]  # the rows in that order (collect=True), else empty
    gradient_norms: dict[str, float]  # record_layers: parameter -> mean norm, over recorded iterations
    update_norms: dict[str, float]  # the same of its update

class _Trainer:
    """Trainer32 and Trainer64 have the same methods."""

    def __init__(
        self,
        model: _Model,
        loss: LossSpec,  # (name, attributes) for each output, or a function of nodes: one value per sample
        loss_weights: Sequence[float] | None,
        optimizer: str,  # one of op_list("optimizer")
        hyper: dict[str, float],  # all but lr; booleans as 0.0 / 1.0
        schedule: tuple[str, dict[str, float]],  # ("constant", {"lr": 0.1}); "unit_epoch": 1.0 counts epochs
        groups: Sequence[tuple[str, dict[str, float]]],  # (glob, {"lr_scale": 0.1, "weight_decay": 0.0})
        l1: float,
        l2: float,
        clip_norm: float,  # 0: none
        clip_value: float,  # 0: none
        threads: int,  # 0: chosen by the work
        seed: int,
        fuse: bool = True,
        reuse: bool = True,
        touched_rows: bool = True,
    ) -> None: ...
    @property
    def model(self) -> _Model: ...
    # x: one array for each input, y: one for each target; sample_weight: (n,) float64 or None, class weights
    # included
    def step(self, x: Sequence[Array], y: Sequence[Array], sample_weight: Array | None) -> float: ...
    def forward(self, x: Sequence[Array], y: Sequence[Array], sample_weight: Array | None) -> float: ...
    def backward(self, accumulate: bool) -> None: ...
    def update(self) -> None: ...
    def gradients(self, x: Sequence[Array], y: Sequence[Array], sample_weight: Array | None) -> float: ...
    def run_epoch(
        self,
        x: Sequence[Array],
        y: Sequence[Array],
        sample_weight: Array | None,
        batch_size: int,
        shuffle: bool,
        rows: NDArray[np.int64] | None,  # train on these rows only (validation_split), None: all
        collect: bool,
        record_layers: bool,
        on_iteration: Callable[[int, float], bool] | None,  # (iteration, loss) -> True to stop
        progress: Callable[[int, int, float], None] | None,  # (done, total, loss), at most every 100 ms
        resume: bool = False,  # go on with the epoch that was broken off
    ) -> EpochResult:
        """One pass; advances `iteration`, and `epoch` when complete.

        KeyboardInterrupt leaves the last committed step.
        """
    @property
    def unfinished(self) -> tuple[int, int]:
        """Rows done and in all, of an epoch that was broken off and can go on; (0, 0) where there is none."""
    def run_batch(
        self,
        x: Sequence[Array],
        y: Sequence[Array],
        sample_weight: Array | None,
        collect: bool,
        record_layers: bool,
    ) -> EpochResult:
        """One iteration with all rows, which is no epoch."""
    def end_epoch(self) -> None: ...
    def prepare(self, x: Sequence[Array], y: Sequence[Array], sample_weight: Array | None) -> None:
        """Makes the loss's graph for such targets, as the first call that trains would."""
    def evaluate(
        self,
        x: Sequence[Array],
        y: Sequence[Array],
        sample_weight: Array | None,
        batch_size: int,
        rows: NDArray[np.int64] | None,
        collect: bool,
    ) -> tuple[WeightedLoss, list[Array]]: ...
    def trace(
        self, x: Sequence[Array], y: Sequence[Array], sample_weight: Array | None
    ) -> tuple[float, dict[str, Array], dict[str, Array], dict[str, Array]]:
        """loss, values, deltas (dL/d node) where there are any, parameter gradients: copies by node name.

        The loss's own nodes are "loss", "loss.per_sample", "target", ...
        """
    iteration: int
    epoch: int
    @property
    def lr(self) -> float:
        """The rate of the next update."""
    def set_lr(self, lr: float) -> None:
        """Replaces the schedule by a constant."""
    def observe(self, value: float) -> None:
        """How an epoch went, for a plateau schedule; StateError for others."""
    schedule_state: dict[str, float]
    def optimizer_state(self) -> list[tuple[str, str, Array]]:
        """(parameter, slot, view): ("dense_0.weight", "exp_avg", array)."""
    @property
    def threads_used(self) -> int:
        """How many members the last call really had."""
    @property
    def penalty(self) -> float:
        """Of the last backward."""
    @property
    def gradient_norm(self) -> float: ...
    def stop(self) -> None: ...
    def memory(self, batch: int) -> dict[str, int]:
        """Bytes that training takes besides the model: optimizer, training workspace."""
    def plan(self) -> dict[str, Any]:
        """steps, fused: texts; arena_bytes; cost: multiply-adds of a sample, both passes."""

class Trainer32(_Trainer):
    @property
    def model(self) -> Model32: ...

class Trainer64(_Trainer):
    @property
    def model(self) -> Model64: ...

def save_trainer(
    trainer: _Trainer,
    path: str,
    metadata: dict[str, str],  # the model's
    strings: dict[str, str],  # kept beside it, by names of one's own
    tensors: dict[str, Array],  # likewise, in C order
) -> None: ...
def load_trainer(
    path: str, loss: Callable[[list[Node], list[Node]], Node] | None
) -> tuple[Trainer32 | Trainer64, dict[str, str], dict[str, Array]]:
    """The trainer, strings and tensors; `loss` takes the place of a loss function that the file has."""

def trainer_settings(trainer: _Trainer) -> dict[str, Any]:
    """What it was made with, by the names of the arguments of Trainer32."""
