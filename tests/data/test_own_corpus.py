"""Languages and the model's name come from what translation memories and files of one language state."""

from pathlib import Path

import pytest

from seq2seq.common import params, recipes
from seq2seq.common.errors import UserError
from seq2seq.data import own_corpus
from tests.support.projects import ROOT

PO = 'msgid ""\nmsgstr ""\n"Language: {}\\n"\n\nmsgid "house"\nmsgstr "Haus"\n'


def tmx(*languages):
    variants = "".join(f'<tuv xml:lang="{language}"><seg>text</seg></tuv>' for language in languages)
    return f'<tmx version="1.4"><header srclang="{languages[0]}"/><body><tu>{variants}</tu></body></tmx>'


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_bytes((ROOT / "recipes/local.yaml").read_bytes())
    files = {
        "c/memory.tmx": tmx("DE-DE", "EN-US"),
        "c/many.tmx": tmx("de", "en-US", "fr"),
        "c/job.xlf": '<xliff srcLang="cs" trgLang="nb"><file><unit><segment><source>a</source>'
        "<target>b</target></segment></unit></file></xliff>",
        "po/de.po": PO.format("de"),
        "po/app.de-fr.po": PO.format("") + '\nmsgid "2"\nmsgstr ""\n',
        "m/train.ru": "дом\n",
        "m/train.uk": "дім\n",
        "m/test.ru": "дом\n",
        "m/test.uk": "дім\n",
        "jobs/a.tmx": tmx("sv", "fi"),
        "rare/en.jsonl": '{"translation": {"en": "house", "patois": "ous"}}\n',
        "rare/word.jsonl": '{"it": "house", "patois": "ous"}\n',
        "rare/x.de-en.jsonl": '{"en": "house", "patois": "Haus"}\n',
        "one/news.it": "casa\n",
        "one/news.es": "casa\n",
    }
    for name, text in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")


def use(*values):
    recipes.apply(None, list(values), Path("params.yaml"), own_corpus.complete)
    checked = params.load(Path("params.yaml"))
    [source] = checked.ingest.sources.values()
    return source.source_language, source.target_language, checked.register.name


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["path=c/memory.tmx"], ("de-DE", "en-US", "c-memory-de-DE-en-US")),
        (
            ["path=c/memory.tmx", "source_column=1", "target_column=0"],
            ("en-US", "de-DE", "c-memory-en-US-de-DE"),
        ),
        (
            ["path=c/many.tmx", "source_language=fr", "target_language=de"],
            ("fr", "de", "c-many-fr-de"),
        ),
        (["path=c/many.tmx"], (None, None, "c-many-0-1")),
        (["path=c/job.xlf"], ("cs", "nb", "c-job-cs-nb")),
        (["path=po/de.po"], (None, "de", "po-de-0-1")),
        (["path=po/de.po", "source_language=en"], ("en", "de", "po-de-en-de")),
        (["path=po/app.de-fr.po"], ("de", "fr", "po-app-de-fr")),
        (["path=m"], ("ru", "uk", "m-ru-uk")),
        (["path=m", "source_language=uk", "target_language=ru"], ("uk", "ru", "m-uk-ru")),
        (["path=jobs"], ("sv", "fi", "jobs-sv-fi")),
        (["path=rare/en.jsonl"], ("en", None, "rare-en-0-1")),
        (["path=rare/en.jsonl", "source_column=1", "target_column=0"], (None, "en", "rare-en-1-0")),
        (["path=rare/word.jsonl"], (None, None, "rare-word-0-1")),
        (["path=rare/x.de-en.jsonl"], ("de", "en", "rare-x-de-en")),
        (["path=one"], ("es", "it", "one-es-it")),
    ],
)
def test_languages_and_name(values, expected):
    assert use(*(f"ingest.{value}" for value in values)) == expected


def test_exchanged_columns_exchange_the_languages():
    use("ingest.path=c/memory.tmx")
    assert use("ingest.source_column=1", "ingest.target_column=0")[:2] == ("en-US", "de-DE")


@pytest.mark.parametrize("path", ["one/news.it", "one/news"])
def test_one_file_of_two_is_refused_before_anything_is_written(path):
    before = Path("params.yaml").read_bytes()
    with pytest.raises(UserError, match=r"put them into a folder: mkdir -p one/news && mv .* one/news\n"):
        use(f"ingest.path={path}")
    assert Path("params.yaml").read_bytes() == before
