"""`make deploy`: put infra/prefect.yaml to work on the Prefect server that PREFECT_API_URL names.

Why: a work pool, the deployment and the rule that ends runs whose worker died belong together, and
doing it again must change nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

from flows.prefect_server import check_answering
from seq2seq.common import environment, masking
from seq2seq.common.errors import TransientError, UserError

FILE = "infra/prefect.yaml"
POOL = "seq2seq"
DEPLOYMENT, WAY_BACK = "retrain/retrain", "rollback/rollback"
RULE = "seq2seq: end runs that fell silent"
SILENCE = timedelta(seconds=120)  # four of the heartbeats that flows/worker.py asks for
# What Prefect's own template of a pool lets the creator of a run choose (command, environment, folder) would
# run anything on the worker: this one has no place for it. An `env` here would be merged with a run's.
TEMPLATE: dict[str, Any] = {
    "job_configuration": {"stream_output": True},
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}


def main() -> int:
    """Deploy; returns the exit status."""
    environment.configure_process()
    try:
        if not os.environ.get("PREFECT_API_URL"):
            raise UserError(
                "PREFECT_API_URL is not set: name your Prefect server, e.g. run `prefect server start` "
                "and export PREFECT_API_URL=http://127.0.0.1:4200/api"
            )
        check_answering()
        _make_pool()
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", FILE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"`prefect deploy` failed:\n{done.stdout}{done.stderr}")
        _make_rule()
    except (UserError, TransientError) as error:
        print(f"error: {masking.mask(str(error))}", file=sys.stderr)
        return 1 if isinstance(error, TransientError) else 2
    url = masking.mask(os.environ["PREFECT_API_URL"])
    print(f"{DEPLOYMENT} and {WAY_BACK} are deployed to {url}, pool {POOL}")
    print("  work it    make worker")
    print(f"  run it now prefect deployment run {DEPLOYMENT}")
    print(f"  go back    prefect deployment run {WAY_BACK} -p name=MODEL -p reason=WHY [-p to=VERSION]")
    return 0


def _make_pool() -> None:
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectAlreadyExists

    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=TEMPLATE))
        except ObjectAlreadyExists:
            client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=TEMPLATE))


def _make_rule() -> None:
    """A run whose worker and process died stays Running for ever and blocks its schedule: end it."""
    from prefect import get_client
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture

    with get_client(sync_client=True) as client:
        found = [client.read_deployment_by_name(name).id for name in (DEPLOYMENT, WAY_BACK)]
    ends = ("Completed", "Failed", "Cancelled", "Crashed")
    trigger = EventTrigger(
        posture=Posture.Proactive,
        after={"prefect.flow-run.heartbeat"},
        expect={f"prefect.flow-run.{name}" for name in ("heartbeat", *ends)},
        for_each={"prefect.resource.id"},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={"prefect.resource.id": [f"prefect.deployment.{identifier}" for identifier in found]},
        threshold=1,
        within=SILENCE,
    )
    end = ChangeFlowRunState(
        state=StateType.CRASHED, name=None, message="its process fell silent", force=False
    )
    with suppress(ValueError):  # there is none yet
        old: Any = Automation.read(name=RULE)
        old.delete()
    Automation(name=RULE, trigger=trigger, actions=[end]).create()


if __name__ == "__main__":
    sys.exit(main())
