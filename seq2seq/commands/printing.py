"""Printing of results and changes, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from seq2seq.common import params


def show(found: Any, lines: Callable[[Any], Iterable[str]], as_json: bool) -> None:
    """Print `found` as JSON, or as the lines that `lines` makes of it."""
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else "\n".join(lines(found)))


def show_changes(changes: Iterable[tuple[str, Any, Any]], path: Path) -> None:
    """Print the changes of a file, given as (key, before, after)."""
    changes = list(changes)
    for key, before, after in changes:
        print(f"{key}: {params.show(before)} -> {params.show(after)}")
    if not changes:
        print(f"nothing changed in {path}")
