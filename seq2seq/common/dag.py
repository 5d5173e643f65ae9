"""dvc.yaml as DVC sees it: the stages in order, what makes each not fresh, and what will become of it.

Why: DVC alone owns the graph and decides what is fresh; flows and `seq2seq explain` ask it through here
and know no stage by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.common.params import flatten, show

Changes = Sequence[tuple[str, Any, Any]]  # section.key, before, after
# What DVC says of itself while it runs stages, and nobody waits for.
CHATTER = re.compile(
    r"\s*$|Running stage '|> exec |(Updating|Generating) lock file|To track the changes with git"
    r"|To enable auto staging|\tgit add |\tdvc config core.autostage|Use `dvc push`|Stage '.*' didn't change"
    r"|Data and pipelines are up to date|Verifying data sources in stage|Stage '.*' is cached - "
)
UNCHANGED, RESTORED, RUN, MAY_RUN = "unchanged", "would be restored", "would run", "may run"


class Files(NamedTuple):
    """How the files of a folder differ from those that DVC knows."""

    added: int
    changed: int
    removed: int


class Change(NamedTuple):
    """One thing by which a stage is not fresh."""

    kind: str  # parameter | input | output | other
    name: str  # section.key, a path, or what DVC says
    verb: str = ""  # of a file: changed | missing
    before: Any = None  # a parameter's value; a file's hash, if it was looked up
    after: Any = None
    files: Files | None = None  # of a folder, if it was looked up and DVC still has the old list

    def __str__(self) -> str:
        match self.kind:
            case "parameter":
                return f"{self.name}: {show(self.before)} -> {show(self.after)}"
            case "output":
                return f"output {self.name} {self.verb}"
            case _:
                return f"{self.name} {self.verb}".rstrip()


@dataclass(frozen=True)
class Node:
    """A stage of dvc.yaml, or a file under `dvc add` (`is_data`)."""

    name: str
    upstream: tuple[str, ...]
    outs: tuple[Path, ...]  # absolute
    changes: tuple[Change, ...] = ()  # why it is not fresh by itself; stages before it are not named
    is_data: bool = False
    # What DVC will bring it to without running it, if that was looked up: "fresh" or "restored", given
    # that the stages before it need not run either. Empty if it has to run, or was not looked up.
    kept: str = ""

    @property
    def reasons(self) -> tuple[str, ...]:
        """`changes` as short texts."""
        return tuple(map(str, self.changes))


class Step(NamedTuple):
    """What will become of a stage."""

    node: Node
    outcome: str  # UNCHANGED | RESTORED | RUN | MAY_RUN
    after: tuple[str, ...]  # stages before it that will not stay as they are


def read(changes: Changes = (), *, thoroughly: bool = False) -> list[Node]:
    """The nodes of the project in the current folder, each after those it depends on.

    `changes` of params.yaml are judged as if they had been made. `thoroughly`, for the params.yaml that is
    there, looks up hashes, the files of folders, and what DVC has kept. Raises UserError for a graph that
    cannot be read and for inputs that are nowhere.
    """
    assert not (changes and thoroughly)
    import networkx
    from dvc.exceptions import DvcException

    try:
        with _project() as repo:
            index, status = repo.index, repo.status()
            position = {stage: number for number, stage in enumerate(index.stages)}
            order = networkx.lexicographical_topological_sort(index.graph.reverse(), key=position.__getitem__)
            _check_inputs(index.stages, Path(repo.root_dir), changes)
            nodes = []
            restored: dict[str, Any] = {}
            for stage in order:
                found = tuple(_changes(stage, status.get(stage.addressing, []), changes))
                kept = ""
                if thoroughly:
                    found = tuple(_look_up(stage, change) for change in found)
                    kept = _restorable(repo, stage, found, restored)
                before = tuple(sorted(s.addressing for s in index.graph.successors(stage)))
                outs = tuple(Path(out.fs_path) for out in stage.outs)
                nodes.append(Node(stage.addressing, before, outs, found, stage.is_data_source, kept))
            return nodes
    except DvcException as error:
        causes: list[str] = []
        cause: BaseException | None = error
        while cause is not None:
            causes.append(" ".join(str(cause).split()))
            cause = cause.__cause__
        text = "DVC cannot read this project: " + ": ".join(causes)
        if "dvc.lock" in text:
            text += "; `git checkout dvc.lock`, or rm dvc.lock: results come back from the cache"
        raise UserError(text) from None


def settle_without_git() -> str:
    """Let DVC work in a folder that no git repository holds; returns what was done about it, or nothing.

    The setting is this machine's own (.dvc/config.local), so that `dvc repro` by hand works as well.
    """
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo("."):
            return ""
    except SCMError:
        pass
    with _project() as repo, repo.config.edit("local") as local:
        local.setdefault("core", {})["no_scm"] = True
    return (
        "no git repository holds this folder: DVC is set to do without (core.no_scm in .dvc/config.local); "
        "after `git init`: dvc config --local --unset core.no_scm"
    )


def _project() -> Any:
    """DVC's view of the project in the current folder, in a git repository or in none."""
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        return Repo(".")
    except SCMError:
        return Repo(".", config={"core": {"no_scm": True}})


def cache_folder() -> Path:
    """Where DVC's cache keeps the objects, each in a folder of the first two digits of its md5."""
    with _project() as repo:
        return Path(os.path.relpath(repo.cache.local.path))


def is_cached(path: Path) -> bool:
    """Whether a file lies in DVC's cache, wherever DVC's settings put that; False outside of a project."""
    from dvc.exceptions import NotDvcRepoError

    try:
        with _project() as repo:
            return path.resolve().is_relative_to(Path(repo.cache.local_cache_dir).resolve())
    except NotDvcRepoError:
        return False


def is_taken_for(path: str, md5: str) -> bool:
    """Whether DVC takes an output for one with that hash; it reads what changed in size, time or place."""
    with _project() as repo:
        return any(out.def_path == path and out.get_hash().value == md5 for out in repo.index.outs)


def select(nodes: Sequence[Node], until: str | None, force: Sequence[str]) -> list[Node]:
    """The nodes that a run goes through: all that `until` needs, without files that are as DVC knows.

    Raises UserError if `until` or one of `force` is no stage.
    """
    by_name = {node.name: node for node in nodes}
    stages = [node.name for node in nodes if not node.is_data]
    for name in (*([until] if until else []), *force):
        if name not in stages:
            raise UserError(f"no stage {name!r}; there are: {', '.join(stages)}")
    wanted: set[str] = set()
    pending = [until] if until else stages
    while pending:
        current = pending.pop()
        if current not in wanted:
            wanted.add(current)
            pending.extend(by_name[current].upstream)
    return [n for n in nodes if n.name in wanted and (n.changes or not n.is_data)]


def plan(nodes: Iterable[Node], force: Sequence[str] = ()) -> Iterator[Step]:
    """What will become of each node; `force` names stages to run although they are fresh.

    After a stage that runs nobody knows what the next will read: it will run if something of its own has
    changed, else it may. (DVC restores it instead if it has kept a run with just these inputs.)
    """
    became: dict[str, str] = {}
    made: set[Path] = set()
    for node in nodes:
        after = tuple(name for name in node.upstream if became.get(name, UNCHANGED) != UNCHANGED)
        certain = all(became[name] == RESTORED for name in after)
        own = [
            change
            for change in node.changes
            if certain or (change.kind != "output" and Path(change.name).absolute() not in made)
        ]
        if node.name in force:
            what = RUN
        elif node.kept and certain:
            what = UNCHANGED if node.kept == "fresh" else RESTORED
        elif own:
            what = RUN
        else:
            what = MAY_RUN if after or node.changes else UNCHANGED
        became[node.name] = what
        made.update(node.outs)
        yield Step(node, what, after)


def _check_inputs(stages: Iterable[Any], root: Path, changes: Changes) -> None:
    """Raise UserError for a dependency that no stage writes and that does not exist."""
    moved = {before: after for _, before, after in changes if isinstance(before, str)}
    written = [Path(out.fs_path) for stage in stages for out in stage.outs]
    for stage in stages:
        for dep in stage.deps:
            path = root / moved.get(dep.def_path, dep.fs_path)
            made = any(path == out or out in path.parents or path in out.parents for out in written)
            if dep.protocol == "local" and not made and not path.exists():
                shown = path.relative_to(root) if path.is_relative_to(root) else path
                raise UserError(
                    f"{stage.addressing} needs {shown}, which does not exist in {root}: check the path; "
                    "a clone has only what git knows, or what `dvc add` and `dvc push` have kept"
                )


def _changes(stage: Any, status: Iterable[Any], changes: Changes) -> Iterator[Change]:
    """DVC's status of a stage, with old and new values of params."""
    if status and not any(item.hash_info for item in (*stage.deps, *stage.outs)):
        yield Change("other", "never ran here")
        return
    params = [dep for dep in stage.deps if _is_params(dep)]
    for dep in params:
        yield from _changed_params(dep, changes)
    told = {before for _, before, _ in changes if isinstance(before, str)}
    told |= {paths.PARAMS.name} if params else set()
    for entry in status:
        if isinstance(entry, str):
            yield Change("other", entry)  # e.g. "changed command"
            continue
        for kind, files in entry.items():
            for path, change in files.items():
                if path not in told:
                    verb = "missing" if change == "deleted" else "changed"
                    yield Change("output" if kind == "changed outs" else "input", path, verb)


def _is_params(dep: Any) -> bool:
    return dep.def_path == paths.PARAMS.name and hasattr(dep, "params")


def _changed_params(dep: Any, changes: Changes) -> Iterator[Change]:
    before, after = flatten(dep.hash_info.value or {}), flatten(dep.read_params())
    after |= {key: value for key, _, value in changes if key in after}
    for key in after | before:
        if before.get(key) != after.get(key):
            yield Change("parameter", key, before=before.get(key), after=after.get(key))


def _look_up(stage: Any, change: Change) -> Change:
    """A change with the hashes of the file before and now, and a folder's files compared."""
    found = {str(item): item for item in (stage.deps if change.kind == "input" else stage.outs)}
    if change.kind not in ("input", "output") or change.name not in found:
        return change
    item = found[change.name]
    before, after, files = item.hash_info.value, None, None
    if item.exists:
        where = (item.cache, item.fs_path, item.fs, item.hash_name)
        _, _, now = item._build(*where, ignore=item.dvcignore, dry_run=True, no_progress_bar=True)
        after, then = now.hash_info.value, item.get_obj()
        if now.hash_info.isdir and then is not None and then.hash_info.isdir:
            old, new = ({key: info.value for key, _, info in tree} for tree in (then, now))
            same = old.keys() & new.keys()
            files = Files(len(new.keys() - same), sum(old[k] != new[k] for k in same), len(old.keys() - same))
    return change._replace(before=before, after=after, files=files)


def _restorable(repo: Any, stage: Any, changes: Iterable[Change], restored: dict[str, Any]) -> str:
    """Whether DVC leaves a stage "fresh" or has it "restored" from an earlier run; empty if neither.

    `restored` are the outputs that come back before this stage's turn, by path; its own are added.
    """
    own = [change for change in changes if str(Path(change.name).absolute()) not in restored]
    if stage.is_data_source and any(change.verb != "missing" for change in own):
        return ""  # DVC takes what lies there
    then = [dep.hash_info for dep in stage.deps]
    for dep in stage.deps:
        if (out := restored.get(dep.fs_path)) is not None:
            dep.hash_info, dep.meta = out.hash_info, out.meta
            dep.get_hash = lambda out=out: out.hash_info  # what lies there now does not matter
        elif dep.exists:
            dep.save()  # into this object only
        else:
            return ""
    if not stage.cmd_changed and then == [dep.hash_info for dep in stage.deps]:
        if not own:
            return "fresh"
        made = stage  # only outputs are missing or changed
    else:
        entry = repo.stage_cache._load(stage)
        made = entry and repo.stage_cache._create_stage(entry, wdir=stage.wdir)
    if not made or not made.outs_cached():
        return ""
    restored |= {out.fs_path: out for out in made.outs}
    return "restored"
