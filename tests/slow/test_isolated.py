"""Real registered versions: a good one, and all kinds of bad challengers."""

import json
import os
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from seq2seq.common import paths, recipes
from seq2seq.common.errors import TransientError, UserError
from seq2seq.data.corpus import Pair
from seq2seq.gate import candidates, evidence, isolated
from seq2seq.inference import packaging
from seq2seq.inference.decoding import Decoding
from seq2seq.inference.translator import Translator
from seq2seq.nn import model_folder
from seq2seq.register import file_digests
from seq2seq.tracking import client, registry, runs
from tests.support.evaluated import lay
from tests.support.untrained import SENTENCES

DECODING = Decoding(2, 1.0, 12)
PAIRS = [Pair(text, "the dog sleeps") for text in (*SENTENCES, "Hund " * 900)]  # the last is too long for it
# A model with other code; `{}` is the body of its predict.
FOREIGN = """
import mlflow.pyfunc

class Foreign(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        texts = model_input.iloc[:, 0].tolist()
        {}

mlflow.models.set_model(Foreign())
"""


def register(uri: str, run_id: str, **tags: str) -> str:
    return registry.register_version("m", uri, run_id, tags).uri


def ours(run_id: str, folder: Path = paths.MODEL, decoding: Decoding = DECODING) -> str:
    """A version with a model folder of ours, tagged as `register` does."""
    uri = packaging.log_model(folder, run_id, client.uri(), decoding, SENTENCES)
    return register(uri, run_id, model_digest=model_folder.digest(folder), decoding=json.dumps(decoding))


def foreign(run_id: str, body: str, columns: list[str]) -> str:
    """A version with code that is not this project's."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    code = Path("foreign.py")
    code.write_text(FOREIGN.format(body))
    schema = Schema([ColSpec("string", name) for name in columns] or [ColSpec("string")])
    with mlflow.start_run(run_id=run_id), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow wants an example and hints
        made = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code),
            signature=ModelSignature(inputs=schema, outputs=Schema([ColSpec("string")])),
            pip_requirements=[],
        )
    return register(made.model_uri, run_id)


def test_registered_versions_are_run_and_compared(unregistered, capsys, monkeypatch):
    import mlflow

    mlflow.set_tracking_uri(client.uri())
    run_id = client.connect().create_run(runs.experiment("m")).info.run_id
    evaluated = [*Translator.from_folder(paths.MODEL).translate(SENTENCES, *DECODING, divide=True), ""]
    lay(evaluated, PAIRS)
    good, short = ours(run_id), ours(run_id, decoding=Decoding(2, 1.0, 2))

    # As evaluated, against a champion with shorter translations.
    assert evidence.main([good, short]) == 0
    line = capsys.readouterr().out
    assert line.startswith("evidence: challenger version 1 BLEU ")
    assert "champion version 2 BLEU" in line
    assert "on test (4 sentences); " in line
    found = json.loads(paths.EVIDENCE.read_text())
    assert (found["challenger"]["problem"], found["challenger"]["answers_as_evaluated"]) == ("", True)
    assert found["tests"]["chrf"].keys() == {"delta", "p"}

    assert found["challenger"]["size"] > 10_000
    assert found["challenger"]["latency"] is None  # only where the policy limits it
    recipes.apply(None, ["promote.max_latency_ratio=2"])

    # In exchanged roles, both are run again.
    queried = []
    monkeypatch.setattr(
        candidates, "measure", lambda uri, *rest: queried.append(uri) or isolated.measure(uri, *rest)
    )
    assert evidence.main([short, good]) == 0
    assert sorted(queried) == sorted([short, good])
    queried.clear()
    result = json.loads(paths.EVIDENCE.read_text())
    assert result["challenger"]["scores"] == found["champion"]["scores"]
    assert result["champion"]["scores"] == found["challenger"]["scores"]
    assert 0 < result["champion"]["latency"] < 10
    assert "3 of 4 translations differ from the evaluated ones" in result["challenger"]["problem"]

    # A model with NaN among its weights is not run.
    poisoned = Path("poisoned")
    shutil.copytree(paths.MODEL, poisoned)
    weights = load_file(poisoned / "weights.safetensors")
    weights["decoder.embedding.weight"][3, 3] = np.nan
    save_file(weights, poisoned / "weights.safetensors")
    requests = [SENTENCES, ["", "Hund"]]
    nan = ours(run_id, poisoned)
    candidate, other = candidates.predict_both(nan, good, requests)
    assert candidate.problem == f"{nan}: NaN or infinity among the weights of decoder.embedding.weight"
    assert other.translations(requests)["Hund"]
    assert queried == [good]

    # A missing file, and foreign code.
    unloadable = ours(run_id)
    (registry.download_model(unloadable) / "weights.safetensors").unlink()
    copies = foreign(run_id, "return texts", [])
    raises = foreign(run_id, "raise KeyError('no such\\\\nthing')", [])
    numbers = foreign(run_id, "return list(range(len(texts)))", [])
    columns = foreign(run_id, "return texts", ["source", "language"])
    expected = {
        unloadable: "UserError: ",
        raises: "KeyError: ",
        numbers: "TypeError: predict must return one text per text, not [0]",
        columns: "MlflowException: Failed to enforce schema",
    }
    for pair in ((unloadable, raises), (numbers, columns)):
        for uri, candidate in zip(pair, candidates.predict_both(*pair, requests), strict=True):
            assert candidate.problem.startswith(f"{uri} does not load or answer: {expected[uri]}")
            assert candidate.answers == []
            assert len(candidate.problem.splitlines()) == 1
    assert candidates.predict_both(copies, None, requests)[0].translations(requests) == {
        t: t for r in requests for t in r
    }
    with pytest.raises(UserError, match=r"models:/m/99: .*1, 2, 3"):
        candidates.predict_both("models:/m/99", None, requests)


def test_a_killed_process_is_a_transient_failure(unregistered, monkeypatch):
    monkeypatch.setattr(isolated, "QUERY", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(TransientError, match=r"models:/m/1 was killed by signal 9"):
        isolated.query("models:/m/1", client.uri(), ["a"])
    monkeypatch.setattr(isolated, "QUERY", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(RuntimeError, match=r"models:/m/1 does not load or answer: it ended with signal 11"):
        isolated.query("models:/m/1", client.uri(), ["a"])
    monkeypatch.setattr(isolated, "QUERY", "raise SystemExit(7)")
    with pytest.raises(RuntimeError, match=r"models:/m/1 does not load .*: it ended with exit status 7"):
        isolated.query("models:/m/1", client.uri(), ["a"])


SECRETS = {
    "ALERT_WEBHOOK": "https://hooks.example/planted",
    "PREFECT_API_KEY": "planted",
    "PREFECT_API_AUTH_STRING": "admin:planted",
    "MLFLOW_TRACKING_PASSWORD": "planted",
    "HF_TOKEN": "planted",
    "GITHUB_TOKEN": "planted",
    "SEQ2SEQ_REPOSITORY": "https://me:planted@git.example/x.git",
    "https_proxy": "http://me:planted@proxy.example:1",
    "NO_PROXY": "127.0.0.1,planted.example",
}


@pytest.mark.parametrize("stores", [{}, {"AWS_ACCESS_KEY_ID": "planted"}])
def test_a_version_gets_no_secrets(unregistered, monkeypatch, stores):
    import mlflow

    mlflow.set_tracking_uri(client.uri())
    run_id = client.connect().create_run(runs.experiment("m")).info.run_id
    model = foreign(run_id, "import json, os; return [json.dumps(dict(os.environ)) for _ in texts]", [])
    for name, value in {**SECRETS, **stores}.items():
        monkeypatch.setenv(name, value)
    [answer] = isolated.query(model, client.uri(), ["a"])
    assert "planted" not in answer
    result = json.loads(answer)
    assert not any(name.startswith("PREFECT") for name in result)
    assert result["PATH"] == os.environ["PATH"]
    assert result["OMP_NUM_THREADS"] == os.environ["OMP_NUM_THREADS"]
    assert result["HOME"] != os.environ["HOME"]


def test_a_pickle_among_a_versions_files_is_not_executed(unregistered, tmp_path):
    """Neither in a version with the digests of `register`, nor in an earlier one without them."""
    import mlflow
    from ruamel.yaml import YAML

    mlflow.set_tracking_uri(client.uri())
    run_id = client.connect().create_run(runs.experiment("m")).info.run_id
    model = packaging.log_model(paths.MODEL, run_id, client.uri(), DECODING, SENTENCES)
    without = register(model, run_id)
    recorded = register(model, run_id, **file_digests(model))
    assert isolated.query(recorded, client.uri(), ["Hund"]) == isolated.query(without, client.uri(), ["Hund"])

    root, sign = registry.place("m", "1"), tmp_path / "executed"
    (root / "python_model.pkl").write_bytes(pickle.dumps(Malicious(sign)))
    yaml = YAML()
    description = yaml.load(root / "MLmodel")
    flavour = description["flavors"]["python_function"]
    del flavour["model_code_path"]
    flavour |= {"python_model": "python_model.pkl", "cloudpickle_version": "3.0.0"}
    yaml.dump(description, root / "MLmodel")
    with pytest.raises(RuntimeError, match="pickle is disallowed"):
        isolated.query(without, client.uri(), ["Hund"])
    with pytest.raises(RuntimeError, match="are not those that were registered"):
        isolated.query(recorded, client.uri(), ["Hund"])
    assert not sign.exists()


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self):
        return self.sign.write_text, ("executed",)


def test_an_alias_is_no_version():
    with pytest.raises(UserError, match=r"'models:/m@champion' is no version"):
        candidates.predict_both("models:/m/1", "models:/m@champion", [["a"]])
