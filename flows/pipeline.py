"""The flow: each stage of dvc.yaml as a task run of its own name, then promotion, then artifacts.

Why: Prefect owns when and where things run, retries, time limits and the history of runs. Whether a
stage has to run at all stays DVC's decision, so Prefect's own caching is off.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.runtime import flow_run, task_run
from prefect.states import Completed

from flows import alerts, console, cost, drift, dvc_runner, flow_record, lease, promote, remote
from flows import rollback as rollback_
from flows.dvc_runner import Outcome
from flows.verdict import markdown, notice
from seq2seq.common import acceptance, dag, params, paths, planning
from seq2seq.common.dag import Node
from seq2seq.common.errors import TransientError, UserError
from seq2seq.common.masking import mask
from seq2seq.tracking import outbox, promotions, registry

T = TypeVar("T")
ALERTED = ("promoted", "forced", "rejected", "waiting")  # verdicts that are sent, each once
RETRY_DELAYS = [10.0, 60.0]  # seconds; only what may pass by itself is tried again


@flow(name="pipeline", on_failure=[alerts.notify_failure], on_crashed=[alerts.notify_failure])
def pipeline(
    until: str | None = None, force: tuple[str, ...] = (), accept: str | None = None
) -> list[Outcome]:
    """Bring the workspace in the current folder up to date and promote what comes out."""
    return bring_up_to_date(until, force, accept=accept)


@flow(name="rollback", on_failure=[alerts.notify_failure], on_crashed=[alerts.notify_failure])
def rollback(name: str, reason: str, to: str | int | None = None) -> str:
    """Make an older version of a model the champion again: `to`, or the one before; returns its number.

    Needs nothing of the workspace but its registry. Raises UserError if that version does not answer.
    """
    entry = patiently(lambda: rollback_.rollback(name, None if to is None else str(to), reason))
    champion_changed(name, entry.champion, entry.version, entry.reason)
    table = mask("\n".join(("```text", *promotions.table([entry]), "```")))
    with suppress(Exception):  # it is done: a run that fails now would be run again
        create_markdown_artifact(table, key="rollback")
    return entry.version


def champion_changed(name: str, before: str | None, version: str, reason: str) -> None:
    """Emit the event seq2seq.champion.changed, which an automation of the Prefect server can act on."""
    emit_event(
        "seq2seq.champion.changed",
        resource={"prefect.resource.id": f"seq2seq.model.{name}", "prefect.resource.name": name},
        payload={"before": before, "version": version, "reason": mask(reason)},
    )


def patiently(act: Callable[[], T]) -> T:
    """`act`, tried again after what may pass by itself; for what is no task."""
    for delay in RETRY_DELAYS:
        try:
            return act()
        except TransientError as error:
            get_run_logger().warning(f"{error}; again in {delay:.0f} s")
            time.sleep(delay)
    return act()


def bring_up_to_date(
    until: str | None = None,
    force: tuple[str, ...] = (),
    timeout: float | None = None,
    accept: str | None = None,
    from_remote: bool = False,
) -> list[Outcome]:
    """The body of every flow here; the caller holds the workspace's lock.

    `until` ends with a stage, `force` names stages to run although they are fresh, `timeout` is in
    seconds and for each stage, `accept` is the reason to let exceeded limits of quality pass. With
    `from_remote`, results of earlier runs are restored from the DVC remote, too.
    Raises StageError, UserError, TransientError.
    """
    reason = "" if accept is None else promotions.checked(accept)
    with flow_record.kept():
        return _bring_up_to_date(until, force, timeout, reason or acceptance.given(), from_remote)


def _bring_up_to_date(
    until: str | None, force: tuple[str, ...], timeout: float | None, accept: str, from_remote: bool
) -> list[Outcome]:
    dvc_runner.clear_stale_locks()
    dvc_runner.remove_empty_records()
    outbox.deliver_all()
    run = _Run(planning.select(dag.read(), until, force), timeout, accept, from_remote)
    try:
        for node in run.nodes:
            run.do(node, force=node.name in force)
        registering = [node for node in run.nodes if paths.REGISTRATION.resolve() in node.outs]
        if registering:
            if reason := patiently(promote.missing_from_registry):
                console.current.get().print(f"{reason}: registering it there")
                run.do(registering[0], force=True)
            run.promote()
    except BaseException:
        with suppress(Exception):  # what went wrong must not be hidden by a server that is away as well
            run.publish()
        raise
    run.publish()
    return run.outcomes


def judge() -> str:
    """Judge the version of the current folder, as the last task of a run does; returns the outcome."""
    run = _Run([], None)
    run.promote()
    return run.outcomes[-1].outcome


class _Run:
    """The task runs of one flow run: what has happened so far."""

    def __init__(
        self, nodes: list[Node], timeout: float | None, accept: str = "", from_remote: bool = False
    ) -> None:
        self.nodes, self.timeout, self.accept, self.from_remote = nodes, timeout, accept, from_remote
        self.outcomes: list[Outcome] = []
        self._meter = cost.Meter()
        self._states: dict[str, State[Any]] = {}
        self._changed: set[str] = set()

    def do(self, node: Node, *, force: bool = False) -> None:
        """Run one node as a task; raises what the task raised."""
        stale = force or node.reasons or self._changed.intersection(node.upstream)
        screen_ = console.current.get()
        position = f"[{self.nodes.index(node) + 1}/{len(self.nodes)}]"

        def body() -> State[None]:
            began = time.monotonic()
            screen_.log = get_run_logger().info
            try:
                outcome = self._attempt(node, force) if stale else Outcome(node.name, "unchanged")
            except BaseException as failure:
                is_failure = isinstance(failure, Exception) and getattr(failure, "kind", "") != "interrupted"
                what = "failed" if is_failure else "interrupted"
                attempt = int(task_run.run_count)
                again = _is_transient(failure) and attempt <= len(RETRY_DELAYS)
                note = f"{failure}; again in {RETRY_DELAYS[attempt - 1]:.0f} s" if again else ""
                screen_.stage_line(position, node.name, what, time.monotonic() - began, note)
                raise
            finally:
                screen_.log = None
            self.outcomes.append(outcome)
            screen_.stage_line(position, node.name, outcome.outcome, outcome.seconds)
            return Completed(name=outcome.outcome.capitalize(), message=f"{outcome.seconds:.1f} s")

        before = [self._states[name] for name in node.upstream if name in self._states]
        state: State[Any] = as_task(node.name, body)(return_state=True, wait_for=before)
        if not state.is_completed():
            self.outcomes.append(Outcome(node.name, str(state.name).lower()))
        state.result()
        self._states[node.name] = state
        if self.outcomes[-1].outcome != "unchanged":
            self._changed.add(node.name)

    def _attempt(self, node: Node, force: bool) -> Outcome:
        say = console.current.get().print
        if node.is_data and not all(out.exists() for out in node.outs):
            return dvc_runner.fetch(node.name, say, timeout=self.timeout)
        if self.from_remote and not force:
            remote.restore(node.name, say, self.timeout)
        if paths.MODEL.resolve() in node.outs:
            drift.check(node.name, self.accept, say)
            with lease.across_hosts(say):
                return self._run(node.name, force)
        return self._run(node.name, force)

    def _run(self, name: str, force: bool) -> Outcome:
        # Under this name Prefect gives the id to its own processes; `register` puts it on the version.
        environment = {"PREFECT__FLOW_RUN_ID": str(flow_run.id), acceptance.VARIABLE: self.accept}
        say = console.current.get().print
        with self._meter.stage(name):
            limits: Any = {"timeout": self.timeout, "stop_check": self._meter.watch}
            outcome = dvc_runner.run(name, say, force=force, environment=environment, **limits)
        cost.finished(name)
        if outcome.outcome == "restored":
            cost.forget(name)
        return outcome

    def promote(self) -> None:
        """The last task: champion or not."""
        screen_ = console.current.get()

        def body() -> State[None]:
            screen_.log = get_run_logger().info
            try:
                with self._meter.stage("promote"):
                    verdict = promote.promote(flow_run_id=str(flow_run.id), timeout=self.timeout)
                cost.finished("promote")
                verdict.show(screen_)
            finally:
                screen_.log = None
            unsent = verdict.outcome in ALERTED and not verdict.notified
            if unsent and alerts.send_alert(lambda: notice(flow_run.flow_name, flow_run, verdict)):
                try:
                    promote.mark_notified(verdict)
                except (TransientError, UserError) as error:
                    get_run_logger().warning(
                        f"the alert is not recorded as sent and will be sent again: {error}"
                    )
            create_markdown_artifact(markdown(verdict), key="promotion", description=verdict.outcome)
            if paths.REPORT.is_file():
                create_link_artifact(paths.REPORT.resolve().as_uri(), "report", key="report")
            if verdict.outcome in ("promoted", "forced"):
                champion_changed(verdict.name, verdict.champion, verdict.version, verdict.reason)
            try:
                registry.mark_success(verdict.name)
            except (TransientError, UserError) as error:
                get_run_logger().warning(f"this success is not recorded for `seq2seq overdue`: {error}")
            self.outcomes.append(Outcome("promote", verdict.outcome, verdict.seconds))
            return Completed(name=verdict.outcome.capitalize(), message=verdict.reason)

        as_task("promote", body)()

    def publish(self) -> None:
        """Costs for MLflow, and tables for Prefect's pages: what happened to each stage, and the metrics."""
        try:
            if self._meter.changed:
                cost.publish()
        except cost.Failures as error:
            get_run_logger().warning(f"the costs are not in MLflow, the next run tries again: {error}")
        rows = [
            {"stage": o.stage, "outcome": o.outcome, "seconds": round(o.seconds, 1)} for o in self.outcomes
        ]
        create_table_artifact(rows, key="stages", description="the outcome of each stage")
        names = {outcome.stage for outcome in self.outcomes if outcome.outcome != "failed"}
        scored = any(paths.METRICS.resolve() in n.outs for n in self.nodes if n.name in names)
        if scored and paths.METRICS.is_file():
            metrics = json.loads(paths.METRICS.read_text(encoding="utf-8"))
            table = [{"metric": name, "value": value} for name, value in params.flatten(metrics).items()]
            create_table_artifact(table, key="metrics", description=str(paths.METRICS))


def as_task(name: str, body: Callable[..., Any]) -> Any:
    """A task that is tried again after what may pass by itself."""
    return task(
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        retries=len(RETRY_DELAYS),
        retry_delay_seconds=RETRY_DELAYS,
        retry_condition_fn=may_pass,
    )(body)


def may_pass(task: Any, run: Any, state: State[Any]) -> bool:
    """Whether a failed task run is worth another try."""
    return _is_transient(state.result(raise_on_failure=False))


def _is_transient(failure: Any) -> bool:
    return isinstance(failure, TransientError) or getattr(failure, "kind", "") == "transient"
