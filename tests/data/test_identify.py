"""Languages of many texts at once: as py3langid identifies them one by one."""

import pytest

from seq2seq.data import identify

TEXTS = [
    *("Wir haben uns gestern im Garten getroffen.", "We met in the garden yesterday.", "Да, конечно.", ""),
    *(
        "学校へ行きます。",
        "ΚΑΛΗΜΕΡΑ ΣΑΣ",
        "12345",
        "x",
        "schön",
        "Hvor er biblioteket?",
        "a" * 3000,
        "\ud800 Text",
    ),
    *("Идём домой, уже поздно.", "Nous nous sommes rencontrés hier dans le jardin.", "WIR KOMMEN MORGEN"),
]


@pytest.mark.parametrize("batch", [1, 60, 500_000])
def test_labels_and_probabilities_are_those_of_single_texts(monkeypatch, batch):
    monkeypatch.setattr(identify, "BATCH", batch)
    one_by_one = [identify.identifier().classify(text) for text in TEXTS]
    together = list(identify.identify(TEXTS))
    assert [label for label, _ in together] == [label for label, _ in one_by_one]
    assert [one for _, one in together] == pytest.approx([one for _, one in one_by_one], abs=1e-5)
    assert list(identify.identify([])) == []
