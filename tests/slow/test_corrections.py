"""Corrections on their way into a scheduled run: exported, tracked by DVC, found by a clone, trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows import checkout, dvc_runner, watch
from seq2seq.common import params
from seq2seq.corrections import store
from tests.support import prefect_home, projects

FILES = ("corpora/corrections.jsonl", "corpora/corrections-held-out.jsonl")
SOURCES = (
    f"ingest.sources.corrections={FILES[0]}",
    "ingest.sources.corrections.licence=CC0-1.0",
    "ingest.sources.corrections.held_out=false",
    "mix.weights.corrections=3",
    f"ingest.sources.corrections-held-out={FILES[1]}",
    "ingest.sources.corrections-held-out.licence=CC0-1.0",
    "ingest.sources.corrections-held-out.role=evaluation",
)
WORDS = ("Hund", "Katze", "Arzt", "Lehrer", "Gast", "Künstler", "Ingenieur", "Nachbar")


def send_and_accept(project: Path, numbers: range) -> None:
    database = project / "corrections.db"
    for number in numbers:
        noun = WORDS[number % len(WORDS)]
        source, target = (
            f"Nummer {number} hat der {noun} gestern verkauft.",
            f"The {noun} sold number {number}.",
        )
        store.add(source, target, "de", "en", "grammar-tiny/1", "Ada", path=database)
    corrections(project, "accept", "--all")


def corrections(project: Path, *words: str) -> str:
    return projects.call(project, "-m", "seq2seq", "corrections", *words).stdout


def test_a_clone_finds_the_exported_files_and_a_watch_their_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = projects.make(tmp_path)
    send_and_accept(project, range(20))
    assert "git add" in corrections(project, "export", "--track")
    projects.call(project, "-m", "seq2seq", "use", *(word for one in SOURCES for word in ("--set", one)))
    projects.commit(project)
    committed = projects.git(project, "ls-files", "corpora").split()
    assert {f"{name}.dvc" for name in FILES} <= {*committed}
    assert not {*FILES} & {*committed}  # the texts of users stay out of git
    assert "corrections.db" not in projects.git(project, "ls-files")

    clone = project / ".cache/retrain/x"

    def state() -> dict[str, str]:
        """The sources in the clone, after the steps of a scheduled run."""
        checkout.check_out(str(project), "main", clone)
        checkout.share_cache(project, clone)
        monkeypatch.chdir(clone)
        for name in FILES:
            dvc_runner.fetch(f"{name}.dvc", print)
            assert Path(name).read_bytes() == (project / name).read_bytes()
        found = watch.state(params.load(), {}, print)
        monkeypatch.chdir(project)
        return found

    first = state()
    assert {f"corrections: {FILES[0]}.dvc", f"corrections-held-out: {FILES[1]}.dvc"} < first.keys()
    assert "; unchanged" in corrections(project, "export")
    assert projects.git(project, "status", "--porcelain") == ""
    send_and_accept(project, range(20, 60))
    assert "git add" in corrections(project, "export")
    projects.commit(project)
    assert watch.changes(first, state()) == [
        f"corrections-held-out: {FILES[1]}.dvc",
        f"corrections: {FILES[0]}.dvc",
    ]


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_next_retraining_learns_from_corrections_and_scores_those_held_out(tmp_path: Path) -> None:
    project = projects.make(tmp_path)
    variables = {
        "PREFECT_HOME": prefect_home.fill(tmp_path / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    }

    send_and_accept(project, range(60))
    corrections(project, "export", "--track")
    projects.call(project, "-m", "seq2seq", "use", *(word for one in SOURCES for word in ("--set", one)))
    projects.commit(project)
    projects.call(project, "-c", "from flows.retrain import retrain; retrain(ref='main')", **variables)

    def read(name: str) -> Any:
        return json.loads((project / ".cache/retrain/by-hand" / name).read_text("utf-8"))

    provenance, metrics = read("data/provenance.json"), read("reports/metrics.json")
    counts = [len((project / name).read_text("utf-8").splitlines()) for name in FILES]
    assert provenance["sources"]["corrections"]["rows"] == {"train": counts[0]}
    assert provenance["evaluation_sets"]["corrections-held-out"]["rows"] == counts[1]
    assert provenance["kind"] == "grammar"  # so that the gate compares the version with an earlier champion
    assert metrics["corrections-held-out"]["sentences"] == counts[1]
    assert read("reports/verdict.json")["outcome"] == "promoted"
