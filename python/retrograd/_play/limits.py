"""How large things may be, and the error for a setting that cannot be."""

from __future__ import annotations

from retrograd.errors import ArgumentError

__all__ = ["LIMITS", "SettingError"]

LIMITS = {
    "layers": 10,
    "units": 32,
    "points": 2000,
    "batch": 2000,
    "classes": 6,
    "columns": 32,
    "steps": 10_000,
    "epochs": 1_000_000,
}


class SettingError(ArgumentError):
    """A setting that cannot be; ``field`` says which one."""

    def __init__(self, field: str, message: str, code: str = "bad_value") -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.code = code
