"""Commands: their input, output and error messages."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.__main__ import parser
from seq2seq.__main__ import main
from seq2seq.commands import translate, translate_files
from seq2seq.common import params, paths
from seq2seq.common.errors import UserError
from seq2seq.data import pins
from seq2seq.inference.translation import Translation
from seq2seq.tracking import promotions, registry
from tests.support.projects import ROOT
from tests.support.words import Words


class Upper:
    """A stub of a translator: the text in capitals; only the words of one sentence are known."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def refusals(self, texts):
        return {i: "too long" for i, text in enumerate(texts) if len(text) > 100}

    def doubts(self, text):
        return ["it is in capitals"] if text.isupper() else []

    def translate_fully(self, texts, beam=None, warn=True, divide=False, attend=True):
        assert not warn  # the command warns itself
        self.batches.append(len(texts))
        splits = [divide and len(text) // 100 for text in texts]
        return [
            Translation(text.upper(), 0.0, ["</s>"], ["</s>"] if text else [], None, cuts)
            for text, cuts in zip(texts, splits, strict=True)
        ]

    def unknown_words(self, text):
        return [word for word in text.split() if word not in ("der", "Hund", "schläft")]


@pytest.fixture
def translator(monkeypatch, tmp_path) -> Upper:
    monkeypatch.chdir(tmp_path)
    upper = Upper()
    monkeypatch.setattr(translate, "model_folder", lambda model: tmp_path)
    monkeypatch.setattr(translate, "_translator", lambda folder, glossary: upper)
    return upper


def give_stdin(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def failure(capsys, *arguments: str) -> str:
    assert main([*arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    return output.err


def test_arguments_are_translated_in_order(translator, capsys):
    assert main(["translate", "der Hund", "", "schläft"]) == 0
    assert capsys.readouterr().out == "DER HUND\n\nSCHLÄFT\n"


def test_lines_of_a_file_with_any_line_ends_and_a_mark_of_byte_order(translator, capsys, tmp_path):
    (tmp_path / "in.txt").write_bytes(b"\xef\xbb\xbfder\r\n\nHund\nschl\xc3\xa4ft")
    assert main(["translate", "--file", "in.txt"]) == 0
    assert capsys.readouterr().out == "DER\n\nHUND\nSCHLÄFT\n"


def test_many_lines_stream_in_batches_and_in_order(translator, capsys, monkeypatch):
    lines = [f"Hund {number}" for number in range(150)]
    give_stdin(monkeypatch, "\n".join(lines).encode())
    assert main(["translate"]) == 0
    assert capsys.readouterr().out.splitlines() == [line.upper() for line in lines]
    assert translator.batches == [64, 64, 22]


def test_no_input_gives_no_output(translator, capsys, monkeypatch):
    give_stdin(monkeypatch, b"")
    assert main(["translate"]) == 0
    assert capsys.readouterr().out == ""


def test_unknown_words_are_named_once_and_apart_from_the_output(translator, capsys):
    assert main(["translate", "der Xylophon schläft", "Xylophon Ypsilon"]) == 0
    output = capsys.readouterr()
    assert output.err == "not seen in training: Xylophon, Ypsilon\n"
    assert output.out == "DER XYLOPHON SCHLÄFT\nXYLOPHON YPSILON\n"


def test_a_line_that_cannot_be_translated_costs_no_other(translator, capsys, tmp_path, monkeypatch):
    data = b"Hund\nschl\xe4ft\n" + b"Hund " * 50 + b"\nschl\xc3\xa4ft\nder"
    (tmp_path / "in.txt").write_bytes(data)
    assert main(["translate", "--file", "in.txt", "--refuse-long"]) == 1
    output = capsys.readouterr()
    assert output.out == "HUND\n\n\nSCHLÄFT\nDER\n"
    assert output.err.splitlines() == [
        "in.txt, line 2: byte 0xe4 at position 4 is not UTF-8: convert it first, "
        "e.g. `iconv -f LATIN1 -t UTF-8`; left out",
        "in.txt, line 3: too long; left out",
        "2 left out: their lines of output are empty",
    ]
    give_stdin(monkeypatch, data)
    assert main(["translate", "--refuse-long"]) == 1
    again = capsys.readouterr()
    assert (again.out, again.err) == (output.out, output.err.replace("in.txt", "stdin"))
    assert main(["translate", "der", "schl\udce4ft", "Hund"]) == 1
    output = capsys.readouterr()
    assert output.out == "DER\n\nHUND\n"
    assert output.err.startswith("argument 2: not UTF-8: 'schl\\udce4ft'; left out\n")


def test_a_long_sentence_is_divided_and_named(translator, capsys):
    assert main(["translate", "der", "Hund " * 50]) == 0
    output = capsys.readouterr()
    assert output.out == "DER\n" + "HUND " * 50 + "\n"
    assert output.err.startswith(f"argument 2: {translate.DIVIDED} 2 times\n")


def test_confidence_stands_in_columns_and_is_flagged_without_a_calibration(translator, capsys, tmp_path):
    assert main(["translate", "der", "", "--confidence"]) == 0
    output = capsys.readouterr()
    assert output.out == "DER\t\t0.0000\n\t\t0.0000\n"
    assert output.err.startswith("uncalibrated: ")
    curve = {"slope": 1.0, "intercept": 0.0, "bad_below": 50.0}
    (tmp_path / "confidence.json").write_text(json.dumps({"calibration": curve}))
    assert main(["translate", "der", "--confidence"]) == 0
    assert capsys.readouterr().err == ""


@pytest.fixture
def words(monkeypatch, translator):
    monkeypatch.setenv("SEQ2SEQ_WORKERS", "1")
    stub = Words(str.upper)
    monkeypatch.setattr(translate_files, "load_translator", lambda folder, glossary: stub)


def test_a_glossary_reaches_the_translator_of_texts_and_files(
    translator, words, monkeypatch, tmp_path, capsys
):
    given = []
    monkeypatch.setattr(
        translate, "_translator", lambda folder, glossary: given.append(glossary) or translator
    )
    monkeypatch.setattr(
        translate_files,
        "load_translator",
        lambda folder, glossary: given.append(glossary) or Words(str.upper),
    )
    terms = tmp_path / "terms.tsv"
    terms.write_text("Hund\thound\n")
    (tmp_path / "a.txt").write_text("der Hund\n")
    assert main(["translate", "--glossary", "terms.tsv", "der"]) == 0
    assert main(["translate", "--glossary", "terms.tsv", "a.txt"]) == 0
    assert main(["translate", "der"]) == 0
    assert set(given[:-1]) == {Path("terms.tsv")}
    assert given[-1] is None
    assert len(given) >= 3


def test_files_are_translated_in_their_format(words, tmp_path, capsys):
    (tmp_path / "a.md").write_text("# der *Hund*\n")
    (tmp_path / "b.txt").write_text("- der\nHund\n")
    assert main(["translate", "a.md"]) == 0
    assert capsys.readouterr().out == "# DER *HUND*\n"
    assert main(["translate", "a.md", "b.txt", "--output", "out"]) == 0
    assert (tmp_path / "out/a.md").read_text() == "# DER *HUND*\n"
    assert (tmp_path / "out/b.txt").read_text() == "- DER\nHUND\n"
    (tmp_path / "bad.txt").write_bytes(b"der\n\xff\n")
    assert main(["translate", "bad.txt", "--output", "c.txt"]) == 1
    assert "bad.txt, line 2: byte 0xff at position 0 is not UTF-8" in capsys.readouterr().err
    assert (tmp_path / "c.txt").read_text() == "DER\n\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.md", "Hund"], "give sentences or files, not both"),
        (["Hund", "--output", "x"], "Hund is no file: with --output each argument is one"),
        (["--output", "x"], "--output: name the files to translate"),
        (["a.md", "b.txt"], "several files need --output FOLDER"),
        (["a.md", "--output", "a.md"], "--output: a.md is the file to translate"),
        (["a.md", "--output", "nowhere/a.md"], "does not exist"),
        (["a.md", "--confidence"], "a.md: --confidence needs records: txt, tsv"),
        (["a.md", "--file", "b.txt"], "files go without --file and --attention"),
        (["c.tsv"], "c.tsv: a table needs --column"),
    ],
)
def test_files_that_cannot_be_translated_are_an_error(words, tmp_path, capsys, arguments, message):
    for name in ("a.md", "b.txt", "c.tsv"):
        (tmp_path / name).write_text("eins\n")
    assert message in failure(capsys, "translate", *arguments)


def test_texts_unlike_training_are_named(translator, capsys):
    assert main(["translate", "der", "DER"]) == 0
    assert "argument 2: it is in capitals\n" in capsys.readouterr().err


PIPED = """
import sys
from seq2seq.commands import translate
from seq2seq.__main__ import main

from seq2seq.inference.translation import Translation

class Upper:
    def translate_fully(self, texts, **_):
        print("batch of", len(texts), file=sys.stderr, flush=True)
        return [Translation(text.upper(), 0.0, [], [], None) for text in texts]
    def unknown_words(self, text): return []
    def doubts(self, text): return []

translate.model_folder = lambda model: None
translate._translator = lambda folder, glossary: Upper()
sys.exit(main(["translate"]))
"""


@pytest.mark.slow
def test_a_program_gets_an_answer_for_each_line_and_many_lines_stay_together():
    child = subprocess.Popen(
        [sys.executable, "-c", PIPED],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in ("eins\n", "zw", "ei\n", "drei\n"):
        child.stdin.write(line)
        child.stdin.flush()
        if line.endswith("\n"):
            assert child.stdout.readline() == {"ei\n": "ZWEI\n"}.get(line, line.upper())
    many = "".join(f"zeile {number}\n" for number in range(200))
    out, err = child.communicate(many + "ohne Ende")
    assert out == many.upper() + "OHNE ENDE\n"
    assert child.returncode == 0
    assert err.count("batch of 1\n") <= 4
    assert len(err.splitlines()) < 20


def test_lines_of_a_stream_are_those_of_a_file(tmp_path):
    data = b"eins\n\n" + b"x" * 200_000 + b"\n" + b"a\n" * 300 + b"\r\nende"
    (tmp_path / "in.txt").write_bytes(data)
    with (tmp_path / "in.txt").open("rb") as stream:
        portions = list(translate._arriving(stream))
    assert b"\n".join(line for portion in portions for line in portion) == data
    assert max(map(len, portions)) == translate.BATCH
    (tmp_path / "in.txt").write_bytes(b"a\n")
    with (tmp_path / "in.txt").open("rb") as stream:
        assert list(translate._arriving(stream)) == [[b"a"]]


def test_a_picture_that_cannot_be_written_is_named(translator, tmp_path, capsys, monkeypatch):
    found = Translation("A", 0.0, ["▁a", "</s>"], ["▁A", "</s>"], np.eye(2, dtype="f4"))
    monkeypatch.setattr(translator, "translate_fully", lambda texts, **_: [found])
    (tmp_path / "file").write_text("")
    assert main(["translate", "a", "--attention", str(tmp_path / "file/a.png")]) == 1
    assert f"error: File exists: {tmp_path}/file\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--file", "nowhere.txt"], "--file: nowhere.txt: No such file or directory"),
        (["--file", "."], "--file: .: Is a directory"),
        (["text", "--file", "in.txt"], "give sentences or --file, not both"),
        (["a", "b", "--attention", "a.png"], "give exactly one argument"),
        (["a", "--attention", "a.bmp"], "a.bmp must end in .png, .pdf, .svg"),
    ],
)
def test_unreadable_input_is_an_error(translator, capsys, arguments, message):
    assert message in failure(capsys, "translate", *arguments)


def test_without_attention_there_is_no_picture(translator, tmp_path):
    options = parser().parse_args(["translate", "Hund", "--attention", str(tmp_path / "a.png")])
    with pytest.raises(UserError, match="trained with `attention: none`"):
        translate.run(options)
    options.text = [""]
    with pytest.raises(UserError, match="an empty text has no attention"):
        translate.run(options)


def test_outside_a_project_a_model_has_to_be_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "params.yaml is missing, so name the model" in failure(capsys, "translate", "Hund")
    assert "nowhere is not a model folder" in failure(capsys, "translate", "Hund", "--model", "nowhere")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "recipes", "recipes")
    shutil.copyfile("recipes/grammar.yaml", paths.PARAMS)
    return tmp_path


def test_use_prints_changes_once(project, capsys):
    assert main(["use", "grammar", "--set", "train.seed=2", "--set", "ingest.train_size=null"]) == 0
    assert capsys.readouterr().out == "ingest.sources.grammar.train_size: 32000 -> null\ntrain.seed: 1 -> 2\n"
    assert main(["use", "--set", "train.seed=2"]) == 0
    assert capsys.readouterr().out == "nothing changed in params.yaml\n"
    assert params.load().train.seed == 2


def test_use_needs_something_to_use(project, capsys):
    assert "name a recipe (grammar, local, multi30k, " in failure(capsys, "use")


def test_pin_prints_changes(monkeypatch, capsys):
    monkeypatch.setattr(pins, "pin", lambda path: [("revision", "main", "0" * 40)])
    assert main(["pin", "corpora/x.yaml"]) == 0
    assert capsys.readouterr().out == f"revision: main -> {'0' * 40}\n"


@pytest.mark.slow
def test_history_is_a_table_or_json(project, monkeypatch, capsys):
    entries = [
        promotions.Entry(
            "m", "rolled back", "2", "1", "it lost numbers", "2026-01-02", "me@here", state="done"
        ),
        promotions.Entry("m", "kept", "1", "2", "not better", "2026-01-01", "me@here", state="cancelled"),
    ]
    monkeypatch.setattr(registry, "check_exists", lambda: None)
    monkeypatch.setattr(promotions, "entries", lambda name: entries if name == "grammar-de-en" else [])
    monkeypatch.setattr(registry, "list_alternatives", lambda name: "no such model")
    assert main(["history"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "when        outcome           version         who      reason",
        "2026-01-02  rolled back       2 -> 1          me@here  it lost numbers",
        "2026-01-01  kept (cancelled)  2 (champion 1)  me@here  not better",
    ]
    assert main(["history", "--json"]) == 0
    assert [entry["outcome"] for entry in json.loads(capsys.readouterr().out)] == ["rolled back", "kept"]
    assert "no version of n has been judged yet: no such model" in failure(capsys, "history", "n")
    paths.PARAMS.unlink()
    assert "params.yaml is missing, so name the model: seq2seq history NAME" in failure(capsys, "history")


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("--batch", "0", "--batch: 0 is not allowed, it should be from 1 to 10000"),
        ("--port", "70000", "--port: 70000 is not allowed"),
        ("--poll", "0", "--poll: 0.0 is not allowed"),
        ("--processes", "-1", "--processes: -1 is not allowed"),
    ],
)
def test_numbers_of_the_server_are_checked_before_it_starts(tmp_path, capsys, argument, value, message):
    assert message in failure(capsys, "serve", "--model", str(tmp_path), argument, value)
