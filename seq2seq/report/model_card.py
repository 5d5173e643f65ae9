"""The model card's metadata in the hub's format, and escaping of texts for Markdown.

Why: hubs find, filter and compare models by the metadata at the top of a card (`model-index`), and texts of a
corpus or a user must not become markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq.common import plain
from seq2seq.common.paths import SPLITS
from seq2seq.report import charts
from seq2seq.report.context import METRICS

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

LANGUAGE = re.compile(r"[a-z]{2,3}")  # ISO 639


def front_matter(facts: Mapping[str, Any]) -> str:
    """The metadata by the hub's conventions, between two lines of dashes; unknown values are left out."""
    return f"---\n{metadata(facts).to_yaml()}\n---\n\n"


def metadata(facts: Mapping[str, Any]) -> ModelCardData:
    """The metadata by the hub's conventions; unknown values are None."""
    from huggingface_hub import EvalResult, ModelCardData

    provenance, metrics = facts["provenance"] or {}, facts["metrics"]
    several = (provenance.get("licence") or "").lower().split(", ")
    results = [
        EvalResult(
            task_type="translation",
            task_name="Translation",
            metric_type=key,
            metric_name=name,
            metric_value=scores[key],
            metric_args={"signature": metrics["signatures"][key]},
            **_dataset(label, provenance, metrics),
        )
        for label, scores in facts["sets"].items()
        for key, name in METRICS.items()
        if metrics and charts.is_number(scores[key])
    ]
    return ModelCardData(
        language=languages(provenance) or None,
        license=(several if len(several) > 1 else several[0]) or None,  # type: ignore[arg-type]
        library_name="seq2seq",
        pipeline_tag="translation",
        tags=["translation", "lstm", "pytorch", "mlflow"],
        datasets=[provenance["id"]] if provenance.get("kind") == "hub" else None,
        metrics=list(METRICS) if metrics else None,
        eval_results=results or None,
        model_name=facts["name"] if results else None,
    )


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
    """A set as fields of EvalResult: a split of the corpus, or a data set of its own."""
    found: dict[str, Any] = {"dataset_name": label, "dataset_type": label}
    if label in SPLITS:
        name = provenance.get("id") or Path(provenance.get("path", "unknown")).stem
        held_out = label in provenance.get("made_splits", ())
        found["dataset_name"] = f"{name}, {label} held out by ingest" if held_out else name
        found |= {"dataset_type": name, "dataset_split": label}
        found |= {f"dataset_{key}": provenance.get(key) for key in ("config", "revision")}
    return found | {"dataset_args": {"sha256": metrics["digests"][label]}}


def escape(text: str) -> str:
    """Text escaped for Markdown, on one line."""
    return plain.markdown(text)


def code(text: str) -> str:
    """A code span of a text that may contain backticks."""
    text = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"
