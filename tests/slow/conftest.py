"""Every test below this folder is slow: it learns, runs real `dvc repro`, real flows or real servers."""

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Other rings do not import these files: some need Prefect's server, which takes seconds."""
    return True if "not slow" in config.option.markexpr or config.option.markexpr == "services" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("slow")
