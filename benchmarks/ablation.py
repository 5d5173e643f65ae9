"""`make compare`: other kinds of attention at equal updates, compared with the one in params.yaml.

Why: an ablation shows the effect of attention if nothing else differs. Each kind is trained by the same DAG
in a copy of the project below .cache/compare, so that params.yaml, dvc.lock and the model do not change.
The copies use the project's DVC cache: computed stages are restored, and a killed comparison can be
resumed. Results are stored by the model's name, a file for each corpus, to show several together.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any, get_args

from pydantic import TypeAdapter

from benchmarks.ablation_chart import Panel, comparison_chart
from flows.child import CHATTER
from seq2seq.common import disk, environment, params, paths, processes, recipes, schema
from seq2seq.common.errors import TransientError, UserError
from seq2seq.tracking import client

FOLDER = Path(".cache/compare")
FIGURE = FOLDER / "attention.svg"
FORMATS = (".png", ".pdf", ".svg")  # of the figure
KINDS = get_args(schema.Train.model_fields["attention"].annotation)
COPIED = (Path("seq2seq"), Path("dvc.yaml"), Path(".dvc/config"), Path(".dvcignore"))


@dataclass(frozen=True)
class Bin:
    """BLEU of sentences by words of the source."""

    words: str  # "3-7"
    mean_words: float
    bleu: float


@dataclass(frozen=True)
class Result:
    """The result of one kind of attention on the frozen evaluation set."""

    bleu: float
    chrf: float
    by_length: list[Bin]
    updates: int
    test_digest: str  # of the evaluation set
    error_rate: float | None = None  # of alignment, 0 to 1; none without attention or gold alignment
    aligned: int = 0  # sentences with gold links, and the same words as the text


RESULTS = TypeAdapter(dict[str, Result])  # by kind of attention; in a file, JSON of the same names


def compare(kinds: Iterable[str], figure: Path = FIGURE) -> None:
    """Train and score the current kind and others, store the results, and show them.

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
        cache = _dvc_cache()
        for kind in chosen:  # before the first training, so that later edits change none of them
            _prepare(kind, [source.path for source in checked.ingest.sources.values()], cache)
        results = {kind: _result(kind) for kind in chosen}
        if len({result.test_digest for result in results.values()}) > 1:
            raise UserError("the evaluation set has changed during the comparison: compare again")
        _save(checked.register.name, results)
    show([checked.register.name], figure)


def show(names: Sequence[str], figure: Path = FIGURE) -> None:
    """Print stored comparisons and draw them side by side; without names, all of them.

    Raises UserError if there is no comparison of that name.
    """
    known = sorted(path.stem for path in FOLDER.glob("*.json"))
    if not known:
        raise UserError(f"no comparison in {FOLDER} yet: run `make compare`")
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"no comparison {', '.join(unknown)}; there are: {', '.join(known)}")
    kept = {name: _load(name) for name in dict.fromkeys(names or known)}
    for name, results in kept.items():
        print(f"\n{name}: BLEU on the same test sentences, by words of the source\n\n{table(results)}")
    comparison_chart(figure, [_panel(name, results) for name, results in kept.items()])
    print(f"\ndrawn: {figure}")


def table(results: Mapping[str, Result]) -> str:
    """The results as text: a column for each kind; BLEU by length, then figures for all lengths."""
    every = results.values()
    bins = {kind: {one.words: f"{one.bleu:.1f}" for one in r.by_length} for kind, r in results.items()}
    rows = {words: [bins[kind].get(words, "-") for kind in results] for words in next(iter(bins.values()))}
    rows["all"] = [f"{r.bleu:.1f}" for r in every]
    rows["chrF"] = [f"{r.chrf:.1f}" for r in every]
    if any(r.error_rate is not None for r in every):
        rows["AER"] = ["-" if r.error_rate is None else f"{100 * r.error_rate:.1f} %" for r in every]
        rows["counted on"] = ["-" if r.error_rate is None else f"{r.aligned:,}" for r in every]
    rows["updates"] = [f"{r.updates:,}" for r in every]
    lines = {"words": list(results), **rows}
    return "\n".join("".join(f"{cell:>10}" for cell in [name, *cells]) for name, cells in lines.items())


def _panel(name: str, results: Mapping[str, Result]) -> Panel:
    updates = sorted({result.updates for result in results.values()})
    shown = f"{updates[0]:,}" if len(updates) == 1 else f"{updates[0]:,} to {updates[-1]:,}"
    return Panel(
        name,
        f"BLEU after {shown} updates",
        {kind: [(one.mean_words, one.bleu) for one in r.by_length] for kind, r in results.items()},
        {kind: r.bleu for kind, r in results.items()},
        {kind: 100 * r.error_rate for kind, r in results.items() if r.error_rate is not None},
    )


def _save(name: str, results: dict[str, Result]) -> None:
    draft = FOLDER / f"{name}.json.new"
    draft.write_bytes(RESULTS.dump_json(results, indent=1))
    draft.replace(FOLDER / f"{name}.json")


def _load(name: str) -> dict[str, Result]:
    path = FOLDER / f"{name}.json"
    try:
        return RESULTS.validate_json(path.read_bytes())
    except ValueError:
        raise UserError(f"{path} is of another version or damaged: run `make compare` again") from None


def _result(kind: str) -> Result:
    """Run the pipeline in the copy of a kind, and read its reports."""
    folder = FOLDER / kind
    print(f"compare: attention {kind}, in {folder}", flush=True)
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": client.uri(),
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": "",  # the code is the copy's, in its folder
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    command = [sys.executable, "-m", "dvc", "repro", "evaluate"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=partial(processes.die_with, os.getpid()),
    ) as child:
        assert child.stdout is not None
        try:
            _pass_on(child.stdout)
        except KeyboardInterrupt:
            _pass_on(child.stdout)  # the stage has received the signal too, and is saving
            raise
    if child.returncode:
        raise UserError(f"compare: attention {kind} failed in {folder}, see above")
    return read_reports(folder)


def _pass_on(lines: Iterable[str]) -> None:
    for line in lines:
        if not CHATTER.match(line):
            print(line, end="", flush=True)


def read_reports(folder: Path) -> Result:
    """The result of an evaluated copy, from its reports."""
    metrics = json.loads((folder / paths.METRICS).read_text(encoding="utf-8"))
    with (folder / paths.SEGMENTS).open(encoding="utf-8") as segments:
        lengths = [json.loads(segment)["words"] for segment in segments]
    bins = []
    for row in _rows(folder / paths.LENGTHS):
        least, _, most = row["words"].partition("-")
        inside = [length for length in lengths if int(least) <= length <= int(most or least)]
        bins.append(Bin(row["words"], round(mean(inside), 2), float(row["bleu"])))
    name = metrics["frozen_set"]
    ours = metrics[name]
    return Result(
        ours["bleu"],
        ours["chrf"],
        bins,
        updates=int(_rows(folder / paths.CURVE)[-1]["update"]),
        test_digest=metrics["digests"][name],
        error_rate=ours.get("alignment_error_rate"),
        aligned=ours.get("aligned_sentences", 0),
    )


def _prepare(kind: str, data: Iterable[str], cache: Path) -> None:
    """Create or update the copy of a kind: a DVC project that shares this one's cache."""
    folder = FOLDER / kind
    (folder / ".dvc").mkdir(parents=True, exist_ok=True)
    inside = [Path(name) for name in data if not Path(name).is_absolute()]
    for path in inside:  # copies replace existing files
        if not (folder / path).resolve().is_relative_to(folder.resolve()):
            raise UserError(f"compare: {path} is outside of this project: name it by its absolute path")
    for path in dict.fromkeys([*COPIED, paths.PARAMS, *inside]):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file():
            shutil.copyfile(path, target)
    lines = ["[core]", "no_scm = true", "[cache]", f"dir = {cache}"]
    (folder / ".dvc/config.local").write_text("\n".join([*lines, ""]), encoding="utf-8")
    recipes.apply(None, [f"train.attention={kind}"], folder / paths.PARAMS)


def _dvc_cache() -> Path:
    found = subprocess.run(
        [sys.executable, "-m", "dvc", "cache", "dir"], capture_output=True, text=True, check=True
    )
    return Path(found.stdout.strip()).resolve()


def _rows(path: Path) -> Sequence[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train other kinds of attention, or load results, and show the scores; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=main.__doc__)
    parser.add_argument(
        "kinds",
        nargs="*",
        metavar="KIND",
        help="kinds to train and compare; default: none, or additive if the current kind is none",
    )
    parser.add_argument("--saved", nargs="*", metavar="NAME", help="show these stored results; default: all")
    parser.add_argument("--figure", type=Path, metavar="SVG", default=FIGURE, help=f"default: {FIGURE}")
    options = parser.parse_args(arguments)
    environment.configure_process()
    try:
        if options.figure.suffix not in FORMATS:
            raise UserError(f"--figure: {options.figure} must end in {', '.join(FORMATS)}")
        if options.kinds and options.saved is not None:
            raise UserError("give kinds to train, or --saved comparisons to show, not both")
        if options.saved is None:
            other = "additive" if params.load().train.attention == "none" else "none"
            compare(options.kinds or [other], options.figure)
        else:
            show(options.saved, options.figure)
    except (UserError, TransientError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1 if isinstance(error, TransientError) else 2
    except OSError as error:
        print(f"error: {disk.explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
