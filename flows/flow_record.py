"""A record on disk of the flow run that works in this folder.

Why: a flow that is killed by force cannot end its run on the Prefect server, which would show it as running
for ever. The next run in the folder finds the record and marks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import State, get_client, get_run_logger
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Crashed

from flows import console

FLOW_RUN = Path(".dvc/tmp/flow_run")  # names the flow run that works here


@contextmanager
def kept() -> Iterator[None]:
    """Keep a record of the flow run that works here while it does; one that was killed left its own."""
    with suppress(FileNotFoundError):
        _mark_killed(FLOW_RUN.read_text(encoding="utf-8"))
    FLOW_RUN.parent.mkdir(parents=True, exist_ok=True)
    FLOW_RUN.write_text(str(flow_run.id), encoding="utf-8")
    try:
        yield
    finally:
        FLOW_RUN.unlink(missing_ok=True)


def _mark_killed(killed: str) -> None:
    """Mark a flow run that was killed by force, and its tasks, as crashed: they show as running for ever.

    A worker marks the flow run alone. Called under the workspace's lock: it runs no more. Never raises.
    """
    try:
        with get_client(sync_client=True) as client:
            run = client.read_flow_run(UUID(killed))
            if run.id == flow_run.id:
                return
            state: State[Any] = Crashed(message="killed by force; marked by the next run here")
            ours = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
            for one in client.read_task_runs(flow_run_filter=ours):
                if not (one.state and one.state.is_final()):
                    client.set_task_run_state(one.id, state, force=True)
            if not (run.state and run.state.is_final()):
                client.set_flow_run_state(run.id, state, force=True)
                console.current.get().print(f"flow run {run.name} was killed by force: marked as crashed")
    except (ObjectNotFound, ValueError):
        pass  # of another server
    except Exception as error:
        get_run_logger().warning(f"flow run {killed} was killed by force and stays as running: {error}")
