"""A translator that changes each word by itself, and attends to it."""

from collections.abc import Callable

import numpy as np

from seq2seq.inference.translation import Translation


def translation(text: str, change: Callable[[str], str] = str, reverse: bool = False) -> Translation:
    """A text with each word changed, in order or reversed, with attention to that word alone."""
    source = text.split(" ")
    order = range(len(source))[::-1] if reverse else range(len(source))
    target = [change(source[word]) for word in order]
    attention = np.zeros((len(source) + 1, len(source) + 1), np.float32)
    for row, word in enumerate([*order, len(source)]):
        attention[row, word] = 1
    pieces = [[f"▁{word}" for word in words] + ["</s>"] for words in (source, target)]
    return Translation(" ".join(target), -0.5, pieces[0], pieces[1], attention)


class Words:
    """A stub of a translator."""

    protects = False

    def __init__(self, change: Callable[[str], str] = str, reverse: bool = False) -> None:
        self.change, self.reverse = change, reverse
        self.texts: list[str] = []

    def __call__(self, texts: list[str], attend: bool) -> list[Translation]:
        self.texts += texts
        return [translation(text, self.change, self.reverse) for text in texts]

    def translate_fully(self, texts, beam=None, warn=True, divide=False, attend=True):
        return self(texts, attend)

    def refusals(self, texts):
        return {}

    def unknown_words(self, text):
        return []

    def doubts(self, text):
        return []


def rendered(document, translate, protects: bool = False) -> str:
    """A document with its segments translated."""
    from seq2seq.documents.pages import render

    return render(document, translate, protects)[0]
