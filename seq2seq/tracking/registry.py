"""Registered models: versions, tags, aliases, and the files of a version.

Why: tags and aliases alone decide which version serves; registration, promotion and translation all use these
few functions.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from seq2seq.common import locks, masking
from seq2seq.common.errors import UserError
from seq2seq.tracking import client, sqlite_store, version_files
from seq2seq.tracking.client import connect, get_or_none, translate_errors

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
WAITING = "waiting"  # alias of a version that is fit, until somebody approves it; also its verdict
VERDICT = "promotion.verdict"  # tag of a version: the last outcome of gate or rollback
SUCCESS = "seq2seq.last_success"  # tag of a model
FOLDER = "artifacts/model"  # of a version's files: the model folder
LONGEST_CARD = 4800  # characters; a description has at most 5,000 in some of MLflow's databases
DOWNLOADS = Path(".cache/models")
NAME = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class Version:
    """A version of a registered model."""

    name: str
    version: str
    run_id: str
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """The name under which `translate` and MLflow load it."""
        return f"models:/{self.name}/{self.version}"


@contextmanager
def promotions(patience: float = locks.PATIENCE) -> Iterator[None]:
    """The lock of promotions, registrations and rollbacks, for moving an alias.

    Raises TransientError after `patience` seconds. Do no slow work while holding it.
    """
    address = client.uri().rstrip("/")
    with locks.exclusive(_lock_file(address), f"the promotion lock of {masking.mask(address)}", patience):
        yield


def _lock_file(address: str) -> Path:
    """The lock file: beside a SQLite database; for a server in a private folder of this user."""
    if database := sqlite_store.sqlite_file(address):
        database.parent.mkdir(parents=True, exist_ok=True)
        return database.with_name(f"{database.name}.promotion")
    return locks.private_folder() / f"{hashlib.sha256(address.encode()).hexdigest()[:16]}.promotion"


def register_version(name: str, model_uri: str, run_id: str, tags: Mapping[str, str]) -> Version:
    """Make a logged model (`models:/ID`) the next version of `name`, created with its tags."""
    model_id = model_uri.removeprefix("models:/")
    if get_or_none(lambda: connect().get_registered_model(name)) is None:
        with translate_errors():
            connect().create_registered_model(name)
    with translate_errors():
        made = connect().create_model_version(name, model_uri, run_id, dict(tags), model_id=model_id)
    return Version(name, str(made.version), run_id, dict(tags))


def get_version(name: str, version: str) -> Version | None:
    """A version by its number; None if it does not exist."""
    return _version(get_or_none(lambda: connect().get_model_version(name, version)))


def version_by_alias(name: str, alias: str) -> Version | None:
    """The version of an alias; None if model or alias does not exist."""
    return _version(get_or_none(lambda: connect().get_model_version_by_alias(name, alias)))


def find_version(name: str, **tags: str) -> Version | None:
    """The newest version of a model with all these tags, e.g. `model_digest=...`."""
    wanted = [f"name = '{name}'", *(f"tags.`{key}` = '{value}'" for key, value in tags.items())]
    with translate_errors():
        found = connect().search_model_versions(" and ".join(wanted))
    return _version(max(found, key=lambda v: int(v.version), default=None))


def set_alias(name: str, alias: str, version: str) -> None:
    """Point an alias at a version and read it back; raises UserError if it has been moved meanwhile."""
    with translate_errors():
        connect().set_registered_model_alias(name, alias, version)
    now = version_by_alias(name, alias)
    if now is None or now.version != str(version):
        there = now and now.version
        raise UserError(
            f"{name}@{alias} was set to version {version}, but is {there}: another process moved it"
        )


def aliased(name: str) -> set[str]:
    """The numbers of the versions of a model that have an alias."""
    found = get_or_none(lambda: connect().get_registered_model(name))
    return {str(number) for number in found.aliases.values()} if found else set()


def delete_alias(name: str, alias: str) -> None:
    """Remove an alias of a model."""
    with translate_errors():
        connect().delete_registered_model_alias(name, alias)


def mark_success(name: str) -> None:
    """Record on the model that a run of it has succeeded now, whatever the verdict was."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with translate_errors():
        connect().set_registered_model_tag(name, SUCCESS, now)


def last_success(name: str) -> str | None:
    """The time of the last successful run of a model, ISO 8601 in UTC; None if there is none."""
    found = get_or_none(lambda: connect().get_registered_model(name))
    return found.tags.get(SUCCESS) if found else None


def tag_version(name: str, version: str, tags: Mapping[str, str]) -> None:
    """Set tags of a version; other tags stay."""
    with translate_errors():
        for key, value in tags.items():
            connect().set_model_version_tag(name, version, key, value)


def describe(version: Version, card: str, place: str) -> None:
    """Show a model card on the registry's page: of the version, and of its model if it is the champion.

    `place` names the whole card, of which a long one keeps its beginning. Without a champion, the model shows
    the card too.
    """
    _, _, body = card.split("---\n", 2) if card.startswith("---\n") else ("", "", card)
    text = masking.mask(body.strip())
    if len(text) > LONGEST_CARD:
        start = text[:LONGEST_CARD].rpartition("\n")[0].rstrip()
        text = f"{start}\n\nThe whole card: {place}"
    with translate_errors():
        connect().update_model_version(version.name, version.version, text)
    champion = version_by_alias(version.name, CHAMPION)
    if champion is None or champion.version == version.version:
        show_on_model(version.name, version.version)


def show_on_model(name: str, version: str) -> None:
    """Make the description of a version, if it has one, that of its model."""
    with translate_errors():
        if text := connect().get_model_version(name, version).description:
            connect().update_registered_model(name, text)


def download_model(name: str) -> Path:
    """The local model folder of `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Local files are used in place, others are downloaded to .cache/models. Raises UserError, with a list of
    alternatives, for an unknown model, version or alias; TransientError for an unreachable server.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise UserError(f"{name!r} is not a model: write models:/NAME@ALIAS or models:/NAME/VERSION")
    model, alias, number = match.group("name", "alias", "version")
    found = _beside_the_project(model, alias, number)
    folder, recorded = found or _through_mlflow(name, model, alias, number)
    if not folder.is_dir():
        remedy = "`seq2seq run --force register` registers it again"
        raise UserError(f"{name}: its files are missing in {folder}: {remedy}")
    try:
        version_files.check(name, folder, recorded.get(version_files.MODEL))
    except version_files.ChangedError:
        if DOWNLOADS in folder.parents:  # a damaged copy is no reason to refuse the next call
            shutil.rmtree(folder)
        raise
    return folder


def recorded_digest(uri: str) -> str | None:
    """The digest of all files of `models:/NAME/VERSION`, as registered.

    None for a logged model without a version, and for versions without that tag.
    """
    match = NAME.fullmatch(uri)
    if match is None or match["version"] is None:
        return None
    name, number = match.group("name", "version")
    found = _beside_the_project(name, None, number)
    tags = found[1] if found else getattr(get_version(name, number), "tags", {})
    return tags.get(version_files.ALL)


def place(name: str, version: str) -> Path | None:
    """The folder of all files of a version, if a SQLite registry here has it; MLflow is not imported."""
    found = _beside_the_project(name, None, version)
    return found[0].parents[1] if found else None


def fetch(uri: str, folder: Path) -> Path:
    """Copy all files of a logged model or version (`models:/...`) into a folder; returns their path.

    Raises UserError if the model or its files are missing, TransientError for an unreachable server.
    """
    import mlflow
    from mlflow.artifacts import download_artifacts

    folder.mkdir(parents=True)
    with translate_errors(is_long=True):
        mlflow.set_tracking_uri(client.uri())  # the argument tracking_uri is ignored for `models:/...`
        return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder)))


def check_exists() -> None:
    """Raise UserError if there is no registry yet: read-only commands must not create one."""
    database = sqlite_store.sqlite_file(client.uri())
    if database is not None and not database.is_file():
        raise UserError(f"no model is registered yet, {database} does not exist: run `make run` first")


def _beside_the_project(
    model: str, alias: str | None, number: str | None
) -> tuple[Path, Mapping[str, str]] | None:
    """The folder and the version's tags, read from the SQLite registry directly; None if MLflow is needed.

    Importing MLflow takes longer than the rest of a translation; it handles all cases that fail here.
    """
    database = sqlite_store.sqlite_file(client.uri())
    if database is None or "MLFLOW_REGISTRY_URI" in os.environ:
        return None
    check_exists()
    found = sqlite_store.find_version(database, model, alias, number)
    return (found[0] / FOLDER, found[1]) if found else None


def _through_mlflow(
    name: str, model: str, alias: str | None, number: str | None
) -> tuple[Path, Mapping[str, str]]:
    """The folder and the version's tags by MLflow's API; files are downloaded if they are not local."""
    version = version_by_alias(model, alias) if alias else get_version(model, str(number))
    if version is None:
        raise UserError(f"{name} does not exist: {list_alternatives(model)}")
    with translate_errors():
        location = connect().get_model_version_download_uri(version.name, version.version)
        parts = urlsplit(location)
        if parts.scheme == "file":
            return Path(unquote(parts.path)) / FOLDER, version.tags
        source = connect().get_model_version(version.name, version.version).source
        folder = DOWNLOADS / re.sub(r"[^A-Za-z0-9-]+", "_", source)  # the id in it is unique
        if not folder.is_dir():
            from mlflow.artifacts import download_artifacts

            draft = folder.with_name(f"{folder.name}.{os.getpid()}.new")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            # By its location: with the name `models:/...` MLflow ignores tracking_uri.
            got = download_artifacts(f"{location}/{FOLDER}", dst_path=str(draft), tracking_uri=client.uri())
            with suppress(OSError):  # another process may have been faster
                Path(got).rename(folder)
            shutil.rmtree(draft, ignore_errors=True)
    return folder, version.tags


def list_alternatives(model: str) -> str:
    """A message with the existing models or versions, for an error about a missing one."""
    with translate_errors():
        found = get_or_none(lambda: connect().get_registered_model(model))
        if found is None:
            models = sorted(m.name for m in connect().search_registered_models())  # a hundred at most
            close = difflib.get_close_matches(model, models, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            return f"no such model{hint}; there are: {', '.join(models) or 'none'}"
        versions = connect().search_model_versions(f"name = '{model}'")
        aliases = found.aliases
    listed = []
    for version in sorted(versions, key=lambda v: int(v.version)):
        notes = [alias for alias, number in sorted(aliases.items()) if int(number) == int(version.version)]
        notes += [version.tags[VERDICT]] if VERDICT in version.tags else []
        listed.append(f"{version.version} ({', '.join(notes)})" if notes else str(version.version))
    return f"the versions of {model} are: {', '.join(listed) or 'none'}"


def _version(found: Any) -> Version | None:
    """MLflow's version as a Version."""
    if found is None:
        return None
    return Version(found.name, str(found.version), found.run_id or "", dict(found.tags))
