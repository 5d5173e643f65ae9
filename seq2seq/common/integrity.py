"""Whether the outputs that lie here are those that dvc.lock records; removes damaged ones.

Of data under `dvc add`, which no stage makes again, damaged objects are renamed and never removed.

Why: DVC restores an object of its cache without reading it and takes the object's name for its hash, so
that a stage would read damaged bytes, and fail in words of its own or go on with them. Reading costs
about a second for 500 MB, and only for stages that run or are restored.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seq2seq.common.errors import UserError

LOCK, DAG = Path("dvc.lock"), Path("dvc.yaml")
SHOWN = 3  # objects named in a message


class Output(NamedTuple):
    """An output as dvc.lock records it."""

    stage: str
    path: str
    md5: str  # hex digits; of a folder's list of files, and then with `.dir` at the end


class Damage(NamedTuple):
    """An output that was damaged, and is removed."""

    output: Output
    objects: tuple[Path, ...]  # of DVC's cache, removed as well

    def __str__(self) -> str:
        names = [str(path) for path in self.objects[:SHOWN]]
        if (more := len(self.objects) - SHOWN) > 0:
            names.append(f"{more} more")
        also = f" and the damaged {', '.join(names)} of DVC's cache" if names else ""
        return (
            f"{self.output.path} is damaged: its bytes are not those that {LOCK} records; "
            f"removed it{also}, stage {self.output.stage} makes it again"
        )


class Aside(NamedTuple):
    """A file under `dvc add`, and the damaged object that was to be it, under its new name."""

    path: str  # of a folder whose list of files is damaged: the folder
    object: Path


class DamagedError(Exception):
    """What a stage was to read is damaged; `stages` make it again."""

    def __init__(self, found: Iterable[Damage]) -> None:
        damage = list(found)
        self.stages = list(dict.fromkeys(one.output.stage for one in damage))
        super().__init__("; ".join(map(str, damage)) + ": run `dvc repro` again")


def check_inputs(stage: str) -> None:
    """Raise DamagedError unless what a stage reads of others is what dvc.lock records."""
    deps = read(DAG).get("stages", {}).get(stage, {}).get("deps", [])
    names = [str(next(iter(dep)) if isinstance(dep, dict) else dep) for dep in deps]
    others = [out for out in recorded() if out.stage != stage]
    if found := _mend([out for out in others if any(_overlap(out.path, name) for name in names)]):
        raise DamagedError(found)


def check_outputs(stage: str) -> list[Damage]:
    """The damaged outputs of a stage that was just restored; they are removed."""
    return _mend([out for out in recorded() if out.stage == stage], just_restored=True)


def set_aside(file: Path) -> list[Aside]:
    """Rename the damaged objects of DVC's cache that hold the data of a .dvc file to *.damaged.

    They may be the last copy. Objects are looked at before DVC restores them, because DVC removes a
    damaged one that is not write-protected.
    """
    found = []
    for path, object_ in _objects(file):
        if object_.is_file() and not _is_sound(object_):
            object_.replace(_damaged(object_))
            found.append(Aside(path, _damaged(object_)))
    return found


def aside(file: Path) -> list[Aside]:
    """What was set aside of the data of a .dvc file, and has not come back."""
    return [
        Aside(path, _damaged(object_))
        for path, object_ in _objects(file)
        if _damaged(object_).is_file() and not object_.is_file()
    ]


def remove_aside(file: Path) -> None:
    """Remove what was set aside of the data of a .dvc file, once sound objects have taken its place."""
    for _, object_ in _objects(file):
        if object_.is_file() and _is_sound(object_):
            _damaged(object_).unlink(missing_ok=True)


def _objects(file: Path) -> list[tuple[str, Path]]:
    """Each file of the data of a .dvc file, with its object in DVC's cache; a folder's list comes first."""
    outs = _hashed(file, read(file))
    if not outs:
        return []
    from seq2seq.common import dag  # imports DVC

    cache, found = dag.cache_folder(), []
    for out in outs:
        found.append((out.path, _object(cache, out.md5)))
        files = listed(cache, out.md5)
        found += [(f"{out.path}/{name}", _object(cache, md5)) for name, md5 in files.items()]
    return found


def _hashed(file: Path, entry: Any) -> list[Output]:
    """The outputs of a .dvc file's content whose hash is that of their bytes.

    DVC 2 took it of text with other line ends, and keeps such objects elsewhere.
    """
    folder = file.parent / entry.get("wdir", ".")
    return [
        Output(str(file), str(folder / out["path"]), out["md5"])
        for out in entry.get("outs", [])
        if _is_hash_of_bytes(out)
    ]


def _is_hash_of_bytes(out: Any) -> bool:
    return "md5" in out and out.get("hash") == "md5"


def is_cached(path: Path) -> bool:
    """Whether a file lies in DVC's cache, wherever that is."""
    from seq2seq.common import dag

    return dag.is_cached(path)


def recorded() -> list[Output]:
    """The outputs of all stages that dvc.lock records with a hash of their bytes."""
    return [
        Output(stage, out["path"], out["md5"])
        for stage, entry in read(LOCK).get("stages", {}).items()
        for out in entry.get("outs", [])
        if _is_hash_of_bytes(out)
    ]


def state(name: str) -> tuple[Any, list[tuple[str, int, int]]]:
    """The entry of a stage in dvc.lock, or a .dvc file, and inode and time of each file of its outputs.

    It changes where DVC runs a stage or restores it, in whatever words DVC reports that.
    """
    file = Path(name)
    is_stage = file.suffix != ".dvc"
    entry = read(LOCK)["stages"].get(name, {}) if is_stage and LOCK.is_file() else read(file)
    folder = Path() if is_stage else file.parent / entry.get("wdir", ".")
    files = []
    for out in entry.get("outs", []):
        path = folder / out["path"]
        for one in (path, *(sorted(path.rglob("*")) if path.is_dir() else ())):
            if one.exists():
                status = one.stat()
                files.append((str(one), status.st_ino, status.st_mtime_ns))
    return entry, files


def _mend(outputs: Iterable[Output], *, just_restored: bool = False) -> list[Damage]:
    """Those outputs that hold other bytes than DVC takes them to hold, removed with their damaged objects.

    Not what somebody has changed after it was restored: DVC sees that by itself. What is missing is not
    damaged.
    """
    suspects = [out for out in outputs if Path(out.path).exists() and _md5(Path(out.path)) != out.md5]
    if not suspects:
        return []
    from seq2seq.common import dag  # imports DVC

    found, cache = [], dag.cache_folder()
    for out in suspects:
        bad = list(_bad_objects(cache, out.md5))
        if just_restored or _object(cache, out.md5) in bad or dag.is_taken_for(out.path, out.md5):
            for path in bad:
                path.unlink()
            shutil.rmtree(out.path) if Path(out.path).is_dir() else Path(out.path).unlink()
            found.append(Damage(out, tuple(bad)))
    return found


def _bad_objects(cache: Path, md5: str) -> Iterator[Path]:
    """The objects of DVC's cache that make up an output and do not hold what their name says."""
    for name in dict.fromkeys((md5, *listed(cache, md5).values())):
        path = _object(cache, name)
        if path.is_file() and not _is_sound(path):
            yield path


def declared(path: Path = DAG) -> list[Path]:
    """The outputs that dvc.yaml declares, whether or not they exist."""
    stages = read(path).get("stages", {}).values()
    kinds = [entry.get(kind, []) for entry in stages for kind in ("outs", "metrics", "plots")]
    return [Path(next(iter(out)) if isinstance(out, dict) else out) for outs in kinds for out in outs]


def listed(cache: Path, md5: str) -> dict[str, str]:
    """The files of a folder with that hash, each with the name of its object.

    Empty for a file, and if the list is missing or damaged.
    """
    path = _object(cache, md5)
    if not md5.endswith(".dir") or not path.is_file():
        return {}
    try:
        return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(path.read_bytes())}
    except (ValueError, TypeError, KeyError):
        return {}


def remove_bad_lists(stage: str) -> list[Path]:
    """Remove the damaged lists of files among a stage's objects; DVC then runs the stage, and writes them."""
    folders = [out.md5 for out in recorded() if out.stage == stage and out.md5.endswith(".dir")]
    if not folders:
        return []
    from seq2seq.common import dag

    cache = dag.cache_folder()
    lists = [_object(cache, name) for name in folders]
    bad = [path for path in lists if path.is_file() and not _is_sound(path)]
    for path in bad:
        path.unlink()
    return bad


def _object(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]


def _is_sound(path: Path) -> bool:
    """Whether an object of DVC's cache holds the bytes that its name is the hash of."""
    return _md5(path) == path.parent.name + path.name.removesuffix(".dir")


def _damaged(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _md5(path: Path) -> str:
    """The hash that DVC gives a file or folder, from the bytes that lie there."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        entries = [{"md5": _md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
        entries.sort(key=lambda entry: entry["relpath"])
        listed = json.dumps(entries, sort_keys=True).encode()
        return hashlib.md5(listed, usedforsecurity=False).hexdigest() + ".dir"
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _overlap(one: str, other: str) -> bool:
    a, b = Path(one), Path(other)
    return a == b or a in b.parents or b in a.parents


def read(path: Path) -> dict[str, Any]:
    """The content of a file of DVC's, nothing if it is missing; raises UserError for one that is no YAML."""
    if not path.is_file():
        return {}
    back = f"`git checkout {path}`"
    if path == LOCK:
        back += f", or rm {path}: results come back from the cache"
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
    except (YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where} is no YAML (conflict marks, or damage): {back}") from None
    stages = content.setdefault("stages", {}) or {} if isinstance(content, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(entry, dict) for entry in stages.values()):
        raise UserError(f"{path} is no file of DVC's: {back}")
    return {**content, "stages": stages}
