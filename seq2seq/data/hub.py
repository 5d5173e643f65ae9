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
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml.error import YAMLError

from seq2seq.common import params
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.files import sha256
from seq2seq.common.masking import mask
from seq2seq.data.splits import File, find_splits

MIRROR = "CORPUS_MIRROR"  # a folder with OWNER/NAME, used instead of the hub
LIMIT = "SEQ2SEQ_HUB_SECONDS"  # the timeout of one attempt
DEFAULT_LIMIT, MOST_SECONDS = 900.0, 1e6
PREFLIGHT_SECONDS = 5.0
WAITS = (1.0, 3.0)  # seconds before the second and the third attempt
OWN_CACHE = Path(".cache")  # of this project; without HF_HOME the hub's files are below it
COMMIT = re.compile(r"[0-9a-f]{40}")
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "0",
    "HF_HUB_DISABLE_XET": "1",  # download over plain HTTP only
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",
}


def _is_inside(name: str) -> str:
    """The name of a file of a dataset; raises ValueError if it leads out of the dataset's folder."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or "://" in name:
        raise ValueError("a file's name leads out of the dataset: it must be a path below it")
    return name


FileName = Annotated[str, AfterValidator(_is_inside)]


class Pin(BaseModel):
    """A pin file: dataset `hub` at `revision`, with the sha256 of its `files`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    hub: Annotated[str, Field(pattern=r"^\w[\w.-]*/\w[\w.-]*$")]
    config: str | None = None
    revision: Annotated[str, Field(min_length=1)]
    licence: str | None = None
    splits: dict[Literal["train", "validation", "test"], str] = {}
    files: dict[FileName, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = {}


class Copy(NamedTuple):
    """The local files of a pin; `revision` is None if a mirror cannot guarantee one."""

    files: dict[str, list[File]]
    revision: str | None
    licence: str | None
    mirror: bool
    summary: str  # one line for the user


def load(path: Path) -> Pin:
    """Read a pin; raises UserError."""
    return _check(path, _read(path))


def fetch(path: Path, pin: Pin) -> Copy:
    """The files of a pin, from CORPUS_MIRROR if it is set or else from the hub, their hashes checked.

    Raises UserError for an unknown dataset, revision or split and for a wrong hash, TransientError if
    the hub does not answer.
    """
    if mirror := os.environ.get(MIRROR):
        return _from_mirror(path, pin, Path(mirror))
    answer = _download(path, pin)
    revision = answer["revision"]
    files = {
        split: [File(name, Path(place)) for name, place in files] for split, files in answer["files"].items()
    }
    # Any other cache of the hub is shared with the user.
    ours = [p for p in map(Path, answer["fresh"]) if p.resolve().is_relative_to(OWN_CACHE.resolve())]
    checked = _check_hashes(path, pin, f"{pin.hub} at {revision}", files, ours)
    moving = "" if pin.revision == revision else f" (now {pin.revision})"
    summary = f"{pin.hub} at {revision}{moving} from the hub"
    summary += f", {checked} files as pinned" if checked else ""
    if moving or not checked:
        summary += f"; not pinned yet, to keep it: seq2seq pin {path}"
    return Copy(files, revision, answer["licence"], mirror=False, summary=summary)


def pin(path: Path) -> list[tuple[str, Any, Any]]:
    """Update a pin to the current commit of `revision` and the hashes of its files.

    Comments stay. Returns the changes as (key, before, after). Raises as `fetch` does.
    """
    document = _read(path)
    old = _check(path, document)
    answer = _download(path, old)
    files = {name: sha256(Path(place)) for files in answer["files"].values() for name, place in files}
    changes: list[tuple[str, Any, Any]] = [("revision", old.revision, answer["revision"])]
    for name in sorted(files.keys() | old.files.keys()):
        changes.append((f"files.{name}", old.files.get(name), files.get(name)))
    changes = [(key, before, after) for key, before, after in changes if before != after]
    document["revision"], document["files"] = answer["revision"], dict(sorted(files.items()))
    if changes:
        params.write(document, path)
    return changes


def _read(path: Path) -> Any:
    try:
        return params.round_trip_yaml().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; a pin is a file such as corpora/multi30k.yaml") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None


def _check(path: Path, document: Any) -> Pin:
    if not isinstance(document, Mapping):
        raise UserError(f"{path} is no pin: it needs the keys hub and revision")
    try:
        return Pin.model_validate(document)
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(map(str, e['loc']))}: {e['input']!r}: {e['msg']}" for e in error.errors()
        )
        raise UserError(
            f"{path} is no pin of a hub dataset:\n{problems}\n  it needs `hub: owner/name` and `revision` "
            "(a commit or a branch), and may have config, licence, splits and files"
        ) from None


def _from_mirror(path: Path, pin: Pin, mirror: Path) -> Copy:
    folder = mirror / pin.hub  # two names, neither with a dot in front
    if not folder.is_dir():
        raise UserError(f"{MIRROR}={mirror} has no {pin.hub}; put it there, or unset {MIRROR}")
    files = find_splits(folder, pin.config)
    checked = _check_hashes(path, pin, str(folder), files)
    pinned = bool(checked and COMMIT.fullmatch(pin.revision))
    summary = f"{pin.hub} from the mirror {mirror}, not from the hub; " + (
        f"{checked} files as pinned" if checked else f"{path} has no hashes to check them against"
    )
    return Copy(files, pin.revision if pinned else None, _licence(folder), mirror=True, summary=summary)


def _licence(folder: Path) -> str | None:
    """The licence in the dataset card of a folder in the hub's layout."""
    import huggingface_hub
    from yaml import YAMLError  # type: ignore[import-untyped]

    card = folder / "README.md"
    try:
        return named(huggingface_hub.DatasetCard.load(card).data.get("license")) if card.is_file() else None
    except (ValueError, YAMLError):  # files with a faulty card are still used
        return None


def named(licence: Any) -> str | None:
    """A card's licence, which may be a list of several."""
    return ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence) if licence else None


def _check_hashes(
    path: Path, pin: Pin, where: str, files: Mapping[str, list[File]], ours: Collection[Path] = ()
) -> int:
    """The number of files whose hash was compared, 0 if the pin has none; raises UserError.

    A wrong file is removed only if it is one of `ours`, downloaded by this run into a folder of the project.
    """
    if not pin.files:
        return 0
    everything = {file.name: file.path for split in files.values() for file in split}
    if differing := everything.keys() ^ pin.files.keys():
        raise UserError(
            f"{where} and {path} do not name the same files: {', '.join(sorted(differing))}\n"
            f"  if the change is meant, renew the pin: seq2seq pin {path}"
        )
    for name, place in everything.items():
        found = sha256(place)
        if found != pin.files[name]:
            remedy = f"remove {place.resolve()} and run again"
            if place in ours:  # else the next run would use the same bytes
                place.resolve().unlink()
                place.unlink(missing_ok=True)
                remedy = "run again, which downloads it again"
            raise UserError(
                f"{where}: {name} has sha256 {found},\n  but {path} pins {pin.files[name]}\n"
                f"  if the change is meant, renew the pin: seq2seq pin {path}\n"
                f"  if the file is damaged, {remedy}"
            )
    return len(everything)


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
    return {"revision": info.sha, "files": files, "fresh": fresh, "licence": named(licence)}


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
        for name in sorted(_is_inside(str(file).removeprefix(prefix)) for file in found):
            cached = huggingface_hub.try_to_load_from_cache(hub, name, repo_type="dataset", revision=commit)
            place = huggingface_hub.hf_hub_download(hub, name, repo_type="dataset", revision=commit)
            fresh += [] if isinstance(cached, str) else [place]
            files.setdefault(str(split), []).append((name, place))
    return files, fresh


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
