"""A corpus that has changed starts a run, and one that has not starts none."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import deployments, watch
from seq2seq.common import params, paths
from seq2seq.common.errors import UserError
from tests.support import projects
from tests.support.web_stub import Web

NAME = "news"


def write_params(folder: Path, path: str) -> None:
    """params.yaml with one source more."""
    document = params.read_document(projects.ROOT / "recipes/tiny.yaml")
    document["ingest"]["sources"] = {
        NAME: {"path": path, "licence": "CC0-1.0"},
    }
    params.write(document, folder / paths.PARAMS)


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web({"/train.tsv": b"one", "/api/datasets/a/x/revision/main": b'{"sha": "1"}'})
    yield server
    server.close()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def look(before: dict[str, str] | None = None) -> tuple[dict[str, str], list[str]]:
    lines: list[str] = []
    return watch.state(params.load(), before or {}, lines.append), lines


def test_files_are_compared_by_their_bytes_and_tracked_ones_by_their_record() -> None:
    write_params(Path(), "mine.tsv")
    with pytest.raises(UserError, match=r"ingest\.sources\.news\.path: mine\.tsv does not exist"):
        look()
    Path("mine.tsv").write_text("a\tb")
    first, _ = look()
    assert [*first] == ["news: mine.tsv"]
    Path("mine.tsv").write_text("a\tc")
    assert watch.changes(first, look()[0]) == ["news: mine.tsv"]
    Path("mine.tsv").unlink()
    Path("mine.tsv.dvc").write_text("outs: []")
    tracked, _ = look()
    assert [*tracked] == ["news: mine.tsv.dvc"]
    assert watch.changes(first, tracked) == ["news: mine.tsv", "news: mine.tsv.dvc"]
    assert watch.changes(tracked, look()[0]) == []


def test_addresses_are_compared_by_what_their_server_reports(web: Web) -> None:
    Path("web.yaml").write_text(json.dumps({"url": f"{web.url}/train.tsv"}))
    write_params(Path(), "web.yaml")
    first, _ = look()
    key = f"news: train, {web.url}/train.tsv"
    assert key in first
    web.failing = 1
    again, lines = look(first)
    assert (again, lines) == (first, [f"{key} does not answer: taken as unchanged"])
    web.failing = 0
    web.files["/train.tsv"] = b"two"
    assert watch.changes(first, look(first)[0]) == [key]
    assert web.asked == []  # no byte of the corpus is read


def test_a_branch_of_the_hub_is_compared_by_its_commit(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    pin = {"hub": "a/x", "config": None, "licence": None, "splits": {}, "files": {}}
    Path("hub.yaml").write_text(json.dumps({**pin, "revision": "main"}))
    write_params(Path(), "hub.yaml")
    first, _ = look()
    assert first["news: a/x at main"] == "1"
    web.files["/api/datasets/a/x/revision/main"] = b'{"sha": "2"}'
    assert watch.changes(first, look()[0]) == ["news: a/x at main"]
    Path("hub.yaml").write_text(json.dumps({**pin, "revision": "0" * 40}))
    assert [*look()[0]] == ["news: hub.yaml"]


@pytest.mark.slow
def test_a_run_is_started_on_a_change_and_after_a_lost_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    projects.git(origin, "init", "--quiet", "--initial-branch", "main")
    (origin / "mine.tsv").write_text("a\tb")
    write_params(origin, "mine.tsv")
    projects.commit(origin)
    monkeypatch.setenv("SEQ2SEQ_REPOSITORY", str(origin))
    started: list[tuple[str, dict[str, Any]]] = []

    def start(deployment: str, parameters: dict[str, Any]) -> str:
        started.append((deployment, parameters))
        return f"run {len(started)}"

    lost = {"run 2": "Cancelled"}
    monkeypatch.setattr(deployments, "start", start)
    monkeypatch.setattr(deployments, "_lost", lambda run: lost.get(run, ""))
    monkeypatch.setattr(deployments, "get_run_logger", lambda: logging.getLogger("test"))
    call = lambda: deployments.watch_corpus.fn()  # noqa: E731
    outcomes = [call().name, call().name]
    assert (outcomes, started) == (["Started", "Skipped"], [("retrain/retrain", {"ref": "main"})])

    (origin / "README").write_text("no source")
    projects.commit(origin)
    assert call().name == "Skipped"
    (origin / "mine.tsv").write_text("a\tb\nc\td")
    projects.commit(origin)
    assert "news: mine.tsv" in str(call().message)
    assert "the run that was started for the last change is Cancelled" in str(call().message)
    assert call().name == "Skipped"
    assert len(started) == 3
