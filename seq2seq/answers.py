"""What a registered model answers, asked in a process of its own.

Why: a version is what it does when MLflow loads it, by the code it was registered with, and two versions in
one process would share one `seq2seq`. Nothing heavy is imported here: who asks may do so at once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from seq2seq import processes
from seq2seq.errors import TransientError

FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)  # any other is the model's own doing
# The other process; it sees none of this project's code. A model may refuse single texts, one that is too
# long say: then the others are asked for without it. One that refuses the shortest answers nothing.
QUERY = """
import json, runpy, sys, traceback
runpy.run_path(sys.argv[2])["die_with"](int(sys.argv[3]))

def short(error):
    text = (str(error).strip() or "no reason given").splitlines()[0]
    return f"{type(error).__name__}: {text[:300]}"

def predict(texts):
    found = list(model.predict(texts))
    if len(found) != len(texts) or not all(isinstance(text, str) for text in found):
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
    predict([min(filter(str.strip, sum(requests, [])), key=len)])
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
    all; TransientError if the process was killed.
    """
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as elsewhere:
        done = subprocess.run(
            [sys.executable, "-c", QUERY, model_uri, processes.__file__, str(os.getpid())],
            input=json.dumps([list(texts) for texts in requests]),
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # what libraries write there besides
            cwd=elsewhere,
            env=settings | {"MLFLOW_TRACKING_URI": tracking_uri},
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
        error = RuntimeError(f"{model_uri} does not load or answer: {said['problem']}")
        error.add_note(done.stderr.strip()[-2000:])
        raise error
    answers: list[str | None] = said["answers"]
    return answers
