"""A recorded run as one file that opens from disk, without Python and without a network."""

from __future__ import annotations

import json
from typing import Any

from retrograd._play.bundle import bundled_page

__all__ = ["page"]


def page(recording: dict[str, Any]) -> str:
    """The HTML of what ``saving.record`` kept."""
    return bundled_page("replay.js", {"rg-recording": json.dumps(recording, separators=(",", ":"))})
