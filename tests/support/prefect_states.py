"""States of tasks on a Prefect server."""

from __future__ import annotations

from prefect import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun
from prefect.client.schemas.sorting import FlowRunSort

from tests.support.waiting import wait_for


def task_states() -> dict[str, tuple[str, int]]:
    """State and number of tries of the newest flow run's tasks."""
    with get_client(sync_client=True) as client:
        newest = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)[0]
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[newest.id]))

        def recorded() -> list[TaskRun]:
            """All task runs once they have ended: they are recorded a little later than the flow run."""
            runs = client.read_task_runs(flow_run_filter=chosen)
            return runs if all(run.state and run.state.is_final() for run in runs) else []

        return {
            run.name: (run.state_name or "", run.run_count) for run in wait_for(recorded, 30, "task runs")
        }
