"""`seq2seq explain`: which stages will run, and the changes since their last run.

Why: a stage can take hours, so its cause should be visible before it starts. The output adds values, files
and lines to DVC's status.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seq2seq.commands.printing import show
from seq2seq.common import dag, params, paths, planning, schema, workspace

TRAINS = "train"  # the stage that keeps checkpoints
DIGITS = 7  # of a hash, shown


def run(options: argparse.Namespace) -> None:
    """Run the command."""
    show(explain(options.stage), lines, options.json)


def explain(stage: str | None = None) -> list[dict[str, Any]]:
    """The planned outcome of each stage or of one, with causes; raises UserError for an unknown stage."""
    checked = params.load()
    nodes = planning.select(dag.read(thoroughly=True), None, [stage] if stage else [])
    return [
        {
            "stage": step.node.name,
            "outcome": step.outcome,
            "after": list(step.after),
            # Missing inputs are written by an earlier stage.
            "changes": [
                _with_lines(c) for c in step.node.changes if (c.kind, c.verb) != ("input", "missing")
            ],
            "goes_on_from": _checkpoint(checked, step),
        }
        for step in planning.plan(nodes)
        if stage in (None, step.node.name)
    ]


def lines(found: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The result of `explain` as text."""
    found = list(found)
    if all(step["outcome"] == planning.UNCHANGED for step in found):
        yield f"nothing to do: {', '.join(step['stage'] for step in found)} up to date with dvc.lock"
        return
    width = max(len(step["stage"]) for step in found)
    for step in found:
        note = ""
        if step["after"]:
            note = f", after {', '.join(step['after'])}"
        if step["outcome"] == planning.MAY_RUN:
            note += ": only if its inputs change"
        elif step["outcome"] == planning.RESTORED:
            note += ": DVC has the outputs of a run with these inputs"
        yield f"{step['stage']:<{width}}  {step['outcome']}{note}"
        for change in step["changes"]:
            yield f"{'':<{width}}    {_format(change)}"
        if (checkpoint := step["goes_on_from"]) is not None:
            yield f"{'':<{width}}    continues from its checkpoint at update {checkpoint['update']:,}"


def _with_lines(change: dag.Change) -> dict[str, Any]:
    """A change as JSON; for a file in git with the commit and the numbers of changed lines."""
    facts = {**change._asdict(), "files": change.files and change.files._asdict(), "git": None}
    if change.kind == "input" and change.verb == "changed" and change.files is None:
        commit = workspace.commit_with(change.name, str(change.before))
        counts = workspace.lines_changed(change.name, commit) if commit else None
        if commit and counts:
            added, removed = counts
            command = f"git diff {commit[:DIGITS]} -- {change.name}"
            facts["git"] = {"since": commit, "added": added, "removed": removed, "command": command}
    return facts


def _format(change: Mapping[str, Any]) -> str:
    text = str(dag.Change(**{name: change[name] for name in dag.Change._fields}))
    if change["files"]:
        counts = [f"{count} {kind}" for kind, count in change["files"].items() if count]
        text += f": files {', '.join(counts)}"
    if change["git"]:
        text += f": +{change['git']['added']} -{change['git']['removed']} lines, {change['git']['command']}"
    elif change["verb"] and change["before"] and change["after"]:
        text += f" ({change['before'][:DIGITS]} -> {change['after'][:DIGITS]})"
    return text


def _checkpoint(checked: schema.Params, step: planning.Step) -> dict[str, Any] | None:
    """The checkpoint that a training will continue from; None if there is none, or this is not certain."""
    any_kept = paths.CHECKPOINTS.is_dir() and any(paths.CHECKPOINTS.iterdir())
    if step.node.name != TRAINS or step.outcome != planning.RUN or step.after or not any_kept:
        return None
    from seq2seq.training import checkpoints  # imports torch

    if (found := checkpoints.Checkpoints(checkpoints.of_training(checked.train)).find()) is None:
        return None
    file, state = found
    return {"checkpoint": str(file), "update": state["update"]}
