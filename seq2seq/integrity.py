"""Whether the outputs that lie here are those that dvc.lock records; removes damaged ones.

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


class DamagedError(Exception):
    """What a stage was to read is damaged; `stages` make it again."""

    def __init__(self, found: Iterable[Damage]) -> None:
        damage = list(found)
        self.stages = list(dict.fromkeys(one.output.stage for one in damage))
        super().__init__("; ".join(map(str, damage)) + ": run `dvc repro` again")


def check_inputs(stage: str) -> None:
    """Raise DamagedError unless what a stage reads of others is what dvc.lock records."""
    deps = _read(DAG).get("stages", {}).get(stage, {}).get("deps", [])
    names = [str(next(iter(dep)) if isinstance(dep, dict) else dep) for dep in deps]
    others = [out for out in recorded() if out.stage != stage]
    if found := _mend([out for out in others if any(_overlap(out.path, name) for name in names)]):
        raise DamagedError(found)


def check_outputs(stage: str) -> list[Damage]:
    """The damaged outputs of a stage that was just restored; they are removed."""
    return _mend([out for out in recorded() if out.stage == stage], just_restored=True)


def check_data(file: Path) -> list[Damage]:
    """The damaged outputs under `dvc add` that a .dvc file names and that were just restored; removed."""
    outs = _read(file).get("outs", [])
    return _mend(
        [Output(str(file), str(file.parent / out["path"]), out["md5"]) for out in outs if "md5" in out],
        just_restored=True,
    )


def recorded() -> list[Output]:
    """The outputs of all stages that dvc.lock records."""
    return [
        Output(stage, out["path"], out["md5"])
        for stage, entry in _read(LOCK).get("stages", {}).items()
        for out in entry.get("outs", [])
        if "md5" in out
    ]


def _mend(outputs: Iterable[Output], *, just_restored: bool = False) -> list[Damage]:
    """Those outputs that hold other bytes than DVC takes them to hold, removed with their damaged objects.

    Not what somebody has changed after it was restored: DVC sees that by itself. What is missing is not
    damaged.
    """
    suspects = [out for out in outputs if Path(out.path).exists() and _md5(Path(out.path)) != out.md5]
    if not suspects:
        return []
    from seq2seq import graph  # imports DVC

    found, cache = [], graph.cache_folder()
    for out in suspects:
        bad = list(_bad_objects(cache, out.md5))
        if just_restored or _object(cache, out.md5) in bad or graph.is_taken_for(out.path, out.md5):
            for path in bad:
                path.unlink()
            shutil.rmtree(out.path) if Path(out.path).is_dir() else Path(out.path).unlink()
            found.append(Damage(out, tuple(bad)))
    return found


def _bad_objects(cache: Path, md5: str) -> Iterator[Path]:
    """The objects of DVC's cache that make up an output and do not hold what their name says."""
    for name in dict.fromkeys((md5, *listed(cache, md5).values())):
        path = _object(cache, name)
        if path.is_file() and _md5(path) != name.removesuffix(".dir"):
            yield path


def declared(dag: Path = DAG) -> list[Path]:
    """The outputs that dvc.yaml declares, whether or not they exist."""
    stages = _read(dag).get("stages", {}).values()
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
    from seq2seq import graph

    cache = graph.cache_folder()
    lists = [_object(cache, name) for name in folders]
    bad = [path for path in lists if path.is_file() and _md5(path) + ".dir" != path.parent.name + path.name]
    for path in bad:
        path.unlink()
    return bad


def _object(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]


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


def _read(path: Path) -> Any:
    return (YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}) if path.is_file() else {}
