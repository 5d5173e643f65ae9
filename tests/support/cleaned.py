"""`clean` on small corpora in the current folder."""

from hypothesis import strategies as st

from seq2seq import clean as stage
from seq2seq.common import params, paths
from seq2seq.data.corpus import Pair, read_split
from tests.support.projects import ROOT
from tests.support.sources import write_mixture

PARAMS = params.load(ROOT / "params.yaml")
LIMITLESS = {"max_dropped": 1.0, "max_contaminated": 1.0, "min_kept": 0.0, "typical_length_ratio": 1.0}
CLEAN = stage.clean  # tests replace it
HELD_OUT = [Pair("Der Mond scheint hell.", "The moon shines brightly.", "0-0 1-1")]


def run(train, validation=HELD_OUT, test=HELD_OUT, score=None, weights=None, **changes):
    """Clean in the current folder, pairs or pairs by source; returns the cleaned splits by name."""
    write_mixture(train, {"validation": validation, "test": test}, weights)
    cleaning = PARAMS.clean.model_copy(update=LIMITLESS | changes)
    limits = PARAMS.score.model_copy(update=score or {})
    CLEAN(PARAMS.model_copy(update={"clean": cleaning, "score": limits}))
    return read_cleaned()


def read_cleaned():
    """The cleaned splits by name, without origins."""
    return {
        split: [pair._replace(origin=None) for pair in read_split(paths.CORPUS, split)]
        for split in paths.SPLITS
    }


def numbered(count):
    words = ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"]
    return [
        Pair(f"Satz {words[i % 10]} {words[i // 10]} hier.", f"Sentence {words[i % 10]} number {i}.")
        for i in range(count)
    ]


NEARLY = [
    Pair("Der MOND scheint, hell!", "Whatever this may be."),
    Pair("Ganz etwas anderes.", "The moon shines bright."),
]


def outputs():
    """All files that clean writes, by name."""
    files = sorted([*paths.CORPUS.iterdir(), *paths.REPORTS.iterdir()])
    return {file.name: file.read_bytes() for file in files}


def mixed():
    """Pairs with duplicates, contaminated, empty and rewritten ones, in all shards."""
    pairs = numbered(40)
    odd = [
        Pair("", "y"),
        *NEARLY,
        Pair("Ein \u00a0 Satz\u200b hier", "A sentence", "0-0"),
        pairs[3],
        pairs[39],
    ]
    return [pair for at, one in enumerate(pairs) for pair in (one, odd[at % 6], *odd[: at % 3])]


words = st.sampled_from(["ja", "Ja", "nein", "Straße", "STRASSE", "a\u0308", "ä", "ﬁ", "1", "漢字"])
gaps = st.sampled_from([" ", "  ", "\u00a0", "\t", "\u200b", "\ufeff", ""])
texts = st.lists(st.tuples(words, gaps), max_size=4).map(lambda s: "".join(w + g for w, g in s))
corpora = st.lists(st.builds(Pair, texts, texts, st.sampled_from([None, "0-0"])), max_size=12)
