"""Estimators for scikit-learn: its multi-layer perceptron with our core, and with what it has not got.

>>> from retrograd.sklearn import MLPClassifier
>>> model = MLPClassifier(hidden_layer_sizes=(100, 50), activation=["gelu", "tanh"], dropout=0.2)
>>> model.fit(X, y, validation_data=(X_valid, y_valid)).score(X_test, y_test)

Needs scikit-learn 1.6 or newer, ``pip install "retrograd[sklearn]"``; it is imported with the first of the
classes, not with this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrograd.errors import ArgumentError

if TYPE_CHECKING:
    from retrograd.sklearn._classifier import MLPClassifier
    from retrograd.sklearn._regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]

_PLACES = {"MLPClassifier": "_classifier", "MLPRegressor": "_regressor"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'retrograd.sklearn' has no attribute {name!r}")
    from importlib import import_module

    try:
        module = import_module(f"retrograd.sklearn.{_PLACES[name]}")
    except ImportError as error:
        raise ArgumentError(
            f'rg.sklearn.{name} needs scikit-learn 1.6 or newer; pip install "retrograd[sklearn]" ({error})'
        ) from error
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
