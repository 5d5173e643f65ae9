"""A project as the gate sees it: a real registry in SQLite, versions that nothing can load, and facts
about them that are made up, because what finds them out is run through `call`, which is replaced."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import projects
import pytest
from test_policy import changed, evidence
from test_registry import register

from flows import promote, rollback, verdict_files
from flows.dvc_runner import StageError
from seq2seq.common import params, paths
from seq2seq.tracking import client, promotions, registry
from seq2seq.tracking.registry import Version


class World:
    """The tree in the current folder; `evidence` is what the next look at its version finds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copyfile(projects.ROOT / "params.yaml", paths.PARAMS)
        params.apply(None, ["register.name=m", "promote.behaviour=suite.yaml", "promote.minimum_bleu=20"])
        Path("suite.yaml").write_text("a suite")
        for folder in (paths.REPORTS, paths.CORPUS):
            folder.mkdir(parents=True)
        (paths.CORPUS / "test.parquet").write_bytes(b"sentences")
        self.evidence = evidence()
        self.asked: list[tuple[str, ...]] = []  # modules and arguments of all calls
        self.during: Callable[[], object] = lambda: None  # happens while evidence is gathered
        self.failing = ""  # a module that fails
        for module in (verdict_files, promote, rollback):
            monkeypatch.setattr(module, "call", self._call)

    def make(self, delta: float = 0.0, p: float = 1.0, **about: Any) -> Version:
        """Register a model, as if this tree had trained it, and what will be found out about it."""
        version = register(Path.cwd(), "m")
        registry.tag_version("m", version.version, {"model_digest": f"digest {version.version}"})
        self.restore(version.version)
        self.evidence = changed(evidence(delta, p), **about)
        return version

    def restore(self, number: str) -> None:
        """Let the outputs in the tree be those of a version, as DVC puts them back."""
        record = {"name": "m", "version": number, "model_digest": f"digest {number}", "run_id": "?"}
        paths.REGISTRATION.write_text(json.dumps(record))
        paths.METRICS.write_text(json.dumps({"model_digest": f"digest {number}"}))
        for path in (paths.SEGMENTS, paths.SLICES):
            path.write_text(f"of {number}")

    def asked_for_evidence(self) -> list[tuple[str, ...]]:
        return [arguments for module, *arguments in self.asked if module == "seq2seq.gate.evidence"]

    def _call(self, task: str, module: str, arguments: list[str], *_: Any) -> None:
        self.asked.append((module, *arguments))
        if module == self.failing:
            raise StageError(task, "user", f"{module} does not work")
        if module == "seq2seq.gate.evidence":
            self.during()
            numbers = [uri.rpartition("/")[2] for uri in arguments]
            told = changed(self.evidence, challenger__version=numbers[0])
            told["metrics"]["model_digest"] = json.loads(paths.METRICS.read_text())["model_digest"]
            told |= {"tests": None, "champion": None} if not numbers[1:] else {}
            if numbers[1:]:
                told["champion"]["version"] = numbers[1]
            paths.EVIDENCE.write_text(json.dumps(told))
        elif module == "seq2seq.report.page":
            paths.REPORT.write_text(f"about {json.loads(paths.VERDICT.read_text())['version']}")


def aliases() -> dict[str, str]:
    return {alias: str(n) for alias, n in client.connect().get_registered_model("m").aliases.items()}


def log() -> list[tuple[str, str | None, str, str]]:
    """The log, the oldest entry first."""
    return [(e.outcome, e.champion, e.version, e.state) for e in reversed(promotions.entries("m"))]


def said(number: str) -> str | None:
    version = registry.get_version("m", number)
    assert version is not None
    return version.tags.get(registry.VERDICT)


class Killed(BaseException):
    """What no handler catches, as a SIGKILL is not."""


WRITES = ["create_run", "log_text", "set_terminated", "set_registered_model_alias", "set_model_version_tag"]


def kill_at(step: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Let the process end before its write number `step`; returns the names of the writes."""
    mlflow_client, done = type(client.connect()), []

    def until(name: str, real: Any) -> Any:
        def write(*arguments: Any, **options: Any) -> Any:
            if len(done) == step:
                raise Killed
            done.append(name)
            return real(*arguments, **options)

        return write

    for name in WRITES:
        patch.setattr(mlflow_client, name, until(name, getattr(mlflow_client, name)))
    return done
