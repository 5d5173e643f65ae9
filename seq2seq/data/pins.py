"""Pins of remote corpora: by their keys a hub dataset (`hub`) or files by URL (`url`, `mtdata`).

Why: `ingest`, `seq2seq pin` and `seq2seq mirror` treat all kinds alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2seq.data import hub, pin_file, urls
from seq2seq.data.mirror import Copy

KEYS = ("hub", "url", "mtdata")  # of which a pin has one


def fetch(path: Path) -> tuple[Copy, dict[str, Any], Mapping[Any, str]]:
    """The files of a pin, facts about it, and its mapping of splits; raises as the kinds do."""
    if _is_hub(path):
        pin = hub.load(path)
        copy = hub.fetch(path, pin)
        return copy, {"kind": "hub", "id": pin.hub, "config": pin.config}, pin.splits
    of_web = urls.load(path)
    copy = urls.fetch(path, of_web)
    return copy, {"kind": "url", "id": of_web.mtdata or ", ".join(of_web.url.values())}, {}


def pin(path: Path) -> list[tuple[str, Any, Any]]:
    """Update a pin to the current files; returns the changes as (key, before, after)."""
    return hub.pin(path) if _is_hub(path) else urls.pin(path)


def fill_mirror(path: Path, folder: Path) -> list[Path]:
    """Copy the files of a pin into a mirror; returns their places there."""
    if _is_hub(path):
        return hub.fill_mirror(path, hub.load(path), folder)
    return urls.fill_mirror(path, urls.load(path), folder)


def is_pin(path: Path) -> bool:
    """Whether a yaml file is a pin: a grammar is none."""
    return any(key in _keys(path) for key in KEYS)


def _is_hub(path: Path) -> bool:
    return "hub" in _keys(path)


def _keys(path: Path) -> set[Any]:
    document = pin_file.read(path)
    return set(document) if isinstance(document, Mapping) else set()
