"""Open entries of other hosts: waited for, respected, and completed once they are old."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from seq2seq.tracking import client, promotions, registry, runs
from seq2seq.tracking.promotions import Entry, RaceError
from tests.support.gate import aliases, log
from tests.support.registered import register


def entry(champion: str | None, version: str, who: str | None = None) -> Entry:
    when, ours = promotions.now_and_here()
    return Entry("m", "promoted", champion, version, "x", when, who or ours)


def open_elsewhere(made: Entry) -> str:
    """Another host has written its entry, and moves the alias next."""
    tags = {"name": "m", "outcome": made.outcome, "to": made.version, "reason": "x", "judged": ""}
    tags |= {"from": made.champion or promotions.NOBODY, "when": made.when, "who": made.who}
    return str(client.connect().create_run(runs.experiment("m-promotions"), tags=tags).info.run_id)


def apply(made: Entry) -> None:
    promotions.apply(made, asdict(made))


def test_records_with_the_names_of_earlier_versions_are_read(project: Path) -> None:
    assert promotions.notified({"promotion.told": "t", "promotion.when": "t"})
    assert not promotions.notified({"promotion.when": "t"})
    assert not promotions.notified({"promotion.notified": "t", "promotion.told": "u", "promotion.when": "u"})
    now = open_elsewhere(entry(None, "2"))
    before = open_elsewhere(entry(None, "1"))
    client.connect().delete_tag(before, "outcome")
    client.connect().set_tag(before, "what", "forced")
    assert {one.run_id: one.outcome for one in promotions.entries("m")} == {now: "promoted", before: "forced"}


@pytest.fixture
def two(project: Path) -> None:
    register(project, "m")
    register(project, "m")


@pytest.mark.slow
def test_the_second_of_two_hosts_moves_nothing(two: None) -> None:
    other = open_elsewhere(entry(None, "2", "me@elsewhere"))
    with pytest.raises(RaceError, match="me@elsewhere makes version 2 champion at the same time"):
        apply(entry(None, "1"))
    assert (aliases(), log()[1]) == ({}, ("promoted", None, "1", "cancelled"))
    client.connect().set_terminated(other, "FINISHED")
    registry.set_alias("m", "champion", "2")
    with pytest.raises(RaceError, match="the champion is version 2 meanwhile; version 1 is not promoted"):
        apply(entry(None, "1"))
    apply(entry("2", "1"))
    assert aliases() == {"champion": "1", "previous": "2"}


@pytest.mark.slow
def test_the_entry_of_a_living_host_is_waited_for_and_that_of_a_dead_one_completed(
    two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = open_elsewhere(entry(None, "2", "me@elsewhere"))
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        registry.set_alias("m", "champion", "2")
        client.connect().set_terminated(other, "FINISHED")

    monkeypatch.setattr("time.sleep", sleep)
    assert promotions.recover("m") == []
    assert waited
    assert log() == [("promoted", None, "2", "done")]

    old = (datetime.now(UTC) - timedelta(seconds=promotions.GRACE + 5)).isoformat()
    open_elsewhere(replace(entry("2", "1", "me@elsewhere"), when=old))
    registry.set_alias("m", "champion", "1")  # then it died
    waited.clear()
    assert [done.version for done in promotions.recover("m")] == ["1"]
    assert waited == []
    assert log()[1] == ("promoted", "2", "1", "done")
