"""A stage opens only its deps of dvc.yaml; otherwise DVC would not run it when a file changes.

Two checks: an audit hook records every file that Python opens and every parameter that is read; and, as the
hook misses readers in C++ and Rust, each stage runs in a folder with its deps alone.
"""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from tests.support import projects
from tests.support.code import DECIDES_NOTHING

pytestmark = pytest.mark.timeout(900)

STAGES = ["ingest", "mix", "score", "clean", "tokenize", "train", "evaluate", "register"]
SETTINGS = ["train.updates=12", "train.validate_every=6", "ingest.sources.extra=corpora/extra.tsv"]
SETTINGS += ["ingest.sources.extra.role=evaluation"]
EXTRA = "source\ttarget\nDer Hund schläft.\tThe dog sleeps.\nEr sieht 3 Hunde.\tHe sees 3 dogs.\n"

# Undeclared files, and why no result depends on them.
ALWAYS = {
    "params.yaml": "it is checked as a whole; the keys that matter are declared, and traced below",
    "dvc.lock": "goes into the record of the run",
    ".git": "likewise: commit and changes",
    "mlflow.db": "the record itself",
    "mlruns": "likewise",
    ".cache": "caches of libraries",
}
EXPLAINED = {
    "clean": {
        "data/raw": "the manifest of data/mixed, a dep, has the hashes of the files that are read",
        ".checkpoints": "shards of the same cleaning only: their folder is a hash of all they depend on",
    },
    "tokenize": {
        ".checkpoints": "shards of the same encoding only, likewise",
    },
    "train": {
        ".checkpoints": "of the same training only: their folder is a hash of all it depends on",
        "dvc.yaml": "used for the hash that names checkpoints",
        "data/provenance.json": "goes into the record of the run",
        "recipes": "likewise: the closest recipe",
        "reports/profile.json": "likewise, for later corpora to be compared with",
        "reports/accepted-clean.json": "likewise: limits that a person let pass",
        "reports/accepted-tokenize.json": "likewise",
    },
    "evaluate": {
        "reports/run.json": "names the MLflow run that is continued",
        "reports/curve.csv": "points that the run lacks are logged",
    },
    "register": {
        "reports/run.json": "names the MLflow run of the model",
        "reports/curve.csv": "points that the run lacks are logged",
        "reports/profile.json": "goes into the record of the version",
    },
}
NEEDED = ("params.yaml", "dvc.yaml", "reports/run.json")  # of these, required by stages

# Code that every Python process of a stage runs first.
HOOK = """
import os, sys
if log := os.environ.get("OPENS_LOG"):
    root = os.environ["OPENS_ROOT"]
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    def hook(event, arguments):
        if event == "open":
            path, _, flags = arguments
            # shutil.rmtree opens folders by names relative to their parent.
            if isinstance(path, int) or flags & os.O_ACCMODE == os.O_WRONLY or not os.path.isfile(path):
                return
        elif event in ("os.listdir", "os.scandir"):
            path = arguments[0] or "."
        else:
            return
        if isinstance(path, (str, bytes)):
            path = os.path.abspath(os.fsdecode(path))
            if path.startswith(root):
                os.write(out, f"{event}\\t{path}\\n".encode())
    sys.addaudithook(hook)
"""
# Runs a stage and records the parameters that are read too.
RUNNER = """
import os, sys
from seq2seq.common import params, schema
from seq2seq.__main__ import main
out = os.open(os.environ["OPENS_LOG"] + ".params", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
sections = {type(value).__name__: name for name, value in params.load()}
def write(section, key):
    caller = sys._getframe(2).f_globals["__name__"]
    os.write(out, f"{caller}\\t{sections[type(section).__name__]}.{key}\\n".encode())
def read(self, name):
    if type(self).__name__ in sections and name in type(self).model_fields:
        write(self, name)
    return object.__getattribute__(self, name)
dump = schema.Section.model_dump
def dumped(self, **options):
    if type(self).__name__ in sections:
        write(self, "*")
    return dump(self, **options)
schema.Section.__getattribute__, schema.Section.model_dump = read, dumped
sys.exit(main(sys.argv[1:]))
"""


class Trace(NamedTuple):
    """Files and listed folders of the project, and parameters, that a stage has read."""

    paths: set[str]
    keys: set[str]


class Project(NamedTuple):
    """A finished project, the traces of its stages, and the MLflow database before `register`."""

    project: Path
    traces: dict[str, Trace]
    record: Path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("opens")
    project = projects.make(folder, [*projects.TINY, *SETTINGS])
    (project / "corpora/extra.tsv").write_text(EXTRA)
    (folder / "hook").mkdir()
    (folder / "hook/sitecustomize.py").write_text(HOOK)
    traces = {}
    for stage in STAGES:
        if stage == "register":
            shutil.copyfile(project / "mlflow.db", folder / "before-register.db")
        log = folder / f"{stage}.log"
        hook = {"PYTHONPATH": str(folder / "hook"), "OPENS_LOG": str(log), "OPENS_ROOT": str(project)}
        projects.call(project, "-c", RUNNER, stage, **hook)
        traces[stage] = Trace(set(opened(log, project)), set(read_keys(Path(f"{log}.params"))))
    return Project(project, traces, folder / "before-register.db")


def opened(log: Path, project: Path) -> Iterator[str]:
    """Files of the project that were read, without its code, which test_architecture checks."""
    for line in log.read_text("utf-8").splitlines():
        event, _, name = line.partition("\t")
        path = Path(name).relative_to(project)
        # Importing lists the folders of code.
        is_code = path.suffix in (".py", ".pyc") or path.name == "__pycache__"
        is_package = path == Path() or path.parts[0] == "seq2seq"
        if not is_code and (event == "open" or not is_package):
            yield path.as_posix()


def read_keys(log: Path) -> Iterator[str]:
    """Parameters read by modules that affect results."""
    for line in log.read_text("utf-8").splitlines():
        caller, _, key = line.partition("\t")
        if not caller.removeprefix("seq2seq.").startswith(DECIDES_NOTHING):
            yield key


def declared(project: Path) -> dict[str, Any]:
    """The stages of dvc.yaml; those of a `foreach` are one."""
    yaml = YAML(typ="safe")
    values = yaml.load(project / "params.yaml")
    stages: dict[str, Any] = yaml.load((project / "dvc.yaml").read_text("utf-8"))["stages"]
    sources = values["ingest"]["sources"]
    for name, stage in stages.items():
        if "foreach" in stage:
            lists = {key: value for key, value in stage["do"].items() if isinstance(value, list)}
            stages[name] = {
                kind: [
                    item.replace("${key}", source).replace("${item.path}", of["path"])
                    for source, of in sources.items()
                    for item in items
                ]
                for kind, items in lists.items()
            }
    return stages


def outs(stage: Mapping[str, Any]) -> list[str]:
    items = [item for kind in ("outs", "metrics", "plots") for item in stage.get(kind, [])]
    return [item if isinstance(item, str) else next(iter(item)) for item in items]


def undeclared(name: str, stage: Mapping[str, Any], trace: Trace) -> set[str]:
    """Files and parameters that a stage has read but dvc.yaml does not declare."""
    known = {*stage["deps"], *outs(stage), *ALWAYS, *EXPLAINED.get(name, {})}
    files = {
        path
        for path in (path.removesuffix(".new") for path in trace.paths)  # a draft, renamed when it is whole
        if not any(path == one or path.startswith((f"{one}/", "mlflow.db")) for one in known)
    }
    keys = {
        key
        for key in trace.keys
        if key.split(".")[0] not in stage["params"]
        and not any(f"{param}.".startswith(f"{key}.") for param in stage["params"])
    }
    return files | keys


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_opens_only_its_deps(finished: Project, name: str) -> None:
    assert undeclared(name, declared(finished.project)[name], finished.traces[name]) == set()


def test_every_exception_is_needed(finished: Project) -> None:
    for name, explained in EXPLAINED.items():
        seen = finished.traces[name].paths
        for one in explained:
            assert any(path == one or path.startswith(f"{one}/") for path in seen), (name, one)


# A dep of each stage, without which the trace must report it.
SEEN = {
    "ingest": "corpora/grammar-de-en.yaml",
    "train": "data/vocabulary",
    "evaluate": "model",
    "register": "data/provenance.json",
}


@pytest.mark.parametrize("name", SEEN)
def test_an_undeclared_dep_is_detected(finished: Project, name: str) -> None:
    stage = copy.deepcopy(declared(finished.project)[name])
    stage["deps"].remove(SEEN[name])
    assert any(path.startswith(SEEN[name]) for path in undeclared(name, stage, finished.traces[name]))


def test_an_undeclared_parameter_is_detected(finished: Project) -> None:
    stage = copy.deepcopy(declared(finished.project)["clean"])
    stage["params"] = ["ingest.sources"]
    assert "clean.max_characters" in undeclared("clean", stage, finished.traces["clean"])


def alone(
    finished: Project, name: str, stage: Mapping[str, Any], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a stage in a folder with its deps and the required files alone."""
    code = ["seq2seq/__main__.py"]
    for pattern in ("**/__init__.py", *(f"{part.rstrip('.')}/*.py" for part in DECIDES_NOTHING)):
        found = (finished.project / "seq2seq").glob(pattern)
        code += [path.relative_to(finished.project).as_posix() for path in found]
    for dep in (*stage["deps"], *code, *NEEDED, *(["data/raw"] if name == "clean" else [])):
        source, target = finished.project / dep, folder / dep
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.exists():
            shutil.copyfile(source, target)
    record = shutil.copyfile(finished.record, folder / "mlflow.db")
    return subprocess.run(
        [sys.executable, "-m", "seq2seq", name],
        cwd=folder,
        env=projects.environment(MLFLOW_TRACKING_URI=f"sqlite:///{record}"),
        capture_output=True,
        text=True,
        check=False,
    )


def digests(folder: Path, names: list[str]) -> dict[str, str]:
    """sha256 of files, also of those in folders."""
    found = [path for name in names for path in (folder / name, *(folder / name).rglob("*"))]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if path.is_file()
    }


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_needs_nothing_else_and_writes_the_same(finished: Project, name: str, tmp_path: Path) -> None:
    stage = declared(finished.project)[name]
    done = alone(finished, name, stage, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    written = [out for out in outs(stage) if out != "reports/run.json"]  # differs between runs
    if name == "register":  # the files of a logged model name the time, and so does their digest
        written.remove("reports/registration.json")
        records = [
            json.loads((folder / "reports/registration.json").read_text())
            for folder in (tmp_path, finished.project)
        ]
        assert records[0].keys() == records[1].keys() >= {"files_sha256"}
        assert records[0] | {"files_sha256": ""} == records[1] | {"files_sha256": ""}
    assert digests(tmp_path, written) == digests(finished.project, written) != {}


def test_a_dep_that_the_hook_cannot_record_is_missed(finished: Project, tmp_path: Path) -> None:
    stage = copy.deepcopy(declared(finished.project)["clean"])
    stage["deps"].remove("data/mixed")
    assert alone(finished, "clean", stage, tmp_path).returncode != 0
