"""Each kind of memory becomes the same splits, and malformed units are counted as malformed rows are."""

import hashlib
import re
from pathlib import Path

import pyarrow as pa
import pytest

from seq2seq.common.errors import UserError
from tests.support.projects import ROOT
from tests.support.sources import ingested, with_source

LOCAL = ROOT / "recipes/local.yaml"
PAIRS = [(f"Das ist der Satz {n}.", f"This is sentence {n}.") for n in range(400)]


@pytest.fixture(autouse=True)
def _workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(**keys):
    return ingested(with_source(LOCAL, **keys))


def tmx(pairs):
    units = "".join(
        f'<tu><tuv xml:lang="en"><seg>{b}</seg></tuv><tuv xml:lang="de"><seg>{a}</seg></tuv></tu>'
        for a, b in pairs
    )
    return f'<?xml version="1.0"?><tmx version="1.4"><header srclang="de"/><body>{units}</body></tmx>'


def xliff(pairs):
    units = "".join(f"<trans-unit><source>{a}</source><target>{b}</target></trans-unit>" for a, b in pairs)
    file = f'<file source-language="de" target-language="en"><body>{units}</body></file>'
    return f'<xliff version="1.2">{file}</xliff>'


def po(pairs):
    return "\n".join(f'msgid "{a}"\nmsgstr "{b}"\n' for a, b in pairs)


def lines(pairs):
    Path("two").mkdir()
    for language, texts in zip(("de", "en"), zip(*pairs, strict=True), strict=True):
        Path(f"two/train.{language}").write_text("\n".join(texts) + "\n", encoding="utf-8")


def write():
    tsv = "".join(f"{a}\t{b}\n" for a, b in PAIRS)
    Path("x.tsv").write_text(tsv, encoding="utf-8")
    Path("x.tsv.zst").write_bytes(pa.compress(tsv.encode(), codec="zstd", asbytes=True))
    for kind, writer in {"tmx": tmx, "xlf": xliff, "po": po}.items():
        Path(f"x.{kind}").write_text(writer(PAIRS), encoding="utf-8")
    lines(PAIRS)


@pytest.mark.slow
def test_every_kind_gives_the_same_splits():
    write()
    expected, _ = run(path="x.tsv")
    for path in ("x.tsv.zst", "x.tmx", "x.xlf", "x.po", "two"):
        splits, facts = run(path=path)
        assert splits == expected, path
        assert facts["malformed_rows"] == 0


def test_both_files_of_a_corpus_are_in_the_provenance():
    lines(PAIRS)
    _, facts = run(path="two")
    assert [(file["name"], file["sha256"]) for file in facts["sources"]["corpus"]["files"]] == [
        (name, hashlib.sha256(Path("two", name).read_bytes()).hexdigest())
        for name in ("train.de", "train.en")
    ]
    assert facts["columns"] == {"source": "de", "target": "en"}
    with pytest.raises(UserError, match=r"two/train.de is a corpus of 2 files, .*mkdir -p two/train &&"):
        run(path="two/train.de")


def test_languages_decide_the_columns(capsys):
    write()
    expected, _ = run(path="x.tsv", source_column=1, target_column=0)
    for path in ("x.tmx", "x.xlf", "two"):
        splits, _ = run(path=path, source_language="en", target_language="de")
        assert splits == expected, path
    assert "ingest: x.tmx: 400 units; source is en, target is de\n" in capsys.readouterr().out


def test_malformed_units_stop_or_are_counted(capsys):
    twice = '<tuv xml:lang="de"><seg>b</seg></tuv>'
    text = tmx([*PAIRS, ("Leer", ""), ("a", "c"), ("a", "d")])
    Path("x.tmx").write_text(re.sub(r"(?<=<seg>a</seg></tuv>)", twice, text), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        run(path="x.tmx")
    assert str(caught.value).startswith(
        "2 malformed rows:\n  x.tmx, unit 402: line 1: 2 texts in de: remove all but one\n  x.tmx, unit 403: "
    )
    assert "of which are left out: 1 without a text in de or en;" in capsys.readouterr().out
    _, facts = run(path="x.tmx", max_malformed_rows=2)
    assert facts["malformed_rows"] == 2
    assert "ingest: 2 malformed rows left out, 2 are allowed:" in capsys.readouterr().out


def test_units_left_out_are_printed(capsys):
    Path("x.po").write_text(po([*PAIRS, ("Neu", "")]) + '\n#, fuzzy\nmsgid "a"\nmsgstr "b"\n', "utf-8")
    run(path="x.po")
    expected = "ingest: x.po: 402 units, of which are left out: 1 not translated, 1 fuzzy; source is msgid"
    assert expected in capsys.readouterr().out


def test_languages_that_are_not_set_are_printed(capsys):
    """A file that `use` could not read, because it was damaged, has languages after its repair."""
    write()
    hint = "  the languages are not set; the file states source_language=de, target_language=en: set them"
    run(path="x.tmx")
    assert hint in capsys.readouterr().out
    run(path="x.tmx", source_language="de")
    run(path="x.tsv")
    assert hint not in capsys.readouterr().out
