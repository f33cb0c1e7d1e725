"""Lessons: settings, what to look at, and a question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from retrograd._play.config import Config

__all__ = ["LESSONS", "Lesson"]


@dataclass(frozen=True)
class Lesson:
    """Settings to begin with and captions that appear after so many steps.

    Attributes
    ----------
    title, question
        What is read first and last.
    settings
        What differs from the defaults.
    captions
        (step, text): shown from that step on.
    cures
        (label, settings): buttons that change something and begin anew or go on.
    fork
        What differs in a second run beside it.
    """

    title: str
    settings: dict[str, Any]
    captions: tuple[tuple[int, str], ...]
    question: str
    cures: tuple[tuple[str, dict[str, Any]], ...] = ()
    fork: dict[str, Any] = field(default_factory=dict)

    def start(self) -> Config:
        """The settings of its beginning."""
        return Config().changed(self.settings)

    def to_dict(self, name: str) -> dict[str, Any]:
        """For the page."""
        return {
            "id": name,
            "title": self.title,
            "captions": [{"step": step, "text": text} for step, text in self.captions],
            "question": self.question,
            "cures": [{"label": label, "config": settings} for label, settings in self.cures],
        }


LESSONS: dict[str, Lesson] = {}
