"""Which versions and runs of a model may be deleted, and their deletion with all files.

Why: MLflow deletes entries and leaves their files; here files go first and the entry last, so that a deletion
that is killed is found and completed by the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from seq2seq.common import object_cache
from seq2seq.common.errors import TransientError, UserError
from seq2seq.tracking import client, records
from seq2seq.tracking.client import connect, get_or_none, translate_errors

ENDED_BADLY = ("FAILED", "KILLED")  # states of runs that made no model
LOCK = "dvc.lock.sha256"  # tag of each version that a project like this one registers
Key = tuple[str, str]  # name and number of a version
# Keys of params.yaml that name a version which a stage reads, and its role for another version.
USED = {
    "score": "scored the corpus of",
    "train.start_from": "the start of",
    "tokenize.vocabulary_from": "has the vocabulary of",
}


class Item(NamedTuple):
    """A version or run that may go, with the size of its files; `number` is empty for a run alone."""

    name: str
    number: str
    run_id: str  # of a run that goes, too; empty if another version needs it
    model_id: str  # of the logged model that goes, too; likewise
    size: int

    def __str__(self) -> str:
        return f"{self.name} version {self.number}" if self.number else f"run {self.run_id}"


class Plan(NamedTuple):
    """The versions that stay, each with the reason; the versions and runs that may go."""

    stays: Mapping[Key, str]
    versions: list[Item]
    runs: list[Item]


def plan(name: str, before: float, named: Mapping[Key, str]) -> Plan:
    """Deletable parts of a model: versions and badly ended runs from before a time (seconds since 1970).

    Versions with an alias stay, those in `named` (with its reason), their ancestors, which a training
    of them would read again, and all versions of other models. Raises TransientError, UserError.
    """
    with translate_errors():
        every = [v for model in _pages("search_registered_models") for v in _versions(model.name)]
        models = {model.name: model for model in _pages("search_registered_models")}
    found = {(v.name, str(v.version)): v for v in every}
    stays: dict[Key, str] = {}
    for key, version in found.items():
        aliases = sorted(a for a, n in models[key[0]].aliases.items() if str(n) == key[1])
        if aliases:
            stays[key] = f"alias {', '.join(aliases)}"
        elif key in named:
            stays[key] = named[key]
        elif version.creation_timestamp / 1000 >= before:
            stays[key] = "recent"
        elif key[0] != name:
            stays[key] = "of another model"
    for key in list(stays):
        stays |= {k: why for k, why in _ancestors(key, found).items() if k not in stays}
    going = [version for key, version in found.items() if key not in stays]
    versions = [_item(v, [other for other in every if other is not v and other not in going]) for v in going]
    used = {v.run_id for v in every}
    return Plan(
        stays, versions, [_run_item(run) for run in _failed(name, before) if run.info.run_id not in used]
    )


def hashes(keys: Iterable[Key]) -> set[str]:
    """DVC's hashes of all files that versions are made of, by the dvc.lock that is stored with their runs.

    Versions of other projects have no tag of a dvc.lock and no files in this cache. Raises UserError for a
    version whose dvc.lock is not stored: its corpus is unknown.
    """
    found: set[str] = set()
    for name, number in sorted(keys):
        with translate_errors():
            version = connect().get_model_version(name, number)
        if LOCK not in version.tags:
            continue
        text = records.file_of(version.run_id, "dvc.lock") if _run(version.run_id) else None
        if text is None:
            raise UserError(f"{name} version {number} has no dvc.lock in MLflow: its corpus is not known")
        found |= set(object_cache.HASH.findall(text))
    return found


def delete(item: Item) -> None:
    """Delete files, then entries; missing ones are no error. For a version, the caller holds the
    promotion lock and has checked that it has no alias."""
    with translate_errors(is_long=True):
        if item.model_id and (model := get_or_none(lambda: connect().get_logged_model(item.model_id))):
            with suppress(FileNotFoundError):
                _files(model.artifact_location).delete_artifacts()
            connect().delete_logged_model(item.model_id)
        if item.run_id and (run := _run(item.run_id)):
            with suppress(FileNotFoundError):
                _files(run.info.artifact_uri).delete_artifacts()
            connect().delete_run(item.run_id)
        if item.number:
            connect().delete_model_version(item.name, item.number)


def _ancestors(key: Key, found: Mapping[Key, Any]) -> dict[Key, str]:
    """The versions that a training of a version reads: its start, its scorer, and theirs in turn."""
    ancestors: dict[Key, str] = {}
    left = [key]
    while left:
        current = left.pop()
        run = _run(found[current].run_id)
        for section, role in USED.items() if run else ():
            named = run.data.params
            used = (named.get(f"{section}.model", ""), named.get(f"{section}.version", ""))
            if used in found and used not in ancestors and used != key:
                ancestors[used] = f"{role} {current[0]} version {current[1]}"
                left.append(used)
    return ancestors


def _item(version: Any, others: Iterable[Any]) -> Item:
    """A version that goes; its run and logged model stay if other versions have them."""
    others = list(others)
    run_id = "" if version.run_id in {v.run_id for v in others} else version.run_id or ""
    source = version.source or ""
    model_id = source.removeprefix("models:/") if re.fullmatch(r"models:/[^/@]+", source) else ""
    model_id = "" if source in {v.source for v in others} else model_id
    size = 0
    with translate_errors():
        if model_id and (model := get_or_none(lambda: connect().get_logged_model(model_id))):
            size += _size(_files(model.artifact_location))
    size += _run_size(run_id)
    return Item(version.name, str(version.version), run_id, model_id, size)


def _run_item(run: Any) -> Item:
    return Item("", "", run.info.run_id, "", _run_size(run.info.run_id))


def _failed(name: str, before: float) -> Iterator[Any]:
    """The runs of a model's experiment that ended badly before a time."""
    with translate_errors():
        experiment = connect().get_experiment_by_name(name)
        if experiment is None:
            return
        for state in ENDED_BADLY:
            wanted = f"attributes.status = '{state}'"
            for run in _pages("search_runs", [experiment.experiment_id], wanted):
                if (run.info.end_time or run.info.start_time) / 1000 < before:
                    yield run


def _versions(name: str) -> list[Any]:
    found = _pages("search_model_versions", f"name = '{name}'")
    return sorted(found, key=lambda version: int(version.version))


def _pages(method: str, *arguments: Any) -> Iterator[Any]:
    """All results of a search."""
    token = None
    while True:
        page = getattr(connect(), method)(*arguments, page_token=token)
        yield from page
        if not (token := page.token):
            return


def _run(run_id: str | None) -> Any:
    """A run that is not deleted; None if there is none."""
    found = get_or_none(lambda: connect().get_run(run_id)) if run_id else None
    return found if found is not None and found.info.lifecycle_stage == "active" else None


def _run_size(run_id: str) -> int:
    with translate_errors():
        run = _run(run_id)
        return _size(_files(run.info.artifact_uri)) if run else 0


def _files(location: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(location, tracking_uri=client.uri())


def _size(files: Any, path: str | None = None) -> int:
    """The bytes of all files of an artifact repository; 0 if they are gone."""
    try:
        listed = files.list_artifacts(path)
    except (OSError, TransientError):
        return 0
    return sum(_size(files, f.path) if f.is_dir else f.file_size or 0 for f in listed)
