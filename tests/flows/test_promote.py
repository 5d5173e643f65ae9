"""Promotion on a real registry: verdicts and their record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows import promote
from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.tracking import client, promotions, registry
from tests.support.gate import World, aliases, log


@pytest.mark.slow
def test_the_first_fit_version_is_promoted_and_all_of_it_recorded(world: World) -> None:
    version = world.make()
    verdict = promote.promote(flow_run_id="flow 1")
    assert (verdict.outcome, verdict.champion) == ("promoted", None)
    assert aliases() == {"champion": "1", "challenger": "1"}
    assert log() == [("promoted", None, "1", "done")]
    tags = registry.get_version("m", "1").tags
    assert (tags["promotion.verdict"], tags["promotion.reason"]) == ("promoted", verdict.reason)

    written = json.loads(paths.VERDICT.read_text())
    assert (written["outcome"], written["version"], written["champion"]) == ("promoted", "1", None)
    assert (written["flow_run_id"], written["who"].count("@"), written["when"][-6:]) == (
        "flow 1",
        1,
        "+00:00",
    )
    assert {"name": "minimum BLEU", "ok": True, "figure": "30.00", "limit": "at least 20.00"} in written[
        "criteria"
    ]
    mlflow_client = client.connect()
    [entry] = promotions.entries("m")
    assert (
        json.loads(Path(mlflow_client.download_artifacts(entry.run_id, "verdict.json")).read_text())
        == written
    )
    kept = {item.path for item in mlflow_client.list_artifacts(version.run_id, "promotion/m-1")}
    assert kept == {f"promotion/m-1/{name}" for name in ("evidence.json", "verdict.json", "report.html")}


@pytest.mark.slow
def test_better_is_promoted_worse_is_rejected_and_the_last_one_remembered(world: World) -> None:
    world.make()
    promote.promote()
    world.make(1.0, 0.01)
    assert promote.promote().outcome == "promoted"
    world.make(-2.0, 0.01)
    rejected = promote.promote()
    assert (rejected.outcome, rejected.champion) == ("rejected", "2")
    assert "fails 'no loss': -2.00 BLEU" in rejected.reason
    assert aliases() == {"champion": "2", "previous": "1", "challenger": "3"}
    assert log()[1:] == [("promoted", "1", "2", "done"), ("rejected", "2", "3", "done")]

    world.restore("1")  # DVC puts an earlier model back
    verdict = promote.promote()
    assert verdict.outcome == "kept"
    assert "version 1 was champion before, now version 2 is; `seq2seq rollback --to 1" in verdict.reason
    assert aliases() == {"champion": "2", "previous": "1", "challenger": "1"}
    assert len(log()) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda: paths.REGISTRATION.unlink(), r"registration\.json is missing: `make run`"),
        (lambda: paths.METRICS.write_text('{"model_digest": "x"}'), "is of another model than m version 2"),
        (lambda: Path("suite.yaml").unlink(), r"suite\.yaml is missing"),
    ],
)
def test_a_missing_file_is_named_before_promotion(world: World, spoil: Any, message: str) -> None:
    world.make()
    promote.promote()
    world.make()
    spoil()
    with pytest.raises(UserError, match=message):
        promote.promote()
    assert aliases() == {"champion": "1"} | {"challenger": aliases()["challenger"]}


def test_a_registry_without_the_version_is_named(world: World) -> None:
    world.make()
    assert promote.missing_from_registry() == ""
    registry.tag_version("m", "1", {"model_digest": "another's"})  # a registry that counted anew
    assert "does not have m version 1 of this tree" in promote.missing_from_registry()
    world.restore("7")
    with pytest.raises(UserError, match="does not have m version 7 of this tree: `make run` registers it"):
        promote.promote()


# --- killed -----------------------------------------------------------------------------------------


# --- the command ------------------------------------------------------------------------------------
