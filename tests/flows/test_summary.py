"""The first line and the last lines of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows import summary
from seq2seq.common import params
from tests.support import projects


def test_the_first_line_names_the_recipe() -> None:
    recipes = projects.ROOT / "recipes"
    tiny = params.load(recipes / "tiny.yaml")
    assert summary.first_line(tiny, recipes) == "tiny: corpora/grammar-de-en.yaml -> grammar-tiny"
    train = tiny.train.model_copy(update={"seed": 7})
    changed = tiny.model_copy(update={"train": train})
    assert summary.closest_recipe(changed, recipes) == "tiny + 1 change"
    evaluate = tiny.evaluate.model_copy(update={"beam": 7})
    assert (
        summary.closest_recipe(changed.model_copy(update={"evaluate": evaluate}), recipes)
        == "tiny + 2 changes"
    )


FACTS = {
    "name": "m",
    "version": "3",
    "corpus_kind": "grammar",
    "bleu": 91.234,
    "chrf": 95.55,
    "frozen_set": "news",
    "contaminated": 0,
    "sentences": 1000,
    "samples": [
        {"kind": "short", "source": "Ja, 'so'.", "hypothesis": "Yes.", "reference": "Yes!", "drawing": None},
        {"kind": "reordered", "source": "s", "hypothesis": "h", "reference": "r", "drawing": " ┌ s\nh ███"},
    ],
}


def test_the_last_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    text = "\n".join(summary.last_screen(FACTS, "promoted", full=True))
    assert "m version 3 (champion): BLEU 91.2, chrF 95.5; 0 of 1,000 news sentences in training" in text
    assert "    h ███" in text
    assert "synthetic" in text
    assert "ui --workers 1 --backend-store-uri sqlite:///mlflow.db" in text
    assert """translate 'Ja, '"'"'so'"'"'.'""" in text  # can be pasted
    assert "make run RECIPE=local SET=ingest.path=FILE" in text
    short = "\n".join(summary.last_screen({**FACTS, "corpus_kind": "local"}, "kept", full=False))
    assert "(challenger)" in short
    assert "███" not in short
    assert "synthetic" not in short
    rejected = "\n".join(summary.last_screen(FACTS, "rejected", full=False))
    assert "m version 3 (rejected): " in rejected
    assert """translate --model model 'Ja, '""" in rejected  # else the champion would answer
    assert "--model" not in text + short
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert "look  http://127.0.0.1:5000" in "\n".join(summary.last_screen(FACTS, "kept", full=False))
