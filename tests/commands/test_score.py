"""`seq2seq score`: a version on a file of pairs."""

import json

import pytest

from seq2seq.__main__ import main
from seq2seq.commands import score
from seq2seq.inference.translator import Translator


class Lower:
    def refusals(self, texts):
        return {i: "too long" for i, text in enumerate(texts) if len(text) > 50}

    def translate(self, texts, warn, divide):
        assert divide  # as users get the translations
        return [text.lower() for text in texts]


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(score, "model_folder", lambda model: tmp_path)
    monkeypatch.setattr(Translator, "from_folder", lambda folder: Lower())
    path = tmp_path / "pairs.tsv"
    rows = ["EINS ZWEI DREI VIER\teins zwei drei vier", "FÜNF SECHS SIEBEN ACHT\tfünf sechs sieben acht"]
    path.write_text("\n".join([*rows, "nur ein Feld", "X" * 60 + "\tlang"]) + "\n")
    return path


def test_the_scores_of_a_file(pairs, capsys):
    assert main(["score", "models:/m/3", "pairs.tsv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["file"]) == ("models:/m/3", "pairs.tsv")
    assert (found["sentences"], found["untranslated"], found["malformed"]) == (3, 1, 1)
    assert 80 < found["bleu"] < 100
    assert found["signatures"]["bleu"]
    assert main(["score", "models:/m/3", "pairs.tsv"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"BLEU {found['bleu']:.1f}, 95 % between ")
    assert "3 sentences, 1 too long and left untranslated, 1 malformed rows left out; BLEU|" in shown


def test_columns_are_chosen_by_name(pairs, capsys):
    pairs.with_name("named.csv").write_text("id,en,de\n1,eins zwei drei vier,EINS ZWEI DREI VIER\n")
    options = ["--source-column", "de", "--target-column", "en", "--json"]
    assert main(["score", "m", "named.csv", *options]) == 0
    assert json.loads(capsys.readouterr().out)["bleu"] == 100.0


def test_what_is_missing_is_named(pairs, capsys):
    assert main(["score", "models:/m/3"]) == 2
    assert "give a model and a file of pairs, or neither" in capsys.readouterr().err
    assert main(["score", "models:/m/3", "nowhere.tsv"]) == 2
    assert "nowhere.tsv is no file" in capsys.readouterr().err
