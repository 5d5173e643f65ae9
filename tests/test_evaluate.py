"""evaluate with a translator that knows a few sentences by heart, so that every figure is known."""

import csv
import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from seq2seq import evaluate as stage
from seq2seq import params, paths, scores
from seq2seq.corpus import Pair, write_split
from seq2seq.errors import UserError
from seq2seq.translator import LONGEST, Translation

PARAMS = params.load(Path(__file__).parent.parent / "params.yaml")
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


class ByHeart:
    """Says the reference, or what `wrong` holds for it; attention is on the word of the same place."""

    def __init__(self, attends=True, wrong=()):
        self.known = {pair.source: pair.target for pair in [*TEST, *VALIDATION]} | dict(wrong)
        self.attends = attends
        self.vocabulary = self  # of which `evaluate` only asks how long texts are

    def encode_all(self, texts):
        return [text.split() for text in texts]

    def translate(self, texts, beam, length_penalty, max_length, precision, batch_size):
        found = self.translate_fully(texts, beam, length_penalty, max_length, precision, batch_size)
        return [f.text for f in found]

    def translate_fully(self, texts, beam, length_penalty, max_length, precision, batch_size):
        assert (length_penalty, max_length) == (PARAMS.evaluate.length_penalty, PARAMS.evaluate.max_length)
        return [self.say(text, beam) if text else Translation("", 0.0, [], [], None) for text in texts]

    def attend(self, texts, targets):
        return [self.pieces(*pair) for pair in zip(texts, targets, strict=True)]

    def say(self, text, beam):
        return self.pieces(text, self.known.get(text, "?") if beam > 1 else "a quick guess at it")

    def pieces(self, text, hypothesis):
        source, target = ([f"▁{word}" for word in side.split()] + ["</s>"] for side in (text, hypothesis))
        attention = np.zeros((len(target), len(source)), np.float32)
        for row in range(len(target)):
            attention[row, min(row, len(source) - 1)] = 1.0
        return Translation(hypothesis, -0.5, source, target, attention if self.attends else None)


class Recorder:
    def __init__(self):
        self.metrics, self.artifacts = {}, []

    def log_metrics(self, values, step=None):
        self.metrics |= values

    def log_artifact(self, path, folder=""):
        self.artifacts.append(Path(path))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that evaluates in an empty folder and returns (metrics.json, what MLflow got)."""
    monkeypatch.chdir(tmp_path)

    def go(translator=None, test=TEST, train=TRAIN, validation=VALIDATION, **changes):
        for split, pairs in (("train", train), ("validation", validation), ("test", test)):
            write_split(paths.CORPUS, split, pairs)
        recorder = Recorder()
        paths.REPORTS.mkdir(exist_ok=True)
        paths.RUN.write_text('{"fingerprint": "f00"}')
        (paths.CHECKPOINTS / "f00").mkdir(parents=True)
        (paths.CHECKPOINTS / "another").mkdir(exist_ok=True)

        @contextmanager
        def model_run():
            yield recorder

        monkeypatch.setattr(stage.tracking, "model_run", model_run)
        monkeypatch.setattr(stage.Translator, "from_folder", lambda *_: translator or ByHeart())
        monkeypatch.setattr(stage, "model_digest", lambda _: "0123abcd")
        how = PARAMS.evaluate.model_copy(update={"length_bins": 2, "pictures": 0} | changes)
        stage.evaluate(PARAMS.model_copy(update={"evaluate": how}))
        left = [path.name for path in paths.CHECKPOINTS.iterdir()]
        assert left == ["another"]  # a training that DVC has committed need not be gone on with
        return json.loads(paths.METRICS.read_text()), recorder

    return go


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_of_one_who_knows_all(run, capsys):
    metrics, recorder = run()
    ours = metrics["test"]
    assert (ours["bleu"], ours["chrf"], ours["brevity_penalty"]) == (100.0, 100.0, 1.0)
    assert ours["bleu_greedy"] < 5
    assert (ours["sentences"], ours["seen_in_training"]) == (5, 0)
    assert metrics["validation"]["bleu"] == 100.0
    assert metrics["signatures"]["bleu"].startswith("nrefs:1|case:mixed")
    assert metrics["model_digest"] == "0123abcd"
    assert len(metrics["test_digest"]) == 64
    assert recorder.metrics["test.bleu"] == 100.0
    assert recorder.metrics["validation.sentences"] == 1
    assert {paths.METRICS, paths.SEGMENTS, paths.PICTURES} <= set(recorder.artifacts)
    device, first, second = capsys.readouterr().out.splitlines()
    assert device.startswith("evaluate: on cpu")
    assert first.startswith("evaluate: test BLEU 100.0, chrF 100.0 (greedy BLEU ")
    assert "0 of 5 test sentences seen in training" in first
    assert second == f"evaluate: signature BLEU|{metrics['signatures']['bleu']}"


def test_segments_lengths_and_pictures(run):
    metrics, _ = run(ByHeart(wrong={TEST[0].source: "A hound"}), pictures=4)
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


def test_fewer_pictures_are_drawn_when_asked(run):
    run(pictures=1)
    assert {path.name for path in paths.PICTURES.iterdir()} == {
        "attention_1_reordered.png",
        "bleu_by_length.png",
    }


def test_samples_are_a_short_the_longest_and_the_most_reordered(run):
    run(ByHeart(wrong={TEST[1].source: "nonsense"}))
    samples = json.loads(paths.SAMPLES.read_text())
    assert [(sample["kind"], sample["source"]) for sample in samples] == [
        ("short", TEST[0].source),  # two words are too few
        ("longest", TEST[3].source),
        ("reordered", TEST[1].source),  # however badly it is translated
    ]
    assert samples[2]["reference"] == TEST[1].target
    assert samples[2]["hypothesis"] == "nonsense"
    assert np.array(samples[2]["attention"]).shape == (2, 8)


def test_without_attention_there_is_no_map_and_no_alignment_error(run):
    metrics, _ = run(ByHeart(attends=False), pictures=4)
    assert [path.name for path in paths.PICTURES.iterdir()] == ["bleu_by_length.png"]
    assert "alignment_error_rate" not in metrics["test"]
    samples = json.loads(paths.SAMPLES.read_text())
    assert [sample["attention"] for sample in samples] == [None] * 3


def test_without_gold_alignment_attention_finds_the_reordered_one():
    source, target = (["▁a", "▁b", "▁c", "▁d", "</s>"], ["▁w", "▁x", "▁y", "▁z", "</s>"])
    straight = Translation("w x y z", 0.0, source, target, np.eye(5, dtype=np.float32))
    crossed = Translation("w x y z", 0.0, source, target, np.eye(5, dtype=np.float32)[[0, 3, 1, 2, 4]])
    test = [Pair("a b c d", "w x y z")] * 3
    samples = stage.pick_samples(test, [straight, crossed, straight])
    assert dict(samples)["reordered"] == 1
    assert "reordered" not in dict(stage.pick_samples(test, [straight] * 3))


def test_alignment_error_is_of_attention_to_the_references_whatever_was_translated(run):
    # attention follows the place: right but for the three last words of the verb-final sentence
    test = [TEST[0], TEST[1], TEST[4]]
    for wrong in ({}, {TEST[1].source: "?"}):
        metrics, _ = run(ByHeart(wrong=wrong), test=test)
        assert metrics["test"]["aligned_sentences"] == 3
        assert metrics["test"]["alignment_error_rate"] == pytest.approx(1 - 14 / 16, abs=1e-4)


def test_what_was_seen_in_training_is_counted(run, capsys):
    train = [
        *TRAIN,
        Pair("DER Hund  schläft heute", "Something else"),  # the first test source, however spelt
        Pair("Etwas anderes", "yes indeed"),
        Pair("Noch etwas", "Yes indeed"),
    ]
    metrics, _ = run(train=train)
    assert metrics["test"]["seen_in_training"] == 2
    assert "2 of 5 test sentences seen in training" in capsys.readouterr().out


def test_a_sentence_too_long_for_the_model_is_left_untranslated_and_said_aloud(run, capsys):
    long = Pair("viel " * (LONGEST + 1), "much " * (LONGEST + 1))
    run(test=[TEST[0], long])
    assert [segment["hypothesis"] for segment in read_lines(paths.SEGMENTS)] == [TEST[0].target, ""]
    assert f"evaluate: 1 test sentences exceed {LONGEST} tokens" in capsys.readouterr().out


@pytest.mark.parametrize("split", ["validation", "test"])
def test_an_empty_split_is_named(run, split):
    with pytest.raises(UserError, match=f"no {split} pair"):
        run(**{split: []})


def test_the_same_model_gives_the_same_bytes(run):
    def written():
        run(pictures=1)
        return {path: path.read_bytes() for path in paths.REPORTS.rglob("*") if path.is_file()}

    assert written() == written()


def test_split_digest_depends_on_every_pair_and_its_order():
    digests = {
        stage.split_digest(pairs)
        for pairs in (TEST, TEST[::-1], TEST[1:], [Pair(p.target, p.source) for p in TEST])
    }
    assert len(digests) == 4
    assert stage.split_digest(TEST) == stage.split_digest([Pair(*pair[:2]) for pair in TEST])


@pytest.mark.parametrize(
    ("links", "jump"),
    [("0-0 1-1 2-2", 0), ("0-0 5-1 1-2", 4), ("0-0 1-1 7-1 2-2", 0), ("5-0 0-1", 0), ("0-0 6-2", 0), ("", 0)],
)
def test_largest_jump(links, jump):
    assert stage.largest_jump(scores.parse_alignment(links)) == jump
