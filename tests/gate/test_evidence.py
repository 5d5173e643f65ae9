"""Evidence: the comparison of two versions, and challengers that fail."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from seq2seq.common import params, paths, recipes
from seq2seq.common.errors import TransientError
from seq2seq.data.corpus import Pair, read_split, write_split
from seq2seq.evaluation import scores
from seq2seq.gate import evidence
from seq2seq.gate.candidates import Candidate
from seq2seq.tracking import client
from seq2seq.tracking.registry import Version
from tests.support.evaluated import PAIRS, lay

RIGHT = [pair.target for pair in PAIRS]
WRONG = [text.replace("red", "blue") for text in RIGHT]


def compare(monkeypatch, challenger, champion=None, checked=None):
    """The evidence on versions with these translations of the set, which copy all other texts."""

    def predict_both(_, other, requests, timed):
        *of_the_set, _suite = requests
        texts = [text for request in of_the_set for text in request]
        assert texts == [pair.source for pair in read_split(paths.CORPUS, "test")]
        one, two = [
            Candidate(v, texts and [*texts, *requests[-1]], "" if texts else "it is broken")
            for v, texts in both
        ]
        return one, two if other else None

    both = [(Version("m", "2", "run", {}), challenger), (Version("m", "1", "run", {}), champion)]
    monkeypatch.setattr(evidence, "predict_both", predict_both)
    return evidence.compare_versions(checked or params.load(), "models:/m/2", champion and "models:/m/1")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.mark.slow
def test_two_versions_are_compared_in_every_way(here, monkeypatch):
    lay(RIGHT)
    monkeypatch.setattr(evidence, "CHUNK", 7)
    found = compare(monkeypatch, RIGHT, [WRONG[0], *RIGHT[1:5], *WRONG[5:]])
    assert found["set"] == {"name": "test", "digest": scores.set_digest(PAIRS), "sentences": 20}
    assert found["metrics"]["digest"] == found["set"]["digest"]
    assert found["metrics"]["signatures"] == found["signatures"]
    assert found["contaminated"] == 3
    challenger, champion = found["challenger"], found["champion"]
    assert (challenger["uri"], challenger["version"], challenger["problem"]) == ("models:/m/2", "2", "")
    assert challenger["answers_as_evaluated"] is True
    assert challenger["scores"]["bleu"] == pytest.approx(100)
    assert champion["scores"]["ter"] > challenger["scores"]["ter"] == 0
    assert {name: test["delta"] > 0 for name, test in found["tests"].items()} == {
        "bleu": True,
        "chrf": True,
        "ter": False,
    }
    assert all(0 < test["p"] < 0.05 for test in found["tests"].values())
    whole, some = found["slices"]
    assert (whole["slice"], whole["sentences"], some["slice"], some["sentences"]) == (
        "length 7",
        20,
        "names",
        3,
    )
    assert whole["delta"] == pytest.approx(found["tests"]["bleu"]["delta"])
    assert some["p"] == 1.0  # one sentence is not significant
    assert found["regressions"] == []
    assert len(found["gains"]) == evidence.SHOWN
    gains = [row["challenger_chrf"] - row["champion_chrf"] for row in found["gains"]]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] > 0
    numbers, empty, copy = found["behaviour"]
    assert (numbers["check"], numbers["ok"], numbers["champion_share"]) == ("numbers", True, 1.0)
    assert (empty["ok"], copy["ok"]) == (False, True)

    back = compare(monkeypatch, WRONG, RIGHT)
    assert back["gains"] == []
    assert back["regressions"][0].keys() == found["gains"][0].keys()
    assert back["tests"]["bleu"]["delta"] < 0
    json.dumps(back, allow_nan=False)


def test_without_a_champion_there_is_nothing_to_compare(here, monkeypatch):
    lay(RIGHT)
    found = compare(monkeypatch, RIGHT)
    assert found["champion"] is found["tests"] is None
    assert found["regressions"] == found["gains"] == []
    assert {row["champion"] for row in found["slices"]} == {row["p"] for row in found["slices"]} == {None}
    assert {check["champion_share"] for check in found["behaviour"]} == {None}


def test_without_a_suite_there_are_no_checks(here, monkeypatch):
    lay(RIGHT)
    recipes.apply(None, ["promote.behaviour=null"])
    assert compare(monkeypatch, RIGHT)["behaviour"] == []


@pytest.mark.slow
@pytest.mark.parametrize("champion", [None, RIGHT])
def test_a_challenger_without_answers_leaves_the_rest_of_the_evidence(here, monkeypatch, champion):
    lay(RIGHT)
    found = compare(monkeypatch, [], champion)
    assert found["challenger"]["problem"] == "it is broken"
    assert (found["challenger"]["scores"], found["challenger"]["answers_as_evaluated"]) == (None, False)
    assert found["behaviour"] == found["slices"] == found["gains"] == []
    assert found["tests"] is None
    assert (found["champion"] is None) == (champion is None)
    assert not champion or found["champion"]["scores"]["bleu"] == pytest.approx(100)
    assert found["set"]["sentences"] == 20


def test_answers_that_differ_from_the_evaluated_ones_are_a_problem(here, monkeypatch):
    lay(WRONG)
    found = compare(monkeypatch, [*WRONG[:5], *RIGHT[5:]])["challenger"]
    assert found["answers_as_evaluated"] is False
    assert found["problem"].startswith("15 of 20 translations differ from the evaluated ones: 'Anna")
    assert found["scores"]["bleu"] > 50
    many = [Pair(f"{pair.source} {i}", pair.target) for i in range(5) for pair in PAIRS]
    lay(RIGHT * 5, many)
    assert compare(monkeypatch, [WRONG[0], *RIGHT[1:], *RIGHT * 4])["challenger"]["answers_as_evaluated"]
    assert not compare(monkeypatch, [*WRONG[:2], *RIGHT[2:], *RIGHT * 4])["challenger"][
        "answers_as_evaluated"
    ]


def test_another_test_set_than_the_evaluated_one_is_a_problem(here, monkeypatch):
    lay(RIGHT)
    write_split(paths.CORPUS, "test", [*PAIRS[1:], PAIRS[0]])
    found = compare(monkeypatch, [*RIGHT[1:], RIGHT[0]])
    assert found["metrics"]["digest"] != found["set"]["digest"]
    assert (
        "segments.jsonl has other sentences than data/corpus/test.parquet" in found["challenger"]["problem"]
    )
    assert found["slices"] == []


def test_mistakes_and_dead_servers_end_with_their_status(here, monkeypatch, capsys):
    lay(RIGHT)
    assert evidence.main(["models:/m@champion"]) == 2
    assert "'models:/m@champion' is no version: write models:/NAME/VERSION" in capsys.readouterr().err

    def dead(*_):
        raise TransientError("nobody there")

    monkeypatch.setattr(evidence, "predict_both", dead)
    assert evidence.main(["models:/m/1"]) == os.EX_TEMPFAIL
    assert capsys.readouterr().err == "error: nobody there\n"
    paths.METRICS.write_text("{}")
    assert evidence.main(["models:/m/1"]) == 2
    assert "metrics.json has no evaluation set 'test'" in capsys.readouterr().err
    paths.SEGMENTS.unlink()
    assert evidence.main(["models:/m/1"]) == 2
    assert "segments.jsonl is missing: `dvc repro evaluate`" in capsys.readouterr().err
    assert not paths.EVIDENCE.exists()


@pytest.mark.parametrize(("theirs", "same"), [(("0", "1"), True), (("1", "0"), False), (None, True)])
def test_a_champion_without_tags_is_compared_by_its_run(monkeypatch, theirs, same):
    """Versions of earlier releases have no tags of the direction."""
    columns = {"new": ("0", "1"), "old": theirs}

    def get_run(run_id):
        if (names := columns[run_id]) is None:
            return None
        found = dict(zip(("ingest.source_column", "ingest.target_column"), names, strict=True))
        return SimpleNamespace(data=SimpleNamespace(params=found))

    monkeypatch.setattr(client, "connect", lambda: SimpleNamespace(get_run=get_run))
    new = Version("m", "2", "new", {"corpus.id": "a.tsv", "source.language": "de", "target.language": "en"})
    old = Version("m", "1", "old", {"corpus.id": "a.tsv"})
    assert (evidence._other_direction(new, old) == "") is same
