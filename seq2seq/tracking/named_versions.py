"""Resolves the versions that params.yaml names: `--set score.model=models:/NAME@ALIAS` and others.

Why: DVC compares values of params.yaml, and not aliases, so name, number and digest are written there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from seq2seq.common.errors import UserError
from seq2seq.tracking import registry

SCORER = "score.model"
OF_SCORER = ("version", "digest", "min_log_probability", "worst_share")  # meaningless without a model
START, VOCABULARY = "train.start_from", "tokenize.vocabulary_from"  # mappings of model, version and digest
NULLS = ("null", "~", "")


def resolve(overrides: Iterable[str]) -> list[str]:
    """The overrides, with those that name a version expanded to name, number and digest.

    A start of a training needs its vocabulary: unless that is given too, it is named with it. Without a
    model that scores, its other keys become null. Values that are given beside them stay. Raises UserError
    for an unknown version, TransientError for an unreachable registry.
    """
    given = list(overrides)
    assigned = {override.partition("=")[0].strip() for override in given}
    resolved = []
    for override in given:
        key, _, value = (part.strip() for part in override.partition("="))
        values = {SCORER: _scorer, START: _mappings, VOCABULARY: _mappings}.get(key, _as_it_is)(key, value)
        resolved += [f"{name}={text}" for name, text in values.items() if name == key or name not in assigned]
        if not values:
            resolved.append(override)
    return resolved


def _as_it_is(key: str, value: str) -> dict[str, str]:
    return {}


def _scorer(key: str, value: str) -> dict[str, str]:
    """The keys of `score` that a value of score.model sets."""
    if value in NULLS:
        return {key: value} | dict.fromkeys((f"score.{name}" for name in OF_SCORER), "null")
    if not value.startswith("models:"):
        return {}
    version = find(key, value)
    numbers = {"score.version": version.version, "score.digest": version.tags["model_digest"]}
    return {key: version.name, **numbers}


def _mappings(key: str, value: str) -> dict[str, str]:
    """A mapping for the key; for the start of a training also for its vocabulary."""
    if value.startswith("models:"):
        version = find(key, value)
        named = {"model": version.name, "version": int(version.version)}
        value = json.dumps({**named, "digest": version.tags["model_digest"]})
    elif value not in NULLS:
        return {}
    return {key: value} | ({VOCABULARY: value} if key == START else {})


def find(key: str, name: str) -> registry.Version:
    """The version of `models:/NAME@ALIAS` or `models:/NAME/VERSION`, with the digest of its model folder.

    Raises UserError, which names `key`, for an unknown version; TransientError for an unreachable registry.
    """
    match = registry.NAME.fullmatch(name)
    if match is None:
        raise UserError(f"{key}: {name!r}: write models:/NAME@ALIAS or models:/NAME/VERSION")
    registry.check_exists()
    model, alias, number = match.group("name", "alias", "version")
    version = registry.version_by_alias(model, alias) if alias else registry.get_version(model, number)
    if version is None:
        raise UserError(f"{key}: {name} does not exist: {registry.list_alternatives(model)}")
    if "model_digest" not in version.tags:
        raise UserError(f"{key}: {name} has no tag model_digest: `seq2seq run` registers versions with it")
    return version
