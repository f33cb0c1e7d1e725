"""A page of the site loads nothing from another address: a warning, which ends a strict build."""

from __future__ import annotations

import logging
import re
from typing import Any

LOADED = re.compile(
    r"<(?:script|img|iframe|link rel=\"(?:stylesheet|preconnect|icon)\")[^>]*"
    r" (?:src|href)=\"?(?:https?:)?//[^>]*>"
)
log = logging.getLogger("mkdocs.plugins.no_requests")


def on_post_page(output: str, page: Any, **kwargs: Any) -> str:
    for found in LOADED.findall(output):
        log.warning("%s loads from another address: %s", page.file.src_uri, found)
    return output
