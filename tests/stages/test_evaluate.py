"""evaluate with a translator of fixed translations, so that all scores are known."""

import csv
import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from seq2seq import evaluate as stage
from seq2seq.common import params, paths
from seq2seq.common.errors import UserError
from seq2seq.data.corpus import Pair, write_split
from seq2seq.evaluation import scores
from seq2seq.inference.parts import LONGEST
from seq2seq.inference.translation import Translation
from tests.support.projects import ROOT

PARAMS = params.load(ROOT / "params.yaml")
TEST = [
    Pair("Der Hund schläft heute", "The dog sleeps today", "0-0 1-1 2-2 3-3"),
    Pair(
        "Ich weiß dass er heute dort schläft",
        "I know that he sleeps there today",
        "0-0 1-1 2-2 3-3 6-4 5-5 4-6",
    ),
    Pair("Ja gewiss", "Yes indeed", "0-0 1-1"),
    Pair("Wir " + "wissen " * 18 + "es", "We " + "know " * 18 + "it", "0-0"),
    Pair("Die Katze frisst den Fisch", "The cat eats the fish", "0-0 1-1 2-2 3-3 4-4"),
]
VALIDATION = [Pair("Der Mond scheint sehr hell", "The moon shines very brightly")]
TRAIN = [Pair("Der Vogel singt", "The bird sings")]
NEWS = [
    Pair("Nein, Anna kommt 1987 nicht?", "No, is Anna not coming in 1987?"),
    Pair("Die Regierung tagt heute in Bonn", "The government meets in Bonn today"),
]


class FixedTranslator:
    """Translates to the reference, or to an entry of `wrong`; attends to the same position."""

    def __init__(self, attends=True, wrong=()):
        self.translations = {pair.source: pair.target for pair in [*TEST, *VALIDATION, *NEWS]} | dict(wrong)
        self.attends = attends

    def refusals(self, texts, split_sentences):
        return {i: "too long" for i, text in enumerate(texts) if len(text.split()) > LONGEST}

    def translate(self, texts, beam, *settings, **options):
        return [found.text for found in self.translate_fully(texts, beam, *settings, **options)]

    def translate_fully(
        self, texts, beam, length_penalty, max_length, precision, split, batch_size, warn, divide, attend=True
    ):
        assert (split, warn, divide) == (PARAMS.evaluate.split_sentences, False, True)
        assert (length_penalty, max_length) == (PARAMS.evaluate.length_penalty, PARAMS.evaluate.max_length)
        return [self.search(text, beam) if text else Translation("", 0.0, [], [], None) for text in texts]

    def attend(self, texts, targets):
        return [self.pieces(*pair) for pair in zip(texts, targets, strict=True)]

    def search(self, text, beam):
        return self.pieces(text, self.translations.get(text, "?") if beam > 1 else "a quick guess at it")

    def pieces(self, text, hypothesis):
        source, target = ([f"▁{word}" for word in side.split()] + ["</s>"] for side in (text, hypothesis))
        attention = np.zeros((len(target), len(source)), np.float32)
        for row in range(len(target)):
            attention[row, min(row, len(source) - 1)] = 1.0
        return Translation(hypothesis, -0.5, source, target, attention if self.attends else None)


class Recorder:
    def __init__(self):
        self.metrics, self.artifacts, self.tags = {}, [], {}

    def set_tags(self, tags):
        self.tags |= tags

    def log_metrics(self, values, step=None):
        self.metrics |= values

    def log_artifact(self, path, folder=""):
        self.artifacts.append(Path(path))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that evaluates in an empty folder and returns (metrics.json, the MLflow recorder)."""
    monkeypatch.chdir(tmp_path)

    def go(translator=None, test=TEST, train=TRAIN, validation=VALIDATION, news=None, **changes):
        sets = {"train": train, "validation": validation, "test": test}
        further = {} if news is None else {"news": news}
        for name, pairs in {**sets, **further}.items():
            write_split(paths.CORPUS, name, pairs)
        recorder = Recorder()
        paths.REPORTS.mkdir(exist_ok=True)
        paths.RUN.write_text('{"fingerprint": "f00"}')
        (paths.CHECKPOINTS / "f00").mkdir(parents=True)
        (paths.CHECKPOINTS / "another").mkdir(exist_ok=True)

        @contextmanager
        def model_run(patient):
            assert patient, "a retry would compute everything again"
            yield recorder

        monkeypatch.setattr("seq2seq.tracking.runs.model_run", model_run)
        monkeypatch.setattr(
            "seq2seq.inference.translator.Translator.from_folder", lambda *_: translator or FixedTranslator()
        )
        monkeypatch.setattr("seq2seq.nn.model_folder.digest", lambda _: "0123abcd")
        how = PARAMS.evaluate.model_copy(update={"length_bins": 2, "pictures": 0} | changes)
        stage.evaluate(PARAMS.model_copy(update={"evaluate": how}))
        left = [path.name for path in paths.CHECKPOINTS.iterdir()]
        assert left == ["another"]  # the checkpoints of the committed training are removed
        return json.loads(paths.METRICS.read_text()), recorder

    return go


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_of_perfect_translations(run, capsys):
    metrics, recorder = run()
    ours = metrics["test"]
    assert (ours["bleu"], ours["chrf"], ours["ter"], ours["brevity_penalty"]) == (100.0, 100.0, 0.0, 1.0)
    assert (ours["bleu_low"], ours["bleu_high"], ours["ter_low"], ours["ter_high"]) == (100, 100, 0, 0)
    assert ours["bleu_greedy"] < 5
    assert (ours["sentences"], ours["contaminated"]) == (5, 0)
    assert metrics["validation"]["bleu"] == 100.0
    assert metrics["frozen_set"] == "test"
    assert metrics["signatures"].keys() == set(scores.METRICS)
    assert metrics["signatures"]["bleu"].startswith("nrefs:1|case:mixed")
    assert metrics["model_digest"] == "0123abcd"
    sets = {"validation": VALIDATION, "test": TEST}
    assert metrics["digests"] == {name: scores.set_digest(pairs) for name, pairs in sets.items()}
    assert recorder.metrics["test.bleu"] == 100.0
    assert recorder.metrics["validation.sentences"] == 1
    assert {paths.METRICS, paths.SEGMENTS, paths.SLICES, paths.PICTURES} <= set(recorder.artifacts)
    device, validation, test, how, confidence, _ = capsys.readouterr().out.splitlines()
    assert confidence.startswith("evaluate: confidence: not calibrated, too few bad or good translations")
    assert device.startswith("evaluate: on cpu")
    assert validation.startswith("evaluate: validation BLEU 100.0, 95 % between 100.0 and 100.0, chrF 100.0")
    assert test.startswith("evaluate: test BLEU 100.0 (greedy ")
    assert test.endswith("TER 0.0; 0 of 5 sentences in training, exactly or nearly")
    assert how == f"evaluate: test decides; signature BLEU|{metrics['signatures']['bleu']}"


def test_every_set_is_scored_and_the_frozen_one_in_detail(run, capsys):
    metrics, recorder = run(FixedTranslator(wrong={TEST[2].source: "?"}), news=NEWS, frozen_set="news")
    assert list(metrics)[:3] == ["validation", "test", "news"] == list(metrics["digests"])
    assert metrics["news"]["bleu"] == 100.0 > metrics["test"]["bleu"]
    assert metrics["frozen_set"] == "news"
    assert "bleu_greedy" in metrics["news"]
    assert not {"bleu_greedy", "alignment_error_rate"} & metrics["test"].keys()
    assert [segment["source"] for segment in read_lines(paths.SEGMENTS)] == [pair.source for pair in NEWS]
    assert {sample["source"] for sample in json.loads(paths.SAMPLES.read_text())} <= {p.source for p in NEWS}
    assert recorder.metrics["news.ter"] == 0.0
    output = capsys.readouterr().out
    assert "evaluate: news BLEU 100.0 (greedy" in output
    assert "evaluate: news decides" in output


def test_slices_of_the_frozen_set_are_scored_and_named_with_each_sentence(run):
    train = [Pair(f"Die {word}", "x") for word in ("Regierung tagt heute", "in Bonn", "kommt Anna nicht") * 9]
    metrics, _ = run(news=NEWS, train=train, frozen_set="news", negations=["nicht"], length_bins=1)
    with paths.SLICES.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["slice"], row["sentences"]) for row in rows] == [
        ("all", "2"),
        ("length 5-6", "2"),
        *((name, "1") for name in ("rare words", "unknown words", "numbers")),  # "Nein"
        ("capitalised", "2"),
        *((name, "1") for name in ("negation", "questions")),
    ]
    assert float(rows[0]["bleu"]) == metrics["news"]["bleu"]
    assert [segment["slices"] for segment in read_lines(paths.SEGMENTS)] == [
        [row["slice"] for row in rows[1:]],
        ["length 5-6", "capitalised"],
    ]


@pytest.mark.slow
def test_segments_lengths_and_pictures(run):
    metrics, _ = run(FixedTranslator(wrong={TEST[0].source: "A hound"}), pictures=4)
    segments = read_lines(paths.SEGMENTS)
    assert [segment["source"] for segment in segments] == [pair.source for pair in TEST]
    assert segments[0]["hypothesis"] == "A hound"
    assert segments[0]["chrf"] < segments[1]["chrf"] == 100.0
    assert (segments[1]["words"], segments[1]["score"]) == (7, -0.5)
    assert segments[1]["greedy"] == "a quick guess at it"
    assert (
        metrics["test"]["bleu"]
        == scores.corpus_scores(
            [segment["hypothesis"] for segment in segments], [pair.target for pair in TEST]
        ).bleu
    )

    with paths.LENGTHS.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["words"], row["sentences"]) for row in rows] == [("2-4", "2"), ("5-20", "3")]
    assert sorted(path.name for path in paths.PICTURES.iterdir()) == [
        "attention_1_reordered.png",
        "attention_2_longest.png",
        "attention_3_short.png",
        "attention_4_sentence.png",
        "bleu_by_length.png",
    ]
    samples = json.loads(paths.SAMPLES.read_text())
    assert all(sample["picture"].endswith(f"_{sample['kind']}.png") for sample in samples)


def test_the_number_of_pictures_is_limited(run):
    run(pictures=1)
    assert {path.name for path in paths.PICTURES.iterdir()} == {
        "attention_1_reordered.png",
        "bleu_by_length.png",
    }


def test_samples_are_a_short_the_longest_and_the_most_reordered(run):
    run(FixedTranslator(wrong={TEST[1].source: "nonsense"}))
    samples = json.loads(paths.SAMPLES.read_text())
    assert [(sample["kind"], sample["source"]) for sample in samples] == [
        ("short", TEST[0].source),  # two words are too few
        ("longest", TEST[3].source),
        ("reordered", TEST[1].source),  # however badly it is translated
    ]
    assert samples[2]["reference"] == TEST[1].target
    assert samples[2]["hypothesis"] == "nonsense"


def test_without_attention_there_is_no_map_and_no_alignment_error(run):
    metrics, _ = run(FixedTranslator(attends=False), pictures=4)
    assert [path.name for path in paths.PICTURES.iterdir()] == ["bleu_by_length.png"]
    assert "alignment_error_rate" not in metrics["test"]
    samples = json.loads(paths.SAMPLES.read_text())
    assert [sample["picture"] for sample in samples] == [None] * 3


def test_without_gold_alignment_attention_finds_the_reordered_one():
    source, target = (["▁a", "▁b", "▁c", "▁d", "</s>"], ["▁w", "▁x", "▁y", "▁z", "</s>"])
    straight = Translation("w x y z", 0.0, source, target, np.eye(5, dtype=np.float32))
    crossed = Translation("w x y z", 0.0, source, target, np.eye(5, dtype=np.float32)[[0, 3, 1, 2, 4]])
    test = [Pair("a b c d", "w x y z")] * 3
    samples = stage.pick_samples(test, [straight, crossed, straight])
    assert dict(samples)["reordered"] == 1
    assert "reordered" not in dict(stage.pick_samples(test, [straight] * 3))


@pytest.mark.slow
def test_alignment_error_depends_on_attention_to_the_references_alone(run):
    # attention follows the position: correct except for the three last words of the verb-final sentence
    test = [TEST[0], TEST[1], TEST[4]]
    for wrong in ({}, {TEST[1].source: "?"}):
        metrics, _ = run(FixedTranslator(wrong=wrong), test=test)
        assert metrics["test"]["aligned_sentences"] == 3
        assert metrics["test"]["alignment_error_rate"] == pytest.approx(1 - 14 / 16, abs=1e-4)


def test_contamination_of_each_set_is_counted_from_train(run, capsys):
    train = [
        *TRAIN,
        Pair("DER Hund  schläft heute!", "Something else"),  # the first test source, however spelt
        Pair("Etwas anderes", "we " + "know " * 18 + "IT"),
        Pair("Noch etwas", "We " + "know " * 18 + "it."),
        Pair("Der Mond scheint heute sehr hell", "The moon shines brightly today"),  # validation's, nearly
    ]
    metrics, _ = run(train=train, validation=[*VALIDATION, Pair("Wer bist du eigentlich", "Who are you")])
    assert (metrics["test"]["contaminated"], metrics["test"]["sentences"]) == (2, 5)
    assert metrics["validation"]["contaminated"] == 1
    assert "2 of 5 sentences in training, exactly or nearly" in capsys.readouterr().out


def test_a_sentence_too_long_for_the_model_is_left_untranslated_and_counted(run, capsys):
    long = Pair("viel " * (LONGEST + 1), "much " * (LONGEST + 1))
    run(test=[TEST[0], long])
    assert [segment["hypothesis"] for segment in read_lines(paths.SEGMENTS)] == [TEST[0].target, ""]
    assert f"evaluate: 1 test sentences exceed {LONGEST} tokens" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["validation", "test", "news"])
def test_an_empty_set_is_named(run, name):
    with pytest.raises(UserError, match=f"no {name} pair: give ingest a {name} set"):
        run(**{name: []})


@pytest.mark.slow
def test_the_same_model_gives_the_same_bytes(run):
    def written():
        run(pictures=1)
        return {path: path.read_bytes() for path in paths.REPORTS.rglob("*") if path.is_file()}

    assert written() == written()


def test_the_metrics_of_dvc_are_a_few_numbers_with_short_names(run):
    metrics, _ = run()
    few = json.loads(paths.SCORES.read_text())
    wanted = {name: metrics["test"][name] for name in ("bleu", "chrf", "ter")}
    wanted["valid"] = metrics["validation"]["bleu"]
    assert few == {name: round(value, 2) for name, value in wanted.items()}
