"""The context of the report and card templates: the files of a run, read, checked against each other, sorted.

Why: files about another version than the registered one must not be shown as facts about it; they are left
out, with a note. Texts of the corpus are sanitized on reading.
"""

from __future__ import annotations

import csv
import json
import sys
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seq2seq.common import acceptance, paths, workspace
from seq2seq.common.errors import UserError
from seq2seq.common.params import flatten
from seq2seq.common.schema import Params, Promote
from seq2seq.gate.policy import significance_of_one, with_outcome
from seq2seq.report import charts

FILES = {
    "metrics": paths.METRICS,
    "evidence": paths.EVIDENCE,
    "verdict": paths.VERDICT,
    "curve": paths.CURVE,
    "slices": paths.SLICES,
    "confidence": paths.CONFIDENCE,
    "samples": paths.SAMPLES,
    "cleaning": paths.CLEANING,
    "dropped": paths.DROPPED,
    "contamination": paths.CONTAMINATION,
    "tokenizer": paths.COVERAGE,
    "provenance": paths.PROVENANCE,
    "registration": paths.REGISTRATION,
    "run": paths.RUN,
    "drift": paths.DRIFT,
    "costs": paths.COSTS,
}
METRICS = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
PACKAGES = ("torch", "sentencepiece", "sentencex", "sacrebleu", "datasets", "dvc", "mlflow", "prefect")
LONGEST_TEXT = 1000  # characters shown per text

# Characters that control a terminal, a browser or the direction of text are replaced by visible signs.
CONTROL_CHARACTERS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {0x7F: 0x2421}
CONTROL_CHARACTERS |= dict.fromkeys(
    [*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)], 0xFFFD
)
CONTROL_CHARACTERS |= dict.fromkeys([0xFFFE, 0xFFFF], 0xFFFD)


def build_context(checked: Params) -> dict[str, Any]:
    """The context from the files on disk; raises UserError for an unreadable file."""
    return view({name: read(path) for name, path in FILES.items()}, checked)


def read(path: Path) -> Any:
    """The content of a report's file, its texts sanitized; None if it is missing."""
    if not path.is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".csv":
            return sanitize(list(csv.DictReader(text.splitlines())))
        return sanitize(json.loads(text))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 ({error}): delete it and run the stage again") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON ({error}): delete it and run the stage again") from None


def sanitize(value: Any) -> Any:
    """The same value with every text in it cut to a length and control characters made visible."""
    if isinstance(value, str):
        return (value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…").translate(
            CONTROL_CHARACTERS
        )
    if isinstance(value, Mapping):
        return {sanitize(key): sanitize(item) for key, item in value.items()}
    return [sanitize(item) for item in value] if isinstance(value, list) else value


def view(found: Mapping[str, Any], checked: Params) -> dict[str, Any]:
    """The templates' variables; None or empty where data is missing."""
    metrics, evidence, verdict, notes = found["metrics"], found["evidence"], found["verdict"], []
    if metrics and "frozen_set" not in metrics:
        raise UserError(
            f"{paths.METRICS} has no frozen set, an earlier release wrote it: `dvc repro evaluate`"
        )
    registration = found["registration"] or {"name": checked.register.name, "version": None}
    mine = (registration["name"], registration["version"])
    if verdict:
        verdict = with_outcome(verdict)
    if metrics and metrics["model_digest"] != registration.get("model_digest", metrics["model_digest"]):
        notes.append(f"{paths.METRICS} is about another model than the registered one.")
    if verdict and (verdict["name"], verdict["version"]) != mine:
        notes.append(f"{paths.VERDICT} is about {verdict['name']} version {verdict['version']}: left out.")
        verdict = None
    if evidence and not _about(evidence, registration, metrics):
        notes.append(f"{paths.EVIDENCE} is about {evidence['challenger']['uri']} on other scores: left out.")
        evidence = None
    if evidence and verdict:
        # A check above its threshold may have lost against the champion: only the verdict has that.
        judged = {one["name"]: one["ok"] for one in verdict["criteria"]}
        checks = [{**c, "ok": judged.get(f"behaviour {c['check']}", c["ok"])} for c in evidence["behaviour"]]
        evidence = {**evidence, "behaviour": checks}
    registered_with = verdict and verdict["origin"].get("params.sha256")
    if registered_with and registered_with != workspace.params_digest(checked):
        then = f"version {registration['version']} was registered"
        notes.append(f"{paths.PARAMS} has changed since {then}: the parameters below are the current ones.")
    if registration["version"] and not verdict:
        notes.append("Not judged yet: commit, dvc.lock and flow run below are those of this folder now.")
    notes += [sanitize(acceptance.sentence(one)) for one in acceptance.read()]
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
        "flat_params": sanitize(flatten(checked.model_dump())),
        "notes": notes,
        "verdict": verdict,
        "evidence": evidence,
        "metrics": metrics,
        "sets": evaluation_sets(metrics) if metrics else {},
        "frozen": metrics[metrics["frozen_set"]] if metrics else None,
        "panels": panels(metrics, evidence) if metrics else [],
        "comparison": comparison(evidence, checked.promote),
        "slices": slices(evidence, found["slices"], checked.promote),
        "confidence": found["confidence"],
        "curve": charts.curve(found["curve"]) if found["curve"] else None,
        "samples": [(sample, picture(sample.get("picture"))) for sample in found["samples"] or []],
        "changes": changes(evidence),
        "cleaning": found["cleaning"],
        "dropped": grouped(found["dropped"] or [], "split", "reason"),
        "contamination": found["contamination"],
        "hits": grouped((found["contamination"] or {}).get("hits", []), "set", "kind"),
        "tokenizer": found["tokenizer"],
        "provenance": found["provenance"],
        "run": found["run"],
        "drift": _drift(found["drift"]),
        "costs": found["costs"],
        "commit": origin["git.commit"],
        "dirty": origin["git.dirty"],
        "lock": origin["dvc.lock.sha256"],
        "flow_run": workspace.tag_value(origin["prefect.flow_run_id"]),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in PACKAGES}},
        "METRICS": METRICS,
    }


def picture(name: str | None) -> str:
    """A file of reports/pictures as a data URI, because the page loads nothing; empty without the file."""
    path = paths.PICTURES / Path(name or "none").name
    return f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}" if path.is_file() else ""


def _about(evidence: Mapping[str, Any], registration: Mapping[str, Any], metrics: Any) -> bool:
    """Whether the evidence is about the registered version and the scores in this folder."""
    same = str(evidence["challenger"]["version"]) == str(registration["version"])
    return same and (metrics is None or evidence["metrics"]["model_digest"] == metrics["model_digest"])


def _drift(found: Any) -> Any:
    """The comparison with the champion's corpus; None if it is about another corpus."""
    return found if found and found["profile"] == workspace.file_digest(paths.PROFILE) else None


def evaluation_sets(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Scores by evaluation set, the frozen one first."""
    frozen = metrics["frozen_set"]
    return {frozen: metrics[frozen]} | {name: metrics[name] for name in metrics["digests"]}


def panels(metrics: Mapping[str, Any], evidence: Any) -> list[dict[str, Any]]:
    """Per metric: an axis and, for each set, the score with its interval and the champion's score."""
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
    """Per metric: both versions' scores, the difference, its p, and its tone."""
    if not (evidence and evidence["tests"]):
        return []
    rows = []
    for key, name in METRICS.items():
        test = evidence["tests"][key]
        gain = -test["delta"] if key == "ter" else test["delta"]  # lower is better
        scores = {side: _scores(evidence, side).get(key) for side in ("challenger", "champion")}
        rows.append(
            {"key": key, "name": name, **scores, **test, "tone": tone(gain, test["p"], policy.significance)}
        )
    return rows


def tone(gain: float | None, p: float | None, significance: float) -> str:
    """The tone of a difference: "good" or "bad" if it is significant, else ""."""
    if gain is None or p is None or not p < significance:
        return ""
    return "good" if gain > 0 else "bad"


def _scores(evidence: Any, side: str) -> dict[str, float]:
    return (evidence and evidence[side] and evidence[side]["scores"]) or {}


def slices(evidence: Any, table: Any, policy: Promote) -> dict[str, Any] | None:
    """BLEU per slice, with the champion's if there is evidence, and chrF, with one axis for all rows."""
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
    """The worst regressions and the best gains, with differing words marked."""
    shown: dict[str, list[dict[str, Any]]] = {"regressions": [], "gains": []}
    for kind, rows in shown.items():
        for row in (evidence or {}).get(kind, []):
            both = charts.differences(row["champion"], row["challenger"], row["reference"])
            delta = row["challenger_chrf"] - row["champion_chrf"]
            rows.append({**row, "champion_runs": both[0], "challenger_runs": both[1], "delta": delta})
    return shown


def grouped(rows: Sequence[Mapping[str, Any]], *keys: str) -> dict[tuple[str, ...], list[Any]]:
    """Rows grouped by their values of `keys`, in order of appearance."""
    groups: defaultdict[tuple[str, ...], list[Any]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return dict(groups)
