"""`seq2seq run` = `make run`: apply a recipe, run what is not fresh, promote, show what came out.

Why: one command from a corpus to a registered translator, the same by hand and on a schedule.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows import console, locks, summary
from flows.dvc_runner import clear_stale_locks
from flows.prefect_server import PrivateServer, check_answering, is_configured
from seq2seq.common import dag, params, paths, planning, recipes, schema
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.exits import Exit
from seq2seq.data import own_corpus
from seq2seq.tracking import named_versions, promotions

if TYPE_CHECKING:
    from flows.dvc_runner import Outcome

HOME = Path(".prefect")
Changes = Sequence[tuple[str, Any, Any]]  # section.key, before, after


def command(options: argparse.Namespace) -> int:
    """`seq2seq run`; returns the exit status."""
    display = console.current.get()
    if options.accept is not None:
        options.accept = promotions.checked(options.accept)
    if options.dry:
        return dry(options, display)
    with locks.workspace():
        return run(options, display)


def run(options: argparse.Namespace, display: console.Console) -> int:
    """Apply, run, show; the caller holds the workspace."""
    clear_stale_locks()
    plan(options)  # raises for a mistake before anything is written or started
    if note := dag.settle_without_git():
        display.print(note)
    changes = apply(options.recipe, options.set)
    _announce(display, params.load(), changes)
    with _prefect():
        outcomes = _flow(options, display)
    done = {outcome.stage: outcome.outcome for outcome in outcomes}
    if "promote" in done:
        facts = json.loads(paths.SUMMARY.read_text(encoding="utf-8"))
        changed = any(
            outcome not in ("unchanged", "kept", "waiting", "rejected") for outcome in done.values()
        )
        for line in summary.last_screen(facts, done["promote"], full=changed):
            display.print(line)
    return Exit.REJECTED if done.get("promote") == "rejected" else Exit.DONE


def dry(options: argparse.Namespace, display: console.Console) -> int:
    """Print what would run and why; changes nothing, not even for a recipe."""
    wanted, changes, shown = plan(options)
    _announce(display, wanted, changes)
    for number, step in enumerate(planning.plan(shown, options.force), start=1):
        reasons = (["--force"] if step.node.name in options.force else []) + list(step.node.reasons)
        after = f"after {', '.join(step.after)}" if step.after else ""
        note = "; ".join(reasons) or after
        display.stage_line(f"[{number}/{len(shown)}]", step.node.name, step.outcome, 0, note)
    return Exit.DONE


def plan(options: argparse.Namespace) -> tuple[schema.Params, Changes, list[dag.Node]]:
    """The parameters a run would have, what changes in them, and its nodes; writes nothing."""
    if not paths.PARAMS.is_file():
        raise UserError(f"{paths.PARAMS} is missing: run from the project's root folder")
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(shutil.copy(paths.PARAMS, folder))
        try:
            changes = apply(options.recipe, options.set, draft)
            wanted = params.load(draft)
            nodes = dag.read(draft if changes else None)
        except params.ParamsError as error:  # of the file that the person edits
            raise params.ParamsError(str(error).replace(str(draft), str(paths.PARAMS))) from None
    return wanted, changes, planning.select(nodes, options.until, options.force)


def _announce(display: console.Console, current: schema.Params, changes: Changes) -> None:
    display.print(summary.first_line(current))
    for key, before, after in changes:
        display.print(f"  {key}: {params.show(before)} -> {params.show(after)}")


def apply(recipe: str | None, overrides: Sequence[str], path: Path = paths.PARAMS) -> Changes:
    """`seq2seq use`: rewrite params.yaml; returns what changed. Raises ParamsError."""
    if recipe is None and not overrides:
        return []
    chosen = recipes.recipe_path(recipe) if recipe else None
    return recipes.apply(chosen, named_versions.resolve(overrides), path, own_corpus.complete)


@contextmanager
def _prefect() -> Any:
    """Prefect quiet on the terminal, on the user's server or else on one of this run's own."""
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    # Log lines that its server did not take are reported on the terminal otherwise, without a line's end,
    # in the middle of other lines.
    logging.raiseExceptions = False
    if is_configured():
        check_answering()
        yield
        return
    server = PrivateServer(Path(os.environ.get("PREFECT_HOME", HOME)))
    try:
        import flows.pipeline  # noqa: F401  takes seconds, which the server needs as well
        from seq2seq.tracking import client

        client.connect()
        server.wait()
        yield
    except Exception as error:
        if server.lost:  # Prefect's own error names no cause
            raise TransientError(server.lost) from error
        raise
    finally:
        for handler in logging.getLogger("prefect.flow_runs").handlers:
            handler.flush()  # or the last lines would look for a server that is gone
        server.stop()


def _flow(options: argparse.Namespace, display: console.Console) -> list[Outcome]:
    from flows import pipeline

    return pipeline.pipeline(options.until, tuple(options.force), options.accept)
