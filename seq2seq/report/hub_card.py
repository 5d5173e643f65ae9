"""The model card of a folder for a model hub: metadata with licences, scores, and the use of that folder.

Why: a reader of the hub has neither the registry nor this checkout. Licences that the hub does not list are
refused by it in the metadata, and an unknown one must be visible as such.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from seq2seq.common import masking
from seq2seq.common.schema import UNKNOWN_LICENCE
from seq2seq.report import charts, model_card
from seq2seq.report.context import METRICS, sanitize
from seq2seq.report.model_card import code, escape

# Identifiers that the hub accepts in `license`; it has `other`, with a name, for all others.
LISTED = frozenset(
    "afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear bsl-1.0 c-uda "
    "cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 "
    "cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 "
    "cc0-1.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 "
    "eupl-1.1 eupl-1.2 gfdl gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr lppl-1.3c mit mpl-2.0 "
    "ms-pl ncsa odbl odc-by ofl-1.1 open-mdw openrail osl-3.0 pddl postgresql unknown unlicense wtfpl "
    "zlib".split()
)
SPDX = {"odbl-1.0": "odbl", "odc-by-1.0": "odc-by", "pddl-1.0": "pddl"}
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
LOADING = re.compile(r"^## How to load it\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
REST = re.compile(r"\n\nThe whole card: [^\n]*\Z")  # of a description that the registry keeps in part
USE = """## How to load it

This folder has a copy of the code that translates, `seq2seq/`, and needs {packages}:

```sh
pip install -r requirements.txt
```

In this folder:

```python
from seq2seq import Translator

translator = Translator.from_folder(".")
print(translator.translate(["{example}"]))
```

From a hub, with the name under which the folder was uploaded:

```python
import sys

from huggingface_hub import snapshot_download

folder = snapshot_download("OWNER/NAME")
sys.path.insert(0, folder)

from seq2seq import Translator

print(Translator.from_folder(folder).translate(["{example}"]))
```

"""


def of_version(name: str, version: str | None, tags: Mapping[str, str]) -> dict[str, Any]:
    """The facts of a registered version from its tags, as `model_card.metadata` reads them."""
    corpus, revision = tags.get("corpus.id"), tags.get("corpus.revision", "none")
    provenance: dict[str, Any] = {"path": corpus or "unknown"}
    if corpus and revision != "none" and HUB_NAME.fullmatch(corpus):  # only pins of a hub have a revision
        provenance |= {"kind": "hub", "id": corpus, "revision": revision}
    for side in ("source", "target"):
        language = tags.get(f"{side}.language", "unknown")
        provenance[f"{side}_language"] = None if language == "unknown" else language
    licences = json.loads(tags.get("corpus.licences", "{}"))
    provenance["sources"] = {source: {"licence": licence} for source, licence in licences.items()}
    found = {
        "name": name,
        "version": version,
        "provenance": sanitize(provenance),
        "metrics": None,
        "sets": {},
    }
    if "frozen_set" in tags and all(key in tags and f"{key}_signature" in tags for key in METRICS):
        frozen = tags["frozen_set"]
        signatures = {key: tags[f"{key}_signature"] for key in METRICS}
        digests = {frozen: tags.get("frozen_digest", "unknown")}
        found["metrics"] = {"frozen_set": frozen, "signatures": signatures, "digests": digests}
        found["sets"] = {frozen: {key: float(tags[key]) for key in METRICS}}
    return found


def licences(facts: Mapping[str, Any]) -> dict[str, str]:
    """The licence of each source of the corpus; of the corpus as a whole if its sources are unknown."""
    provenance = facts["provenance"] or {}
    found = {
        str(name): str(one.get("licence") or UNKNOWN_LICENCE)
        for name, one in provenance.get("sources", {}).items()
    }
    return found or {"the corpus": str(provenance.get("licence") or UNKNOWN_LICENCE)}


def front_matter(facts: Mapping[str, Any], licence: str | None = None) -> str:
    """The metadata, between two lines of dashes; `licence` is the publisher's choice for the model.

    Without that choice it lists the licences of the corpus, `unknown` among them.
    """
    data = model_card.metadata(facts)
    named = [one.strip() for text in licences(facts).values() for one in text.split(",")]
    wanted = [licence] if licence else [*dict.fromkeys(named)]
    known = [SPDX.get(one.lower(), one.lower()) for one in wanted]
    listed = [*dict.fromkeys(one if one in LISTED else "other" for one in known)]
    data.license = listed if len(listed) > 1 else listed[0]  # type: ignore[assignment]
    if others := [one for one in known if one not in LISTED]:
        data.license_name = re.sub(r"[^a-z0-9.]+", "-", "-and-".join(others)).strip("-")
    of_sources = ((facts["provenance"] or {}).get("sources") or {}).values()
    hubs = [one["id"] for one in of_sources if one.get("kind") == "hub" and one.get("id")]
    data.datasets = [*dict.fromkeys([*(data.datasets or []), *hubs])] or None
    return f"---\n{data.to_yaml()}\n---\n\n"


def write(
    facts: Mapping[str, Any], body: str, licence: str | None, packages: Sequence[str], example: str = "TEXT"
) -> str:
    """The whole card; `body` is that of the project's card, or empty to write a short one."""
    use = USE.format(packages=", ".join(packages), example=example.replace("\\", "").replace('"', "'"))
    text = REST.sub("", body.strip()) + "\n\n" if body.strip() else _short(facts)
    text = LOADING.sub("", text).rstrip() + "\n\n"
    text += _stated(facts, licence) + use
    return front_matter(facts, licence) + masking.mask(text.rstrip() + "\n")


def _stated(facts: Mapping[str, Any], licence: str | None) -> str:
    """The section about licences."""
    rows = "".join(f"| {escape(name)} | {escape(text)} |\n" for name, text in licences(facts).items())
    chosen = f"The publisher gives the model the licence {code(licence)}." if licence else (
        "The metadata repeats the licences of the training data; the publisher decides the model's."
    )  # fmt: skip
    unknown = UNKNOWN_LICENCE in licences(facts).values()
    note = " Of sources with an unknown licence, no right to use them is known." if unknown else ""
    return (
        f"## Licences\n\n{chosen}{note} The code in `seq2seq/` is under Apache-2.0.\n\n"
        f"| source of the training data | licence |\n|---|---|\n{rows}\n"
    )


def _short(facts: Mapping[str, Any]) -> str:
    """A card of the facts alone, for a version without a description."""
    provenance, metrics = facts["provenance"] or {}, facts["metrics"]
    version = f" version {facts['version']}" if facts["version"] else ""
    named = model_card.languages(provenance)
    way = f" from {named[0]} to {named[1]}" if named else ""
    title = f"# {escape(facts['name'])}{version}"
    text = f"{title}\n\nAn LSTM encoder-decoder that translates sentences{way}.\n\n"
    if metrics:
        text += f"## Evaluation\n\nThe frozen set is {code(metrics['frozen_set'])}.\n\n"
        text += "| set | metric | score |\n|---|---|---:|\n"
        for label, scores in facts["sets"].items():
            for key, shown in METRICS.items():
                value = f"{scores[key]:.1f}" if charts.is_number(scores[key]) else "NaN"
                text += f"| {escape(label)} | {shown} | {value} |\n"
        text += "\n"
    return text
