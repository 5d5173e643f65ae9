"""Compares outputs with the hashes in dvc.lock, and removes damaged ones.

Damaged objects of data under `dvc add`, which no stage can recreate, are renamed and never removed.

Why: DVC restores an object of its cache without reading it and takes its name for its hash, so a stage would
read damaged bytes. The check takes about a second per 500 MB, only for stages that run or are restored.
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

from seq2seq.common import dag
from seq2seq.common.errors import UserError

LOCK, DAG = Path("dvc.lock"), Path("dvc.yaml")
SHOWN = 3  # objects named in a message


class Output(NamedTuple):
    """An output in dvc.lock."""

    stage: str
    path: str
    md5: str  # hex digits; for a folder that of its list of files, with the suffix `.dir`


class Damage(NamedTuple):
    """A damaged output, now removed."""

    output: Output
    objects: tuple[Path, ...]  # of DVC's cache, also removed

    def __str__(self) -> str:
        names = [str(path) for path in self.objects[:SHOWN]]
        if (more := len(self.objects) - SHOWN) > 0:
            names.append(f"{more} more")
        also = f" and the damaged {', '.join(names)} in DVC's cache" if names else ""
        return (
            f"{self.output.path} is damaged: its hash differs from {LOCK}; "
            f"removed it{also}, stage {self.output.stage} will recreate it"
        )


class Aside(NamedTuple):
    """A file under `dvc add`, and its damaged object, renamed."""

    path: str  # the folder, if its list of files is damaged
    object: Path


class DamagedError(Exception):
    """Inputs of a stage are damaged; running `stages` recreates them."""

    def __init__(self, found: Iterable[Damage]) -> None:
        damage = list(found)
        self.stages = list(dict.fromkeys(one.output.stage for one in damage))
        super().__init__("; ".join(map(str, damage)) + ": run `dvc repro` again")


def check_inputs(stage: str) -> None:
    """Raise DamagedError unless a stage's inputs from other stages match dvc.lock."""
    entry = read(DAG).get("stages", {}).get(stage.partition("@")[0], {})
    deps = entry.get("do", entry).get("deps", [])
    names = [str(next(iter(dep)) if isinstance(dep, dict) else dep) for dep in deps]
    others = [out for out in recorded() if out.stage != stage]
    if found := _mend([out for out in others if any(_overlap(out.path, name) for name in names)]):
        raise DamagedError(found)


def check_outputs(stage: str) -> list[Damage]:
    """Remove and return the damaged outputs of a stage that was just restored."""
    return _mend([out for out in recorded() if _is_of(out, stage)], just_restored=True)


def set_aside(file: Path) -> list[Aside]:
    """Rename the damaged objects of DVC's cache that hold the data of a .dvc file to *.damaged.

    They may be the last copy. This runs before DVC restores them, because DVC removes a damaged object that
    is not write-protected.
    """
    found = []
    for path, object_ in _objects(file):
        if object_.is_file() and not _is_sound(object_):
            object_.replace(_damaged(object_))
            found.append(Aside(path, _damaged(object_)))
    return found


def aside(file: Path) -> list[Aside]:
    """The renamed objects of a .dvc file that have no sound replacement yet."""
    return [
        Aside(path, _damaged(object_))
        for path, object_ in _objects(file)
        if _damaged(object_).is_file() and not object_.is_file()
    ]


def remove_aside(file: Path) -> None:
    """Remove the renamed objects of a .dvc file that have sound replacements."""
    for _, object_ in _objects(file):
        if object_.is_file() and _is_sound(object_):
            _damaged(object_).unlink(missing_ok=True)


def _objects(file: Path) -> list[tuple[str, Path]]:
    """The files of a .dvc file with their objects in DVC's cache; a folder's list comes first."""
    outs = _hashed(file, read(file))
    if not outs:
        return []
    cache, found = dag.cache_folder(), []
    for out in outs:
        found.append((out.path, _object(cache, out.md5)))
        files = listed(cache, out.md5)
        found += [(f"{out.path}/{name}", _object(cache, md5)) for name, md5 in files.items()]
    return found


def _hashed(file: Path, entry: Any) -> list[Output]:
    """The outputs of a .dvc file whose hash is that of their bytes.

    DVC 2 hashed text with converted line ends, and stores such objects elsewhere.
    """
    folder = file.parent / entry.get("wdir", ".")
    return [
        Output(str(file), str(folder / out["path"]), out["md5"])
        for out in entry.get("outs", [])
        if _is_hash_of_bytes(out)
    ]


def _is_hash_of_bytes(out: Any) -> bool:
    return "md5" in out and out.get("hash") == "md5"


def recorded(path: Path = LOCK) -> list[Output]:
    """The outputs in dvc.lock with a hash of their bytes."""
    return [
        Output(stage, out["path"], out["md5"])
        for stage, entry in read(path).get("stages", {}).items()
        for out in entry.get("outs", [])
        if _is_hash_of_bytes(out)
    ]


def _is_of(output: Output, stage: str) -> bool:
    """Whether an output is one of a stage, or of one of the stages of a `foreach` of this name."""
    return output.stage == stage or output.stage.partition("@")[0] == stage


def state(name: str) -> tuple[Any, list[tuple[str, int, int]]]:
    """The entry of a stage in dvc.lock, or a .dvc file, and inode and time of each file of its outputs.

    It changes where DVC runs a stage or restores it, in whatever words DVC reports that.
    """
    file = Path(name)
    is_stage = file.suffix != ".dvc"
    if is_stage:
        stages = read(LOCK).get("stages", {})
        entry = {key: of for key, of in stages.items() if name in (key, key.partition("@")[0])}
        outs = [Path(out["path"]) for of in entry.values() for out in of.get("outs", [])]
    else:
        entry = read(file)
        outs = [file.parent / entry.get("wdir", ".") / out["path"] for out in entry.get("outs", [])]
    files = []
    for path in outs:
        for one in (path, *(sorted(path.rglob("*")) if path.is_dir() else ())):
            if one.exists():
                status = one.stat()
                files.append((str(one), status.st_ino, status.st_mtime_ns))
    return entry, files


def _mend(outputs: Iterable[Output], *, just_restored: bool = False) -> list[Damage]:
    """Remove and return outputs with other bytes than DVC assumes, together with their damaged objects.

    Outputs edited after they were restored stay: DVC detects those itself. Missing outputs are not damaged.
    """
    suspects = [out for out in outputs if Path(out.path).exists() and _md5(Path(out.path)) != out.md5]
    if not suspects:
        return []
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
    """The objects of an output in DVC's cache whose hash differs from their name."""
    for name in dict.fromkeys((md5, *listed(cache, md5).values())):
        path = _object(cache, name)
        if path.is_file() and not _is_sound(path):
            yield path


def declared(path: Path = DAG) -> list[Path]:
    """The outputs declared in dvc.yaml, existing or not; of a `foreach` those that are recorded."""
    found = []
    for name, entry in read(path).get("stages", {}).items():
        if "foreach" in entry:
            found += [Path(out.path) for out in recorded(path.with_name(LOCK.name)) if _is_of(out, name)]
            continue
        outs = [out for kind in ("outs", "metrics", "plots") for out in entry.get(kind, [])]
        found += [Path(next(iter(out)) if isinstance(out, dict) else out) for out in outs]
    return found


def listed(cache: Path, md5: str) -> dict[str, str]:
    """The files of a folder with this hash, with the names of their objects.

    Empty for a file, or if the list is missing or damaged.
    """
    path = _object(cache, md5)
    if not md5.endswith(".dir") or not path.is_file():
        return {}
    try:
        return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(path.read_bytes())}
    except (ValueError, TypeError, KeyError):
        return {}


def remove_bad_lists(stage: str) -> list[Path]:
    """Remove damaged lists of files of a stage's folders; DVC then runs the stage and writes them again."""
    folders = [out.md5 for out in recorded() if _is_of(out, stage) and out.md5.endswith(".dir")]
    if not folders:
        return []
    cache = dag.cache_folder()
    lists = [_object(cache, name) for name in folders]
    bad = [path for path in lists if path.is_file() and not _is_sound(path)]
    for path in bad:
        path.unlink()
    return bad


def _object(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]


def _is_sound(path: Path) -> bool:
    """Whether the hash of an object of DVC's cache is its name."""
    return _md5(path) == path.parent.name + path.name.removesuffix(".dir")


def _damaged(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _md5(path: Path) -> str:
    """DVC's hash of a file or folder, computed from its bytes."""
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
    """The content of one of DVC's YAML files, empty if missing; raises UserError if it is not valid."""
    if not path.is_file():
        return {}
    back = f"`git checkout {path}`"
    if path == LOCK:
        back += f", or rm {path}: outputs are restored from the cache"
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
    except (YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{where} is not valid YAML (conflict marks, or damage): {back}") from None
    stages = content.setdefault("stages", {}) or {} if isinstance(content, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(entry, dict) for entry in stages.values()):
        raise UserError(f"{path} is not a file of DVC: {back}")
    return {**content, "stages": stages}
