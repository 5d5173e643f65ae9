"""What the report and the card show: the files of a run, read, checked against one another, put in order.

Why: a page is only as honest as its facts. What is about another version than the one that is registered
here is left out and said to be; what the corpus holds is made harmless before anything else sees it.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seq2seq.common import paths, workspace
from seq2seq.common.errors import UserError
from seq2seq.common.params import Params, Promote, flatten
from seq2seq.gate.policy import significance_of_one
from seq2seq.report import charts

FILES = {
    "metrics": paths.METRICS,
    "evidence": paths.EVIDENCE,
    "verdict": paths.VERDICT,
    "curve": paths.CURVE,
    "slices": paths.SLICES,
    "samples": paths.SAMPLES,
    "cleaning": paths.CLEANING,
    "dropped": paths.DROPPED,
    "contamination": paths.CONTAMINATION,
    "tokenizer": paths.COVERAGE,
    "provenance": paths.PROVENANCE,
    "registration": paths.REGISTRATION,
    "run": paths.RUN,
}
METRICS = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
PACKAGES = ("torch", "sentencepiece", "sentencex", "sacrebleu", "datasets", "dvc", "mlflow", "prefect")
LONGEST_TEXT = 1000  # characters shown of any text

# What would steer a terminal or a browser, or turn the order of others' letters, is shown as a sign.
UNSAFE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {0x7F: 0x2421}
UNSAFE |= dict.fromkeys(
    [*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)], 0xFFFD
)
UNSAFE |= dict.fromkeys([0xFFFE, 0xFFFF], 0xFFFD)


def gather(checked: Params) -> dict[str, Any]:
    """All that lies on disk, as the templates want it; raises UserError for a file that is not readable."""
    return view({name: read(path) for name, path in FILES.items()}, checked)


def read(path: Path) -> Any:
    """What a report's file holds, its texts made harmless to look at; None if it is not there."""
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            return harmless(list(csv.DictReader(text.splitlines())))
        return harmless(json.loads(text))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error}): delete it and make it again") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON ({error}): delete it and make it again") from None


def harmless(value: Any) -> Any:
    """The same value with every text in it cut at a length, its control characters shown as signs."""
    if isinstance(value, str):
        return (value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…").translate(UNSAFE)
    if isinstance(value, Mapping):
        return {harmless(key): harmless(item) for key, item in value.items()}
    return [harmless(item) for item in value] if isinstance(value, list) else value


def view(found: Mapping[str, Any], checked: Params) -> dict[str, Any]:
    """What the templates show, None for what there is nothing to show of."""
    metrics, evidence, verdict, notes = found["metrics"], found["evidence"], found["verdict"], []
    if metrics and "frozen_set" not in metrics:
        raise UserError(f"{paths.METRICS} names no frozen set, older code wrote it: `dvc repro evaluate`")
    registration = found["registration"] or {"name": checked.register.name, "version": None}
    mine = (registration["name"], registration["version"])
    if metrics and metrics["model_digest"] != registration.get("model_digest", metrics["model_digest"]):
        notes.append(f"{paths.METRICS} scores another model than the one that is registered.")
    if verdict and (verdict["name"], verdict["version"]) != mine:
        notes.append(f"{paths.VERDICT} judges {verdict['name']} version {verdict['version']}: left out.")
        verdict = None
    if evidence and not _about(evidence, registration, metrics):
        notes.append(f"{paths.EVIDENCE} is about {evidence['challenger']['uri']} on other scores: left out.")
        evidence = None
    if evidence and verdict:
        # A check that holds its floor may have lost against the champion: the verdict says so.
        judged = {one["name"]: one["ok"] for one in verdict["criteria"]}
        checks = [{**c, "ok": judged.get(f"behaviour {c['check']}", c["ok"])} for c in evidence["behaviour"]]
        evidence = {**evidence, "behaviour": checks}
    registered_with = verdict and verdict["origin"].get("params.sha256")
    if registered_with and registered_with != workspace.params_digest(checked):
        then = f"version {registration['version']} was registered"
        notes.append(f"{paths.PARAMS} has changed since {then}: parameters are told as they are now.")
    if registration["version"] and not verdict:
        notes.append("Not judged: commit, dvc.lock and flow run are told of this folder as it is now.")
    origin = (verdict and verdict["origin"]) or {
        "git.commit": workspace.commit(),
        "git.dirty": workspace.dirty(),
        "dvc.lock.sha256": workspace.lock_digest(),
        "prefect.flow_run_id": workspace.flow_run(),
    }
    return {
        "name": registration["name"],
        "version": registration["version"],
        "params": checked,
        "flat_params": harmless(flatten(checked.model_dump())),
        "notes": notes,
        "verdict": verdict,
        "evidence": evidence,
        "metrics": metrics,
        "sets": evaluation_sets(metrics) if metrics else {},
        "frozen": metrics[metrics["frozen_set"]] if metrics else None,
        "panels": panels(metrics, evidence) if metrics else [],
        "comparison": comparison(evidence, checked.promote),
        "slices": slices(evidence, found["slices"], checked.promote),
        "curve": charts.curve(found["curve"]) if found["curve"] else None,
        "samples": [(sample, charts.attention(sample)) for sample in found["samples"] or []],
        "changes": changes(evidence),
        "cleaning": found["cleaning"],
        "dropped": grouped(found["dropped"] or [], "split", "reason"),
        "contamination": found["contamination"],
        "hits": grouped((found["contamination"] or {}).get("hits", []), "set", "kind"),
        "tokenizer": found["tokenizer"],
        "provenance": found["provenance"],
        "run": found["run"],
        "commit": origin["git.commit"],
        "dirty": origin["git.dirty"],
        "lock": origin["dvc.lock.sha256"],
        "flow_run": workspace.known_tag(origin["prefect.flow_run_id"]),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}},
        "METRICS": METRICS,
    }


def _about(evidence: Mapping[str, Any], registration: Mapping[str, Any], metrics: Any) -> bool:
    """Whether the evidence is of the registered version and of the scores that lie here."""
    same = str(evidence["challenger"]["version"]) == str(registration["version"])
    return same and (metrics is None or evidence["metrics"]["model_digest"] == metrics["model_digest"])


def evaluation_sets(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Scores by evaluation set, the frozen one first."""
    frozen = metrics["frozen_set"]
    return {frozen: metrics[frozen]} | {name: metrics[name] for name in metrics["digests"]}


def panels(metrics: Mapping[str, Any], evidence: Any) -> list[dict[str, Any]]:
    """For each metric an axis and, set by set, the score with its interval and the champion's score."""
    drawn = []
    theirs = _scores(evidence, "champion")
    for key, name in METRICS.items():
        rows = [
            {
                "set": label,
                "frozen": label == metrics["frozen_set"],
                "value": scores[key],
                "low": scores[f"{key}_low"],
                "high": scores[f"{key}_high"],
                "champion": theirs.get(key) if label == metrics["frozen_set"] else None,
            }
            for label, scores in evaluation_sets(metrics).items()
        ]
        values = [row[column] for row in rows for column in ("value", "low", "high", "champion")]
        drawn.append({"key": key, "name": name, "rows": rows, "axis": charts.axis(values, ticks=3)})
    return drawn


def comparison(evidence: Any, policy: Promote) -> list[dict[str, Any]]:
    """For each metric both versions' scores, the difference, its p and whether it is good or bad."""
    if not (evidence and evidence["tests"]):
        return []
    rows = []
    for key, name in METRICS.items():
        test = evidence["tests"][key]
        gain = -test["delta"] if key == "ter" else test["delta"]  # of errors, fewer are better
        scores = {side: _scores(evidence, side).get(key) for side in ("challenger", "champion")}
        rows.append(
            {"key": key, "name": name, **scores, **test, "tone": tone(gain, test["p"], policy.significance)}
        )
    return rows


def tone(gain: float | None, p: float | None, significance: float) -> str:
    """A difference is good or bad if it hardly came about by chance; else it is neither ("")."""
    if gain is None or p is None or not p < significance:
        return ""
    return "good" if gain > 0 else "bad"


def _scores(evidence: Any, side: str) -> dict[str, float]:
    return (evidence and evidence[side] and evidence[side]["scores"]) or {}


def slices(evidence: Any, table: Any, policy: Promote) -> dict[str, Any] | None:
    """BLEU by slice, against the champion's if there is evidence, and chrF, with an axis for all rows."""
    chrf = {row["slice"]: float(row["chrf"]) for row in table or []}
    if evidence and evidence["slices"]:
        rows = [{**row, "chrf": chrf.get(row["slice"])} for row in evidence["slices"]]
    else:
        unknown = dict.fromkeys(("champion", "delta", "p"))
        rows = [
            {"slice": row["slice"], "sentences": int(row["sentences"]), "challenger": float(row["bleu"])}
            | {**unknown, "chrf": chrf[row["slice"]]}
            for row in table or []
        ]
    if not rows:
        return None
    chance = significance_of_one(policy, [row["sentences"] for row in rows])
    for row in rows:
        large = row["sentences"] >= policy.smallest_slice
        row["tone"] = tone(row["delta"], row["p"], chance) if large else ""
    values = [row[side] for row in rows for side in ("challenger", "champion")]
    return {
        "rows": rows,
        "axis": charts.axis(values),
        "compared": any(r["champion"] is not None for r in rows),
    }


def changes(evidence: Any) -> dict[str, list[dict[str, Any]]]:
    """The worst regressions and the best gains with their differing words marked."""
    shown: dict[str, list[dict[str, Any]]] = {"regressions": [], "gains": []}
    for kind, rows in shown.items():
        for row in (evidence or {}).get(kind, []):
            both = charts.differences(row["champion"], row["challenger"], row["reference"])
            delta = row["challenger_chrf"] - row["champion_chrf"]
            rows.append({**row, "champion_runs": both[0], "challenger_runs": both[1], "delta": delta})
    return shown


def grouped(rows: Sequence[Mapping[str, Any]], *keys: str) -> dict[tuple[str, ...], list[Any]]:
    """Rows by their values of `keys`, in the order they come in."""
    groups: defaultdict[tuple[str, ...], list[Any]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return dict(groups)
