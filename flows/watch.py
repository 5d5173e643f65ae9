"""The sources of a corpus as they are now: hashes of files and pins, and what servers report of pinned URLs.

Why: a deployment that trains only when a corpus has changed must notice a change without reading the corpus.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from flows.child import PrintLine
from seq2seq.common.errors import UserError
from seq2seq.common.files import sha256
from seq2seq.common.masking import mask
from seq2seq.common.schema import Params
from seq2seq.data import hub, pin_file, pins, urls

PATIENCE = 30.0  # seconds for one address
HEADERS = ("etag", "last-modified", "content-length")
UNKNOWN = "no answer"
State = dict[str, str]


def state(checked: Params, before: Mapping[str, str], print_line: PrintLine) -> State:
    """The identity of the bytes of each source of the current folder, by a name for people.

    A server that does not answer leaves the value that it had `before`. Raises UserError for a file that is
    missing.
    """
    found: State = {}
    for name, source in sorted(checked.ingest.sources.items()):
        path = Path(source.path)
        tracked = path.with_name(f"{path.name}.dvc")
        if tracked.is_file():  # its data need not be here
            path = tracked
        if not path.exists():
            raise UserError(f"ingest.sources.{name}.path: {path} does not exist")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                found[f"{name}: {file}"] = sha256(file)
        if path.suffix in (".yaml", ".yml") and pins.is_pin(path):
            found |= _addresses(name, path, before, print_line)
    return found


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names of changed, new and deleted entries."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _addresses(name: str, path: Path, before: Mapping[str, str], print_line: PrintLine) -> State:
    """Headers or commits that servers report for addresses of a pin; a commit of the hub cannot change."""
    found: State = {}
    for address, report in _reports(path):
        key = f"{name}: {address}"
        reported = report()
        if reported is None:
            print_line(f"{key} does not answer: taken as unchanged")
            reported = before.get(key, UNKNOWN)
        found[key] = reported
    return found


def _reports(path: Path) -> Iterator[tuple[str, Callable[[], str | None]]]:
    """The addresses of a pin, for people, each with the function that requests its state from the server."""
    keys = pin_file.read(path)
    if "hub" not in keys:
        for split, address in sorted(urls.load(path).url.items()):
            yield f"{split}, {mask(str(address))}", partial(_head, str(address))
    elif not hub.COMMIT.fullmatch(revision := hub.load(path).revision):
        yield f"{keys['hub']} at {revision}", partial(_commit, str(keys["hub"]), revision)


def _commit(dataset: str, revision: str) -> str | None:
    """The commit that a branch or tag of a dataset is on the hub; None if the hub does not answer."""
    import httpx

    server = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    token = os.environ.get("HF_TOKEN")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    address = f"{server}/api/datasets/{dataset}/revision/{quote(revision, safe='')}"
    try:
        answer = httpx.get(address, headers=headers, follow_redirects=True, timeout=PATIENCE)
        return str(answer.raise_for_status().json()["sha"])
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, KeyError):
        return None


def _head(address: str) -> str | None:
    """The headers that change with the bytes of an address; None if it does not answer."""
    import httpx

    options: dict[str, Any] = {"follow_redirects": True, "timeout": PATIENCE}
    try:
        answer = httpx.head(address, **options)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return None
    return ", ".join(f"{header} {answer.headers[header]}" for header in HEADERS if header in answer.headers)


def repository(project: Path) -> str:
    """The repository of the worker's runs: SEQ2SEQ_REPOSITORY, or the deployed folder."""
    return os.environ.get("SEQ2SEQ_REPOSITORY") or str(project)
