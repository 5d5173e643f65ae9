"""A model that generates the references' own pieces scores 100 in every script."""

import json
from itertools import cycle, islice
from pathlib import Path

import pytest

from seq2seq import clean, ingest, mix, tokenize
from seq2seq.common import params, paths
from seq2seq.data import direction
from seq2seq.data.corpus import read_split
from seq2seq.data.vocabulary import Vocabulary
from seq2seq.evaluation import bleu_tokenizer, scores
from seq2seq.gate.text_features import mark
from tests.support.projects import ROOT
from tests.support.sources import with_source

LOCAL = ROOT / "recipes/local.yaml"
SHIPPED = params.load(LOCAL)
JOINER, NON_JOINER, BOM = "\u200d", "\u200c", "\ufeff"

# Language, and sentences with characters that normalisation tends to lose.
SCRIPTS = {
    "Latin": ("vi", ["Tôi thích uống cà phê sữa đá.", "Café “déjà vu” — naïve…", "Es sind 10² m², ½ Liter!"]),
    "Latin, decomposed": ("vi", ["To\u0302i thi\u0301ch u\u0302\u0301ng.", "Cafe\u0301 fac\u0327ade?"]),
    "Greek": ("el", ["Πού είναι η βιβλιοθήκη;", "Ἐν ἀρχῇ ἦν ὁ λόγος."]),
    "Cyrillic": ("uk", ["Їжак з'їв яблуко.", "Где находится ближайшая аптека?"]),
    "Arabic": ("ar", ["أين تقع المكتبة؟", "أنا أحب القهوة، وأنت؟"]),
    "Arabic with vowels": ("ar", ["كَتَبَ الوَلَدُ الدَّرْسَ.", "السَّلَامُ عَلَيْكُمْ"]),
    "Persian": ("fa", [f"من می{NON_JOINER}خواهم کتاب{NON_JOINER}ها را بخوانم.", "هوا امروز خوب است؟"]),
    "Hebrew": ("he", ["איפה הספרייה?", "שָׁלוֹם לְכֻלָּם"]),
    "Devanagari": ("hi", ["मुझे हिन्दी सीखनी है।", f"क्{JOINER}ष और क्ष में क्या अन्तर है?"]),
    "Tamil": ("ta", ["நான் தமிழ் கற்கிறேன்.", "நூலகம் எங்கே உள்ளது?"]),
    "Thai": ("th", ["ฉันชอบกินข้าวผัด", "น้ำอยู่ที่ไหน"]),
    "Khmer": ("km", ["ខ្ញុំចូលចិត្តញ៉ាំបាយ។", "តើបណ្ណាល័យនៅឯណា?"]),
    "Han": ("zh", ["你喜欢什么颜色？", "他说：“好的，我明天来！”（真的）", "面积是１００㎡；温度２５℃。"]),
    "kana": ("ja", ["コーヒーを飲みますか？", "わたしは「はい」と言いました。", "ﾊﾝｶｸの文字です。"]),
    "Hangul": ("ko", ["커피를 마시고 싶어요.", "도서관이 어디에 있습니까?"]),
    "emoji": ("en", [f"My family 👨{JOINER}👩{JOINER}👧 says hi 👍🏽!", "I ❤️ this ☕️ — really."]),
}  # fmt: skip


def corpus(sentences: list[str]) -> list[tuple[str, str]]:
    """Four hundred pairs, some with a BOM, as in joined files."""
    rows = []
    for number, sentence in enumerate(islice(cycle(sentences), 400)):
        rows.append((f"Satz {number} von vielen.", BOM * (number % 50 == 7) + f"{sentence}{number}"))
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_perfect_model_scores_100(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    language, sentences = SCRIPTS[script]
    text = "".join(f"{source}\t{target}\n" for source, target in corpus(sentences))
    Path("corpus.tsv").write_text(text, encoding="utf-8")
    sections = {
        "clean": {"contamination": "report", "min_letters": 0.0, "other_language": None},
        "tokenize": {"vocabulary_size": 600, "min_coverage": None, "min_language_share": None},
    }
    base = with_source(LOCAL, path="corpus.tsv", source_language="de", target_language=language)
    checked = base.model_copy(
        update={name: getattr(base, name).model_copy(update=keys) for name, keys in sections.items()}
    )
    for stage in (ingest.ingest, mix.mix, clean.clean, tokenize.tokenize):
        stage(checked)

    references = [pair.target for pair in read_split(paths.CORPUS, "test")]
    vocabulary = Vocabulary.load(paths.VOCABULARY)
    decoded = vocabulary.decode_all(vocabulary.encode_all(references, "target"))
    assert decoded == references
    tokenizer = bleu_tokenizer.choose(None, direction.read(paths.VOCABULARY).target)
    found = scores.corpus_scores(decoded, references, tokenizer)
    assert (found.bleu, found.chrf, found.ter) == (100.0, 100.0, 0.0)
    assert scores.score("bleu", [text[: len(text) // 2] for text in decoded], references, tokenizer) < 100
    assert all(mark(one) == mark(other) for one, other in zip(decoded, references, strict=True))
    assert not any("\ufeff" in reference for reference in references)
    coverage = json.loads(paths.COVERAGE.read_text())["coverage"]["train"]["target"]
    assert (coverage["rewritten"], coverage["round_trip_failures"]) == (0, 0)
    assert "rewrites" not in capsys.readouterr().out


@pytest.mark.slow
def test_sentences_rewritten_by_a_rule_are_counted_and_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sentences = SCRIPTS["Han"][1]
    rows = "".join(f"{source}\t{target}\n" for source, target in corpus(sentences))
    Path("corpus.tsv").write_text(rows, encoding="utf-8")
    folded = SHIPPED.tokenize.model_copy(
        update={"vocabulary_size": 500, "target_normalization": "nmt_nfkc", "min_coverage": None}
    )
    lenient = SHIPPED.clean.model_copy(
        update={"contamination": "report", "min_letters": 0.0, "other_language": None}
    )
    checked = with_source(LOCAL, path="corpus.tsv").model_copy(update={"clean": lenient, "tokenize": folded})
    for stage in (ingest.ingest, mix.mix, clean.clean, tokenize.tokenize):
        stage(checked)
    train = sum(1 for _ in read_split(paths.CORPUS, "train"))
    coverage = json.loads(paths.COVERAGE.read_text())["coverage"]["train"]["target"]
    assert coverage["rewritten"] == train
    assert f"{train:,} target sentences of train contain characters" in capsys.readouterr().out
