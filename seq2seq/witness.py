"""What registered versions answer to the same texts, each asked once.

Why: challenger and champion are judged by what they say when MLflow loads them. Translating is what a gate
spends its time on, so that both are asked at once, and answers are kept for the next gate.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from seq2seq import registry, store
from seq2seq.answers import query
from seq2seq.errors import TransientError, UserError
from seq2seq.registry import Version

ANSWERS = Path(".cache/answers")  # of versions: the next gate asks the champion the same

Requests = Sequence[Sequence[str]]


class Witness(NamedTuple):
    """What a version answers, None to a text that it refuses; nothing where `problem` says why."""

    version: Version
    answers: Sequence[str | None]
    problem: str

    def first(self, count: int) -> list[str]:
        """Its translations of the first texts, if there are any; empty for one that it refuses."""
        return [answer or "" for answer in self.answers[:count]]

    def said(self, requests: Requests) -> dict[str, str]:
        """Its translation of each text that it does not refuse."""
        texts = (text for request in requests for text in request)
        found = zip(texts, self.answers, strict=True)
        return {text: answer for text, answer in found if answer is not None}


def hear(challenger: str, champion: str | None, requests: Requests) -> tuple[Witness, Witness | None]:
    """Ask versions, given as models:/NAME/VERSION, all requests; the champion only if it has not been yet.

    Raises UserError for what is no version, TransientError for a server that does not answer.
    """
    for uri in filter(None, (challenger, champion)):
        _named(uri)
    with ThreadPoolExecutor() as pool:
        # Begun before MLflow is imported here: that takes as long as in the other process.
        first = pool.submit(_ask, challenger, requests)
        one = _version(challenger)
        other = _version(champion) if champion else None
        second = pool.submit(_recall, other, requests) if other else None
    ours = Witness(one, *first.result())
    theirs = Witness(other, *second.result()) if other and second else None
    for witness in filter(None, (ours, theirs)):
        if witness.problem:
            _version(witness.version.uri)  # that a server has gone is no fault of the model: this raises
        elif witness is ours:
            _keep(witness, requests)
    return ours, theirs


def _ask(uri: str, requests: Requests) -> tuple[Sequence[str | None], str]:
    """The answers of a version, or why there are none."""
    if broken := _broken_weights(uri):
        return [], broken
    try:
        return query(uri, store.uri(), *requests), ""
    except TransientError:
        raise
    except RuntimeError as error:
        return [], str(error)


def _recall(version: Version, requests: Requests) -> tuple[Sequence[str | None], str]:
    """As `_ask`, without asking if the same version has answered the same before."""
    path = _place(version, requests)
    if path and path.is_file():
        return json.loads(path.read_text(encoding="utf-8")), ""
    answers, problem = _ask(version.uri, requests)
    if not problem:
        _keep(Witness(version, answers, ""), requests)
    return answers, problem


def _keep(witness: Witness, requests: Requests) -> None:
    if path := _place(witness.version, requests):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.new")
        draft.write_text(json.dumps(witness.answers, ensure_ascii=False), encoding="utf-8")
        draft.replace(path)


def _place(version: Version, requests: Requests) -> Path | None:
    """Where answers of this very model to these texts are kept; None if its tags do not say what it is."""
    what = [version.tags.get("model_digest"), version.tags.get("decoding")]
    if None in what:
        return None
    # The run and the server besides, for versions that were tagged by hand.
    key = json.dumps([*what, version.run_id, version.uri, store.uri(), requests])
    return ANSWERS / f"{hashlib.sha256(key.encode()).hexdigest()}.json"


def _broken_weights(uri: str) -> str:
    """Which weights are no numbers: a model with such answers anything, but never fails."""
    try:
        files = registry.download_model(uri).glob("*.safetensors")
        weights = [item for file in files for item in load_file(file).items()]
    except (UserError, SafetensorError):
        return ""  # what is wrong with its files the model will say itself
    broken = [name for name, values in weights if not np.isfinite(values).all()]
    return f"{uri}: NaN or infinity among the weights of {', '.join(broken)}"[:300] if broken else ""


def _version(uri: str) -> Version:
    name, number = _named(uri)
    version = registry.get_version(name, number)
    if version is None:
        raise UserError(f"{uri}: {registry.what_there_is(name)}")
    return version


def _named(uri: str) -> tuple[str, str]:
    match = registry.NAME.fullmatch(uri)
    if match is None or match["version"] is None:
        raise UserError(f"{uri!r} is no version: write models:/NAME/VERSION, for an alias may move")
    return match["name"], match["version"]
