"""A period without success, and a lost run, cause one alert each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import alerts, overdue
from flows.__main__ import main
from flows.stage_errors import StageError
from seq2seq.tracking import client, registry
from tests.support.gate import World
from tests.support.webhook import listener


@pytest.fixture
def posted(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    world.make()
    with listener() as (posted, url):
        monkeypatch.setenv(alerts.URL, url)
        yield posted


def succeeded(hours: float) -> None:
    """The last success was that many hours ago."""
    moment = datetime.now(UTC) - timedelta(hours=hours)
    client.connect().set_registered_model_tag("m", registry.SUCCESS, moment.isoformat(timespec="seconds"))


@pytest.mark.slow
def test_a_missing_success_is_sent_once_and_again_after_the_next(
    posted: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["overdue"]) == 1
    assert "overdue: no run of m has succeeded; expected: one within 26 hours" in capsys.readouterr().out
    registry.mark_success("m")
    assert main(["overdue"]) == 0
    assert "the last run of m that succeeded ended 20" in capsys.readouterr().out
    for _ in range(2):
        succeeded(30)
        assert main(["overdue", "--within", "31"]) == 0
        assert main(["overdue"]) == 1
    assert [alert["class"] for alert in posted][:2] == ["overdue", "overdue"]
    count = len(posted)
    assert main(["overdue"]) == 1
    assert len(posted) == count
    assert posted[0]["text"].startswith("overdue: no run of m has succeeded; expected: one within 26 hours")


@pytest.mark.slow
def test_an_alert_that_is_not_accepted_is_sent_by_the_next_check(
    posted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setenv(alerts.URL, "http://127.0.0.1:1/")
        assert not overdue.check("m", timedelta(hours=1), print)
    assert posted == []
    for _ in range(2):
        overdue.check("m", timedelta(hours=1), print)
    assert len(posted) == 1


@pytest.mark.slow
def test_a_lost_run_is_sent_once_and_not_after_its_own_alert(
    posted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.mark_success("m")
    state = SimpleNamespace(message="its process fell silent")
    runs = [SimpleNamespace(name=name, id=name * 3, state=state) for name in ("red", "blue")]
    monkeypatch.setattr(overdue, "_crashed", lambda: iter(runs))
    failed = SimpleNamespace(
        name="Crashed",
        message="killed",
        is_failed=lambda: True,
        result=lambda raise_on_failure: StageError("train", "system", "x"),
    )
    alerts.notify_failure(SimpleNamespace(name="retrain"), runs[1], failed)
    lines: list[str] = []
    for _ in range(2):
        assert overdue.check("m", timedelta(hours=1), lines.append)
    assert lines.count("run red crashed: its process fell silent") == 2
    assert [alert["flow_run_id"] for alert in posted] == ["blueblueblue", "redredred"]
    assert posted[1]["text"] == "run red was lost: its process fell silent"
    assert Path(".cache/alerts.json").is_file()


def test_without_a_server_no_run_is_looked_for(world: World) -> None:
    assert list(overdue._crashed()) == []
