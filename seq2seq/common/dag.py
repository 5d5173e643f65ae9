"""DVC's graph of stages: their order, and the changes that make each stale.

Why: DVC alone owns the graph and decides which stages are fresh; flows and `seq2seq explain` read it here and
contain no names of stages.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.common.params import flatten, show

GROUP = "@"  # in DVC's name of one of several stages that `foreach` makes: ingest@news


class Files(NamedTuple):
    """Numbers of files of a folder that differ from DVC's record."""

    added: int
    changed: int
    removed: int


class Change(NamedTuple):
    """One reason why a stage is stale."""

    kind: str  # parameter | input | output | other
    name: str  # section.key, a path, or DVC's message
    verb: str = ""  # of a file: changed | missing
    before: Any = None  # a parameter's value; a file's hash, if read
    after: Any = None
    files: Files | None = None  # of a folder, if read and DVC still has the old list

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
    """A stage of dvc.yaml, all stages of one `foreach`, or a file under `dvc add` (`is_data`)."""

    name: str
    upstream: tuple[str, ...]
    outs: tuple[Path, ...]  # absolute
    changes: tuple[Change, ...] = ()  # of its own; stages before it are not included
    is_data: bool = False
    # "fresh" or "restored": DVC needs not run it, provided that the stages before it need not run either.
    # Empty if it must run, or if the graph was not read thoroughly.
    restorable: str = ""

    @property
    def reasons(self) -> tuple[str, ...]:
        """`changes` as short texts."""
        return tuple(map(str, self.changes))


def read(draft: Path | None = None, *, thoroughly: bool = False) -> list[Node]:
    """The nodes of the project in the current folder, each after those it depends on.

    `draft` is read in place of params.yaml. `thoroughly`, for params.yaml as it is, also reads hashes, the
    files of folders, and the outputs in DVC's cache. Raises UserError for an unreadable graph and for missing
    inputs.
    """
    assert not (draft and thoroughly)
    import networkx
    from dvc.exceptions import DvcException

    try:
        with _project(draft) as repo:
            index, status = repo.index, repo.status()
            position = {stage: number for number, stage in enumerate(index.stages)}
            order = networkx.lexicographical_topological_sort(index.graph.reverse(), key=position.__getitem__)
            _check_inputs(index.stages, Path(repo.root_dir))
            nodes = []
            restored: dict[str, Any] = {}
            for stage in order:
                found = tuple(_changes(stage, status.get(stage.addressing, [])))
                restorable = ""
                if thoroughly:
                    found = tuple(_look_up(stage, change) for change in found)
                    restorable = _restorable(repo, stage, found, restored)
                before = tuple(sorted(s.addressing for s in index.graph.successors(stage)))
                outs = tuple(Path(out.fs_path) for out in stage.outs)
                nodes.append(Node(stage.addressing, before, outs, found, stage.is_data_source, restorable))
            return _grouped(nodes)
    except DvcException as error:
        causes: list[str] = []
        cause: BaseException | None = error
        while cause is not None:
            causes.append(" ".join(str(cause).split()))
            cause = cause.__cause__
        text = "DVC cannot read this project: " + ": ".join(causes)
        if "dvc.lock" in text:
            text += "; `git checkout dvc.lock`, or rm dvc.lock: outputs are restored from the cache"
        raise UserError(text) from None


def _grouped(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, those of a `foreach` as one of its name, at the place of the last."""
    parts: dict[str, list[Node]] = {}
    names = {node.name: _group(node) for node in nodes}
    for node in nodes:
        name = names[node.name]
        parts[name] = [*parts.pop(name, []), node]
    grouped = []
    for name, members in parts.items():
        changes: dict[Change, None] = {}
        for member in members:
            part = member.name.partition(GROUP)[2]
            for change in member.changes:
                several = change.kind == "other" and len(members) > 1
                changes[change._replace(name=f"{part}: {change.name}") if several else change] = None
        states = {member.restorable for member in members}
        grouped.append(
            Node(
                name,
                tuple(sorted({names[upstream] for member in members for upstream in member.upstream})),
                tuple(out for member in members for out in member.outs),
                tuple(changes),
                members[-1].is_data,
                "" if "" in states else max(states),  # "restored" if one of them is
            )
        )
    return grouped


def _group(node: Node) -> str:
    return node.name if node.is_data else node.name.partition(GROUP)[0]


def settle_without_git() -> str:
    """Configure DVC for a folder outside of git; returns a message if the setting was changed, else "".

    The setting is local to this machine (.dvc/config.local), so that `dvc repro` works as well.
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
        "this folder is in no git repository: core.no_scm is set in .dvc/config.local; "
        "after `git init`: dvc config --local --unset core.no_scm"
    )


def _project(draft: Path | None = None) -> Any:
    """DVC's Repo of the current folder, with or without git; `draft` is read in place of params.yaml."""
    from dvc.fs import LocalFileSystem
    from dvc.repo import Repo
    from dvc.scm import SCMError

    params_file = paths.PARAMS.resolve()

    class WithDraft(LocalFileSystem):  # type: ignore[misc]
        """The files of this machine, except for params.yaml."""

        def open(self, path: str, *arguments: Any, **options: Any) -> Any:
            is_params = Path(path).absolute() == params_file
            return super().open(str(draft) if is_params else path, *arguments, **options)

    files = WithDraft() if draft else None
    try:
        return Repo(".", fs=files)
    except SCMError:
        return Repo(".", fs=files, config={"core": {"no_scm": True}})


def cache_folder() -> Path:
    """The folder of DVC's cache; each object is in a folder named after the first two digits of its md5."""
    with _project() as repo:
        return Path(os.path.relpath(repo.cache.local.path))


def is_cached(path: Path) -> bool:
    """Whether a file is in DVC's cache; False outside of a project."""
    from dvc.exceptions import NotDvcRepoError

    try:
        with _project() as repo:
            return path.resolve().is_relative_to(Path(repo.cache.local_cache_dir).resolve())
    except NotDvcRepoError:
        return False


def is_taken_for(path: str, md5: str) -> bool:
    """Whether DVC assigns this hash to an output; it re-reads files with a new size, time or inode."""
    with _project() as repo:
        return any(out.def_path == path and out.get_hash().value == md5 for out in repo.index.outs)


def _check_inputs(stages: Iterable[Any], root: Path) -> None:
    """Raise UserError for a missing dependency that no stage writes."""
    written = [Path(out.fs_path) for stage in stages for out in stage.outs]
    for stage in stages:
        for dep in stage.deps:
            path = root / dep.fs_path
            made = any(path == out or out in path.parents or path in out.parents for out in written)
            if dep.protocol == "local" and not made and not path.exists():
                shown = path.relative_to(root) if path.is_relative_to(root) else path
                raise UserError(
                    f"{stage.addressing} needs {shown}, which does not exist in {root}: check the path; "
                    "a clone has only files in git, or under `dvc add` and `dvc push`"
                )


def _changes(stage: Any, status: Iterable[Any]) -> Iterator[Change]:
    """DVC's status of a stage, with old and new values of parameters."""
    if status and not any(item.hash_info for item in (*stage.deps, *stage.outs)):
        yield Change("other", "never ran here")
        return
    params = [dep for dep in stage.deps if _is_params(dep)]
    for dep in params:
        yield from _changed_params(dep)
    for entry in status:
        if isinstance(entry, str):
            yield Change("other", entry)  # e.g. "changed command"
            continue
        for kind, files in entry.items():
            for path, change in files.items():
                if not (params and path == paths.PARAMS.name):
                    verb = "missing" if change == "deleted" else "changed"
                    yield Change("output" if kind == "changed outs" else "input", path, verb)


def _is_params(dep: Any) -> bool:
    return dep.def_path == paths.PARAMS.name and hasattr(dep, "params")


def _changed_params(dep: Any) -> Iterator[Change]:
    before, after = flatten(dep.hash_info.value or {}), flatten(dep.read_params())
    for key in after | before:
        if before.get(key) != after.get(key):
            yield Change("parameter", key, before=before.get(key), after=after.get(key))


def _look_up(stage: Any, change: Change) -> Change:
    """A change with the old and the new hash of the file, and the counts of a folder's files."""
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
    """Whether a stage is "fresh" or DVC can have it "restored" from an earlier run; empty if neither.

    `restored` are the outputs restored for earlier stages, by path; this stage's are added.
    """
    own = [change for change in changes if str(Path(change.name).absolute()) not in restored]
    if stage.is_data_source and any(change.verb != "missing" for change in own):
        return ""  # DVC takes the files as they are
    then = [dep.hash_info for dep in stage.deps]
    for dep in stage.deps:
        if (out := restored.get(dep.fs_path)) is not None:
            dep.hash_info, dep.meta = out.hash_info, out.meta
            dep.get_hash = lambda out=out: out.hash_info  # the current file does not matter
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
