"""What registered versions answer to the same texts, each asked once.

Why: challenger and champion are judged by what they say when MLflow loads them. Translating is what a gate
spends its time on, so that both are asked at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from seq2seq.common.errors import TransientError, UserError
from seq2seq.gate.isolated import query
from seq2seq.tracking import client, registry
from seq2seq.tracking.registry import Version

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
    """Ask versions, given as models:/NAME/VERSION, all requests.

    Raises UserError for what is no version, TransientError for a server that does not answer.
    """
    for uri in filter(None, (challenger, champion)):
        _named(uri)
    with ThreadPoolExecutor() as pool:
        # Begun before MLflow is imported here: that takes as long as in the other process.
        first = pool.submit(_ask, challenger, requests)
        second = pool.submit(_ask, champion, requests) if champion else None
        one = _version(challenger)
        other = _version(champion) if champion else None
    ours = Witness(one, *first.result())
    theirs = Witness(other, *second.result()) if other and second else None
    for witness in filter(None, (ours, theirs)):
        if witness.problem:
            _version(witness.version.uri)  # that a server has gone is no fault of the model: this raises
    return ours, theirs


def _ask(uri: str, requests: Requests) -> tuple[Sequence[str | None], str]:
    """The answers of a version, or why there are none."""
    if broken := _broken_weights(uri):
        return [], broken
    try:
        return query(uri, client.uri(), *requests), ""
    except TransientError:
        raise
    except RuntimeError as error:
        return [], str(error)


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
