"""Verdicts and rollbacks in Prefect, on its pages and as alerts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect import flow, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect.testing.utilities import prefect_test_harness

from flows import alerts, pipeline
from flows.dvc_runner import Outcome
from seq2seq.common import recipes
from seq2seq.tracking import registry
from tests.support.gate import World, aliases
from tests.support.prefect_states import task_states
from tests.support.webhook import listener

pytestmark = pytest.mark.timeout(600)


@flow(name="judging")
def judging() -> list[Outcome]:
    run = pipeline._Run([], None)
    run.promote()
    return run.outcomes


@pytest.fixture(autouse=True)
def prefect() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=180):
        yield


def artifact(key: str) -> str:
    """The newest one under a key."""
    with get_client(sync_client=True) as client:
        chosen = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        return str(client.read_artifacts(artifact_filter=chosen, sort=ArtifactSort.CREATED_DESC)[0].data)


def test_states_artifacts_and_notices(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, str | None, str]] = []

    def emit(event: str, resource: dict[str, str], payload: dict[str, str]) -> None:
        assert resource["prefect.resource.id"] == "seq2seq.model.m"
        events.append((event, payload["before"], payload["version"]))

    monkeypatch.setattr(pipeline, "emit_event", emit)
    changed = "seq2seq.champion.changed"
    with listener() as (posted, url):
        monkeypatch.setenv(alerts.URL, url)
        world.make()
        assert [outcome.outcome for outcome in judging()] == ["promoted"]
        assert task_states() == {"promote": ("Promoted", 1)}
        assert "| minimum BLEU | met | 30.00 | at least 20.00 |" in artifact("promotion")
        assert events == [(changed, None, "1")]

        lost = {"source": "zwei", "reference": "two", "champion": "two", "challenger": "three"}
        world.make(-2.0, 0.01, regressions=[{**lost, "champion_chrf": 100.0, "challenger_chrf": 9.0}])
        assert [notice["class"] for notice in posted] == ["promoted"]
        assert posted[0]["text"].startswith(
            "judging: m has a new champion, version 1 (promoted): version 1 is"
        )
        posted.clear()
        with monkeypatch.context() as away:
            away.setenv(alerts.URL, "http://127.0.0.1:1/")
            judging()
        assert task_states() == {"promote": ("Rejected", 1)}
        assert "| no loss | **not met** | -2.00 BLEU, p = 0.010 |" in artifact("promotion")
        judging()  # the alert could not be sent before
        assert "- challenger: three" in artifact("promotion")
        [notice] = posted
        assert notice["text"].startswith("judging: m is rejected, version 1 stays: version 2 fails 'no loss'")
        assert notice["text"].endswith("champion: two\nchallenger: three")
        judging()  # an alert is sent once
        assert task_states() == {"promote": ("Rejected", 1)}
        assert len(posted) == len(events) == 1

        recipes.apply(None, ["promote.approval=required"])
        world.make(1.0, 0.01)
        for _ in range(2):
            judging()
        assert [notice["class"] for notice in posted[1:]] == ["waiting"]
        assert "`seq2seq approve 3 --name m --reason ...` promotes it" in posted[1]["remedy"]
        recipes.apply(None, ["promote.approval=none"])
        judging()
        assert registry.last_success("m")
        assert pipeline.rollback("m", "it is slow") == "1"
        assert aliases()["champion"] == "1"
        assert "it is slow" in artifact("rollback")
        assert events[1:] == [(changed, "1", "3"), (changed, "3", "1")]
        judging()
        assert task_states() == {"promote": ("Kept", 1)}
