"""clean on Parquet files: which pairs are kept or dropped, and laws for any corpus."""

import json
import signal
import tempfile
from collections import Counter
from contextlib import chdir

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows import failures, stage_errors
from seq2seq import clean as stage
from seq2seq.__main__ import run_stage
from seq2seq.common import acceptance, environment, paths
from seq2seq.common.errors import Figure, QualityError, UserError
from seq2seq.common.exits import Exit
from seq2seq.data import contamination_log, scores
from seq2seq.data.contamination import contaminated
from seq2seq.data.corpus import Pair, normalise, read_split
from seq2seq.data.filters import NAMES
from tests.support.cleaned import HELD_OUT, NEARLY, PARAMS, corpora, numbered, read_cleaned, run
from tests.support.projects import ROOT
from tests.support.sources import write_mixture


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_dropped_pair_is_counted_by_its_reason(root, capsys):
    good = numbered(3)
    train = [
        good[0],
        Pair("", "Nothing."),
        Pair("Guten Tag.", "Guten tag."),
        good[1],
        Pair("Satz eins  EINS hier.", "sentence EINS number 0."),  # as good[0], but for case
        Pair("Der Mond scheint HELL.", "Another translation of it."),
        Pair("Eine andere Quelle.", "the moon shines  brightly."),
        good[2],
    ]
    cleaned = run(train)
    assert cleaned["train"] == good
    assert cleaned["validation"] == cleaned["test"] == HELD_OUT

    report = json.loads(paths.CLEANING.read_text())
    assert report["train"]["read"] == 8
    assert report["train"]["kept"] == 3
    dropped = {name: count for name, count in report["train"]["dropped"].items() if count}
    assert dropped == {
        "empty": 1,
        "identical": 1,
        "duplicate": 1,
        "contaminated_exact": 2,
    }
    assert report["test"] == {"read": 1, "kept": 1, "flagged": dict.fromkeys(NAMES, 0), "rewritten": 0}

    rows = json.loads(paths.DROPPED.read_text())
    assert {(row["row"], row["reason"]) for row in rows} == {
        (1, "empty"),
        (2, "identical"),
        (4, "duplicate"),
        (5, "contaminated_exact"),
        (6, "contaminated_exact"),
    }
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("clean: 3 of 8 train pairs kept in ")
    counted = "1 {} (flagged: none; rewritten: 0)"
    assert second == f"clean: kept whole: {counted.format('validation')}; {counted.format('test')}"


def test_a_pair_with_swapped_sides_is_another_pair(root):
    turned = [Pair("Radio", "Hotel"), Pair("Hotel", "Radio")]
    assert run([*numbered(3), *turned, turned[0]])["train"][3:] == turned


def test_evaluation_splits_are_tidied_as_train_is_and_lose_no_pair(root):
    odd = [Pair(" a\u00a0 b\ufeff ", "###", "0-0"), Pair("same", "same"), Pair("same", "same")]
    cleaned = run(numbered(2), validation=odd, test=[Pair("Scho\u0308n", "Be\u0301b\u200dé\ufeff")])
    assert cleaned["validation"] == [Pair("a b", "###", "0-0"), *odd[1:]]
    assert cleaned["test"] == [Pair("Schön", "Béb\u200dé")]  # a joiner is spelling, a BOM is not
    untouched = run(numbered(2), validation=odd, test=odd[:1], tidy_evaluation=False)
    assert untouched["validation"] == odd
    report = json.loads(paths.CLEANING.read_text())
    flagged = {name: count for name, count in report["validation"]["flagged"].items() if count}
    assert flagged == {"garbage": 1, "identical": 2}


def test_a_held_out_sentence_is_found_however_it_is_spelt(root):
    spellings = ["Scho\u0308ner Tag heute.", "SCHÖNER\u00a0TAG HEUTE.", "\ufeffSchöner Tag\theute."]
    train = [Pair(text, f"A translation with number {text[:3]}") for text in spellings]
    held_out = [Pair("\u200bSchöner  Tag heute.", "A nice day today.")]
    cleaned = run(train + numbered(1), validation=held_out)
    assert cleaned["train"] == numbered(1)


def test_alignment_survives_tidying_unless_the_words_change(root):
    train = [
        Pair("Der  Hund schläft", "The dog\u200b sleeps", "0-0 1-1 2-2"),
        Pair("Die Katze \u200b schläft", "The cat sleeps", "0-0 1-1 3-2"),
    ]
    assert run(train)["train"] == [
        Pair("Der Hund schläft", "The dog sleeps", "0-0 1-1 2-2"),
        Pair("Die Katze schläft", "The cat sleeps", None),
    ]
    report = json.loads(paths.CLEANING.read_text())["train"]
    assert (report["rewritten"], report["alignments_lost"]) == (2, 1)


def test_the_sample_of_dropped_pairs_is_bounded(root):
    train = [*numbered(1), *[Pair("x" * 5000, "y" * 5000)] * 50, *[Pair("", "y")] * 50]
    run(train)
    rows = json.loads(paths.DROPPED.read_text())
    assert [row["reason"] for row in rows] == ["empty"] * 20 + ["too_long"] * 20
    assert max(len(row["source"]) for row in rows) <= 301


@pytest.mark.slow
def test_an_empty_train_names_the_filter_and_the_remedy(root):
    with pytest.raises(
        UserError,
        match=r"no training pair is left of 30: source_script dropped 30; .*columns swapped",
    ):
        run(numbered(30), source_script="Cyrillic")
    assert paths.DROPPED.read_text().count("source_script") >= 20
    with pytest.raises(UserError, match=r"the sources have no training pair"):
        run([])


def test_an_unknown_script_is_refused_before_any_work(root):
    with pytest.raises(UserError, match=r"clean\.source_script"):
        run(numbered(3), source_script="Klingon")
    assert not paths.CORPUS.exists()


def test_the_same_input_gives_the_same_bytes(root):
    def written():
        run([*numbered(40), Pair("", "y"), *numbered(5)])
        files = sorted([*paths.CORPUS.iterdir(), *paths.REPORTS.iterdir()])
        return {file.name: file.read_bytes() for file in files}

    assert written() == written()


@pytest.mark.slow
@settings(max_examples=25)
@given(corpora, corpora, corpora, st.sampled_from(["NFC", "NFKC", "none"]))
def test_laws_for_any_corpus(train, validation, test, form):
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        anchor = Pair("Ein Satz, der bleibt.", "A sentence that stays.")
        once = run([*train, anchor], validation, test, unicode_form=form)

        # evaluation splits lose no pair, and none of their sentences is in train
        held_out = [*once["validation"], *once["test"]]
        before = [*validation, *test]
        assert [squeezed(p.target) for p in held_out] == [squeezed(p.target) for p in before]
        assert not {normalise(p.source) for p in once["train"]} & {normalise(p.source) for p in held_out}
        assert not {normalise(p.target) for p in once["train"]} & {normalise(p.target) for p in held_out}
        # nor nearly in train
        sets = {"validation": once["validation"], "test": once["test"]}
        found = contaminated(sets, once["train"], PARAMS.clean.contamination_share)
        assert found == {"validation": set(), "test": set()}
        # no pair twice
        pairs = [(normalise(p.source), normalise(p.target)) for p in once["train"]]
        assert len(set(pairs)) == len(pairs)
        # order is kept: the output is a subsequence of the input
        rest = iter([(squeezed(p.source), squeezed(p.target)) for p in [*train, anchor]])
        assert all((squeezed(p.source), squeezed(p.target)) in rest for p in once["train"])
        # nothing is lost without a reason
        report = json.loads(paths.CLEANING.read_text())["train"]
        assert report["kept"] == len(once["train"])
        assert report["read"] == report["kept"] + sum(report["dropped"].values()) == len(train) + 1

        assert run(once["train"], once["validation"], once["test"], unicode_form=form) == once


def squeezed(text):
    """The part of a text that tidying never changes: its visible characters, normalised."""
    visible = text.replace("\u200b", "").replace("\ufeff", "")
    return "".join(normalise(visible).split())


def test_the_list_of_hits_is_bounded(root, monkeypatch):
    monkeypatch.setattr(contamination_log, "LISTED", 2)
    run(numbered(3) + NEARLY[:1] * 5)
    report = json.loads(paths.CONTAMINATION.read_text())
    assert report["sets"]["test"]["exact"] == 5
    assert [hit["kind"] for hit in report["hits"] if hit["set"] == "test"] == ["exact"] * 2


def test_contamination_is_listed_with_both_texts(root):
    assert run(numbered(3) + NEARLY)["train"] == numbered(3)
    report = json.loads(paths.CONTAMINATION.read_text())
    assert report["action"] == "drop"
    assert report["sets"]["test"] == {"sentences": 1, "contaminated": 1, "pairs": 2, "exact": 1, "near": 1}
    of_test = [hit for hit in report["hits"] if hit["set"] == "test"]
    assert [(hit["kind"], hit["side"], hit["train_row"]) for hit in of_test] == [
        ("exact", "source", 3),
        ("near", "target", 4),
    ]
    assert of_test[1]["train_target"] == NEARLY[1].target
    assert of_test[1]["target"] == HELD_OUT[0].target


def test_contamination_can_be_reported_without_dropping(root, capsys):
    assert run(numbered(3) + NEARLY, contamination="report")["train"] == numbered(3) + NEARLY
    assert json.loads(paths.CLEANING.read_text())["train"]["dropped"]["contaminated_exact"] == 0
    assert (
        "left in train: 2 of train too similar to 1 of validation, 2 of train too similar to 1 of test;"
        in capsys.readouterr().out
    )


def test_contamination_can_stop_the_run(root):
    with pytest.raises(UserError, match=r"2 of train too similar .*e\.g\. pair 3 of train, 'Der MOND"):
        run(numbered(3) + NEARLY, contamination="fail")
    assert run(numbered(3), contamination="fail")["train"] == numbered(3)


def test_further_evaluation_sets_are_kept_out_of_train_too(root):
    write_mixture(numbered(3) + NEARLY[1:], {"validation": [], "test": [], "news": NEARLY[1:]})
    stage.clean(PARAMS)
    assert list(read_split(paths.CORPUS, "news")) == NEARLY[1:]
    assert read_cleaned()["train"] == numbered(3)


def test_ordinary_pairs_of_a_dense_and_an_alphabetic_script_stay(root):
    """Most pairs of Chinese and English differ in length by a factor of more than three."""
    chinese = [
        "我今天早上去了学校。",
        "他喜欢喝热的咖啡。",
        "明天会不会下大雨？",
        "这本书很有意思。",
        "你叫什么名字？",
    ]
    english = [
        "I went to the school this morning.",
        "He likes to drink his coffee hot.",
        "Is it going to rain heavily tomorrow?",
        "This book is very interesting.",
        "What is your name?",
    ]
    train = [
        Pair(f"{zh}{chr(0x4E00 + i)}", f"{en} {i}")
        for i in range(20)
        for zh, en in zip(chinese, english, strict=True)
    ]
    train += [Pair("好", "A sentence which is of another line, as misaligned files have them.")]
    assert len(run(train, typical_length_ratio=None, max_dropped=0.33)["train"]) == 100
    assert json.loads(paths.CLEANING.read_text())["train"]["dropped"]["length_ratio"] == 1
    turned = [Pair(pair.target, pair.source) for pair in train]
    assert len(run(turned, typical_length_ratio=None)["train"]) == 100
    assert len(run(train)["train"]) < 50


def test_a_filter_that_drops_much_of_train_stops_the_run_with_samples_and_the_remedy(root):
    train = [*numbered(6), *[Pair(f"# {i} # {i} #", f"Sentence {i}.") for i in range(4)]]
    with pytest.raises(UserError) as error:
        run(train, max_dropped=0.33)
    text = str(error.value)
    assert "garbage: 4 of 10 train pairs (40%) would be dropped, clean.max_dropped allows 33%" in text
    assert "lower clean.min_letters" in text
    assert "\n  garbage: # 0 # 0 # → Sentence 0." in text
    assert len(run(train, max_dropped=0.4)["train"]) == 6


def test_duplicates_count_for_no_limit_and_contamination_for_its_own(root):
    repeated = [*numbered(2), *numbered(1) * 20]
    assert run(repeated, max_dropped=0.0, max_contaminated=0.0, min_kept=1.0)["train"] == numbered(2)
    train = numbered(3) + NEARLY
    assert run(train, max_dropped=0.0, max_contaminated=0.4)["train"] == numbered(3)
    with pytest.raises(UserError, match=r"contaminated_near: 2 of 5 .*clean\.max_contaminated allows 39%"):
        run(train, max_contaminated=0.39)


def test_too_little_that_is_left_of_train_stops_the_run(root):
    train = [*numbered(4), Pair("", "a"), Pair("xx", "xx"), Pair("#", "b c"), Pair("d" * 2000, "e" * 2000)]
    with pytest.raises(
        UserError, match=r"only 4 of 8 train pairs \(50%, duplicates and contamination aside\) are left"
    ):
        run(train, min_kept=0.51)
    assert len(run(train, min_kept=0.5)["train"]) == 4


def test_an_accepted_limit_changes_no_byte_and_is_recorded(root, monkeypatch, capsys):
    train = [*numbered(6), *[Pair(f"# {i} # {i} #", f"Sentence {i}.") for i in range(4)]]
    with pytest.raises(QualityError) as error:
        run(train, max_dropped=0.33)
    figure = error.value.figure
    assert (figure.value, figure.limit, figure.key) == ("40%", "33%", "clean.max_dropped")
    assert not paths.CLEAN_ACCEPTED.exists()
    monkeypatch.setenv(acceptance.VARIABLE, "  \n")  # no reason
    with pytest.raises(QualityError):
        run(train, max_dropped=0.33)
    within = run(train, max_dropped=0.4)
    assert json.loads(paths.CLEAN_ACCEPTED.read_text()) == []
    files = [paths.CORPUS / "train.parquet", paths.CLEANING, paths.DROPPED, paths.CONTAMINATION]
    bytes_within = [path.read_bytes() for path in files]

    monkeypatch.setenv(acceptance.VARIABLE, "signs\nare wanted")
    assert run(train, max_dropped=0.33, min_kept=0.9) == within
    assert [path.read_bytes() for path in files] == bytes_within
    assert (
        "clean: share of train dropped by garbage is 40%, clean.max_dropped allows 33%: accepted (signs are"
        in (capsys.readouterr().out)
    )
    first, second = json.loads(paths.CLEAN_ACCEPTED.read_text())
    assert (first["reason"], first["value"], first["key"]) == ("signs are wanted", "40%", "clean.max_dropped")
    assert (second["value"], second["limit"], second["key"]) == ("60%", "90%", "clean.min_kept")
    assert first["who"]
    assert acceptance.tags().keys() == {"accepted.clean.max_dropped", "accepted.clean.min_kept"}


def test_contamination_that_is_not_allowed_can_be_accepted(root, monkeypatch):
    monkeypatch.setenv(acceptance.VARIABLE, "known")
    assert run(numbered(3) + NEARLY, contamination="fail")["train"] == numbered(3)
    assert json.loads(paths.CLEAN_ACCEPTED.read_text())[0]["key"] == "clean.contamination"


def test_an_empty_train_split_cannot_be_accepted(root, monkeypatch):
    monkeypatch.setenv(acceptance.VARIABLE, "never mind")
    with pytest.raises(QualityError, match="no training pair is left of 1: garbage dropped 1"):
        run([Pair("#", "b c")])


def test_a_stage_records_the_figure_for_its_caller_and_names_the_way_to_accept(root, monkeypatch, capsys):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(stage, "clean", lambda _: run([Pair("Hund", "Hund"), *numbered(1)], max_dropped=0.4))
    paths.PARAMS.write_bytes((ROOT / "params.yaml").read_bytes())
    assert run_stage("clean") == Exit.FAILED
    assert "let it pass: SEQ2SEQ_ACCEPT=REASON dvc repro" in capsys.readouterr().err
    monkeypatch.setenv(environment.OUTCOME_FILE, "outcome.json")
    assert run_stage("clean") == Exit.FAILED
    assert "SEQ2SEQ_ACCEPT" not in capsys.readouterr().err
    failure = stage_errors.of_record("clean", json.loads((root / "outcome.json").read_text()))
    assert isinstance(failure, stage_errors.QualityStageError)
    assert (failure.figure.value, failure.figure.key) == ("50%", "clean.max_dropped")
    assert failures.STATUS[failure.kind] == Exit.QUALITY
    assert isinstance(failure.figure, Figure)


def test_pairs_with_a_low_score_are_dropped_and_named(root):
    train = numbered(6)
    train[1] = Pair("", "Nothing.")
    scores.write(paths.SCORED, np.array([-1, -9, -6, np.nan, -2, -5.5], np.float32), {})
    assert run(train, score={"min_log_probability": -5.0})["train"] == [train[0], train[3], train[4]]
    report = json.loads(paths.CLEANING.read_text())["train"]["dropped"]
    assert {name: count for name, count in report.items() if count} == {"empty": 1, "score": 2}
    rows = [row for row in json.loads(paths.DROPPED.read_text()) if row["reason"] == "score"]
    assert [(row["row"], row["source"]) for row in rows] == [(2, train[2].source), (5, train[5].source)]
    assert "score" not in json.loads(paths.CLEANING.read_text())["test"]["flagged"]


def test_a_threshold_that_drops_much_of_train_stops_the_run_with_the_remedy(root):
    scores.write(paths.SCORED, np.arange(-10, 0, dtype=np.float32), {})
    with pytest.raises(UserError, match=r"score: 5 of 10 train pairs .*; lower score.min_log_probability or"):
        run(numbered(10), score={"worst_share": 0.5}, max_dropped=0.4)
    assert len(run(numbered(10), score={"worst_share": 0.5})["train"]) == 5


def test_scores_of_another_corpus_are_refused(root):
    scores.write(paths.SCORED, np.zeros(3, np.float32), {})
    with pytest.raises(UserError, match=r"3 scores for 10 training pairs"):
        run(numbered(10), score={"worst_share": 0.5})


def by_origin(split="train"):
    """Number of pairs by the name of their source."""
    return Counter(pair.origin for pair in read_split(paths.CORPUS, split))


@pytest.mark.slow
def test_pairs_keep_the_name_of_their_source_and_are_counted_by_it(root, capsys):
    news, web = numbered(6), [*numbered(4)[::-1], Pair("", "Nothing."), *numbered(20)[10:]]
    run({"web": web, "news": news})
    assert by_origin() == {"news": 6, "web": 10}  # of equal pairs the first by name of source is kept
    report = json.loads(paths.CLEANING.read_text())["train"]
    assert report["sources"]["news"] | {"typical_length_ratio": 1.0} == {
        "read": 6, "kept": 6, "dropped": {}, "typical_length_ratio": 1.0
    }  # fmt: skip
    assert report["sources"]["web"]["dropped"] == {"empty": 1, "duplicate": 4}
    assert "  web: 10 of 15 kept; dropped: 1 empty, 4 duplicate" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("weight", "least", "most"), [(3.0, 1200, 1200), (0.5, 150, 250), (1.25, 450, 550)])
def test_weights_repeat_or_thin_the_pairs_of_a_source_after_cleaning(root, weight, least, most):
    texts = [f"{a} {b} {c}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvw"][:400]
    some = [Pair(f"Satz {text}", f"Sentence {text}") for text in texts]
    run({"some": [*some, *some], "other": numbered(5)}, weights={"some": weight})
    counted = by_origin()
    assert counted["other"] == 5
    assert least <= counted["some"] <= most
    assert json.loads(paths.CLEANING.read_text())["train"]["kept"] == 405
    first = list(read_split(paths.CORPUS, "train"))
    run({"some": [*some[::-1], *some], "other": numbered(5)}, weights={"some": weight})
    assert Counter(first) == Counter(read_split(paths.CORPUS, "train"))  # the pair alone decides


@pytest.mark.slow
def test_a_source_has_filters_of_its_own(root):
    long = [
        Pair(f"Ein längerer Satz Nummer {i}, der hier steht.", f"A longer sentence {i}.") for i in range(5)
    ]
    run({"web": long, "news": long[:1]}, by_source={"web": {"max_characters": 30}})
    assert by_origin() == {"news": 1}


@pytest.mark.slow
def test_typical_lengths_are_those_of_each_source(root):
    short = [Pair(f"eins zwei drei vier fünf {i}", f"xyz {i}") for i in range(30)]
    run({"dense": short, "even": numbered(60)}, typical_length_ratio=None)
    assert by_origin() == {"dense": 30, "even": 60}


def test_of_duplicates_the_best_scored_is_kept(root):
    train = [Pair("ein Satz hier", f"a sentence {end}") for end in ("bad", "good", "middling")]
    scores.write(paths.SCORED, np.array([-9.0, -1.0, -5.0], np.float32), {})
    assert run(train, duplicates="source")["train"] == train[:1]
    assert run(train, duplicates="source", keep="best_scored")["train"] == train[1:2]
