"""Runs a registered model in a process of its own.

`python -m seq2seq.gate.isolated models:/NAME/VERSION` loads a version and translates two short texts; a
rollback runs it before the version serves again.

Why: each version runs with the code it was registered with, and two versions in one process would share one
`seq2seq`. Anybody with write access to the registry can change that code, so its process gets none of this
environment's secrets. Files that differ from the digest with which they were registered are not loaded, and
no pickle is. The module imports nothing heavy.
"""

from __future__ import annotations

import json
import os
import shutil
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
from seq2seq.tracking import client, registry, sqlite_store, version_files

FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)  # other signals are failures of the model
# The variables that the other process gets: locations of programs, locale, settings of computation. No
# logins of servers, no webhook, no keys of an artifact store, no proxy.
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
# Credentials of artifact stores: if one is set, the files of a version may be in such a store.
STORES = (
    *("AWS_ACCESS_KEY", "AWS_PROFILE", "AWS_ROLE", "AWS_WEB_IDENTITY", "MLFLOW_S3_"),
    *("AZURE_STORAGE", "GOOGLE_APPLICATION"),
)
TEXTS = ["1", "a"]  # every model can translate these
# The other process; it imports none of this project's code. A model may refuse single texts, e.g. one that is
# too long, by None or by an exception: the request is then halved until only that text is left out. A model
# that refuses the shortest text fails.
QUERY = """
import json, runpy, statistics, sys, time, traceback
runpy.run_path(sys.argv[2])["die_with"](int(sys.argv[3]))

def short(error):
    text = (str(error).strip() or "no reason given").splitlines()[0]
    return f"{type(error).__name__}: {text[:300]}"

def predict(texts):
    found = list(model.predict(texts))
    if len(found) != len(texts) or not all(isinstance(text, str | None) for text in found):
        raise TypeError(f"predict must return one text per text, not {found!r:.200}")
    return found

def predict_each(texts):
    try:
        return predict(texts) if texts else []
    except Exception:
        if len(texts) == 1:
            return [None]
        half = len(texts) // 2
        return predict_each(texts[:half]) + predict_each(texts[half:])

def seconds(text):
    began = time.perf_counter()
    predict_each([text])
    return time.perf_counter() - began

requests = json.load(sys.stdin)
try:
    import mlflow
    model = mlflow.pyfunc.load_model(sys.argv[1])
    shortest = min(filter(str.strip, sum(requests, [])), key=len)
    if predict([shortest]) == [None]:
        raise ValueError(f"it refuses {shortest!r:.200}")
    result = {"answers": sum(map(predict_each, requests), []), "latency": None}
    texts = [text for text in sum(requests, []) if text.strip()][: int(sys.argv[4])]
    if texts:
        result["latency"] = statistics.median(min(map(seconds, [text] * 3)) for text in texts)
except Exception as error:
    traceback.print_exc()
    result = {"problem": short(error)}
print()
print(json.dumps(result))
"""


def query(model_uri: str, tracking_uri: str, *requests: Sequence[str]) -> list[str | None]:
    """The answers of a logged model to the texts of all requests, run one after another.

    None stands for a text that it refuses. Raises RuntimeError, in one line, if the model does not load or
    refuses all; TransientError if the process was killed or the server is unreachable.
    """
    return measure(model_uri, tracking_uri, requests, 0)[0]


def measure(
    model_uri: str, tracking_uri: str, requests: Sequence[Sequence[str]], timed: int
) -> tuple[list[str | None], float | None]:
    """The answers as of `query`, and the seconds for one sentence, by the first `timed` of them.

    It is the median over sentences of the fastest of three times, since other processes only slow it down.
    """
    with tempfile.TemporaryDirectory() as scratch:
        given = _environment(scratch)
        place = model_uri
        wanted = registry.recorded_digest(model_uri)
        local = sqlite_store.sqlite_file(tracking_uri) is not None
        if wanted or not local or any(name.startswith(STORES) for name in os.environ):
            place = _checked_copy(model_uri, scratch, wanted, local)
        else:
            given["MLFLOW_TRACKING_URI"] = tracking_uri
        done = subprocess.run(
            [sys.executable, "-c", QUERY, place, processes.__file__, str(os.getpid()), str(timed)],
            input=json.dumps([list(texts) for texts in requests]),
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # libraries may write other bytes
            cwd=scratch,
            env=given,
            check=False,
        )
    if -done.returncode in FROM_OUTSIDE:
        raise TransientError(
            f"{model_uri} was killed by signal {-done.returncode}: is there too little memory?"
        )
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
    result: dict[str, Any] = {"problem": f"it ended with {ended}"}
    if done.returncode == 0:
        result = json.loads(done.stdout.splitlines()[-1])
    if "problem" in result:
        error = RuntimeError(mask(f"{model_uri} does not load or answer: {result['problem']}"))
        error.add_note(mask(done.stderr.strip()[-2000:]))
        raise error
    return result["answers"], result["latency"]


def _environment(home: str) -> dict[str, str]:
    """The environment of the other process; its home is an empty folder."""
    given = {
        name: value for name, value in os.environ.items() if name in GIVEN or name.startswith(GIVEN_KINDS)
    }
    # No compiled code is written beside the version's files.
    own = {"HOME": home, "PYTHONUSERBASE": site.getuserbase(), "PYTHONDONTWRITEBYTECODE": "1"}
    own["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"  # this project's versions are source code
    return given | own


def _checked_copy(model_uri: str, scratch: str, wanted: str | None, local: bool) -> str:
    """A copy of a version's files, compared with the recorded digest, without compiled code.

    Only this process has the login or keys, and compared files must not change before they are loaded.
    """
    folder = Path(scratch, "model")
    try:
        if local and wanted and (source := _place(model_uri)):
            shutil.copytree(source, folder)
        else:
            folder = registry.fetch(model_uri, folder)
        version_files.check(model_uri, folder, wanted)
    except UserError as error:
        raise RuntimeError(f"{model_uri} does not load or answer: {error}") from None
    for compiled in [*folder.rglob(version_files.COMPILED)]:
        shutil.rmtree(compiled)
    return str(folder)


def _place(model_uri: str) -> Path | None:
    """The folder of all files of a version on this machine; its import of MLflow is spared."""
    match = registry.NAME.fullmatch(model_uri)
    found = match and registry.place(match["name"], match["version"])
    return found if found and found.is_dir() else None


def answers_of(model: str) -> list[str]:
    """The answers of a version; raises UserError if it fails, TransientError for memory or a server."""
    try:
        found = query(model, client.uri(), TEXTS)
    except RuntimeError as error:
        if isinstance(error, TransientError):
            raise
        with client.translate_errors():  # an unreachable server is no failure of the model
            client.connect().search_registered_models(max_results=1)
        raise UserError(str(error)) from None
    answers = [answer for answer in found if answer is not None]
    if len(answers) != len(TEXTS):
        raise UserError(f"{model} refuses to translate: {dict(zip(TEXTS, found, strict=True))}")
    return answers


def main() -> int:
    """Run the model named on the command line; returns the exit status."""
    environment.configure_process()
    try:
        answers = answers_of(sys.argv[1])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except TransientError as error:
        print(f"error: {error}", file=sys.stderr)
        return os.EX_TEMPFAIL
    print(f"{sys.argv[1]} answers: {answers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
