"""The cases in which spans stand in the place of words."""

from benchmarks.protected_spans import cases

LEXICON = {"Hund": "dog", "Katze": "cat"}


def test_both_sides_have_the_spans_and_terms_are_in_the_glossary():
    pairs = [("der Hund sieht die Katze", "the dog sees the cat")] * 20 + [("Hund und Hund", "dog and dog")]
    for count in (1, 2):
        made = cases(pairs, LEXICON, count, seed=1)
        assert len(made) == 20
        for case in made:
            assert len(case.spans) == count
            assert all(case.reference.count(span) == 1 for span in case.spans)
            others = [span for span in case.spans if span not in case.terms.values()]
            assert all(span in case.source for span in others)
            assert all(word in case.source and word in LEXICON for word in case.terms)
        assert any(case.terms for case in made)
        assert any(len(case.terms) < count for case in made)
    assert cases(pairs, LEXICON, 3, seed=1) == []
