"""BLEU's tokenizer: by language, by script, by name, and errors for unusable ones."""

import pytest

from seq2seq.common.errors import UserError
from seq2seq.data.direction import Side
from seq2seq.evaluation import bleu_tokenizer, scores


@pytest.fixture
def installed(monkeypatch):
    """Pretend that all extras are installed."""
    monkeypatch.setattr(bleu_tokenizer, "find_spec", lambda name: name)


@pytest.mark.parametrize(
    ("language", "script", "tokenizer"),
    [
        ("en", "Latin", "13a"),
        ("vi", "Latin", "13a"),
        ("ar", "Arabic", "13a"),
        ("hi", "Devanagari", "13a"),
        ("zh", "Han", "zh"),
        ("zh-Hant-TW", "Han", "zh"),
        ("yue", None, "zh"),
        ("ja", "Japanese", "ja-mecab"),
        ("ko", "Hangul", "ko-mecab"),
        ("th", "Thai", "char"),
        ("km", "Khmer", "char"),
        ("my", "Myanmar", "char"),
        (None, "Han", "zh"),
        (None, "Japanese", "ja-mecab"),
        (None, "Korean", "ko-mecab"),
        (None, "Lao", "char"),
        (None, "Tibetan", "char"),
        (None, "Cyrillic", "13a"),
        (None, None, "13a"),
    ],
)
def test_it_follows_the_language_or_else_the_script(installed, language, script, tokenizer):
    assert bleu_tokenizer.choose(None, Side(language, script)) == tokenizer


def test_a_name_takes_precedence_unless_it_would_treat_sentences_as_words(installed):
    assert bleu_tokenizer.choose("char", Side("en", "Latin")) == "char"
    assert bleu_tokenizer.choose("intl", Side("de", "Latin")) == "intl"
    assert bleu_tokenizer.choose("13a", Side("ko", "Korean")) == "13a"  # Korean has spaces
    for side in (Side("zh", None), Side(None, "Thai"), Side("ja", "Japanese"), Side(None, "Han")):
        for named in ("13a", "intl", "none"):
            with pytest.raises(UserError, match=r"needs spaces between words.*set it to (zh|char|ja-mecab)"):
                bleu_tokenizer.choose(named, side)


def test_a_language_that_the_letters_contradict_is_refused(installed):
    with pytest.raises(UserError, match="target_language is en, but most target letters are Han"):
        bleu_tokenizer.choose(None, Side("en", "Han"))


@pytest.mark.parametrize(("language", "extra"), [("ja", "ja"), ("ko", "ko")])
def test_a_missing_extra_is_named_with_the_remedy(monkeypatch, language, extra):
    monkeypatch.setattr(bleu_tokenizer, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=rf"pip install -e '\.\[{extra}\]'.*bleu_tokenizer: char"):
        bleu_tokenizer.choose(None, Side(language, None))


def test_nothing_is_downloaded_in_a_run(monkeypatch, tmp_path):
    monkeypatch.setenv("SACREBLEU", str(tmp_path))
    with pytest.raises(UserError, match=r"flores200 needs .*flores200sacrebleuspm, which a run does not"):
        bleu_tokenizer.choose("flores200", Side("sw", "Latin"))
    (tmp_path / "models").mkdir()
    (tmp_path / "models/flores200sacrebleuspm").touch()
    assert bleu_tokenizer.choose("flores200", Side("sw", "Latin")) == "flores200"


def test_the_paths_of_downloads_are_those_of_sacrebleu():
    from sacrebleu.tokenizers.tokenizer_spm import SPM_MODELS

    for name, file in bleu_tokenizer.DOWNLOADED.items():
        assert SPM_MODELS[name]["url"].rsplit("/", 1)[1] == file


@pytest.mark.parametrize("tokenizer", ["zh", "char", "13a"])
def test_the_signature_names_the_tokenizer(tokenizer):
    found = scores.signatures(tokenizer)
    assert f"tok:{tokenizer}" in found["bleu"]
    assert ("asian:yes" in found["ter"]) is (tokenizer != "13a")
    assert found == scores.corpus_scores(["你好 a"] * 3, ["你好 a"] * 3, tokenizer).signatures


@pytest.mark.slow
def test_a_nearly_right_chinese_translation_scores_by_its_tokenizer():
    references = ["你喜欢什么颜色的帽子？", "他昨天在学校里见到了她。", "我们明天去北京看朋友。"]
    hypotheses = ["你喜欢什么颜色的帽子？", "他昨天在学校里看到了她。", "我们明天去北京看老朋友。"]
    assert scores.score("bleu", hypotheses, references, "13a") < 50
    by_character = scores.score("bleu", hypotheses, references, "zh")
    assert 60 < by_character < 100
    worse = [text[:4] for text in hypotheses]
    test = scores.paired_test(worse, hypotheses, references, ("bleu",), "zh")
    assert test["bleu"].delta == pytest.approx(
        by_character - scores.score("bleu", worse, references, "zh"), abs=1e-3
    )
