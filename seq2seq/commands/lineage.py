"""`seq2seq lineage`: the origin of a model, and the models made from a corpus, a file or a run.

Why: after an error in a corpus, all models that contain it must be found, and for a model all its inputs. All
facts come from MLflow, not from the workspace, so the output is the same on any machine.
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
from seq2seq.common.workspace import ELSEWHERE, FILES, files, tag_value
from seq2seq.tracking import client, outbox, promotions, registry
from seq2seq.tracking.client import connect, get_or_none, translate_errors
from seq2seq.tracking.records import CORPUS, RECREATED, Facts, of_corpus, of_run, of_version
from seq2seq.tracking.registry import NAME, VERDICT

HASH = re.compile(r"[0-9a-f]{7,64}(\.dir)?")
OURS = f"tags.`{CORPUS}` LIKE '%'"  # a server may have runs of other projects
EVERY, PAGE = 3, 1000  # MLflow's ViewType.ALL, and its maximal size of a page
NEAREST, NEWEST = 5, 200  # runs listed in an error, of the newest so many

DIGITS, LISTED = 12, 10  # shown: digits of a hash; files of a corpus
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
STARTED = f"weights of {{model}} version {{version}}, model {{digest:.{DIGITS}}}"
SCORES = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    printing.show(trace(options.subject), lines, options.json)


def trace(subject: str) -> Facts:
    """MLflow's records of a model, a run, a corpus or a file, from the corpus to the verdicts.

    `subject` is models:/NAME@ALIAS, models:/NAME/VERSION, a run id, the hash of data/corpus, or the sha256 of
    a file of a corpus; of the last three, 7 digits are enough. Returns the runs, each with its versions.
    Raises UserError, with alternatives, for an unknown subject.
    """
    registry.check_exists()
    outbox.deliver_all()
    if subject.startswith("models:"):
        return _answer(subject, "version", [_of_version(subject)])
    if HASH.fullmatch(subject) is None:
        raise UserError(
            f"{subject!r} is no model, run or hash: write models:/NAME@ALIAS, models:/NAME/VERSION, or 7 "
            "or more digits of a run, of the hash of data/corpus (in dvc.lock), or of a file's sha256"
        )
    kind, runs = _search(subject)
    return _answer(subject, kind, [of_run(run, _versions(run), short=kind != "run") for run in runs])


def _search(subject: str) -> tuple[str, list[Any]]:
    """The kind of object that digits identify (run, corpus or file), and its runs."""
    if runs := _find(f"attributes.run_id LIKE '{subject}%' AND {OURS}"):
        _check_one(subject, "runs", {run.info.run_id for run in runs})
        return "run", runs
    if runs := _find(f"tags.`{CORPUS}` LIKE '{subject}%'"):
        _check_one(subject, "corpora", {run.data.tags[CORPUS] for run in runs})
        return "corpus", runs
    # For a run with too many files for its tag, the list itself is read.
    named = f"tags.`{FILES}` LIKE '% {subject[:TAGGED]}%'", f'tags.`{FILES}` = "{ELSEWHERE}"'
    runs = [run for wanted in named for run in _find(wanted) if _holds(run, subject)]
    if runs:
        return "file", runs
    raise UserError(f"{subject} is no run, corpus or file of {client.uri()}: {_nearest(subject)}")


def _holds(run: Any, digest: str) -> bool:
    return any(file["sha256"].startswith(digest) for file in files(of_corpus(run)))


def _answer(subject: str, kind: str, runs: list[Facts]) -> Facts:
    """The runs, with aliases and promotion log of their versions added."""
    versions = [version for run in runs for version in run["versions"]]
    for name in {version["name"] for version in versions}:
        log = promotions.entries(name)
        with translate_errors():
            aliases = connect().get_registered_model(name).aliases
        for version in (one for one in versions if one["name"] == name):
            number = version["version"]
            version["aliases"] = sorted(alias for alias, at in aliases.items() if str(at) == number)
            version["log"] = [asdict(e) for e in log if number in (e.version, e.champion)]
    return {"subject": subject, "kind": kind, "server": mask(client.uri()), "runs": runs}


def _of_version(subject: str) -> Facts:
    """The run of a version, with that version alone."""
    match = NAME.fullmatch(subject)
    if match is None:
        raise UserError(f"{subject!r} is not a model: write models:/NAME@ALIAS or models:/NAME/VERSION")
    name, alias, number = match.group("name", "alias", "version")
    found = registry.version_by_alias(name, alias) if alias else registry.get_version(name, number)
    if found is None:
        raise UserError(f"{subject} does not exist: {registry.list_alternatives(name)}")
    with translate_errors():
        made = connect().get_model_version(name, found.version)
    run = get_or_none(lambda: connect().get_run(found.run_id))
    if run is None:  # a version can outlive its run
        return {"run_id": found.run_id, "status": "gone", "versions": [of_version(made)]}
    return of_run(run, [made])


def _find(wanted: str, most: int | None = None) -> list[Any]:
    """Trainings of all experiments, newest first, also deleted ones: their versions may serve."""
    with translate_errors():
        experiments = _all(lambda page: connect().search_experiments(EVERY, PAGE, page_token=page))
        ids, newest = [e.experiment_id for e in experiments], ["attributes.start_time DESC"]
        if most:
            return list(connect().search_runs(ids, wanted, EVERY, most, newest))
        return _all(lambda page: connect().search_runs(ids, wanted, EVERY, PAGE, newest, page))


def _versions(run: Any) -> list[Any]:
    """MLflow's versions registered from a run, or with the same model."""
    queries = [f"run_id = '{run.info.run_id}'"]
    if digest := run.data.tags.get("model_digest"):
        queries.append(f"tags.model_digest = '{digest}'")
    found = {}
    with translate_errors():
        for query in queries:
            for made in connect().search_model_versions(query, max_results=PAGE):
                found[made.name, int(made.version)] = made
    return [found[key] for key in sorted(found)]


def _all(get: Callable[[str | None], Any]) -> list[Any]:
    """All items of MLflow's pages."""
    page = get(None)
    found = list(page)
    while page.token:
        page = get(page.token)
        found += page
    return found


def _check_one(subject: str, kind: str, found: set[str]) -> None:
    if len(found) > 1:
        raise UserError(f"{subject} is the beginning of several {kind}: {', '.join(sorted(found))}")


def _nearest(subject: str) -> str:
    """A message with those of the newest runs whose ids or hashes share the longest beginning."""

    def shared(run: Any) -> int:
        names = (run.info.run_id, run.data.tags[CORPUS], *(f["sha256"] for f in files(of_corpus(run))))
        pairs = (zip(subject, name, strict=False) for name in names)
        return max(len(list(takewhile(lambda pair: pair[0] == pair[1], both))) for both in pairs)

    nearest = sorted(_find(OURS, NEWEST), key=shared, reverse=True)[:NEAREST]
    if not nearest:
        return "it has no training"
    listed = [
        f"{r.info.run_id} ({r.data.tags.get('mlflow.runName')}, {r.data.tags[CORPUS]})" for r in nearest
    ]
    return "\n  ".join(["the most similar of the newest runs (with their corpora) are:", *listed])


# --- as text ---------------------------------------------------------------------------------


def lines(found: Facts) -> Iterator[str]:
    """The result of `trace` as text."""
    if found["kind"] in ("version", "run"):
        [run] = found["runs"]
        yield found["subject"] if found["kind"] == "version" else f"run {run['run_id']}"
        rows = [row for row in _rows(run) if row[1]]
        width = max(len(label) for label, _ in rows)
        for label, texts in rows:
            for number, text in enumerate(texts):
                yield f"  {'' if number else label:<{width}}  {text}"
        return
    # Different files may give the same data/corpus.
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
    """Labels and lines of one run."""
    if "corpus" in run:
        yield "corpus", list(_format_corpus(run["corpus"]))
        yield "start", [STARTED.format(**run["start"])] if run["start"] else []
        yield "code", [_format_code(run)]
        yield "parameters", list(_format_params(run))
        yield "dvc.lock", [run["lock_sha256"][:DIGITS]] if run["lock_sha256"] else []
        yield "packages", [_format_packages(run)] if run["packages"] else []
        machine = run["machine"]
        yield "machine", [f"Python {machine['python']}, {machine['system']}"] if machine else []
        yield "flow run", [run["flow_run"]] if run["flow_run"] else []
        yield "run", [run["run_id"], _format_run(run), run["place"] or ""]
    else:
        yield "run", [f"{run['run_id']} is deleted from the server, with its record"]
        [version] = run["versions"]
        about = (tag_value(version["tags"].get(f"corpus.{key}")) for key in ("id", "revision"))
        yield "corpus", [", revision ".join(filter(None, about))]
    for version in run["versions"]:
        first, *more = _format_version(version)
        yield f"version {version['version']}", [f"{version['name']}{first}", *more]
    if not run["versions"]:
        yield "versions", ["none: this model is not registered"]


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
    state = changed.get(run["dirty"], ", unknown whether with changes")
    again = " (not of the training, but of the recreation of its record on this server)"
    return f"commit {run['commit']}{state}{again if run['described'] == RECREATED else ''}"


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
        decision = _format_decision(entry, about=version["version"])
        decision += "" if entry["state"] == "done" else f" ({entry['state']})"
        yield f"{_minute(entry['when'])}  {decision} by {entry['who']}: {entry['reason']}"
    if not version["log"] and VERDICT in tags:
        yield f"{tags[VERDICT]}: {tags.get(promotions.REASON, '')}"


def _format_decision(entry: Facts, about: str) -> str:
    """A log entry from the view of one of its two versions."""
    outcome, version = entry["outcome"], entry["version"]
    if outcome == promotions.ROLLED_BACK:  # the entry's version is the restored one
        return promotions.RESTORED if version == about else f"{outcome}, version {version} replaced it"
    if version == about:
        return str(outcome)
    return f"version {version} {outcome} {'in its place' if outcome in promotions.MOVES else 'against it'}"


def _minute(moment: str) -> str:
    return f"{moment[:16].replace('T', ' ')} UTC"
