"""dvc.yaml as a flow sees it: the stages in order, and for each why DVC would run it again.

Why: DVC alone owns the graph and decides what is fresh; flows ask it and know no stage by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq import paths
from seq2seq.errors import UserError
from seq2seq.params import flatten

Changes = Sequence[tuple[str, Any, Any]]  # section.key, before, after


@dataclass(frozen=True)
class Node:
    """A stage of dvc.yaml, or a file under `dvc add` (`is_data`)."""

    name: str
    upstream: tuple[str, ...]
    outs: tuple[Path, ...]  # absolute
    reasons: tuple[str, ...] = ()  # why it is not fresh by itself; stages before it are not named
    is_data: bool = False


def read(changes: Changes = ()) -> list[Node]:
    """The nodes of the project in the current folder, each after those it depends on.

    `changes` of params.yaml are judged as if they had been made. Raises UserError for a graph that
    cannot be read and for inputs that are nowhere.
    """
    import networkx
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".") as repo:
            index, status = repo.index, repo.status()
            position = {stage: number for number, stage in enumerate(index.stages)}
            order = networkx.lexicographical_topological_sort(index.graph.reverse(), key=position.__getitem__)
            _check_inputs(index.stages, Path(repo.root_dir), changes)
            return [
                Node(
                    stage.addressing,
                    tuple(sorted(s.addressing for s in index.graph.successors(stage))),
                    tuple(Path(out.fs_path) for out in stage.outs),
                    tuple(_reasons(stage, status.get(stage.addressing, []), changes)),
                    stage.is_data_source,
                )
                for stage in order
            ]
    except DvcException as error:
        causes: list[str] = []
        cause: BaseException | None = error
        while cause is not None:
            causes.append(str(cause))
            cause = cause.__cause__
        raise UserError("DVC cannot read this project: " + ": ".join(causes)) from None


def choose(nodes: Sequence[Node], until: str | None, force: Sequence[str]) -> list[Node]:
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
    return [n for n in nodes if n.name in wanted and (n.reasons or not n.is_data)]


def _check_inputs(stages: Iterable[Any], root: Path, changes: Changes) -> None:
    """Raise UserError for a dependency that no stage writes and that does not exist."""
    moved = {before: after for _, before, after in changes}
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


def _reasons(stage: Any, status: Iterable[Any], changes: Changes) -> Iterable[str]:
    """DVC's status of a stage as short texts, with old and new values of params."""
    if status and not any(item.hash_info for item in (*stage.deps, *stage.outs)):
        yield "never ran here"
        return
    params = [dep for dep in stage.deps if dep.def_path == paths.PARAMS.name and hasattr(dep, "params")]
    for dep in params:
        yield from _changed_params(dep, changes)
    told = {before for _, before, _ in changes} | ({paths.PARAMS.name} if params else set())
    for entry in status:
        if isinstance(entry, str):
            yield entry  # e.g. "changed command"
            continue
        for kind, files in entry.items():
            for path, change in files.items():
                verb = "missing" if change == "deleted" else "changed"
                if path not in told:
                    yield f"output {path} {verb}" if kind == "changed outs" else f"{path} {verb}"


def _changed_params(dep: Any, changes: Changes) -> Iterable[str]:
    before, after = flatten(dep.hash_info.value or {}), flatten(dep.read_params())
    after |= {key: value for key, _, value in changes if key in after}
    for key in after | before:
        if before.get(key) != after.get(key):
            yield f"{key}: {show(before.get(key))} -> {show(after.get(key))}"


def show(value: Any) -> str:
    """A value as params.yaml has it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
