"""retrograd: neural-network training on the CPU that is small, fast, exact and readable.

>>> import retrograd as rg
>>> net = rg.Sequential([rg.Input(784), rg.Dense(128, activation="relu"), rg.Dense(10)], seed=0)
>>> trainer = rg.Trainer(net, loss="cross_entropy", optimizer=rg.Adam(1e-3), metrics=["accuracy"])
>>> history = trainer.fit(x, y, epochs=5, batch_size=128)
>>> net.predict_proba(x_new)

Arrays are NumPy arrays, axis 0 is the batch, and a run is reproducible bit for bit unless asked otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrograd import (
    activations,
    callbacks,
    data,
    init,
    layers,
    losses,
    metrics,
    ops,
    optim,
    schedules,
    stop,
)
from retrograd._core import __version__
from retrograd.errors import (
    ArgumentError,
    DTypeError,
    FileFormatError,
    GraphError,
    NonFiniteError,
    RetrogradError,
    ShapeError,
    StateError,
)
from retrograd.graph import Input, Node, Placeholder, Variable, constant
from retrograd.history import History
from retrograd.layers import (
    GRU,
    LSTM,
    Activation,
    Add,
    AvgPool2D,
    BatchNorm,
    Concatenate,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAvgPool2D,
    LayerNorm,
    MaxPool2D,
    MultiHeadAttention,
    Multiply,
    PositionalEmbedding,
    Rescale,
    Reshape,
    RMSNorm,
    SimpleRNN,
    Standardize,
    UpSample2D,
)
from retrograd.losses import (
    BinaryCrossEntropy,
    CosineSimilarity,
    CrossEntropy,
    HalfSquaredError,
    Hinge,
    Huber,
    KLDivergence,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
)
from retrograd.model import Model, Sequential, load
from retrograd.optim import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    NAdam,
    ParamGroup,
    RAdam,
    RMSprop,
    Rprop,
)
from retrograd.trainer import Trainer

if TYPE_CHECKING:
    from retrograd import cli, datasets, onnx, plot, sklearn, torch
    from retrograd._check import check_gradients
    from retrograd._cost import cost
    from retrograd._diagnose import diagnose
    from retrograd._evaluation import Graph
    from retrograd._explain import explain
    from retrograd._play import play
    from retrograd._symbolic import check_symbolic
    from retrograd._what_if import what_if

__all__ = [
    "GRU",
    "LSTM",
    "SGD",
    "Activation",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Add",
    "ArgumentError",
    "AvgPool2D",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "ConvTranspose2D",
    "CosineSimilarity",
    "CrossEntropy",
    "DTypeError",
    "Dense",
    "Dropout",
    "Embedding",
    "FileFormatError",
    "Flatten",
    "GlobalAvgPool2D",
    "Graph",
    "GraphError",
    "HalfSquaredError",
    "Hinge",
    "History",
    "Huber",
    "Input",
    "KLDivergence",
    "LayerNorm",
    "Lion",
    "MaxPool2D",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Model",
    "MultiHeadAttention",
    "Multiply",
    "NAdam",
    "Node",
    "NonFiniteError",
    "ParamGroup",
    "Placeholder",
    "Poisson",
    "PositionalEmbedding",
    "RAdam",
    "RMSNorm",
    "RMSprop",
    "Rescale",
    "Reshape",
    "RetrogradError",
    "Rprop",
    "Sequential",
    "ShapeError",
    "SimpleRNN",
    "Standardize",
    "StateError",
    "Trainer",
    "UpSample2D",
    "Variable",
    "__version__",
    "activations",
    "callbacks",
    "check_gradients",
    "check_symbolic",
    "cli",
    "constant",
    "cost",
    "data",
    "datasets",
    "diagnose",
    "explain",
    "init",
    "layers",
    "load",
    "losses",
    "metrics",
    "onnx",
    "ops",
    "optim",
    "play",
    "plot",
    "schedules",
    "sklearn",
    "stop",
    "torch",
    "what_if",
]

# What few programs need is imported when it is first asked for: name -> (module, attribute; "" for the
# module).
_LAZY = {
    "Graph": ("retrograd._evaluation", "Graph"),
    "check_gradients": ("retrograd._check", "check_gradients"),
    "check_symbolic": ("retrograd._symbolic", "check_symbolic"),
    "cli": ("retrograd.cli", ""),
    "cost": ("retrograd._cost", "cost"),
    "datasets": ("retrograd.datasets", ""),
    "diagnose": ("retrograd._diagnose", "diagnose"),
    "explain": ("retrograd._explain", "explain"),
    "onnx": ("retrograd.onnx", ""),
    "play": ("retrograd._play", "play"),
    "plot": ("retrograd.plot", ""),
    "sklearn": ("retrograd.sklearn", ""),
    "torch": ("retrograd.torch", ""),
    "what_if": ("retrograd._what_if", "what_if"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'retrograd' has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _LAZY[name]
    value = import_module(module)
    value = getattr(value, attribute) if attribute else value
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
