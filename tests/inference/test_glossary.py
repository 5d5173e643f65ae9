"""Terms of a glossary in texts."""

import pytest

from seq2seq.common.errors import UserError
from seq2seq.inference.glossary import Glossary


def test_terms_are_whole_words_the_longest_first():
    glossary = Glossary({"Hund": "hound", "Hund und Katze": "pets", "C++": "C++", "haus": "house"})
    text = "Hund und Katze, Hunde, ein Hund; C++ im Haus."
    assert [(text[begin:end], target) for begin, end, target in glossary.find(text)] == [
        ("Hund und Katze", "pets"),
        ("Hund", "hound"),
        ("C++", "C++"),
        ("Haus", "House"),
    ]
    assert Glossary({}).find(text) == []


def test_a_file_has_translations_or_keep(tmp_path):
    path = tmp_path / "terms.tsv"
    path.write_text("\ufeff# animals\nHund\thound\n\nAcme Rot\tkeep\n", encoding="utf-8")
    text = "Hund von Acme Rot"
    assert [target for _, _, target in Glossary.read(path).find(text)] == ["hound", "Acme Rot"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Hund\n", r"terms\.tsv:1: write a term, a tab, and its translation or `keep`"),
        ("a\tb\nHund\t\n", r"terms\.tsv:2: write a term"),
        ("Hund\tdog\nHund\thound\n", r"terms\.tsv:2: 'Hund' has another translation already: 'dog'"),
        (b"\xff\xfe", r"glossary .*terms\.tsv: .*utf-8"),
        (None, r"glossary .*terms\.tsv: .*No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, message):
    path = tmp_path / "terms.tsv"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message):
        Glossary.read(path)
