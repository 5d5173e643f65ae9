"""Registered versions that work in another process and behind a server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from seq2seq import register
from seq2seq.common import paths
from seq2seq.inference import packaging, sentences, translator
from seq2seq.tracking import client, registry
from tests.support.projects import ROOT
from tests.support.untrained import CHECKED, METRICS, PROVENANCE, SENTENCES, write
from tests.support.waiting import wait_for


def test_requirements_have_no_local_versions_and_cover_all_imports_of_translation(unregistered):
    assert all(line.count("==") == 1 and "+" not in line for line in packaging.requirements())
    code = (
        "import sys, seq2seq.inference.translator\n"
        "print([m for m in ('pandas', 'pyarrow', 'pydantic', 'ruamel', 'sacrebleu') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_a_model_is_registered_once_and_works_anywhere(unregistered, capsys):
    import mlflow
    import pandas

    register.register(CHECKED)
    assert "version 1 registered, alias challenger, BLEU 12.50" in capsys.readouterr().out
    name = CHECKED.register.name
    record, summary = (json.loads(path.read_text()) for path in (paths.REGISTRATION, paths.SUMMARY))
    version = registry.version_by_alias(name, "challenger")
    assert (record["name"], record["version"]) == (name, "1") == (version.name, version.version)
    assert summary["bleu"] == 12.5
    assert summary["rows"] == PROVENANCE["rows"]
    assert (summary["frozen_set"], summary["sentences"], summary["contaminated"]) == ("news", 3, 0)
    assert (summary["corpus"], len(summary["samples"])) == ("corpora/x.tsv", 4)
    # The run was created again from the files on disk, with its evaluation.
    made = client.connect().get_run(version.run_id)
    assert made.data.metrics["news.bleu"] == 12.5
    assert made.data.metrics["validation.ter"] == 50.0
    kept = {file.path for file in client.connect().list_artifacts(version.run_id, "evaluation")}
    assert {f"evaluation/{name}" for name in ("metrics.json", "segments.jsonl", "slices.csv")} <= kept
    assert "evaluation/pictures" in kept
    assert version.tags["model_digest"] == record["model_digest"]
    assert register.score_tags(METRICS).items() <= version.tags.items()
    for key in (
        "git.commit",
        "git.dirty",
        "dvc.lock.sha256",
        "params.sha256",
        "corpus.id",
        "corpus.revision",
        "corpus.kind",
        "corpus.columns",
    ):
        assert version.tags[key], key
    assert (version.tags["source.language"], version.tags["target.language"]) == ("de", "en")
    kept = {file.path for file in client.connect().list_artifacts(version.run_id, "register")}
    assert {"register/git.diff", "register/params.yaml"} <= kept

    # The files are complete, and the registry's interface accepts common input.
    folder = registry.download_model(f"models:/{name}@challenger")
    how = {"beam": 2, "length_penalty": 1.0, "max_length": 40, "precision": "fp32", "split_sentences": True}
    stored = json.loads((folder / "decoding.json").read_text())
    assert stored == how | {"splitter": sentences.name_and_version(), "source_language": "de"}
    expected = translator.Translator.from_folder(folder).translate(SENTENCES, divide=True)
    mlflow.set_tracking_uri(client.uri())
    loaded = mlflow.pyfunc.load_model(version.uri)
    for form in (SENTENCES, pandas.Series(SENTENCES), pandas.DataFrame({"text": SENTENCES})):
        assert loaded.predict(form) == expected
    greedy = translator.Translator.from_folder(folder).translate(SENTENCES, beam=1, max_length=5, divide=True)
    assert loaded.predict(SENTENCES, params={"beam": 1, "max_length": 5}) == greedy != expected
    assert loaded.predict(["Hund", None]) == [*loaded.predict(["Hund"]), None]

    # Again: no second version. New scores of the same model update the tags of its version.
    digests = METRICS["digests"] | {"news": "cd" * 32}
    write(paths.METRICS, json.loads(paths.METRICS.read_text()) | {"digests": digests})
    register.register(CHECKED)
    assert "version 1 is registered already" in capsys.readouterr().out
    assert registry.get_version(name, "2") is None
    assert registry.get_version(name, "1").tags["frozen_digest"] == "cd" * 32

    # If a version's files are missing, the same model gets a new version.
    shutil.rmtree(registry.download_model(f"models:/{name}/1"))
    register.register(CHECKED)
    output = capsys.readouterr().out
    assert "version 1 does not work any more: models:/" in output
    assert "version 2 registered" in output
    assert registry.download_model(f"models:/{name}/2").is_dir()

    # Other decoding settings give another version.
    other = CHECKED.model_copy(update={"evaluate": CHECKED.evaluate.model_copy(update={"beam": 3})})
    register.register(other)
    assert registry.version_by_alias(name, "challenger").version == "3"


@pytest.fixture
def served(unregistered):
    """The address of a server that MLflow runs for the registered model."""
    register.register(CHECKED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--port", port]
    command += ["--model-uri", f"models:/{CHECKED.register.name}/1"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": client.uri(), "PATH": path}
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=address, trust_env=False, timeout=60) as http:
            _wait_for(http, server)
            yield http
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait_for(http, server):
    def answers() -> bool:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        try:
            return http.get("/ping").is_success
        except httpx.TransportError:
            return False

    wait_for(answers, 120, "the model's server", poll=0.2)


def test_a_served_model_translates_row_by_row(served):
    def ask(**body: Any):
        response = served.post("/invocations", json=body)
        return response.status_code, response.json()

    text = SENTENCES[1]
    status, body = ask(inputs=[text])
    [answer] = body["predictions"]
    assert status == 200
    for given in (
        {"inputs": [text, None, 5, True]},
        {"instances": [text, None, 5, True]},
        {"dataframe_split": {"columns": ["x"], "data": [[text], [None], [5], [True]]}},
        {
            "dataframe_records": [
                {"n": 1, "x": text},
                {"n": 1, "x": None},
                {"n": 1, "x": 5},
                {"n": 1, "x": True},
            ]
        },
    ):
        assert ask(**given) == (200, {"predictions": [answer, None, None, None]}), given
    assert ask(inputs=[]) == (200, {"predictions": []})
    table = {"columns": ["id", "source"], "data": [["a1", text]]}
    assert ask(dataframe_split=table) == (200, {"predictions": [answer]})
    refused: list[tuple[dict[str, Any], str]] = [
        ({"inputs": [5]}, "row 0: 5 is a number, not a text"),
        ({"dataframe_split": table | {"columns": ["id", "de"]}}, "columns id, de: which one holds the texts"),
        ({"inputs": [text], "params": {"beam": 0}}, "beam: 0 is not allowed"),
    ]
    for given, message in refused:
        status, body = ask(**given)
        assert (status, body["message"][: len(message)]) == (400, message)
        assert "Traceback" not in str(body)
