"""The flow of the deployment `retrain`: a clone at a git ref, brought up to date and promoted.

Why: a schedule runs what is committed and takes no parameters of the pipeline: to change what it
does, change params.yaml in git. Which repository is cloned, and so whose code runs with the worker's
secrets, is the worker's own setting: who can start a run chooses among that repository's commits alone.
"""

from __future__ import annotations

import os
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import deployment

from flows import alerts, locks, pipeline, summary
from flows.checkout import check_fits, check_out, share_cache
from flows.dvc_runner import Outcome
from seq2seq.common import environment, params, schema
from seq2seq.common.errors import UserError
from seq2seq.tracking import client

REPOSITORY = "SEQ2SEQ_REPOSITORY"  # environment variable of the worker: a URL or folder
CLONES = Path(".cache/retrain")  # below the deployment's working folder; one for each deployment


@flow(name="retrain", on_failure=[alerts.notify_failure], on_crashed=[alerts.notify_failure])
def retrain(
    ref: str = "main",
    hours_per_stage: float = 24.0,
    repository: str | None = None,
    accept: str | None = None,
) -> list[Outcome]:
    """Run the pipeline as it is at `ref` of SEQ2SEQ_REPOSITORY (default: the deployment's own folder).

    A stage that takes longer than `hours_per_stage` is stopped and fails. `accept` is the reason to let
    exceeded limits of quality pass. `repository` stands in deployments
    made earlier; raises UserError for any but null, or who can start a run would choose what code runs.
    """
    if repository is not None:
        raise UserError(
            f"the parameter `repository` is not taken any more: set {REPOSITORY} for the worker, take "
            "`repository` out of infra/prefect.yaml, and run `make deploy`"
        )
    project = Path.cwd()
    environment.configure_process(project)
    # What outlives a run is the project's: cache and registry, unless a server is named.
    os.environ["MLFLOW_TRACKING_URI"] = client.uri()
    folder = project / CLONES / (deployment.name or "by-hand")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locks.workspace(folder.with_name(f"{folder.name}.lock")):
        update = task(
            name="checkout",
            task_run_name="checkout",
            cache_policy=NO_CACHE,
            retries=len(pipeline.RETRY_DELAYS),
            retry_delay_seconds=pipeline.RETRY_DELAYS,
            retry_condition_fn=pipeline.may_pass,
        )(lambda ref, folder: check_out(os.environ.get(REPOSITORY) or str(project), ref, folder))
        # By name, not by value: Prefect keeps the arguments of tasks, and a URL may hold a password.
        commit = update(ref, folder)
        check_fits(folder, ref, commit)
        share_cache(project, folder)
        os.chdir(folder)
        try:
            say = get_run_logger().info
            say(f"{ref} is {commit}")
            say(summary.first_line(_params(ref, commit)))
            return pipeline.bring_up_to_date(timeout=hours_per_stage * 3600, accept=accept)
        finally:
            os.chdir(project)


def _params(ref: str, commit: str) -> schema.Params:
    """The clone's parameters; an error names the commit, whose file is not the one that people see."""
    try:
        return params.load()
    except params.ParamsError as error:
        raise params.ParamsError(f"at {ref}, commit {commit[:12]}: {error}") from None
