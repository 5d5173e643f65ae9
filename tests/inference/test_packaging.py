"""A version runs where there is nothing but its requirements, and carries only what serves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq import register
from seq2seq.inference import packaging
from seq2seq.tracking import registry
from tests.support.untrained import CHECKED

# Hides packages that are no requirement of requirements.txt, or of those, from imports.
BARE = """
import re, sys
from importlib.metadata import distribution, packages_distributions
from packaging.requirements import Requirement

def plain(name): return re.sub("[-_.]+", "-", name).lower()

folder = sys.argv[1]
lines = open(f"{folder}/requirements.txt").read().split()
allowed, todo = set(), [Requirement(line).name for line in lines]
while todo:
    name = plain(todo.pop())
    if name not in allowed:
        allowed.add(name)
        needs = map(Requirement, distribution(name).requires or [])
        todo += [need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
homes = packages_distributions()

class Bare:
    def find_spec(self, name, path=None, target=None):
        of = {plain(home) for home in homes.get(name.partition(".")[0], [])} - {"seq2seq"}
        if of and not of & allowed:
            raise ModuleNotFoundError(f"{name} is of no requirement", name=name)

sys.meta_path.insert(0, Bare())
import mlflow.pyfunc
try:
    import sacrebleu
except ModuleNotFoundError:
    print("bare")
model = mlflow.pyfunc.load_model(folder)
print(len(model.predict(["der Hund schläft. die Katze schläft"])))
import seq2seq
print(seq2seq.__file__)
"""


def test_serving_code_is_named_by_file(tmp_path: Path) -> None:
    folder = packaging.copy_serving_code(tmp_path / "seq2seq")
    assert not list(folder.rglob("__pycache__"))
    copied = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}
    assert {"__init__.py", "inference/pyfunc.py", "nn/model.py", "data/vocabulary.py"} <= copied
    assert {name.partition("/")[0] for name in copied} == {"__init__.py", "common", "data", "inference", "nn"}
    assert all((packaging.PACKAGE / name).is_file() for name in packaging.SERVING if "*" not in name)


@pytest.mark.slow
def test_a_version_needs_its_requirements_alone(unregistered: Path, tmp_path: Path) -> None:
    register.register(CHECKED)
    version = registry.version_by_alias(CHECKED.register.name, "challenger")
    assert version is not None
    folder = registry.fetch(version.uri, tmp_path / "version")
    done = subprocess.run(
        [sys.executable, "-P", "-c", BARE, str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    bare, answers, where = done.stdout.splitlines()[-3:]
    assert (bare, answers) == ("bare", "1")
    assert Path(where).is_relative_to(folder)
