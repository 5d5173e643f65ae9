"""Facts about this workspace: commit, differences from it, dvc.lock, packages, machine.

Why: every model must be traceable to its code, data and parameters, also without a git repository.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import platform
import re
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from seq2seq.common import integrity, params, paths
from seq2seq.common.masking import mask
from seq2seq.common.params import ParamsError, flatten
from seq2seq.common.schema import Params

START = "train.start_from"  # of tags: its model, version and digest
UNKNOWN, NONE = "unknown", "none"  # in a tag, which must not be empty
LOCK = Path("dvc.lock")
# Code and parameters: the files that determine a result. The run itself writes dvc.lock. Of these, only text
# files of known types are stored in a record, and never files that may contain keys, committed or not.
CODE = ("seq2seq", "flows", "corpora", "params.yaml", "dvc.yaml", "pyproject.toml", "constraints.txt")
TEXTS = (".py", ".yaml", ".yml", ".toml")
SEARCHED = 50  # commits of a file
FILES, DIGITS = "corpus.files", 16  # a run's tag, and the digits of each file's sha256 in it
DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color")  # independent of the user's configuration
LONGEST_DIFF = 1_000_000  # bytes
SECRETS = re.compile(r"(^|/)\.|secret|credential|token(?!ize|s\.py)|password|\.local\.", re.I)  # of a name
LONGEST_TAG = 8000  # characters, MLflow's own limit
TOO_LONG = "too long for a tag"  # replaces a recipe's value and ours
ELSEWHERE = "in provenance.json"  # of the run's files: replaces a list that is too long for MLflow


def commit() -> str:
    """The 40 hex digits of git's HEAD; "unknown" outside a repository."""
    return (_git("rev-parse", "--verify", "HEAD") or UNKNOWN).strip()


def dirty() -> str:
    """Whether code or parameters differ from HEAD or are untracked: true, false or unknown."""
    status = _git("status", "--porcelain", "--", *CODE)
    if status is None or commit() == UNKNOWN:
        return UNKNOWN
    return "true" if status.strip() else "false"


def diff() -> str:
    """The diff of the tracked code and parameters against HEAD, secrets masked, then the names of new files.

    The content of files that git does not track, also after `git add --intent-to-add`, and other files
    (notebooks, corpora, `.env`) are not included. Empty without difference or repository; longer than
    LONGEST_DIFF bytes, it is cut, with the number of bytes left out.
    """
    added = set(_names("diff", "--diff-filter=A"))  # index and tree differ so only after intent-to-add
    kept = [name for name in _texts(_names("diff", "HEAD")) if name not in added]
    text = mask((_git(*DIFF, "HEAD", "--relative", "--", *kept) if kept else "") or "")
    new = _texts([*added, *_names("ls-files", "--others", "--exclude-standard")])
    if (left_out := len(text.encode()) - LONGEST_DIFF) > 0:
        start = text.encode()[:LONGEST_DIFF].decode(errors="ignore")
        text = f"{start}\n# cut off here: {left_out:,} bytes are left out\n"
    return text + "".join(f"# new, content not included: {name}\n" for name in sorted(new))


def _names(*arguments: str) -> list[str]:
    """The names of code and parameters that a git command lists."""
    command, *options = arguments
    options += ["--name-only", "--relative"] if command == "diff" else []
    return [name for name in (_git(command, *options, "-z", "--", *CODE) or "").split("\0") if name]


def _texts(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.endswith(TEXTS) and not SECRETS.search(name)] + [
        name for name in names if name == "constraints.txt"
    ]


def commit_with(path: str, md5: str) -> str | None:
    """The newest of the last commits with this content of a file; None if there is none."""
    for revision in (_git("log", f"-{SEARCHED}", "--format=%H", "--", path) or "").split():
        content = _run("show", f"{revision}:./{path}")
        if content is not None and hashlib.md5(content.stdout, usedforsecurity=False).hexdigest() == md5:
            return revision
    return None


def lines_changed(path: str, commit: str) -> tuple[int, int] | None:
    """The numbers of lines added and removed in a file since a commit; None if git has none."""
    counts = (_git("diff", "--numstat", commit, "--", path) or "").split()
    return (int(counts[0]), int(counts[1])) if counts and counts[0].isdigit() else None


def closest_recipe(
    current: Params, recipes: Path = paths.RECIPES
) -> tuple[str, dict[str, tuple[Any, Any]]] | None:
    """The recipe with the fewest differences, and these: key -> (the recipe's value, ours).

    None without a valid recipe.
    """
    mine = _values(current)
    found = []
    for path in sorted(recipes.glob("*.yaml")):
        try:
            theirs = _values(params.load(path))
        except ParamsError:
            continue  # `seq2seq use` reports the error
        keys = dict.fromkeys((*mine, *theirs))
        pairs = {key: (theirs.get(key), mine.get(key)) for key in keys}
        found.append((path.stem, {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}))
    return min(found, key=lambda one: len(one[1]), default=None)


def _values(checked: Params) -> dict[str, Any]:
    """All values by key; of a single source without its name, as `seq2seq use` takes them (`ingest.path`)."""
    document = checked.model_dump(exclude_defaults=True)
    if len(sources := document["ingest"].pop("sources")) == 1:
        document["ingest"] |= next(iter(sources.values()))
    else:
        document["ingest"]["sources"] = sources
    return flatten(document)


def recipe_tags(current: Params) -> dict[str, str]:
    """The closest recipe and the changes to it, as tags of a run; none without a recipe."""
    if (closest := closest_recipe(current)) is None:
        return {}
    name, changes = closest
    if len(text := json.dumps(changes)) > LONGEST_TAG:
        text = json.dumps(dict.fromkeys(changes, (TOO_LONG, TOO_LONG)))
    return {"recipe": name, "recipe.changes": text}


def start_tags(current: Params) -> dict[str, str]:
    """The version from whose weights a training began, as tags of its run and versions; none without one."""
    start = current.train.start_from
    return {f"{START}.{key}": str(value) for key, value in start.model_dump().items()} if start else {}


def files(facts: Any) -> Iterator[Mapping[str, Any]]:
    """All files in a provenance: of the corpus and of evaluation sets."""
    if isinstance(facts, Mapping):
        if "sha256" in facts:
            yield facts
        facts = list(facts.values())
    if isinstance(facts, list):
        for one in facts:
            yield from files(one)


def file_tags() -> dict[str, str]:
    """The first digits of the files' sha256, separated by spaces, as a tag to find runs by."""
    if not paths.PROVENANCE.is_file():
        return {}
    named = files(json.loads(paths.PROVENANCE.read_text(encoding="utf-8")))
    text = "".join(sorted({f" {file['sha256'][:DIGITS]}" for file in named}))
    return {FILES: text if len(text) <= LONGEST_TAG else ELSEWHERE}


def flow_run() -> str:
    """The id of this process's Prefect flow run; empty if there is none."""
    return os.environ.get("PREFECT__FLOW_RUN_ID", "")


def tag_value(tag: str | None) -> str:
    """The value of a tag; empty for a missing, unknown or "none" value."""
    return "" if tag is None or tag in (UNKNOWN, NONE) else tag


def workspace_id() -> str:
    """Host and folder: two workspaces with the same tracking server must not share a run."""
    return f"{socket.gethostname()}:{Path.cwd()}"


def author() -> str:
    """The user by git's settings, or else by login and host."""
    name, address = ((_git("config", f"user.{key}") or "").strip() for key in ("name", "email"))
    if name:
        return f"{name} <{address}>" if address else name
    try:
        login = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        login = str(os.getuid())
    return f"{login}@{socket.gethostname()}"


def now() -> str:
    """The current time: ISO 8601, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def lock_digest() -> str:
    """sha256 of the current dvc.lock; "unknown" without one."""
    return file_digest(LOCK)


def file_digest(path: Path) -> str:
    """sha256 of a file; "unknown" without one."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else UNKNOWN


def data_hash(path: Path) -> str:
    """DVC's hash of a stage's output, from dvc.lock; "unknown" if it has none.

    Raises UserError for an unreadable lock.
    """
    for stage in integrity.read(LOCK).get("stages", {}).values():
        for out in stage.get("outs", []):
            if out["path"] == path.as_posix():
                return str(out.get("md5", UNKNOWN))
    return UNKNOWN


def params_digest(params: Params) -> str:
    """sha256 of the values in params.yaml, independent of comments and order."""
    return hashlib.sha256(json.dumps(params.model_dump(), sort_keys=True).encode()).hexdigest()


def packages() -> str:
    """The installed packages, one `name==version` per line, in pip's order."""
    found = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
    return "".join(f"{name}=={found[name]}\n" for name in sorted(found, key=str.casefold))


def machine() -> dict[str, str]:
    """Python, system and processors."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.machine(),
        "processors": str(os.cpu_count()),
        "host": socket.gethostname(),
    }


def _git(*arguments: str) -> str | None:
    """The output of a git command; None if it fails or without git."""
    done = _run(*arguments)
    if done is None or done.returncode:
        return None
    return done.stdout.decode("utf-8", errors="replace")


def _run(*arguments: str) -> subprocess.CompletedProcess[bytes] | None:
    try:
        return subprocess.run(["git", "--no-optional-locks", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return None
