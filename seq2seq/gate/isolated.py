"""What a registered model answers, asked in a process of its own.

`python -m seq2seq.gate.isolated models:/NAME/VERSION` loads a version and asks it something: before one
serves again it must have answered, by the code it was registered with, and a flow loads no model itself.

Why: a version is what it does when MLflow loads it, by the code it was registered with, and two versions in
one process would share one `seq2seq`. That code may be of anybody who can write to the registry: its process
gets none of the secrets in this environment. Nothing heavy is imported here: who asks may do so at once.
"""

from __future__ import annotations

import json
import os
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq.common import environment, processes
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask
from seq2seq.tracking import client, registry

FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)  # any other is the model's own doing
# What of the environment the other process gets: where programs and languages are, how it computes. Nothing
# that lets it act for somebody: no login of a server, no webhook, no keys of an artifact store, no proxy.
GIVEN = {
    *("PATH", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME", "TMPDIR", "TMP", "TEMP", "LD_LIBRARY_PATH"),
    *(
        "VIRTUAL_ENV",
        "PYTHONHASHSEED",
        "PYTHONUTF8",
        "SEQ2SEQ_DEVICE",
        "SEQ2SEQ_BF16",
        "HF_HOME",
        "MPLCONFIGDIR",
    ),
    *(name for name in environment.SETTINGS if not name.startswith("PREFECT_")),
}
GIVEN_KINDS = (
    *("LC_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "CUDA_", "NVIDIA_"),
    *("ATEN_", "ONEDNN_", "DNNL_", "PYTORCH_"),
)
# Variables by which MLflow opens an artifact store: where one is set, a version's files may lie there.
STORES = (
    *("AWS_ACCESS_KEY", "AWS_PROFILE", "AWS_ROLE", "AWS_WEB_IDENTITY", "MLFLOW_S3_"),
    *("AZURE_STORAGE", "GOOGLE_APPLICATION"),
)
TEXTS = ["1", "a"]  # any model has something to say to these
# The other process; it sees none of this project's code. A model may refuse single texts, one that is too
# long for it: it answers None for them, or fails, and the others are asked for without it. One that refuses
# the shortest answers nothing.
QUERY = """
import json, runpy, sys, traceback
runpy.run_path(sys.argv[2])["die_with"](int(sys.argv[3]))

def short(error):
    text = (str(error).strip() or "no reason given").splitlines()[0]
    return f"{type(error).__name__}: {text[:300]}"

def predict(texts):
    found = list(model.predict(texts))
    if len(found) != len(texts) or not all(isinstance(text, str | None) for text in found):
        raise TypeError(f"it does not answer with a text for a text, but with {found!r:.200}")
    return found

def ask(texts):
    try:
        return predict(texts) if texts else []
    except Exception:
        if len(texts) == 1:
            return [None]
        half = len(texts) // 2
        return ask(texts[:half]) + ask(texts[half:])

requests = json.load(sys.stdin)
try:
    import mlflow
    model = mlflow.pyfunc.load_model(sys.argv[1])
    shortest = min(filter(str.strip, sum(requests, [])), key=len)
    if predict([shortest]) == [None]:
        raise ValueError(f"it refuses {shortest!r:.200}")
    said = {"answers": sum(map(ask, requests), [])}
except Exception as error:
    traceback.print_exc()
    said = {"problem": short(error)}
print()
print(json.dumps(said))
"""


def query(model_uri: str, tracking_uri: str, *requests: Sequence[str]) -> list[str | None]:
    """What a logged model answers to the texts of all requests, which it gets one after another.

    None stands for a text that it refuses. Raises RuntimeError, in one line, if it does not load or refuses
    all; TransientError if the process was killed or the server does not answer.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        given = _environment(elsewhere)
        place = model_uri
        if client.sqlite_file(tracking_uri) and not any(name.startswith(STORES) for name in os.environ):
            given["MLFLOW_TRACKING_URI"] = tracking_uri
        else:
            place = _fetch(model_uri, elsewhere)
        done = subprocess.run(
            [sys.executable, "-c", QUERY, place, processes.__file__, str(os.getpid())],
            input=json.dumps([list(texts) for texts in requests]),
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # what libraries write there besides
            cwd=elsewhere,
            env=given,
            check=False,
        )
    if -done.returncode in FROM_OUTSIDE:
        raise TransientError(
            f"{model_uri} was killed by signal {-done.returncode}: is there too little memory?"
        )
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
    said: dict[str, Any] = {"problem": f"it ended with {ended}"}
    if done.returncode == 0:
        said = json.loads(done.stdout.splitlines()[-1])
    if "problem" in said:
        error = RuntimeError(mask(f"{model_uri} does not load or answer: {said['problem']}"))
        error.add_note(mask(done.stderr.strip()[-2000:]))
        raise error
    answers: list[str | None] = said["answers"]
    return answers


def _environment(home: str) -> dict[str, str]:
    """What the other process gets of this environment; its home is not the one with keys in it."""
    given = {
        name: value for name, value in os.environ.items() if name in GIVEN or name.startswith(GIVEN_KINDS)
    }
    # The version's files stay as they were registered: no compiled code is put beside them.
    own = {"HOME": home, "PYTHONUSERBASE": site.getuserbase(), "PYTHONDONTWRITEBYTECODE": "1"}
    return given | own


def _fetch(model_uri: str, elsewhere: str) -> str:
    """The files of a version that only who has a login or keys can fetch: this process does."""
    try:
        return str(registry.fetch(model_uri, Path(elsewhere, "model")))
    except UserError as error:
        raise RuntimeError(f"{model_uri} does not load or answer: {error}") from None


def answers_of(model: str) -> list[str]:
    """What a version answers; raises UserError if it does not, TransientError for memory or a server."""
    try:
        found = query(model, client.uri(), TEXTS)
    except RuntimeError as error:
        if isinstance(error, TransientError):
            raise
        with client.answering():  # a server that is away is no fault of the model
            client.connect().search_registered_models(max_results=1)
        raise UserError(str(error)) from None
    said = [answer for answer in found if answer is not None]
    if len(said) != len(TEXTS):
        raise UserError(f"{model} refuses to answer: {dict(zip(TEXTS, found, strict=True))}")
    return said


def main() -> int:
    """Ask the model named on the command line; returns the exit status."""
    environment.prepare()
    try:
        said = answers_of(sys.argv[1])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TransientError as error:
        print(f"error: {error}", file=sys.stderr)
        return os.EX_TEMPFAIL
    print(f"{sys.argv[1]} answers: {said}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
