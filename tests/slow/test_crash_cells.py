"""Telling cells of the crash matrix: a run is broken at one point, and the next one heals it to the bit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.crash_matrix import cells, faults, local
from infra.crash_matrix.server import Server
from tests.support import prefect_home, shared


@pytest.fixture(scope="session")
def level(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.Level]:
    """The folders and the Prefect server of the cells of this worker."""
    home = tmp_path_factory.mktemp("cells")
    prefect_home.fill(home / "prefect")

    def make(folder: Path) -> None:
        shutil.copytree(home / "prefect", folder / "prefect")
        local.undisturbed(folder)

    made = shared.make_once(tmp_path_factory, "undisturbed", make)
    server = Server(home / "prefect")
    try:
        yield local.Level(server.client, *local.undisturbed(made), home)
    finally:
        server.stop()


@pytest.mark.timeout(1500)  # the first one waits for an undisturbed run
@pytest.mark.parametrize("cell", cells.select("ci"), ids=lambda cell: cell.name)
def test_a_broken_run_heals(level: local.Level, cell: cells.Cell) -> None:
    result = level.run(cell, faults.of(cell))
    if result.skipped:
        pytest.skip(result.skipped)
    assert result.problems == []
    assert result.same_weights
