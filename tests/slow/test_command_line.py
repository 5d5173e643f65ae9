"""The command line in processes of its own: imports, start, pipes that close."""

import os
import subprocess
import sys
import time

import pytest

from tests.support.projects import ROOT

HEAVY = ("torch", "mlflow", "prefect", "datasets", "numpy", "pydantic", "ruamel")


def run_python(code: str, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=environment, text=True, check=False, **options)


def test_help_imports_nothing_heavy():
    code = "import sys; from flows.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: "
    done = run_python(code + "print(sorted(sys.modules))", capture_output=True)
    assert "translate" in done.stdout
    loaded = done.stdout.splitlines()[-1]
    assert [name for name in HEAVY if f"'{name}'" in loaded] == []


def test_help_is_there_at_once():
    def seconds(code: str) -> float:
        took = []
        for _ in range(3):
            began = time.perf_counter()
            run_python(code, stdout=subprocess.DEVNULL)
            took.append(time.perf_counter() - began)
        return min(took)

    assert seconds("from flows.__main__ import main; main(['--help'])") - seconds("pass") < 0.3


@pytest.mark.parametrize("command", ["ingest", "history"])
def test_a_python_without_the_requirements_names_the_right_one(command):
    run = [sys.executable, "-S", "-m", "seq2seq", command]  # -S: of the standard library alone
    done = subprocess.run(
        run, env={"PYTHONPATH": str(ROOT)}, cwd=ROOT, text=True, check=False, capture_output=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sys.executable} has no module ")
    assert ". .venv/bin/activate" in done.stderr


def test_a_stage_whose_output_nobody_reads_fails_with_its_status(tmp_path):
    unread, stderr = os.pipe()
    os.close(unread)  # as when the reading flow is killed
    run = [sys.executable, "-m", "seq2seq", "ingest"]
    done = subprocess.run(
        run, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path, stderr=stderr, check=False
    )
    os.close(stderr)
    assert done.returncode != 0


def test_translating_with_a_folder_imports_no_tracking():
    code = (
        "import sys, seq2seq.commands.translate, seq2seq.inference.translator, seq2seq.tracking.registry\n"
        "print([m for m in ('mlflow', 'prefect', 'datasets', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    assert run_python(code, capture_output=True).stdout == "[]\n"


def test_a_closed_output_is_no_error(tmp_path):
    code = (
        "import sys; import seq2seq.commands.translate as commands; from seq2seq.__main__ import main\n"
        "from seq2seq.inference.translation import Translation\n"
        "class T:\n"
        "    def translate_fully(self, texts, **_):\n"
        "        return [Translation('x' * 10000, 0.0, [], [], None)] * len(texts)\n"
        "    def doubts(self, text): return []\n"
        "    def unknown_words(self, text): return []\n"
        "commands.model_folder = commands._translator = lambda *_: T()\n"
        "sys.exit(main(['translate', *['a'] * 2000]))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    child.stdout.read(10)
    child.stdout.close()
    output = child.stderr.read()
    child.stderr.close()
    assert (child.wait(), output) == (0, b"")
