"""Contamination: planted duplicates are found, other sentences are not, whatever the batches."""

import random
from itertools import chain, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq.data import contamination_log, contamination_side, contamination_window
from seq2seq.data.contamination import BATCH, Index, contaminated
from seq2seq.data.contamination_log import ContaminationLog
from seq2seq.data.corpus import Pair
from seq2seq.data.folding import fold
from tests.support import simple_contamination

SHARE = 0.8
ANIMALS = ["Hund", "Vogel", "Elefant", "Schmetterling", "Igel", "Maulwurf", "Fuchs", "Dachs"]
PLACES = ["hinter dem alten Bahnhof", "neben einer roten Scheune", "auf dem gefrorenen Teich", "am Hafen"]
DEEDS = ["sucht seit Stunden nach Futter", "schläft friedlich ein", "jagt 3 Mücken", "gräbt ein tiefes Loch"]


def sentences() -> list[str]:
    """Sentences of which any two differ in at least one of three parts; shuffled, always the same."""
    made = [f"Der {a} {d} {p}." for a, p, d in product(ANIMALS, PLACES, DEEDS)]
    random.Random(1).shuffle(made)
    return made


def pairs(texts: list[str]) -> list[Pair]:
    """Each with a translation of random letters."""
    draw = random.Random(2)
    return [Pair(text, "".join(draw.choices("abcdefghijkl", k=30))) for text in texts]


LONG = [
    "Eine ältere Dame mit zwei großen Taschen wartet an der Haltestelle auf den Bus.",
    "Drei Kinder bauen am Strand eine Burg aus nassem Sand und bunten Muscheln.",
    "Der Schreiner hobelt in seiner Werkstatt ein langes Brett aus hellem Eichenholz.",
    "Vor dem Rathaus spielt eine Kapelle in 1998 genähten Uniformen alte Märsche.",
]
TEST = [Pair(text, f"Something quite unlike: {' '.join(reversed(text.split()))}") for text in LONG]
OTHER = "Nobody would have written precisely this as its translation, number"
PLANTED = {
    "exact": lambda text: text,
    "case": str.upper,
    "punctuation": lambda text: text.replace(" ", ", ").rstrip(".") + "!?",
    "figures": lambda text: text.replace("1998", "2005"),
    "form": lambda text: text.replace("ä", "a\u0308").replace("ß", "ss"),
    "one word": lambda text: " ".join(w if i != 4 else "irgendetwas" for i, w in enumerate(text.split())),
    "inside": lambda text: f"Wie man im Hintergrund deutlich erkennen kann: {text} Das Bild ist von 2003.",
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("side", ["source", "target", "both"])
def test_planted_duplicates_are_found(kind, side):
    index = Index({"test": TEST}, SHARE)
    for row, pair in enumerate(TEST):
        source, target = f"{OTHER[::-1]} {row}", f"{OTHER} {'x' * row}"
        if side != "target":
            source = PLANTED[kind](pair.source)
        if side != "source":
            target = PLANTED[kind](pair.target)
        [hits] = index.match([Pair(source, target)])
        assert [(hit.set, hit.row, hit.side) for hit in hits] == [("test", row, side)]
        assert hits[0].kind == ("near" if kind in ("one word", "inside") else "exact")
        assert (hits[0].share == 1.0) == (hits[0].kind == "exact") or kind == "inside"


def test_other_sentences_are_not_hit():
    train = [Pair(f"{OTHER} {i} {i * i}", text) for i, text in enumerate(sentences())]
    assert contaminated({"test": TEST}, train, SHARE) == {"test": set()}


def test_short_sentences_are_not_found_inside_longer_ones():
    test = [Pair("Ein Mann.", "A man."), Pair("…", "!")]
    train = [Pair("Ein Mann geht über die Straße.", "A man crosses the street."), Pair("?", "!!")]
    assert contaminated({"test": test}, train, SHARE) == {"test": set()}
    assert contaminated({"test": test}, [Pair("ein  MANN", "somebody")], SHARE) == {"test": {0}}


def test_a_sentence_with_the_same_beginning_is_not_found_inside_a_longer_one():
    test = [Pair("Ein Mann in einem blauen Hemd bläst auf einer Posaune.", "A man blows a trumpet.")]
    other = "Ein Mann in einem blauen Hemd steht auf einer Leiter, um ein Licht zu reparieren."
    assert contaminated({"test": test}, [Pair(other, "He mends a light.")], SHARE) == {"test": set()}


def test_a_sentence_scattered_over_a_longer_text_is_not_in_it():
    scattered = f"{LONG[0][:40]} {'jx' * 100} {LONG[0][40:]}"
    assert contaminated({"test": TEST[:1]}, [Pair(scattered, "x")], SHARE) == {"test": set()}


def test_a_template_is_found_with_the_same_result_however_its_ngrams_are_counted(monkeypatch):
    train = pairs([text.replace("Der", "Ein") for text in sentences()[:60]])
    index = Index({"test": pairs(sentences())}, 0.7)
    whole = index.match(train)
    dense(monkeypatch)
    assert index.match(train) == whole
    assert sum(map(len, whole)) >= 60


def dense(patch: pytest.MonkeyPatch) -> None:
    """All texts are counted in tables, and compared one after the other, with bounds before."""
    patch.setattr(contamination_side, "DENSE", -1)
    patch.setattr(contamination_side, "CELLS", 1)
    patch.setattr(contamination_window, "COMPARED", 1)
    patch.setattr(contamination_window, "FEW", 0)


def test_texts_without_spaces_and_of_marks():
    test = [Pair("彼女は毎朝公園で犬と散歩します。", "x"), Pair("वह हर सुबह पार्क में टहलती है।", "y")]
    train = [Pair("彼女は毎晩公園で犬と散歩します", "a"), Pair("वह हर सुबह पार्क में टहलती है", "b")]
    index = Index({"test": test}, SHARE)
    assert [[(h.row, h.kind) for h in hits] for hits in index.match(train)] == [[(0, "near")], [(1, "exact")]]


def test_a_lower_share_finds_more():
    train = pairs(sentences()[20:])
    test = {"test": pairs(sentences()[:20])}
    train = [pair._replace(target=pair.target[::-1]) for pair in train]
    found = [len(contaminated(test, train, share)["test"]) for share in (0.99, 0.8, 0.6)]
    assert found == sorted(found)
    assert found[0] < found[-1]


@pytest.mark.slow
def test_hits_are_by_set_and_do_not_depend_on_batches():
    sets = {"empty": [], "one": pairs(sentences()[:9]), "two": pairs(sentences()[5:14])}
    train = pairs(sentences()) * (BATCH // 128 + 1)
    index = Index(sets, SHARE)
    whole = index.match(train)
    assert whole == [hits for pair in train for hits in index.match([pair])]
    rows = contaminated(sets, iter(train), SHARE)
    assert rows == {name: {h.row for h in chain(*whole) if h.set == name} for name in sets}
    assert rows["empty"] == set()
    assert rows["one"] == set(range(9))


WORDS = st.sampled_from(
    "der die eine Katze Hund Gärtner schläft sucht findet unter neben Bäumen 7 12".split()
)
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=14).map(" ".join), min_size=1, max_size=12)


@pytest.mark.slow
@given(SENTENCES, SENTENCES)
def test_a_sentence_is_found_whatever_the_other_sentences(evaluation, training):
    """The indexed n-grams depend on all sentences of a set; the hits must not."""
    train = [Pair(text, "") for text in training + [f"{text} unter" for text in evaluation]]
    whole = contaminated({"test": [Pair(text, "") for text in evaluation]}, train, SHARE)["test"]
    alone = [contaminated({"test": [Pair(text, "")]}, train, SHARE)["test"] for text in evaluation]
    assert whole == {row for row, found in enumerate(alone) if found}


FRAMES = ["{} schläft im Haus am See", "das Haus am See, in dem {} schläft", "{}"]
ONES = st.sampled_from(FRAMES).flatmap(
    lambda frame: st.lists(WORDS, max_size=4).map(" ".join).map(frame.format)
)
PAIRS = st.lists(st.builds(Pair, ONES, ONES), max_size=9)


@pytest.mark.slow
@given(st.tuples(PAIRS, PAIRS), PAIRS, st.sampled_from([0.5, 0.7, 0.8, 0.95]), st.booleans())
def test_hits_are_those_of_the_simple_rule(sets, train, share, is_dense):
    evaluation = {"one": sets[0], "none": [], "two": sets[1]}
    with pytest.MonkeyPatch.context() as patch:
        if is_dense:
            dense(patch)
        found = Index(evaluation, share).match(train)
    assert found == simple_contamination.match(evaluation, train, share)


@pytest.mark.slow
@settings(max_examples=200)
@given(st.tuples(PAIRS, PAIRS), PAIRS, st.integers(0, 2), st.booleans())
def test_hits_that_change_no_record_are_left_out_of_it(sets, train, listed, is_dense):
    """The log has the same records as one of all hits, of which only some are found."""
    evaluation = {"one": sets[0], "none": [], "two": sets[1]}
    train = train * 3
    whole = ContaminationLog(evaluation, 0.6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contamination_log, "LISTED", listed)
        patch.setattr(contamination_window, "FEW", 1)
        if is_dense:
            dense(patch)
        log = whole.blank()
        reasons = log.reasons(train, train, range(len(train)))
        for row, (pair, hits) in enumerate(zip(train, Index(evaluation, 0.6).match(train), strict=True)):
            assert reasons[row] == (whole.record(hits, pair, row) if hits else None)
    assert log.state() == whole.state()


def test_a_pair_of_a_template_is_compared_with_few_sentences_once_all_are_recorded():
    draw = random.Random(3)

    def one(row: int) -> Pair:
        name = "".join(draw.choices("bdfgklmnprst", k=6))
        return Pair(
            f"Heute schläft {name} im großen Haus am See.",
            f"Today {name} is asleep in the house by the lake.",
        )

    sets = {"validation": list(map(one, range(200))), "test": list(map(one, range(200)))}
    train = list(map(one, range(600)))
    log = ContaminationLog(sets, SHARE)
    assert all(log.reasons(train[:300], train, range(300)))
    before = log.compared()
    assert all(log.reasons(train[300:], train[300:], range(300, 600)))
    assert log.compared() - before <= 300 * len(sets) * 2  # of the 240,000 pairs of a text and a sentence


def test_sentences_that_have_too_few_letters_in_common_are_not_compared():
    draw = random.Random(4)

    def one() -> Pair:
        rest = (" ".join("".join(draw.choices("bdfgklmnprst", k=7)) for _ in range(4)) for _ in range(2))
        return Pair(
            f"Bitte beachten Sie die Anleitung zu {next(rest)}.", f"Please read the guide to {next(rest)}."
        )

    log = ContaminationLog({"test": [one() for _ in range(300)]}, SHARE)
    assert not any(log.reasons(train := [one() for _ in range(100)], train, range(100)))
    assert log.compared() <= 100  # of 60,000


TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)


@given(TEXTS)
def test_folding_ignores_spaces_and_marks(text):
    assert fold(text) == fold(f"  {text}\t")
    assert fold(f"x{text}") == fold(f"X, {text}!")


@given(st.lists(TEXTS, min_size=1, max_size=4), st.data())
def test_a_sentence_always_hits_itself(texts, data):
    test = [Pair(text, "") for text in texts]
    text = data.draw(st.sampled_from(texts))
    [hits] = Index({"test": test}, SHARE).match([Pair(text, "unlike")])
    found = {hit.row for hit in hits if hit.kind == "exact"}
    assert found >= {row for row, other in enumerate(texts) if other == text and fold(other)}
