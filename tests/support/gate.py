"""A project for tests of the gate: a real registry in SQLite, versions without models, and invented evidence,
because `call`, which runs the module that collects it, is replaced."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import promote, rollback, verdict_files
from flows.stage_errors import StageError
from seq2seq.common import paths, recipes
from seq2seq.tracking import client, promotions, registry
from seq2seq.tracking.registry import Version
from tests.support import projects
from tests.support.evidence import changed, evidence
from tests.support.registered import register


class World:
    """The project in the current folder; `evidence` is the next evidence about its version."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copyfile(projects.ROOT / "params.yaml", paths.PARAMS)
        recipes.apply(None, ["register.name=m", "promote.behaviour=suite.yaml", "promote.minimum_bleu=20"])
        Path("suite.yaml").write_text("a suite")
        for folder in (paths.REPORTS, paths.CORPUS):
            folder.mkdir(parents=True)
        (paths.CORPUS / "test.parquet").write_bytes(b"sentences")
        self.evidence = evidence()
        self.calls: list[tuple[str, ...]] = []  # modules and arguments of all calls
        self.during: Callable[[], object] = lambda: None  # runs while evidence is collected
        self.failing = ""  # a module that fails
        for module in (verdict_files, promote, rollback):
            monkeypatch.setattr(module, "call", self._call)

    def make(self, delta: float = 0.0, p: float = 1.0, **about: Any) -> Version:
        """Register a model, as if trained in this tree, and set the evidence about it."""
        version = register(Path.cwd(), "m")
        registry.tag_version("m", version.version, {"model_digest": f"digest {version.version}"})
        self.restore(version.version)
        self.evidence = changed(evidence(delta, p), **about)
        return version

    def promote_two(self) -> None:
        """Promote versions 1 and 2; version 2 is in the tree."""
        for delta in (0.0, 1.0):
            self.make(delta, 0.01)
            assert promote.promote().outcome == "promoted"
        assert aliases() == {"champion": "2", "previous": "1", "challenger": "2"}
        self.calls.clear()

    def restore(self, number: str) -> None:
        """Restore the outputs of a version, as DVC does."""
        record = {"name": "m", "version": number, "model_digest": f"digest {number}", "run_id": "?"}
        paths.REGISTRATION.write_text(json.dumps(record))
        paths.METRICS.write_text(json.dumps({"model_digest": f"digest {number}"}))
        for path in (paths.SEGMENTS, paths.SLICES):
            path.write_text(f"of {number}")

    def evidence_calls(self) -> list[tuple[str, ...]]:
        return [tuple(arguments) for module, *arguments in self.calls if module == "seq2seq.gate.evidence"]

    def _call(self, task: str, module: str, arguments: list[str], *_: Any) -> None:
        self.calls.append((module, *arguments))
        if module == self.failing:
            raise StageError(task, "user", f"{module} does not work")
        if module == "seq2seq.gate.evidence":
            self.during()
            numbers = [uri.rpartition("/")[2] for uri in arguments]
            facts = changed(self.evidence, challenger__version=numbers[0])
            facts["metrics"]["model_digest"] = json.loads(paths.METRICS.read_text())["model_digest"]
            facts |= {"tests": None, "champion": None} if not numbers[1:] else {}
            if numbers[1:]:
                facts["champion"]["version"] = numbers[1]
            paths.EVIDENCE.write_text(json.dumps(facts))
        elif module == "seq2seq.report.page":
            paths.REPORT.write_text(f"about {json.loads(paths.VERDICT.read_text())['version']}")


def aliases() -> dict[str, str]:
    return {alias: str(n) for alias, n in client.connect().get_registered_model("m").aliases.items()}


def log() -> list[tuple[str, str | None, str, str]]:
    """The log, the oldest entry first."""
    return [(e.outcome, e.champion, e.version, e.state) for e in reversed(promotions.entries("m"))]


def verdict_of(number: str) -> str | None:
    version = registry.get_version("m", number)
    assert version is not None
    return version.tags.get(registry.VERDICT)


class Killed(BaseException):
    """An exception that no handler catches, like a SIGKILL."""


WRITES = ["create_run", "log_text", "set_terminated", "set_registered_model_alias", "set_model_version_tag"]
WRITES += ["delete_registered_model_alias"]


def kill_at(step: int, patch: pytest.MonkeyPatch) -> list[str]:
    """End the process before its write number `step`; returns the names of the writes."""
    mlflow_client = type(client.connect())
    done: list[str] = []

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
