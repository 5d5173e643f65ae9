"""A corpus gone bad: the run stops before the training, the champion stays, and a person may accept it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seq2seq.common import paths
from seq2seq.common.exits import Exit
from seq2seq.data.corpus import read_split
from seq2seq.tracking import client, registry
from tests.support import prefect_home, projects
from tests.support.webhook import listener

NAME, REASON = "grammar-tiny", "the noise is known"


def run(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows", "run", *arguments],
        cwd=project,
        env=projects.environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


def stages(text: str) -> dict[str, str]:
    return dict(re.findall(r"^\[\d/\d\] (\w+) +(\w+)", text, re.MULTILINE))


def champion() -> registry.Version:
    version = registry.version_by_alias(NAME, registry.CHAMPION)
    assert version is not None
    return version


@pytest.mark.timeout(900)
def test_a_corpus_gone_bad_stops_before_the_training_and_can_be_accepted(
    by_hand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = projects.copy(by_hand, tmp_path)
    prefect_home.fill(project / ".prefect")
    monkeypatch.chdir(project)
    first = run(project)
    assert first.returncode == Exit.DONE, first.stdout + first.stderr
    assert champion().version == "1"
    pairs = list(read_split(paths.RAW / "grammar", "train"))
    rows = [f"{pair.source}\t{pair.target}" for pair in pairs]
    rows += [f"{pair.source}\t{pair.source}" for pair in pairs]  # not translated
    Path("corpora/bad.tsv").write_text("\n".join(["source\ttarget", *rows]) + "\n", encoding="utf-8")
    bad = ["--set=ingest.path=corpora/bad.tsv", "--set=ingest.train_size=null", f"--set=register.name={NAME}"]

    with listener() as (posted, url):
        stopped = run(project, *bad, ALERT_WEBHOOK=url)
    assert stopped.returncode == Exit.QUALITY, stopped.stdout + stopped.stderr
    assert stages(stopped.stdout) == {"ingest": "ran", "mix": "ran", "score": "ran", "clean": "failed"}
    assert "(50%) would be dropped, clean.max_dropped allows 33%" in stopped.stderr
    [alert] = posted
    assert (alert["class"], alert["stage"], alert["state"]) == ("quality", "clean", "Failed")
    assert (alert["value"], alert["limit"], alert["key"]) == ("50%", "33%", "clean.max_dropped")
    assert "clean.max_dropped allows 33%" in alert["text"]
    assert champion().version == "1"
    translated = projects.call(
        project, "-m", "seq2seq", "translate", "--model", f"models:/{NAME}@champion", "Hi"
    )
    assert translated.returncode == 0

    refused = run(project, "--accept", " ")
    assert refused.returncode == Exit.MISTAKE
    assert "the reason is empty" in refused.stderr

    accepted = run(project, "--accept", REASON)
    assert accepted.returncode in (Exit.DONE, Exit.REJECTED), accepted.stdout + accepted.stderr
    assert f"clean.max_dropped allows 33%: accepted ({REASON})" in accepted.stdout
    assert f"drift: against the corpus of {NAME} version 1" in accepted.stdout
    assert set(stages(accepted.stdout).values()) == {"unchanged", "ran"}
    check_recorded()

    # A later run without a reason takes the accepted stage as it is; so does one that restores it.
    for path in (paths.CORPUS, paths.REPORTS, paths.MODEL):
        shutil.rmtree(path)
    again = run(project)
    assert again.returncode == accepted.returncode, again.stdout + again.stderr
    assert stages(again.stdout)["clean"] == "restored"
    check_recorded()


def check_recorded() -> None:
    [record] = json.loads(paths.CLEAN_ACCEPTED.read_text())
    assert (record["reason"], record["key"], record["who"]) == (REASON, "clean.max_dropped", record["who"])
    run_id = json.loads(paths.RUN.read_text())["run_id"]
    tag = client.connect().get_run(run_id).data.tags["accepted.clean.max_dropped"]
    assert REASON in tag
    assert record["who"] in tag
    for path in (paths.REPORT, paths.CARD):
        assert REASON in path.read_text("utf-8")
