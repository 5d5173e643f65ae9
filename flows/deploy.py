"""`seq2seq deploy` = `make deploy`: put infra/prefect.yaml on the Prefect server that PREFECT_API_URL names.

Why: a work pool, the deployment and the rule that ends runs whose worker died belong together, and
doing it again must change nothing.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

from flows.prefect_server import check_answering
from seq2seq.common import masking
from seq2seq.common.errors import UserError
from seq2seq.common.exits import Exit

FILE = "infra/prefect.yaml"
POOL = "seq2seq"
DEPLOYMENT, WAY_BACK = "retrain/retrain", "rollback/rollback"
OTHERS = ("promote/promote", "watch-corpus/watch-corpus", "overdue/overdue")
RULE, RULE_PENDING = "seq2seq: end runs that fell silent", "seq2seq: end runs that never began"
START = timedelta(seconds=600)  # from Pending, when a worker has taken a run, to Running
SILENCE = timedelta(seconds=120)  # four of the heartbeats that flows/worker.py sets
# Prefect's own template of a pool lets the creator of a run choose command, environment and folder, which
# would run anything on the worker: this one has no place for them. An `env` here would be merged with
# a run's.
TEMPLATE: dict[str, Any] = {
    "job_configuration": {"stream_output": True},
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}


def command(options: argparse.Namespace) -> int:
    """`seq2seq deploy`; returns the exit status."""
    if not os.environ.get("PREFECT_API_URL"):
        raise UserError(
            "PREFECT_API_URL is not set: name your Prefect server, e.g. run `prefect server start` "
            "and export PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    check_answering()
    _make_pool()
    deploy = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", FILE]
    done = subprocess.run(deploy, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(f"`prefect deploy` failed:\n{done.stdout}{done.stderr}")
    _make_rules()
    url = masking.mask(os.environ["PREFECT_API_URL"])
    print(f"{DEPLOYMENT} and {WAY_BACK} are deployed to {url}, pool {POOL}")
    print(f"beside them {', '.join(OTHERS)}")
    print("  work it    make worker")
    print(f"  run it now prefect deployment run {DEPLOYMENT}")
    print(f"  go back    prefect deployment run {WAY_BACK} -p name=MODEL -p reason=WHY [-p to=VERSION]")
    return Exit.DONE


def _make_pool() -> None:
    from prefect import get_client
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectAlreadyExists

    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", base_job_template=TEMPLATE))
        except ObjectAlreadyExists:
            client.update_work_pool(POOL, WorkPoolUpdate(base_job_template=TEMPLATE))


def _make_rules() -> None:
    """A run whose worker and process died stays Running, or Pending, for ever: end it.

    A Running one sends no heartbeats any more; a Pending one has sent none yet.
    """
    _make_rule(RULE, "heartbeat", {"heartbeat"}, SILENCE, "its process fell silent")
    _make_rule(RULE_PENDING, "Pending", {"Running"}, START, "its process never began")


def _make_rule(name: str, after: str, expected: set[str], within: timedelta, message: str) -> None:
    """An automation: a run of ours that shows none of the expected events in time is Crashed.

    One that is in place stays: a new one would start without the runs that the old one waits for.
    """
    from prefect import get_client
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture

    with get_client(sync_client=True) as client:
        found = [client.read_deployment_by_name(deployed).id for deployed in (DEPLOYMENT, WAY_BACK, *OTHERS)]
    ends = ("Completed", "Failed", "Cancelled", "Crashed")
    trigger = EventTrigger(
        posture=Posture.Proactive,
        after={f"prefect.flow-run.{after}"},
        expect={f"prefect.flow-run.{event}" for event in (*expected, *ends)},
        for_each={"prefect.resource.id"},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={"prefect.resource.id": [f"prefect.deployment.{identifier}" for identifier in found]},
        threshold=1,
        within=within,
    )
    end = ChangeFlowRunState(state=StateType.CRASHED, name=None, message=message, force=False)
    rule = Automation(name=name, trigger=trigger, actions=[end])
    with suppress(ValueError):  # there is none yet
        old: Any = Automation.read(name=name)
        if all(getattr(old, part) == getattr(rule, part) for part in ("enabled", "trigger", "actions")):
            return
        old.delete()
    rule.create()
