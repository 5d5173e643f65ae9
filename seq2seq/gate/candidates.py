"""Translations of the same texts by challenger and champion, as MLflow loads them.

Why: the gate re-runs both versions; stored scores are not trusted. Translation takes most of the gate's
time, so the two run in parallel.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from seq2seq.common.errors import TransientError, UserError
from seq2seq.gate.isolated import measure
from seq2seq.tracking import client, registry
from seq2seq.tracking.registry import Version

Requests = Sequence[Sequence[str]]


class Candidate(NamedTuple):
    """A version and its answers: None for a text it refuses; no answers if `problem` is set.

    `size` is that of its model folder in bytes, `latency` the seconds for one sentence; None if not measured.
    """

    version: Version
    answers: Sequence[str | None]
    problem: str
    size: int | None = None
    latency: float | None = None

    def first(self, count: int) -> list[str]:
        """The translations of the first texts, empty for refused ones; no items without answers."""
        return [answer or "" for answer in self.answers[:count]]

    def translations(self, requests: Requests) -> dict[str, str]:
        """The translation of each text that was not refused."""
        texts = (text for request in requests for text in request)
        found = zip(texts, self.answers, strict=True)
        return {text: answer for text, answer in found if answer is not None}


def predict_both(
    challenger: str, champion: str | None, requests: Requests, timed: int = 0
) -> tuple[Candidate, Candidate | None]:
    """Translate all requests by both versions, given as models:/NAME/VERSION; time `timed` sentences.

    Raises UserError for an unknown version, TransientError for an unreachable server.
    """
    for uri in filter(None, (challenger, champion)):
        _named(uri)
    with ThreadPoolExecutor() as pool:
        # Started before MLflow is imported here, because the import is slow in both processes.
        first = pool.submit(_predict, challenger, requests, timed)
        second = pool.submit(_predict, champion, requests, timed) if champion else None
        one = _version(challenger)
        other = _version(champion) if champion else None
    ours = Candidate(one, *first.result())
    theirs = Candidate(other, *second.result()) if other and second else None
    for candidate in filter(None, (ours, theirs)):
        if candidate.problem:
            _version(candidate.version.uri)  # raises if the cause is an unreachable server
    return ours, theirs


def _predict(
    uri: str, requests: Requests, timed: int
) -> tuple[Sequence[str | None], str, int | None, float | None]:
    """The answers of a version, or the reason why there are none; its size and latency."""
    if broken := _broken_weights(uri):
        return [], broken, None, None
    try:
        answers, latency = measure(uri, client.uri(), requests, timed)
    except TransientError:
        raise
    except RuntimeError as error:
        return [], str(error), None, None
    return answers, "", _size(uri), latency


def _size(uri: str) -> int | None:
    """The bytes of a version's model folder."""
    try:
        return sum(path.stat().st_size for path in registry.download_model(uri).rglob("*") if path.is_file())
    except UserError:  # of another layout
        return None


def _broken_weights(uri: str) -> str:
    """The names of weights with NaN or infinity: a model with such weights translates without an error."""
    try:
        files = registry.download_model(uri).glob("*.safetensors")
        weights = [item for file in files for item in load_file(file).items()]
    except (UserError, SafetensorError):
        return ""  # loading the model reports what is wrong with its files
    broken = [name for name, values in weights if not np.isfinite(values).all()]
    return f"{uri}: NaN or infinity among the weights of {', '.join(broken)}"[:300] if broken else ""


def _version(uri: str) -> Version:
    name, number = _named(uri)
    version = registry.get_version(name, number)
    if version is None:
        raise UserError(f"{uri}: {registry.list_alternatives(name)}")
    return version


def _named(uri: str) -> tuple[str, str]:
    match = registry.NAME.fullmatch(uri)
    if match is None or match["version"] is None:
        raise UserError(f"{uri!r} is no version: write models:/NAME/VERSION (an alias may move)")
    return match["name"], match["version"]
