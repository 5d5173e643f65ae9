"""The place where a long sentence is divided, and that nothing is lost there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.inference.clauses import divide
from seq2seq.inference.parts import Parts


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Der Hund schläft; die Katze, die Maus und das Kind laufen.", "Der Hund schläft; | die Katze"),
        ("Der große Hund schläft, die Katze und das Kind laufen.", "schläft, | die Katze"),
        ("Der große alte Hund schläft und die Katze läuft.", "schläft | und die"),
        ("eins zwei drei vier", "zwei | drei"),
        ("Er zahlte 1,000,000 und 2,000,000", "1,000,000 | und"),
        ("私は犬が好きです，猫も好きです", "です，| 猫"),
        ("aaaabbbb", "aaaa|bbbb"),
        ("a, eins zwei drei vier fünf sechs", "drei | vier"),  # the mark is too near to the beginning
    ],
)
def test_the_best_place_near_the_middle(text, place):
    first, second = divide(text)
    assert place.replace("| ", "|").replace(" |", "|") in f"{first.text}|{second.text}"
    assert (first.is_cut, second.is_cut) == (True, False)


@given(st.text(alphabet=st.sampled_from("ab,;: 犬。\u0301\u200d\n"), min_size=1))
def test_nothing_is_lost(text):
    text = text.strip()
    if found := divide(text):
        first, second = found
        assert first.text + second.before + second.text == text
        assert first.text
        assert second.text
        assert not second.before.strip()
    else:
        assert len(text) <= 1 or all(c in "\u0301\u200d" for c in text[1:]) or "\u200d" in text


def test_parts_are_divided_until_they_fit_and_joined_again():
    def encode(texts):
        return [list(map(ord, text)) for text in texts]

    texts = ["Hund. " + "eins zwei, drei und vier " * 9, "", "x" * 70, "kurz"]
    parts = Parts.of(texts, encode, "de", True).fitting(20, encode)
    assert max(map(len, parts.ids)) <= 20
    assert next(iter(parts.join("".join(map(chr, ids)) for ids in parts.ids))).split() == texts[0].split()
    assert parts.splits[1] == parts.splits[3] == 0
    assert parts.splits[2] == 3  # 70, 35, 17
    sizes = [len(group.parts) for group in parts.groups]
    assert sum(sizes) == len(parts.ids)


def test_a_full_stop_added_to_a_part_is_removed():
    def encode(texts):
        return [[0] * len(text) for text in texts]

    parts = Parts.of(["der Hund schläft, die Katze nicht."], encode, "de", True).fitting(20, encode)
    assert list(parts.join(["The dog sleeps.", "the cat does not."])) == ["The dog sleeps the cat does not."]
