"""Pins of datasets on the Hugging Face hub: reads them, downloads their files, updates them.

Why: a pin is a small file that DVC can track, and the same pin gives the same bytes or an error. The
library's own downloads may wait for minutes on a dead network and then use another revision from a cache.
So they run in a process of their own (`python -m seq2seq.data.hub`), which queries the hub first, downloads
exactly one commit, and is killed after a timeout.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from seq2seq.common import params
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.files import sha256
from seq2seq.common.masking import mask
from seq2seq.data import mirror, pin_file
from seq2seq.data.mirror import MIRROR, Copy
from seq2seq.data.pin_file import FileName, Sha256, Size, is_inside
from seq2seq.data.splits import File, find_splits

LIMIT = "SEQ2SEQ_HUB_SECONDS"  # the timeout of one attempt
DEFAULT_LIMIT, MOST_SECONDS = 900.0, 1e6
PREFLIGHT_SECONDS = 5.0
WAITS = (1.0, 3.0)  # seconds before the second and the third attempt
OWN_CACHE = Path(".cache")  # of this project; without HF_HOME the hub's files are below it
CARD = "README.md"
COMMIT = re.compile(r"[0-9a-f]{40}")
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "0",
    "HF_HUB_DISABLE_XET": "1",  # download over plain HTTP only
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
}


class Pin(BaseModel):
    """A pin file: dataset `hub` at `revision`, with the sha256 of its `files`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    hub: Annotated[str, Field(pattern=r"^\w[\w.-]*/\w[\w.-]*$")]
    config: str | None = None
    revision: Annotated[str, Field(min_length=1)]
    licence: str | None = None
    splits: dict[Literal["train", "validation", "test"], str] = {}
    files: dict[FileName, Sha256] = {}
    bytes: dict[FileName, Size] = {}


def load(path: Path) -> Pin:
    """Read a pin; raises UserError."""
    return _checked(path, pin_file.read(path))


def fetch(path: Path, pin: Pin) -> Copy:
    """The files of a pin, from the hub or the mirror, compared with its hashes.

    Raises UserError for an unknown dataset, revision or split and for a wrong hash, TransientError if
    the hub does not answer.
    """
    return mirror.choose(lambda folder: _from_mirror(path, pin, folder), lambda: _from_hub(path, pin))


def fill_mirror(path: Path, pin: Pin, folder: Path) -> list[Path]:
    """Copy the files of a pin from the hub into a mirror, with the dataset's card; returns their places."""
    answer = _download(path, pin)
    pairs = [(name, Path(place)) for files in answer["files"].values() for name, place in files]
    files = {"all": [File(name, place) for name, place in pairs]}
    pin_file.compare_hashes(path, pin.files, f"{pin.hub} at {answer['revision']}", files)
    if answer["card"]:
        pairs.append((CARD, Path(answer["card"])))
    copied = []
    for name, place in pairs:
        target = folder / pin.hub / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place, target)
        copied.append(target)
    return copied


def _from_hub(path: Path, pin: Pin) -> Copy:
    answer = _download(path, pin)
    revision = answer["revision"]
    files = {
        split: [File(name, Path(place)) for name, place in files] for split, files in answer["files"].items()
    }
    # Any other cache of the hub is shared with the user.
    ours = [p for p in map(Path, answer["fresh"]) if p.resolve().is_relative_to(OWN_CACHE.resolve())]
    checked = pin_file.compare_hashes(path, pin.files, f"{pin.hub} at {revision}", files, ours)
    moving = "" if pin.revision == revision else f" (now {pin.revision})"
    summary = f"{pin.hub} at {revision}{moving} from the hub"
    summary += f", {checked} files as pinned" if checked else ""
    if moving or not checked:
        summary += f"; not pinned yet, to keep it: seq2seq pin {path}"
    return Copy(files, revision, pin.licence or answer["licence"], mirror=False, summary=summary)


def pin(path: Path) -> list[tuple[str, Any, Any]]:
    """Update a pin to the current commit of `revision` and the hashes of its files.

    Comments stay. Returns the changes as (key, before, after). Raises as `fetch` does.
    """
    document = pin_file.read(path)
    old = _checked(path, document)
    answer = _download(path, old)
    places = sorted((name, Path(place)) for files in answer["files"].values() for name, place in files)
    files = {name: sha256(place) for name, place in places}
    sizes = {name: place.stat().st_size for name, place in places}
    changes: list[tuple[str, Any, Any]] = [("revision", old.revision, answer["revision"])]
    for key, before, after in (("files", old.files, files), ("bytes", old.bytes, sizes)):
        changes += [(f"{key}.{n}", before.get(n), after.get(n)) for n in sorted(after.keys() | before.keys())]
    changes = [(key, before, after) for key, before, after in changes if before != after]
    document["revision"], document["files"], document["bytes"] = answer["revision"], files, sizes
    if changes:
        params.write(document, path)
    return changes


def _checked(path: Path, document: Any) -> Pin:
    needs = "it needs `hub: owner/name` and `revision` (a commit or a branch), and may have config, licence, "
    return pin_file.checked(path, document, Pin, f"{needs}splits, files and bytes")


def _from_mirror(path: Path, pin: Pin, place: Path) -> Copy:
    folder = place / pin.hub  # two names, neither with a dot in front
    if not folder.is_dir():
        raise UserError(f"{MIRROR}={place} has no {pin.hub}; put it there, or unset {MIRROR}")
    files = find_splits(folder, pin.config)
    checked = pin_file.compare_hashes(path, pin.files, str(folder), files)
    pinned = bool(checked and COMMIT.fullmatch(pin.revision))
    summary = f"{pin.hub} from the mirror {place}, not from the hub; " + (
        f"{checked} files as pinned" if checked else f"{path} has no hashes to check them against"
    )
    return Copy(
        files, pin.revision if pinned else None, pin.licence or _licence(folder), mirror=True, summary=summary
    )


def _licence(folder: Path) -> str | None:
    """The licence in the dataset card of a folder in the hub's layout."""
    import huggingface_hub
    from yaml import YAMLError  # type: ignore[import-untyped]

    card = folder / CARD
    try:
        return named(huggingface_hub.DatasetCard.load(card).data.get("license")) if card.is_file() else None
    except (ValueError, YAMLError):  # files with a faulty card are still used
        return None


def named(licence: Any) -> str | None:
    """A card's licence, which may be a list of several."""
    return ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence) if licence else None


def _limit() -> float:
    """Seconds for one attempt: SEQ2SEQ_HUB_SECONDS."""
    setting = os.environ.get(LIMIT) or DEFAULT_LIMIT
    try:
        limit = float(setting)
    except ValueError:
        limit = 0.0
    if not 0 < limit < MOST_SECONDS:
        raise UserError(f"{LIMIT}={setting}: must be a number of seconds, e.g. {DEFAULT_LIMIT}")
    return limit


def _download(path: Path, pin: Pin) -> dict[str, Any]:
    """The answer of `python -m seq2seq.data.hub`; transient failures are retried twice."""
    limit = _limit()
    request = json.dumps({"hub": pin.hub, "config": pin.config, "revision": pin.revision, "limit": limit})
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    endpoint = mask(endpoint)
    print(f"hub: downloading {pin.hub} from {endpoint}", flush=True)
    for wait in (*WAITS, None):
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "seq2seq.data.hub", request],
                env=os.environ | ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=limit,
            )
            lines = ended.stdout.splitlines()
            answer = json.loads(lines[-1]) if ended.returncode == 0 and lines else None
        except subprocess.TimeoutExpired:
            answer = {"transient": f"no answer within {limit:g} seconds ({LIMIT})"}
        if answer is None:
            raise RuntimeError(mask(f"the download of {pin.hub} crashed:\n{ended.stderr}"))
        if "user" in answer:
            raise UserError(f"{path}: {answer['user']}")
        if "system" in answer:
            raise OSError(*answer["system"])
        if "transient" not in answer:
            return dict(answer)
        problem = f"{endpoint} did not give {pin.hub}: {answer['transient']}"
        if wait is not None:
            print(f"hub: {problem}; trying again", flush=True)
            time.sleep(wait)
    raise TransientError(
        f"{problem}\n  tried {len(WAITS) + 1} times; no cached revision was used instead. "
        f"Try again later, or set {MIRROR} to a folder that contains {pin.hub}"
    )


def _serve(request: Mapping[str, Any]) -> dict[str, Any]:
    """Find and download the files of one revision; returns the answer of the download process."""
    import huggingface_hub
    from huggingface_hub import errors

    hub, revision = request["hub"], request["revision"]
    try:
        # Preflight: the library's own requests wait for minutes if the hub does not answer.
        info = huggingface_hub.HfApi().dataset_info(hub, revision=revision, timeout=PREFLIGHT_SECONDS)
        files, fresh = _download_files(hub, request["config"], str(info.sha))
        card = _card(hub, str(info.sha)) if any(s.rfilename == CARD for s in info.siblings or ()) else None
    except errors.GatedRepoError:
        return {"user": f"{hub} is gated: accept its terms on the hub, and set HF_TOKEN"}
    except errors.RepositoryNotFoundError:
        return {"user": f"the hub has no dataset {hub} (or it is private: set HF_TOKEN); correct `hub`"}
    except errors.RevisionNotFoundError:
        return {"user": f"{hub} has no revision {revision!r}; correct `revision`"}
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        return {"transient" if status >= 500 or status in (408, 429) else "user": str(error)}
    except Exception as error:
        return _classify(error)
    licence = info.card_data.get("license") if info.card_data else None
    return {"revision": info.sha, "files": files, "fresh": fresh, "licence": named(licence), "card": card}


def _download_files(
    hub: str, config: str | None, commit: str
) -> tuple[dict[str, list[tuple[str, str]]], list[str]]:
    """Name and path of each file of each split, and the paths of those that were not in the cache before."""
    import datasets
    import huggingface_hub

    with tempfile.TemporaryDirectory() as empty:  # an empty cache, without older revisions
        builder = datasets.load_dataset_builder(hub, name=config, revision=commit, cache_dir=empty)
    prefix = f"hf://datasets/{hub}@{commit}/"
    files: dict[str, list[tuple[str, str]]] = {}
    fresh = []
    for split, found in builder.config.data_files.items():
        for name in sorted(is_inside(str(file).removeprefix(prefix)) for file in found):
            cached = huggingface_hub.try_to_load_from_cache(hub, name, repo_type="dataset", revision=commit)
            place = huggingface_hub.hf_hub_download(hub, name, repo_type="dataset", revision=commit)
            fresh += [] if isinstance(cached, str) else [place]
            files.setdefault(str(split), []).append((name, place))
    return files, fresh


def _card(hub: str, commit: str) -> str:
    """The path of the dataset's card, which names its licence and its splits."""
    import huggingface_hub

    return str(huggingface_hub.hf_hub_download(hub, CARD, repo_type="dataset", revision=commit))


def _classify(error: Exception) -> dict[str, Any]:
    """Classify an error of the libraries as transient, system or user; raises any other."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    text = f"{type(error).__name__}: {error}"
    network = type(error).__module__.startswith(("httpx", "httpcore"))
    if network or isinstance(error, ConnectionError | LocalEntryNotFoundError | json.JSONDecodeError):
        return {"transient": text}
    if isinstance(error, OSError) and error.errno is not None:
        return {"system": [error.errno, error.strerror, error.filename]}
    if isinstance(error, ValueError | FileNotFoundError):  # of `datasets`: configuration, files
        return {"user": str(error)}
    if isinstance(error, OSError):  # of `huggingface_hub`: an incomplete file
        return {"transient": text}
    raise error


if __name__ == "__main__":
    question = json.loads(sys.argv[1])
    signal.alarm(int(question["limit"]) + 1)  # ends the process even if its parent is gone
    print(json.dumps(_serve(question)))
