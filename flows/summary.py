"""The first line of a run and its last screen: the model, its scores, and the next commands.

Why: a newcomer should own a translator after one command, know what it is worth, and know the next.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seq2seq.common import masking, paths, workspace
from seq2seq.common.schema import Params
from seq2seq.tracking import client, sqlite_store

# The state of a version after a verdict; after any other it is champion.
WHAT = {"kept": "challenger", "waiting": "waits for approval", "rejected": "rejected"}
KINDS = {"short": "a short sentence", "longest": "the longest", "reordered": "the most reordered"}


def first_line(current: Params, recipes: Path = paths.RECIPES) -> str:
    """Which recipe params.yaml is, which corpus it names and which model it makes."""
    sources = current.ingest.sources
    corpus = ", ".join(sources[name].path for name in current.ingest.training_sources)
    return f"{closest_recipe(current, recipes)}: {corpus} -> {current.register.name}"


def closest_recipe(current: Params, recipes: Path = paths.RECIPES) -> str:
    """`grammar`, or `grammar + 2 changes`: the recipe that params.yaml differs from least."""
    found = workspace.closest_recipe(current, recipes)
    if found is None:
        return "params.yaml"
    name, differing = found
    changes = len(differing)
    return name if not changes else f"{name} + {changes} change{'s' * (changes > 1)}"


def last_screen(summary: Mapping[str, Any], verdict: str, *, full: bool) -> Iterator[str]:
    """reports/summary.json as lines; `verdict` is promote's, `full` draws attention as well."""
    yield ""
    yield (
        f"{summary['name']} version {summary['version']} ({WHAT.get(verdict, 'champion')}): "
        f"BLEU {summary['bleu']:.1f}, chrF {summary['chrf']:.1f}; {summary['contaminated']:,} of "
        f"{summary['sentences']:,} {summary['frozen_set']} sentences in training, exactly or nearly"
    )
    if summary["corpus_kind"] == "grammar":
        yield "(the corpus is synthetic: these scores check the machine, not what it learns of real language)"
    for sample in summary["samples"]:
        yield ""
        yield f"  {KINDS.get(sample['kind'], sample['kind']):<18} {sample['source']}"
        yield f"  {'translated':<18} {sample['hypothesis']}"
        yield f"  {'reference':<18} {sample['reference']}"
        if full and sample["kind"] == "reordered" and sample.get("drawing"):
            yield ""
            yield from ("    " + line for line in sample["drawing"].splitlines())
    yield ""
    yield from _next_steps(summary, verdict)


def _next_steps(summary: Mapping[str, Any], verdict: str) -> Iterator[str]:
    uri = client.uri()
    database = sqlite_store.sqlite_file(uri)
    if database is None:
        look = masking.mask(uri)
    else:
        address = f"sqlite:///{os.path.relpath(database)}"
        look = f"{command('mlflow')} ui --workers 1 --backend-store-uri {address}"
    sentence = summary["samples"][0]["source"] if summary["samples"] else "..."
    which = "--model model " if verdict in ("rejected", "waiting") else ""
    tried = f"the {verdict} model itself" if which else ""
    approve = f"{command('seq2seq')} approve {summary['version']} --reason ..."
    steps = [
        ("look", look, "runs: Experiments; versions: Models"),
        ("", str(paths.REPORT), "the verdict and all figures; pictures beside it"),
        *([("decide", approve, "makes it the champion")] if verdict == "waiting" else []),
        ("try", f"{command('seq2seq')} translate {which}{shlex.quote(sentence)}", tried),
        ("next", "make run RECIPE=local SET=ingest.path=FILE", "your own corpus: two columns"),
        ("", "make run RECIPE=multi30k", "a real corpus"),
    ]
    width = max(len(text) for _, text, note in steps if note)
    margin = max(5, *(len(word) for word, _, _ in steps))
    for word, text, note in steps:
        yield f"{word:<{margin}} {text:<{width}}  {note}".rstrip()


def command(name: str) -> str:
    """How to call a console script of this environment from the current folder."""
    folder = Path(sys.executable).parent
    if str(folder) in os.environ.get("PATH", "").split(os.pathsep):
        return name
    script = folder / name
    return str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script)
