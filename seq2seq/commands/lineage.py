"""`seq2seq lineage`: what a model came from, and what came from a corpus, a file or a run.

Why: whoever finds a fault in a corpus must know which models hold it, and whoever serves a model what
is in it. All of it is asked of MLflow, so that it is told the same on any machine; nothing of the
workspace counts.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import takewhile
from typing import Any

from seq2seq.commands import printing
from seq2seq.common.errors import UserError
from seq2seq.common.masking import mask
from seq2seq.common.params import show
from seq2seq.common.workspace import DIGITS as TAGGED
from seq2seq.common.workspace import ELSEWHERE, FILES, files, known_tag
from seq2seq.tracking import client, promotions, registry
from seq2seq.tracking.client import connect, get_or_none, translate_errors
from seq2seq.tracking.records import CORPUS, RECREATED, Facts, of_corpus, of_run, of_version
from seq2seq.tracking.registry import NAME, VERDICT

HASH = re.compile(r"[0-9a-f]{7,64}(\.dir)?")
OURS = f"tags.`{CORPUS}` LIKE '%'"  # a server may keep other people's runs
EVERY, PAGE = 3, 1000  # MLflow's ViewType.ALL, and its most rows in one answer
NEAREST, NEWEST = 5, 200  # runs named to who asked for one that is not there, of so many

DIGITS, LISTED = 12, 10  # shown of a hash; files shown of a corpus
PACKAGES = (
    "torch",
    "sentencepiece",
    "sentencex",
    "sacrebleu",
    "datasets",
    "mlflow",
    "dvc",
    "prefect",
)  # shown
SCORES = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}


def run(options: argparse.Namespace) -> None:
    """Print what the command line asks for."""
    printing.show(trace(options.what), lines, options.json)


def trace(what: str) -> Facts:
    """All that MLflow knows of a model, a run, a corpus or a file, back to its origin and on to verdicts.

    `what` is models:/NAME@ALIAS, models:/NAME/VERSION, a run id, the hash of data/corpus, or the sha256
    of a file that went into a corpus; of the last three 7 digits will do. Returns the runs, each with the
    versions that came of it. Raises UserError for what is not there, naming what is.
    """
    registry.check_exists()
    if what.startswith("models:"):
        return _answer(what, "version", [_of_version(what)])
    if HASH.fullmatch(what) is None:
        raise UserError(
            f"{what!r} is no model, run or hash: write models:/NAME@ALIAS, models:/NAME/VERSION, or 7 "
            "or more digits of a run, of the hash of data/corpus (in dvc.lock), or of a file's sha256"
        )
    kind, runs = _search(what)
    return _answer(what, kind, [of_run(run, _versions(run), short=kind != "run") for run in runs])


def _search(what: str) -> tuple[str, list[Any]]:
    """The runs that digits stand for, and what they are: those of a run, a corpus or a file."""
    if runs := _find(f"attributes.run_id LIKE '{what}%' AND {OURS}"):
        _check_one(what, "runs", {run.info.run_id for run in runs})
        return "run", runs
    if runs := _find(f"tags.`{CORPUS}` LIKE '{what}%'"):
        _check_one(what, "corpora", {run.data.tags[CORPUS] for run in runs})
        return "corpus", runs
    # Of a run with too many files for its tag the list itself is read.
    named = f"tags.`{FILES}` LIKE '% {what[:TAGGED]}%'", f'tags.`{FILES}` = "{ELSEWHERE}"'
    runs = [run for wanted in named for run in _find(wanted) if _holds(run, what)]
    if runs:
        return "file", runs
    raise UserError(f"{what} is no run, corpus or file that {client.uri()} knows: {_nearest(what)}")


def _holds(run: Any, digest: str) -> bool:
    return any(file["sha256"].startswith(digest) for file in files(of_corpus(run)))


def _answer(what: str, kind: str, runs: list[Facts]) -> Facts:
    """The runs with what the registry and the promotion logs say of their versions now."""
    versions = [version for run in runs for version in run["versions"]]
    for name in {version["name"] for version in versions}:
        log = promotions.entries(name)
        with translate_errors():
            aliases = connect().get_registered_model(name).aliases
        for version in (one for one in versions if one["name"] == name):
            number = version["version"]
            version["aliases"] = sorted(alias for alias, at in aliases.items() if str(at) == number)
            version["log"] = [asdict(e) for e in log if number in (e.version, e.champion)]
    return {"asked": what, "kind": kind, "server": mask(client.uri()), "runs": runs}


def _of_version(what: str) -> Facts:
    """The run of a version, with that version alone."""
    match = NAME.fullmatch(what)
    if match is None:
        raise UserError(f"{what!r} is not a model: write models:/NAME@ALIAS or models:/NAME/VERSION")
    name, alias, number = match.group("name", "alias", "version")
    found = registry.version_by_alias(name, alias) if alias else registry.get_version(name, number)
    if found is None:
        raise UserError(f"{what} is not there: {registry.list_alternatives(name)}")
    with translate_errors():
        made = connect().get_model_version(name, found.version)
    run = get_or_none(lambda: connect().get_run(found.run_id))
    if run is None:  # a version outlives its run
        return {"run_id": found.run_id, "status": "gone", "versions": [of_version(made)]}
    return of_run(run, [made])


def _find(wanted: str, most: int | None = None) -> list[Any]:
    """Trainings of all experiments, the newest first, deleted ones too: their versions may serve."""
    with translate_errors():
        experiments = _all(lambda page: connect().search_experiments(EVERY, PAGE, page_token=page))
        ids, newest = [e.experiment_id for e in experiments], ["attributes.start_time DESC"]
        if most:
            return list(connect().search_runs(ids, wanted, EVERY, most, newest))
        return _all(lambda page: connect().search_runs(ids, wanted, EVERY, PAGE, newest, page))


def _versions(run: Any) -> list[Any]:
    """MLflow's versions that were registered from a run, or hold the very model that it made."""
    asked = [f"run_id = '{run.info.run_id}'"]
    if digest := run.data.tags.get("model_digest"):
        asked.append(f"tags.model_digest = '{digest}'")
    found = {}
    with translate_errors():
        for question in asked:
            for made in connect().search_model_versions(question, max_results=PAGE):
                found[made.name, int(made.version)] = made
    return [found[key] for key in sorted(found)]


def _all(ask: Callable[[str | None], Any]) -> list[Any]:
    """Everything that MLflow gives page by page."""
    page = ask(None)
    found = list(page)
    while page.token:
        page = ask(page.token)
        found += page
    return found


def _check_one(what: str, kind: str, found: set[str]) -> None:
    if len(found) > 1:
        raise UserError(f"{what} begins the names of several {kind}: {', '.join(sorted(found))}")


def _nearest(what: str) -> str:
    """Of the newest runs those whose names begin most like what was asked for."""

    def shared(run: Any) -> int:
        names = (run.info.run_id, run.data.tags[CORPUS], *(f["sha256"] for f in files(of_corpus(run))))
        pairs = (zip(what, name, strict=False) for name in names)
        return max(len(list(takewhile(lambda pair: pair[0] == pair[1], both))) for both in pairs)

    nearest = sorted(_find(OURS, NEWEST), key=shared, reverse=True)[:NEAREST]
    if not nearest:
        return "it knows no training at all"
    listed = [
        f"{r.info.run_id} ({r.data.tags.get('mlflow.runName')}, {r.data.tags[CORPUS]})" for r in nearest
    ]
    return "\n  ".join(["the nearest of the newest runs (with their corpora) are:", *listed])


# --- for a person ---------------------------------------------------------------------------------


def lines(found: Facts) -> Iterator[str]:
    """What `trace` found, as text."""
    if found["kind"] in ("version", "run"):
        [run] = found["runs"]
        yield found["asked"] if found["kind"] == "version" else f"run {run['run_id']}"
        rows = [row for row in _rows(run) if row[1]]
        width = max(len(label) for label, _ in rows)
        for label, texts in rows:
            for number, text in enumerate(texts):
                yield f"  {'' if number else label:<{width}}  {text}"
        return
    # Other files may have come to the same data/corpus.
    corpora: dict[str, list[Facts]] = {}
    for run in found["runs"]:
        corpora.setdefault(json.dumps(run["corpus"], sort_keys=True), []).append(run)
    for runs in corpora.values():
        first, *more = _format_corpus(runs[0]["corpus"])
        yield f"corpus {first}"
        yield from (f"  {text}" for text in more)
        for run in runs:
            yield f"  run {run['run_id']}  {_format_run(run)}"
            for version in run["versions"]:
                first, *more = _format_version(version)
                yield f"    {version['name']} version {version['version']}{first}"
                yield from (f"      {text}" for text in more)


def _rows(run: Facts) -> Iterator[tuple[str, list[str]]]:
    """Labels and lines for a run in full."""
    if "corpus" in run:
        yield "corpus", list(_format_corpus(run["corpus"]))
        yield "code", [_format_code(run)]
        yield "parameters", list(_format_params(run))
        yield "dvc.lock", [run["lock_sha256"][:DIGITS]] if run["lock_sha256"] else []
        yield "packages", [_format_packages(run)] if run["packages"] else []
        machine = run["machine"]
        yield "machine", [f"Python {machine['python']}, {machine['system']}"] if machine else []
        yield "flow run", [run["flow_run"]] if run["flow_run"] else []
        yield "run", [run["run_id"], _format_run(run), run["place"] or ""]
    else:
        yield "run", [f"{run['run_id']} is gone from the server, and with it what it recorded"]
        [version] = run["versions"]
        about = (known_tag(version["tags"].get(f"corpus.{key}")) for key in ("id", "revision"))
        yield "corpus", [", revision ".join(filter(None, about))]
    for version in run["versions"]:
        first, *more = _format_version(version)
        yield f"version {version['version']}", [f"{version['name']}{first}", *more]
    if not run["versions"]:
        yield "versions", ["none: this model was never registered"]


def _format_corpus(corpus: Facts) -> Iterator[str]:
    about = [f"{key} {corpus[key]}" for key in ("revision", "licence") if corpus.get(key)]
    yield ", ".join([f"{corpus.get('id') or corpus.get('path')}", *about])
    yield f"data/corpus {corpus['hash']}"
    named = [f"{file['sha256'][:DIGITS]}  {file['name']}" for file in files(corpus)]
    yield from named[:LISTED]
    if len(named) > LISTED:
        yield f"and {len(named) - LISTED:,} more files, with --json"
    if rows := corpus.get("rows"):
        yield "rows: " + ", ".join(f"{count:,} {name}" for name, count in rows.items())


def _format_code(run: Facts) -> str:
    changed = {"true": ", with changes: git.diff among the run's files", "false": ""}
    told = changed.get(run["dirty"], ", of which nobody knows whether it is all")
    again = " (not of the training: of when this server got its record again)"
    return f"commit {run['commit']}{told}{again if run['described'] == RECREATED else ''}"


def _format_params(run: Facts) -> Iterator[str]:
    if run["recipe"] is None:
        yield f"{len(run['params'])} values, with --json; the recipe was not recorded"
        return
    changes = run["recipe_changes"]
    yield f"recipe {run['recipe']}" + (f" with {len(changes)} changed:" if changes else "")
    for key, (theirs, ours) in changes.items():
        yield f"{key}: {show(theirs)} -> {show(ours)}"


def _format_packages(run: Facts) -> str:
    named = [f"{name} {run['packages'][name]}" for name in PACKAGES if name in run["packages"]]
    return f"{', '.join(named)}; all {len(run['packages'])} with --json"


def _format_run(run: Facts) -> str:
    return f"{run['name']}, {run['status']}, began {_minute(run['began'])}"


def _format_version(version: Facts) -> Iterator[str]:
    tags, aliases = version["tags"], version["aliases"]
    scores = [f"{label} {float(tags[key]):.2f}" for key, label in SCORES.items() if key in tags]
    on = f" on {tags['frozen_set']} {tags['frozen_digest'][:DIGITS]}" if "frozen_set" in tags else ""
    named = f" ({', '.join(aliases)})" if aliases else ""
    yield f"{named}: {', '.join(scores)}{on}"
    made = f"model {tags.get('model_digest', '')[:DIGITS]}, registered {_minute(version['registered'])}"
    changed = " with changes" if tags.get("git.dirty") == "true" else ""
    yield f"{made} at commit {tags.get('git.commit', 'unknown')[:DIGITS]}{changed}"
    for entry in version["log"]:
        what = _format_decision(entry, about=version["version"])
        what += "" if entry["state"] == "done" else f" ({entry['state']})"
        yield f"{_minute(entry['when'])}  {what} by {entry['who']}: {entry['reason']}"
    if not version["log"] and VERDICT in tags:
        yield f"{tags[VERDICT]}: {tags.get(promotions.REASON, '')}"


def _format_decision(entry: Facts, about: str) -> str:
    """What a decision of the log did to the version it is told of, which is one of the two it names."""
    what, version = entry["outcome"], entry["version"]
    if what == promotions.ROLLED_BACK:  # the entry's version is the one gone back to
        return promotions.RESTORED if version == about else f"{what}, version {version} took its place"
    if version == about:
        return str(what)
    return f"version {version} {what} {'in its place' if what in promotions.MOVES else 'against it'}"


def _minute(moment: str) -> str:
    return f"{moment[:16].replace('T', ' ')} UTC"
