"""The flow of the deployment `retrain`: a clone at a git ref, brought up to date and promoted.

Why: a schedule runs what is committed. A single run may take another recipe, other values, an earlier state
of the repository, or begin at a stage; the next one finds the committed params.yaml again. Which repository
is cloned, and so whose code runs with the worker's secrets, is the worker's own setting: a run chooses among
that repository's commits alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.runtime import deployment

from flows import alerts, locks, pipeline, remote, run, summary
from flows.checkout import CLONES, check_fits, check_out, share_cache
from flows.dvc_runner import Outcome
from flows.pipeline import as_task
from seq2seq.common import dag, environment, params, schema
from seq2seq.common.errors import TransientError, UserError
from seq2seq.tracking import client

REPOSITORY = "SEQ2SEQ_REPOSITORY"  # environment variable of the worker: a URL or folder


@flow(name="retrain", on_failure=[alerts.notify_failure], on_crashed=[alerts.notify_failure])
def retrain(
    ref: str = "main",
    hours_per_stage: float = 24.0,
    repository: str | None = None,
    accept: str | None = None,
    recipe: str | None = None,
    overrides: list[str] | None = None,
    from_stage: str | None = None,
    as_of: str | None = None,
) -> list[Outcome]:
    """Run the pipeline as it is at `ref` of SEQ2SEQ_REPOSITORY (default: the deployment's own folder).

    A stage that takes longer than `hours_per_stage` is stopped and fails. `accept` is the reason to let
    exceeded limits of quality pass. `recipe` and `overrides` (KEY=VALUE) change params.yaml for this run, as
    `seq2seq run` does; `from_stage` runs that stage and all after it although they are fresh; `as_of` is an
    earlier commit of the ref, or a date: then the last commit before it. `repository` stands in deployments
    made earlier; raises UserError for any but null, since a caller could choose the code that runs.
    """
    if repository is not None:
        raise UserError(
            f"the parameter `repository` is not taken any more: set {REPOSITORY} for the worker, take "
            "`repository` out of infra/prefect.yaml, and run `make deploy`"
        )
    project = Path.cwd()
    environment.configure_process(project)
    # Data that outlives a run is the project's: cache and registry, unless a server is named.
    os.environ["MLFLOW_TRACKING_URI"] = client.uri()
    folder = project / CLONES / (deployment.name or "by-hand")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locks.workspace(folder.with_name(f"{folder.name}.lock")):
        update = as_task(
            "checkout",
            lambda ref, folder: check_out(os.environ.get(REPOSITORY) or str(project), ref, folder, as_of),
        )
        # By name, not by value: Prefect keeps the arguments of tasks, and a URL may hold a password.
        commit = update(ref, folder)
        check_fits(folder, ref, commit)
        share_cache(project, folder)
        os.chdir(folder)
        try:
            print_line = get_run_logger().info
            print_line(f"{ref} is {commit}")
            _params(ref, commit)
            for key, before, after in run.apply(recipe, overrides or []):
                print_line(f"{key}: {params.show(before)} -> {params.show(after)}")
            print_line(summary.first_line(params.load()))
            limit = hours_per_stage * 3600
            with _shared_by_remote(limit) as from_remote:
                return pipeline.bring_up_to_date(
                    force=_from(from_stage), timeout=limit, accept=accept, from_remote=from_remote
                )
        finally:
            os.chdir(project)


@contextmanager
def _shared_by_remote(timeout: float) -> Iterator[bool]:
    """Fetch from the DVC remote before a run, push to it after; yields whether there is one.

    Results of stages that finished before a failure are pushed as well.
    """
    print_line = get_run_logger().info
    found = remote.configured()
    if found is None:
        print_line(remote.NONE)
        yield False
        return
    as_task("fetch", lambda: remote.fetch(found, print_line, timeout))()
    try:
        yield True
    except Exception:
        try:
            remote.push(found, print_line, timeout)
        except (TransientError, UserError) as error:
            print_line(f"not pushed: {error}")
        raise
    as_task("push", lambda: remote.push(found, print_line, timeout))()


def _from(stage: str | None) -> tuple[str, ...]:
    """A stage and those after it, in the order of the graph; raises UserError for no stage."""
    if stage is None:
        return ()
    stages = [node.name for node in dag.read() if not node.is_data]
    first = next((i for i, name in enumerate(stages) if stage in (name, name.partition("@")[0])), None)
    if first is None:
        raise UserError(f"from_stage={stage!r}: no stage; there are: {', '.join(stages)}")
    return tuple(stages[first:])


def _params(ref: str, commit: str) -> schema.Params:
    """The clone's parameters; an error names the commit, whose file is not the one that people see."""
    try:
        return params.load()
    except params.ParamsError as error:
        raise params.ParamsError(f"at {ref}, commit {commit[:12]}: {error}") from None
