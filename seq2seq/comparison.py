"""Other kinds of attention at equal updates, side by side with the one in params.yaml.

Why: what attention is good for shows when it is all that differs. Each kind is trained by the same DAG
in a copy of the project below .cache/compare, so that params.yaml, dvc.lock and the model stay as they
are. The copies use the project's DVC cache: what was computed once is restored, and a comparison that
was killed goes on where it was.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from seq2seq import params, paths, store
from seq2seq.__main__ import die_with_parent
from seq2seq.errors import UserError

FOLDER = Path(".cache/compare")
TABLE = FOLDER / "bleu.csv"
KINDS = get_args(params.Train.model_fields["attention"].annotation)
COPIED = (Path("seq2seq"), Path("dvc.yaml"), Path(".dvc/config"), Path(".dvcignore"))


class Result(NamedTuple):
    """What one kind of attention reached on the test split."""

    bleu: float
    updates: int
    by_words: dict[str, float]  # BLEU by number of words of the source


def compare(kinds: Iterable[str]) -> None:
    """Train and score the current kind and others, print BLEU by length, and write it to a CSV.

    Raises UserError for an unknown kind and for a kind whose training or scoring failed.
    """
    checked = params.load()
    chosen = list(dict.fromkeys([checked.train.attention, *kinds]))
    if unknown := [kind for kind in chosen if kind not in KINDS]:
        raise UserError(f"no attention {', '.join(unknown)}; there are: {', '.join(KINDS)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another comparison is running in this project") from None
        results = {kind: _result(kind, checked) for kind in chosen}
    _write(results)
    print(f"\nBLEU on the same test sentences ({TABLE})\n")
    print(table(results))


def table(results: Mapping[str, Result]) -> str:
    """The results as text: a row for each length, a column for each kind."""
    first = next(iter(results.values()))
    rows = [[words, *(r.by_words.get(words) for r in results.values())] for words in first.by_words]
    rows.append(["all", *(r.bleu for r in results.values())])
    lines = [f"{'words':>9}" + "".join(f"{kind:>10}" for kind in results)]
    for words, *bleus in rows:
        lines.append(f"{words:>9}" + "".join(f"{'-' if b is None else f'{b:.1f}':>10}" for b in bleus))
    lines.append(f"{'updates':>9}" + "".join(f"{r.updates:>10,}" for r in results.values()))
    return "\n".join(lines)


def _result(kind: str, checked: params.Params) -> Result:
    """Bring the copy of a kind up to date and read what it holds then."""
    folder = FOLDER / kind
    print(f"compare: attention {kind}, in {folder}", flush=True)
    _prepare(folder, checked.ingest.path)
    params.apply(None, [f"train.attention={kind}"], folder / paths.PARAMS)
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": store.uri(),
        "PYTHONPATH": "",  # the copy's own code, found in its folder
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [sys.executable, "-m", "dvc", "repro", "evaluate"]
    with subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=die_with_parent) as child:
        try:
            status = child.wait()
        except KeyboardInterrupt:
            child.wait()  # the stage has got the signal too and is saving what it has
            raise
    if status:
        raise UserError(f"compare: attention {kind} failed in {folder}, see above")
    metrics = json.loads((folder / paths.METRICS).read_text(encoding="utf-8"))
    bins = {row["words"]: float(row["bleu"]) for row in _rows(folder / paths.LENGTHS)}
    updates = int(_rows(folder / paths.CURVE)[-1]["update"])
    return Result(metrics["test"]["bleu"], updates, bins)


def _prepare(folder: Path, corpus: str) -> None:
    """Make a DVC project of its own that shares this one's cache, or renew its code and parameters."""
    (folder / ".dvc").mkdir(parents=True, exist_ok=True)
    inside = [Path(corpus)] if not Path(corpus).is_absolute() else []
    for path in dict.fromkeys([*COPIED, paths.PARAMS, *inside]):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file():
            shutil.copyfile(path, target)
    asked = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], capture_output=True, text=True, check=True
    )
    lines = ["[core]", "no_scm = true", "[cache]", f"dir = {Path(asked.stdout.strip()).resolve()}"]
    (folder / ".dvc/config.local").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _write(results: Mapping[str, Result]) -> None:
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["attention", "words", "bleu"])
        for kind, result in results.items():
            writer.writerows([kind, words, bleu] for words, bleu in result.by_words.items())
            writer.writerow([kind, "all", result.bleu])


def _rows(path: Path) -> Sequence[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
