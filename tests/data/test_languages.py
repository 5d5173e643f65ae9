"""Languages are recognised by codes and names in the forms of corpora; ordinary words are not."""

import pytest

from seq2seq.data.language_names import TABLE
from seq2seq.data.languages import CODES, is_heading, language_of, languages_of_name


@pytest.mark.parametrize(
    ("cell", "tag"),
    [
        ("de", "de"), ("DE", "de"), ("deu", "de"), ("ger", "de"), ("Deu", "de"), ("jp", "ja"),
        ("de-DE", "de-DE"), ("pt_BR", "pt-BR"), ("zh_cn", "zh-CN"), ("es-419", "es-419"),
        ("zh-Hans", "zh-Hans"), ("zh_Hant_TW", "zh-Hant-TW"), ("yue_Hant", "yue-Hant"),
        ("eng_Latn", "en"), ("zho_Hans", "zh-Hans"), ("arb_Arab", "ar"), ("hin_Latn", "hi-Latn"),
        ("German", "de"), ("deutsch", "de"), ("ESPANOL", "es"), ("Norwegian Bokmål", "nb"),
        ("हिन्दी", "hi"), ("ไทย", "th"), ("العربية", "ar"), ("中文", "zh"), ("Tiếng Việt", "vi"),
        ("Chinese (Simplified)", "zh-Hans"), ("source_de", "de"), ("tgt_pt-BR", "pt-BR"),
        ("translation.de", "de"), ("sentence_deu_Latn", "de"), ("German text", "de"), ("\ufeffde", "de"),
    ],
)  # fmt: skip
def test_codes_and_names(cell, tag):
    assert language_of(cell) == tag
    assert is_heading(cell)


@pytest.mark.parametrize(
    "cell", ["Ja", "no.", "is it?", "so, so", "Hallo", "source", "", "1", "German is hard", "der Hund", "🙂"]
)
def test_words_are_no_languages(cell):
    assert language_of(cell) is None
    assert is_heading(cell) == (cell == "source")


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("corpus.de-en.tsv", ("de", "en")), ("train_deu_eng.tsv.gz", ("de", "en")), ("en2de", ("en", "de")),
        ("zh-Hans_en", ("zh-Hans", "en")), ("German-English.csv", ("de", "en")), ("DE_EN.csv", ("de", "en")),
        ("pt_BR-en.jsonl", ("pt-BR", "en")), ("eng_Latn-hin_Deva.tsv", ("en", "hi")),
        ("europarl-v7.de-en.tsv", ("de", "en")), ("en-to-ja.tsv.zst", ("en", "ja")),
        ("corpus.tsv", None), ("my corpus.tsv", None), ("is-it.tsv", None), ("train.de", None),
        ("train.it-en.tsv", ("it", "en")), ("it-en", ("it", "en")), ("de-en", ("de", "en")),
        ("news.zh-en", ("zh", "en")), ("opus.dev.de-en", ("de", "en")), ("IT-EN.csv", ("it", "en")),
        ("bbc-co-uk.de-en.tsv", ("de", "en")), ("co-fr.tsv", ("co", "fr")), ("cat-eng.tsv", ("ca", "en")),
        ("news-uk-en.tsv", ("uk", "en")), ("tatoeba_eng_fin", ("en", "fi")), ("no-en-2.tsv", ("no", "en")),
        ("to-en-from-de", None), ("news-co-uk.tsv", None), ("max-min-sat.csv", None), ("bbc.co-uk.tsv", None),
        ("bbc_co_jp", None), ("how-to-en.tsv", None), ("my-run-fin.csv", None), ("back-to-it-de", None),
        ("log-sun-est.tsv", None), ("sales-may-est.csv", None), ("train-it-en-de.tsv", None),
        ("de-de.tsv", None), ("wmt.de-en.fr-en.tsv", None), ("a-b.c", None),
    ],
)  # fmt: skip
def test_names_of_files(name, pair):
    assert languages_of_name(name) == pair


def test_no_code_and_no_name_has_two_languages():
    lines = [line.split("|") for line in TABLE.strip().split("\n")]
    codes = [code for line in lines for code in (line[0], *filter(None, line[1].split(",")))]
    assert len(codes) == len(set(codes)) == len(CODES)
    names = [name for line in lines for name in line[2].split(",")]
    assert len(names) == len(set(names))
