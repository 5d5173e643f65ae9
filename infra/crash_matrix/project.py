"""The small project that each cell breaks: an undisturbed run, and its state just before a stage.

Why: a cell that begins at the stage it breaks takes seconds. The undisturbed run gives the hashes that the
healed one has to reach. All cells work in one folder, one after the other, so that no path in the registry
changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".cache/crash-matrix"
WEIGHTS = Path("model/weights.safetensors")
SMALL = {  # beside recipe tiny
    "ingest.train_size": 400,
    "ingest.validation_size": 40,
    "ingest.test_size": 40,
    "train.updates": 12,
    "train.warmup_updates": 2,
    "train.validate_every": 6,
    "train.checkpoint_every": 2,
    "evaluate.max_length": 20,
}
Lock = dict[str, dict[str, Any]]


def commit() -> str:
    """The commit of this tree, with `+` if files of the pipeline differ from it."""
    here = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True
    )
    changed = subprocess.run(
        ["git", "status", "--porcelain", "--", "seq2seq", "flows", "dvc.yaml", "infra"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return here.stdout.strip() + ("+" if changed.stdout.strip() else "")


def code() -> str:
    """A digest of the code that the cells exercise: another one makes older results void."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "seq2seq", "flows", "infra/services", "dvc.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    digest = hashlib.sha256()
    for name in sorted(listed.stdout.splitlines()):
        digest.update(name.encode() + (ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def environment(**more: str) -> dict[str, str]:
    """Of a run: one thread, and no server that a person has named."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "SEQ2SEQ_"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
    return {**kept, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **more}


def create(folder: Path) -> None:
    """A committed copy of the project with the small recipe."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    values = [word for key, value in SMALL.items() for word in ("--set", f"{key}={value}")]
    _call(folder, sys.executable, "-m", "seq2seq", "use", "tiny", *values)
    _call(folder, "git", "init", "--quiet", "--initial-branch", "main")
    _call(folder, "git", "add", "--all")
    who = ("-c", "user.name=matrix", "-c", "user.email=matrix@example.org")
    _call(folder, "git", *who, "commit", "--quiet", "--message", "small")


def restore(saved: Path, folder: Path) -> None:
    """Make `folder` what was saved."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(saved, folder, symlinks=True)


def read_lock(folder: Path) -> Lock:
    """The stages of dvc.lock; empty without one."""
    file = folder / "dvc.lock"
    if not file.exists():
        return {}
    stages: Lock = YAML(typ="safe").load(file.read_text("utf-8"))["stages"]
    return stages


def hashes(lock: Lock, stage: str) -> dict[str, str]:
    """The hash of each output of a stage; `ingest` has one part for each source."""
    return {
        out["path"]: out.get("md5", "")
        for name, entry in lock.items()
        if name.partition("@")[0] == stage
        for out in entry.get("outs", [])
    }


def rewind(folder: Path, stage: str, keep_records: bool = False, cache: Path | None = None) -> None:
    """Take back what this stage and those after it have made; of this stage, DVC's cache as well.

    The cache keeps the later stages, whose results DVC restores if, and only if, their inputs are the same.
    """
    lock, cache = read_lock(folder), cache or folder / ".dvc/cache"
    order = [name.partition("@")[0] for name in lock]
    ranks = ["ingest", "mix", "score", "clean", "tokenize", "train", "evaluate", "register"]
    later = [name for name, base in zip(lock, order, strict=True) if ranks.index(base) >= ranks.index(stage)]
    for name in later:
        for out in lock[name]["outs"]:
            target = folder / out["path"]
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    own = [name for name in later if name.partition("@")[0] == stage]
    others = [name for name in lock if name not in own]
    objects = _objects(cache, lock, own) - _objects(cache, lock, others)
    for md5 in objects:
        (cache / f"files/md5/{md5[:2]}/{md5[2:]}").unlink(missing_ok=True)
    for record in (cache / "runs").glob("*/*/*"):
        if not keep_records and f"-m seq2seq {stage}" in record.read_text("utf-8"):
            shutil.rmtree(record.parent)  # DVC fails on an empty folder
    document = YAML().load((folder / "dvc.lock").read_text("utf-8"))
    for name in later:
        del document["stages"][name]
    with (folder / "dvc.lock").open("w") as file:
        YAML().dump(document, file)
    shutil.rmtree(folder / ".dvc/tmp", ignore_errors=True)


def _objects(cache: Path, lock: Lock, names: list[str]) -> set[str]:
    """The names in DVC's cache of what some stages have made."""
    found: set[str] = set()
    for name in names:
        for out in lock[name]["outs"]:
            md5 = out["md5"]
            found.add(md5)
            listing = cache / f"files/md5/{md5[:2]}/{md5[2:]}"
            if md5.endswith(".dir") and listing.exists():
                found |= {entry["md5"] for entry in json.loads(listing.read_text())}
    return found


def sha256(path: Path) -> str:
    """The hash of a file; empty without one."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _call(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)
