"""Every test runs with the settings of every entry: quiet libraries, nothing sent anywhere, on the CPU."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Each worker and each process that a test starts would compile the libraries again, which takes as long as a
# third of the tests: their byte code is kept also where the environment forbids it.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if TYPE_CHECKING:
    from tests.support.gate import World

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from seq2seq.common import environment, memory  # noqa: E402
from seq2seq.tracking import client, sqlite_store  # noqa: E402
from tests.support import projects, shared  # noqa: E402

USERS = ("ALERT_WEBHOOK", "CORPUS_MIRROR", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
# Settings of a user for real runs are removed, because some tests fail on purpose.
for name in [*os.environ]:
    if name.startswith(("SEQ2SEQ_", "MLFLOW_", "PREFECT_")) or name in USERS:
        del os.environ[name]
# Results are reproducible to the bit on a CPU only; tests of a GPU set the device themselves.
os.environ["SEQ2SEQ_DEVICE"] = "cpu"
environment.configure_process()
# The models of tests are tiny: a second thread gains nothing and waits for a busy core by spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell that starts a runner in the background has it ignore Ctrl-C, which tests send to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)


# Half of Hypothesis' usual examples, in half of the time; no time limit, because a machine may be busy.
settings.register_profile("tests", max_examples=50, deadline=None)
settings.load_profile("tests")


memory.keep_freed_memory = lambda: None  # a test calls stages in this process, which goes on


@pytest.fixture(autouse=True)
def import_path() -> Iterator[None]:
    """`sys.path` as it was: MLflow puts a loaded version's code first, and worker processes inherit that."""
    before = [*sys.path]
    yield
    sys.path[:] = before


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, because creating them takes longer than most tests."""
    make = lambda folder: client._open(f"{sqlite_store.SQLITE}{folder / 'mlflow.db'}")  # noqa: E731
    return shared.make_once(tmp_path_factory, "registry", make) / "mlflow.db"


@pytest.fixture(scope="session")
def tokenized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose first three stages have run by `dvc repro`."""

    def make(folder: Path) -> None:
        projects.repro(projects.make(folder), "tokenize")

    return shared.make_once(tmp_path_factory, "tokenized", make) / "project"


@pytest.fixture(scope="session")
def by_hand(tokenized: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has run by `dvc repro` to the end, with one version in its registry."""

    def make(folder: Path) -> None:
        project = folder / "project"
        shutil.copytree(tokenized, project, symlinks=True)
        projects.repro(project)

    folder = shared.make_once(tmp_path_factory, "by-hand", make)
    return folder / "project"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_database: Path) -> Path:
    """The current folder, with an empty registry."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(empty_database, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def world(project: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The current folder: a project with invented evidence about its versions."""
    from tests.support.gate import World

    return World(monkeypatch)


@pytest.fixture
def server(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real MLflow server on loopback with the project's registry and its files elsewhere."""
    from tests.support import registered

    with registered.server(project) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield


@pytest.fixture
def unregistered(project: Path) -> Path:
    """The current folder: a project with an untrained model that is not registered yet."""
    from tests.support import untrained

    untrained.make()
    return project


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a DVC project of three stages without git."""
    from tests.support import toy

    toy.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def first_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The current folder: a DVC project whose first stage has run, without git."""
    from tests.support import two_stages

    finished = shared.make_once(tmp_path_factory, "first-ran", two_stages.make)
    shutil.copytree(finished, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the token ids of a small corpus."""
    from tests.support import trainer

    folder = tmp_path_factory.mktemp("tokens")
    trainer.write_tokens(folder)
    return folder


@pytest.fixture(scope="module")
def uninterrupted(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> object:
    """The outcome of a training on `tokens` from its beginning to its end."""
    from tests.support import trainer

    trained = trainer.trainer(tokens, tmp_path_factory.mktemp("store"))
    trained.fit(trainer.Recorder())
    return trainer.outcome(trained)


@pytest.fixture(autouse=True)
def _forget_the_server() -> Iterator[None]:
    """Logging a model sets the server of the whole process; reset it after each test."""
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
