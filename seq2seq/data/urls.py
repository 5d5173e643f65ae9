"""Pins of files on the web: downloads them, compares size and hash, unpacks archives, updates the pin.

Why: many public corpora are files behind a URL, whose bytes change without notice. A pin with hashes gives
the same bytes or an error. Catalogues such as that of `mtdata` name a corpus by an identifier; `seq2seq pin`
writes the URL that it stands for into the pin, so that a run needs no catalogue.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from seq2seq.common import params
from seq2seq.common.errors import UserError
from seq2seq.common.files import replacing, sha256
from seq2seq.data import formats, mirror, moses, pin_file
from seq2seq.data.download import download_file
from seq2seq.data.mirror import Copy
from seq2seq.data.pin_file import FileName, Sha256, Size, is_inside
from seq2seq.data.splits import File, find_splits

DOWNLOADS = Path(".cache/downloads")
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")  # others are known by their content
BROKEN = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, RuntimeError)


def _by_split(value: Any) -> Any:
    return {"train": value} if isinstance(value, str) else value


Url = Annotated[str, Field(pattern=r"^https?://[^/\s]+/\S*$")]


class UrlPin(BaseModel):
    """A pin of files by URL: one (train), or one for each split; `members` are the files of an archive."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    url: Annotated[dict[Literal["train", "validation", "test"], Url], BeforeValidator(_by_split)] = {}
    members: list[str] = []  # of an archive; patterns with * and ?
    mtdata: str | None = None
    licence: str | None = None
    files: dict[FileName, Sha256] = {}
    bytes: dict[FileName, Size] = {}


def load(path: Path) -> UrlPin:
    """Read a pin; raises UserError."""
    return _check(path, pin_file.read(path))


def fetch(path: Path, pin: UrlPin) -> Copy:
    """The files of a pin, from the web or the mirror, compared with its hashes.

    Raises UserError for a missing file and a wrong hash, TransientError if the server does not answer.
    """
    if not pin.url:
        raise UserError(f"{path} names no url: `seq2seq pin {path}` writes that of {pin.mtdata}")
    return mirror.choose(
        lambda folder: _copy(path, pin, _from_mirror(path, pin, folder), folder),
        lambda: _copy(path, pin, download(path, pin), None),
    )


def pin(path: Path) -> list[tuple[str, Any, Any]]:
    """Update a pin to the current files: URL of the catalogue, hashes and sizes.

    Comments stay. Returns the changes as (key, before, after). Raises as `fetch` does.
    """
    document = pin_file.read(path)
    old = _check(path, document)
    new = old
    if old.mtdata:
        found = _of_catalogue(path, old.mtdata)
        new = _check(path, old.model_dump(exclude_none=True) | found)
    places = download(path, new.model_copy(update={"files": {}, "bytes": {}}))
    new = new.model_copy(
        update={
            "files": {name: sha256(place) for name, place in places.items()},
            "bytes": {name: place.stat().st_size for name, place in places.items()},
        }
    )
    changes = []
    for key in ("url", "members", "files", "bytes"):
        before, after = getattr(old, key), getattr(new, key)
        if before != after:
            # Quoted, since a plain URL in braces is not valid in YAML 1.1.
            document[key] = (
                {k: DoubleQuotedScalarString(v) for k, v in after.items()} if key == "url" else after
            )
            changes.append((key, before, after))
    if changes:
        params.write(document, path)
    return changes


def fill_mirror(path: Path, pin: UrlPin, folder: Path) -> list[Path]:
    """Download the files of a pin into a mirror, compared with its hashes; returns their places there."""
    places = download(path, pin)
    _compare(path, pin, places, None)
    copied = []
    for split, url in pin.url.items():
        target = _in_mirror(folder, url)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as draft:
            shutil.copyfile(places[_names(path, pin)[split]], draft)
        copied.append(target)
    return copied


def download(path: Path, pin: UrlPin) -> dict[str, Path]:
    """The downloaded files of a pin by name; one that is there with the pinned hash is not fetched again."""
    names = _names(path, pin)
    places = {}
    for split, url in pin.url.items():
        name = names[split]
        place = _download_folder(url) / name
        wanted = pin.files.get(name)
        if not (wanted and place.is_file() and sha256(place) == wanted):
            download_file(path, url, place, resume=wanted is not None)
        places[name] = place
    return places


def _copy(path: Path, pin: UrlPin, places: Mapping[str, Path], folder: Path | None) -> Copy:
    """The files of a pin by split, after comparison with its hashes; archives are unpacked."""
    checked = _compare(path, pin, places, folder)
    files: dict[str, list[File]] = {}
    urls: dict[str, str] = {str(split): url for split, url in pin.url.items()}
    for split, name in _names(path, pin).items():
        place = places[name]
        if not (zipfile.is_zipfile(place) or tarfile.is_tarfile(place) or name.endswith(ARCHIVES)):
            files[split] = [File(name, place)]
            continue
        unpacked = _unpack(path, place, _download_folder(urls[split]), pin.members)
        found = find_splits(unpacked)
        files |= found if len(pin.url) == 1 else {split: [one for some in found.values() for one in some]}
    where = f"the mirror {folder}" if folder else "the web"
    summary = f"{', '.join(places)} from {where}, " + (
        f"{checked} files as pinned" if checked else "not pinned yet"
    )
    if not checked:
        summary += f"; to keep these bytes: seq2seq pin {path}"
    return Copy(files, None, pin.licence, folder is not None, summary)


def _compare(path: Path, pin: UrlPin, places: Mapping[str, Path], folder: Path | None) -> int:
    """The number of files whose size and hash were compared; raises UserError for a difference.

    A wrong file of a mirror, given by its folder, stays: it is not of this run.
    """
    for name, place in places.items():
        size = place.stat().st_size
        if pin.bytes and pin.bytes.get(name) != size:
            raise UserError(
                f"{path}: {name} has {size:,} bytes, pinned are {pin.bytes.get(name, 0):,}; "
                f"if the change is meant, renew the pin: seq2seq pin {path}"
            )
    files = {"url": [File(name, place) for name, place in places.items()]}
    where, ours = (str(folder), []) if folder else ("the web", list(places.values()))
    return pin_file.compare_hashes(path, pin.files, where, files, ours)


def _unpack(path: Path, archive: Path, below: Path, members: list[str]) -> Path:
    """A folder with the members of an archive, or with all its files of a known kind."""
    folder = below / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                names = [one.filename for one in opened.infolist() if not one.is_dir()]
                for name in _chosen(path, archive, names, members):
                    with opened.open(name) as source:
                        _write(path, folder, name, source)
        else:
            with tarfile.open(archive) as tar:
                names = [one.name for one in tar.getmembers() if one.isfile()]
                for name in _chosen(path, archive, names, members):
                    if (member := tar.extractfile(name)) is not None:
                        _write(path, folder, name, member)
                while tar.fileobj is not None and tar.fileobj.read(2**20):
                    pass  # the checksum of a packed stream is at its end
    except (*BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(f"{path}: {archive.name} cannot be unpacked: {error}") from None
    return folder


def _chosen(path: Path, archive: Path, names: list[str], members: list[str]) -> list[str]:
    """The members to unpack: those that a pattern names, or all of a known kind."""
    chosen = []
    for pattern in members:
        found = [name for name in names if fnmatchcase(name, pattern)]
        if not found:
            listed = ", ".join(names[:20]) + " …" * (len(names) > 20)
            raise UserError(f"{path}: {archive.name} has no member {pattern}; there are: {listed}")
        chosen += found
    if members:
        return list(dict.fromkeys(chosen))
    known = [n for n in names if formats.suffix(Path(n)) in formats.KINDS or moses.half(Path(n))]
    if not known:
        raise UserError(
            f"{path}: {archive.name} has no corpus file; its members are: {', '.join(names[:20])}"
        )
    return known


def _write(path: Path, folder: Path, name: str, source: Any) -> None:
    """Write a member; raises UserError for one that leads out of the folder."""
    try:
        target = folder / is_inside(name.removeprefix("./"))
    except ValueError as error:
        raise UserError(f"{path}: the archive has the member {name!r}: {error}") from None
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)


def _download_folder(url: str) -> Path:
    return DOWNLOADS / hashlib.sha256(url.encode()).hexdigest()[:16]


def _from_mirror(path: Path, pin: UrlPin, folder: Path) -> dict[str, Path]:
    names = _names(path, pin)
    places = {names[split]: _in_mirror(folder, url) for split, url in pin.url.items()}
    if missing := [str(place) for place in places.values() if not place.is_file()]:
        raise UserError(f"{mirror.MIRROR}={folder} lacks {missing[0]}: `seq2seq mirror {folder}` fills it")
    return places


def _in_mirror(folder: Path, url: str) -> Path:
    """The place of a URL in a mirror: url/HOST/PATH, with a digest of its query if it has one."""
    parts = urlsplit(url)
    place = folder / "url" / parts.netloc.rpartition("@")[2] / unquote(parts.path).lstrip("/")
    query = f"{hashlib.sha256(parts.query.encode()).hexdigest()[:8]}-" if parts.query else ""
    return place.with_name(f"{query}{place.name}") if not parts.path.endswith("/") else place / f"{query}file"


def _names(path: Path, pin: UrlPin) -> dict[str, str]:
    """The name of the file of each split: the last part of the URL's path."""
    places = {split: PurePosixPath(unquote(urlsplit(url).path)) for split, url in pin.url.items()}
    if any(".." in place.parts for place in places.values()):
        raise UserError(f"{path}: a url leads upwards (..): write it without")
    names = {str(split): place.name or "file" for split, place in places.items()}
    if len(set(names.values())) < len(names):
        raise UserError(f"{path}: two urls have the same file name: name archives or other files")
    return names


def _of_catalogue(path: Path, identifier: str) -> dict[str, Any]:
    """URL and members of a corpus in the catalogue of mtdata; raises UserError."""
    os.environ.setdefault("MTDATA", str(Path(".cache/mtdata").resolve()))
    Path(os.environ["MTDATA"]).mkdir(parents=True, exist_ok=True)
    try:
        from mtdata.entry import DatasetId
        from mtdata.index import Index
    except ImportError:
        raise UserError(
            f"{path}: `mtdata` needs .venv/bin/pip install -c constraints.txt -e '.[mtdata]'"
        ) from None
    try:
        wanted = DatasetId.parse(identifier)
    except Exception as error:
        raise UserError(
            f"{path}: mtdata: {identifier!r} is no identifier, e.g. OPUS-tatoeba-v20230412-deu-eng: {error}"
        ) from None
    entry = Index.get_instance().entries.get(wanted)
    if entry is None:
        raise UserError(f"{path}: mtdata has no {identifier}; `mtdata list -l deu-eng` lists corpora")
    if not isinstance(entry.url, str):
        raise UserError(
            f"{path}: {identifier} is of several files ({entry.url}): write them as url: {{train: ...}}"
        )
    return {"url": {"train": entry.url}, "members": [str(one) for one in entry.in_paths or []]}


def _check(path: Path, document: Any) -> UrlPin:
    checked = pin_file.checked(
        path, document, UrlPin, "it needs `url` (http or https; one, or {train: …, test: …}) or `mtdata`"
    )
    if not checked.url and not checked.mtdata:
        raise UserError(f"{path} is no pin: it needs `url` or `mtdata`")
    return checked
