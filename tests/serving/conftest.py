"""One server of a tiny model for all tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import serving, shared
from tests.support.serving import Client

LIMITS = {
    "queue": 20,
    "max_characters": 2000,
    "max_texts": 50,
    "max_inspected": 100,
    "max_body": 50_000,
    "max_file": 100_000,
}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, which no test changes."""
    return shared.make_once(tmp_path_factory, "tiny-model", serving.make_model) / "model"


@pytest.fixture(scope="session")
def corrections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of what is suggested to that server."""
    return tmp_path_factory.mktemp("corrections") / "corrections.db"


@pytest.fixture(scope="session")
def served(tiny_model: Path, corrections: Path) -> Iterator[Client]:
    """A server of that folder."""
    with serving.serving(str(tiny_model), corrections=corrections, **LIMITS) as client:
        yield client
