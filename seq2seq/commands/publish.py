"""`seq2seq publish`: a version or model folder as a folder for a model hub. Nothing is sent."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2seq.commands.translate import model_folder
from seq2seq.common import params, paths
from seq2seq.common.errors import UserError
from seq2seq.common.plain import size
from seq2seq.common.schema import UNKNOWN_LICENCE

README, REQUIRED = "README.md", "requirements.txt"


def run(options: argparse.Namespace) -> None:
    """Write the folder; warn of licences that are unknown."""
    folder: Path = options.output
    if folder.exists():
        raise UserError(f"--output: {folder} exists: name a new folder, or delete it")
    unknown = publish(model_folder(options.model), options.model, folder, options.licence)
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size(total)}; upload it with `hf upload OWNER/NAME {folder}`")
    if unknown:
        remedy = "set ingest.sources.NAME.licence of params.yaml before the next run"
        print(
            f"warning: the licence of {', '.join(unknown)} is unknown, and the card states that: check that "
            f"you may publish a model trained on it; {remedy}",
            file=sys.stderr,
        )


def publish(model: Path, name: str, folder: Path, licence: str | None = None) -> list[str]:
    """The sources with an unknown licence; the folder appears when it is complete.

    Raises UserError for what is no model folder, or a model that the registry does not have.
    """
    from seq2seq.inference import packaging
    from seq2seq.nn import model_files
    from seq2seq.report import hub_card

    if not (model / model_files.WEIGHTS).is_file():
        raise UserError(f"{model} is not a model folder: `make run` trains one into `{paths.MODEL}`")
    facts, body = _facts(model, name)
    required = packaging.requirements()
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.new")
    try:
        draft.mkdir(parents=True)
        for path in model.iterdir():
            if path.is_file():
                shutil.copyfile(path, draft / path.name)
        _complete(model, draft, facts)
        copied = packaging.copy_serving_code(draft / packaging.PACKAGE.name)
        if (terms := packaging.PACKAGE.parent / "LICENSE").is_file():  # an installed package has none here
            shutil.copyfile(terms, copied / "LICENSE")
        (draft / REQUIRED).write_text("".join(f"{line}\n" for line in required), encoding="utf-8")
        card = hub_card.write(facts, body, licence, packaging.REQUIREMENTS)
        (draft / README).write_text(card, encoding="utf-8")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return [
        source for source, text in hub_card.licences(facts).items() if UNKNOWN_LICENCE in text.split(", ")
    ]


def _complete(model: Path, draft: Path, facts: Mapping[str, Any]) -> None:
    """Store the settings of the search with a model folder that has none: those of its evaluation."""
    from seq2seq.data import direction
    from seq2seq.inference import decoding

    if not (draft / decoding.FILE).is_file():
        how = facts["params"].evaluate if "params" in facts else None
        chosen = decoding.Decoding(*(getattr(how, name) for name in decoding.Decoding._fields) if how else ())
        stored = chosen.stored(direction.read(model).source.language)
        (draft / decoding.FILE).write_text(json.dumps(stored), encoding="utf-8")


def _facts(model: Path, name: str) -> tuple[dict[str, Any], str]:
    """Facts about the model, and the body of its card: from the reports here if they are about it.

    Else from the tags and the description of its version; of a folder, its languages alone.
    """
    from seq2seq.data import direction
    from seq2seq.report import context, hub_card, page
    from seq2seq.tracking import client, registry

    match, version = registry.NAME.fullmatch(name), None
    if match:
        registered, alias, number = match.group("name", "alias", "version")
        version = (
            registry.version_by_alias(registered, alias)
            if alias
            else registry.get_version(registered, number)
        )
    if _reports_about(model, version):
        found = context.build_context(params.load())
        return found, page.markdown(found).split("---\n", 2)[2]
    if version is None:
        sides = direction.read(model)
        tags = {f"{side}.language": getattr(sides, side).language or "unknown" for side in direction.SIDES}
        return hub_card.of_version(model.resolve().name, None, tags), ""
    with client.translate_errors():
        described = client.connect().get_model_version(version.name, version.version).description or ""
    return hub_card.of_version(version.name, version.version, version.tags), described


def _reports_about(model: Path, version: Any) -> bool:
    """Whether the reports of this folder are about the model, and were registered as that version."""
    from seq2seq.nn import model_files

    if not all(path.is_file() for path in (paths.PARAMS, paths.METRICS)):
        return False
    digest = model_files.digest(model)
    if json.loads(paths.METRICS.read_text(encoding="utf-8")).get("model_digest") != digest:
        return False
    if not paths.REGISTRATION.is_file():
        return version is None
    registered = json.loads(paths.REGISTRATION.read_text(encoding="utf-8"))
    if version is not None:
        return bool((registered["name"], registered["version"]) == (version.name, version.version))
    return bool(registered.get("model_digest") == digest)
