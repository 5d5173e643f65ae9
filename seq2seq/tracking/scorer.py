"""Resolves the version that scores training pairs: `--set score.model=models:/NAME@ALIAS`.

Why: DVC sees values of params.yaml and no moves of an alias, so name, number and digest are written there.
"""

from __future__ import annotations

from collections.abc import Iterable

from seq2seq.common.errors import UserError
from seq2seq.tracking import registry

KEY = "score.model"
OTHERS = ("version", "digest", "min_log_probability", "worst_share")  # meaningless without a model


def resolve(overrides: Iterable[str]) -> list[str]:
    """The overrides, with those of `score.model` expanded: to model, version and digest, or all to null.

    Values that are given beside it stay. Raises UserError for an unknown version, TransientError for an
    unreachable registry.
    """
    given = list(overrides)
    assigned = {override.partition("=")[0].strip() for override in given}
    resolved = []
    for override in given:
        key, _, value = override.partition("=")
        values = [override]
        if key.strip() == KEY and value.strip().startswith("models:"):
            version = _find(value.strip())
            values = [f"{KEY}={version.name}", f"score.version={version.version}"]
            values.append(f"score.digest={version.tags['model_digest']}")
        elif key.strip() == KEY and value.strip() in ("null", "~", ""):
            values += [f"score.{name}=null" for name in OTHERS if f"score.{name}" not in assigned]
        resolved += values
    return resolved


def _find(name: str) -> registry.Version:
    """The version of `models:/NAME@ALIAS` or `models:/NAME/VERSION`, with the digest of its model folder."""
    match = registry.NAME.fullmatch(name)
    if match is None:
        raise UserError(f"{KEY}: {name!r}: write models:/NAME@ALIAS or models:/NAME/VERSION")
    registry.check_exists()
    model, alias, number = match.group("name", "alias", "version")
    version = registry.version_by_alias(model, alias) if alias else registry.get_version(model, number)
    if version is None:
        raise UserError(f"{KEY}: {name} does not exist: {registry.list_alternatives(model)}")
    if "model_digest" not in version.tags:
        raise UserError(f"{KEY}: {name} has no tag model_digest: `seq2seq run` registers versions with it")
    return version
