"""The plan of a run: the stages that it covers, and the expected outcome of each.

Why: `run --dry` and `explain` show the same plan, computed from the graph alone (dag.py), without DVC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seq2seq.common.dag import Node
from seq2seq.common.errors import UserError

UNCHANGED, RESTORED, RUN, MAY_RUN = "unchanged", "would be restored", "would run", "may run"


class Step(NamedTuple):
    """The planned outcome of a stage."""

    node: Node
    outcome: str  # UNCHANGED | RESTORED | RUN | MAY_RUN
    after: tuple[str, ...]  # stages before it that will not stay unchanged


def select(nodes: Sequence[Node], until: str | None, force: Sequence[str]) -> list[Node]:
    """The nodes of a run: all that `until` needs, without unchanged data files.

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
    """The planned outcome of each node; `force` names stages to run although they are fresh.

    The inputs of a stage after one that runs are unknown: it will run if it has changes of its own, else it
    may. (DVC restores it instead if its cache has a run with the same inputs.)
    """
    outcomes: dict[str, str] = {}
    made: set[Path] = set()
    for node in nodes:
        after = tuple(name for name in node.upstream if outcomes.get(name, UNCHANGED) != UNCHANGED)
        certain = all(outcomes[name] == RESTORED for name in after)
        own = [
            change
            for change in node.changes
            if certain or (change.kind != "output" and Path(change.name).absolute() not in made)
        ]
        if node.name in force:
            outcome = RUN
        elif node.restorable and certain:
            outcome = UNCHANGED if node.restorable == "fresh" else RESTORED
        elif own:
            outcome = RUN
        else:
            outcome = MAY_RUN if after or node.changes else UNCHANGED
        outcomes[node.name] = outcome
        made.update(node.outs)
        yield Step(node, outcome, after)
