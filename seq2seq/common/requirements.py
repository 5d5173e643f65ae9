"""Requirements of a folder that leaves this project, pinned to the installed versions.

Why: the scores of a version were computed with these versions.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version


def pinned(packages: Iterable[str]) -> list[str]:
    """A line for each package, without local versions: `2.13.0`, also where `2.13.0+cpu` is installed."""
    return [f"{name}=={version(name).partition('+')[0]}" for name in packages]
