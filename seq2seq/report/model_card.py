"""The model card's metadata in the hub's format, and escaping of texts for Markdown.

Why: hubs find, filter and compare models by the metadata at the top of a card (`model-index`), and texts of a
corpus or a user must not become markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from seq2seq.common import plain
from seq2seq.common.paths import SPLITS
from seq2seq.report import charts
from seq2seq.report.context import METRICS

LANGUAGE = re.compile(r"[a-z]{2,3}")  # ISO 639


def front_matter(facts: Mapping[str, Any]) -> str:
    """The metadata between two lines of dashes."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 10_000
    text = StringIO()
    yaml.dump(_quoted(metadata(facts)), text)
    return f"---\n{text.getvalue()}---\n\n"


def metadata(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata by the hub's conventions; unknown values are left out."""
    provenance, metrics = facts["provenance"] or {}, facts["metrics"]
    found: dict[str, Any] = {}
    if codes := languages(provenance):
        found["language"] = codes
    if provenance.get("licence"):
        several = provenance["licence"].lower().split(", ")
        found["license"] = several if len(several) > 1 else several[0]
    found |= {"library_name": "seq2seq", "pipeline_tag": "translation"}
    found["tags"] = ["translation", "lstm", "pytorch", "mlflow"]
    if provenance.get("kind") == "hub":
        found["datasets"] = [provenance["id"]]
    if metrics:
        found["metrics"] = list(METRICS)
        results = [
            {
                "task": {"type": "translation", "name": "Translation"},
                "dataset": _dataset(label, provenance, metrics),
                "metrics": [
                    {"type": key, "name": name, "value": scores[key]}
                    | {"args": {"signature": metrics["signatures"][key]}}
                    for key, name in METRICS.items()
                    if charts.is_number(scores[key])
                ],
            }
            for label, scores in facts["sets"].items()
        ]
        found["model-index"] = [{"name": facts["name"], "results": results}]
    return found


def languages(provenance: Mapping[str, Any]) -> list[str]:
    """Both languages' codes, if params.yaml, a grammar or the names of the columns contain them."""
    named = provenance.get("languages", {})
    sides = ("source", "target")
    tags = (named.get(side, {}).get("language") or provenance.get(f"{side}_language") for side in sides)
    stated = [tag and tag.split("-")[0].lower() for tag in tags]  # the hub has languages without regions
    columns = provenance.get("columns", {})
    pair = stated if all(stated) else [columns.get("source"), columns.get("target")]
    # A column named `de` states its language; `src`, `text`, `en_text` do not.
    found = [name for name in pair if isinstance(name, str) and LANGUAGE.fullmatch(name)]
    return found if len(found) == 2 and (pair is stated or all(len(name) == 2 for name in found)) else []


def _dataset(label: str, provenance: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """A set in the hub's terms: a split of the corpus, or a data set of its own."""
    found: dict[str, Any] = {"name": label, "type": label}
    if label in SPLITS:
        name = provenance.get("id") or Path(provenance.get("path", "unknown")).stem
        held_out = label in provenance.get("made_splits", ())
        found = {"name": f"{name}, {label} held out by ingest" if held_out else name, "type": name}
        found |= {key: provenance[key] for key in ("config", "revision") if provenance.get(key)}
        found["split"] = label
    return found | {"args": {"sha256": metrics["digests"][label]}}


def escape(text: str) -> str:
    """Text escaped for Markdown, on one line."""
    return plain.markdown(text)


def code(text: str) -> str:
    """A code span of a text that may contain backticks."""
    text = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _quoted(value: Any) -> Any:
    """The same with every text in quotes: in YAML 1.1, which the hub reads, a bare `no` is false."""
    if isinstance(value, Mapping):
        return {key: _quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_quoted(item) for item in value]
    return DoubleQuotedScalarString(value) if isinstance(value, str) else value
