"""Protects spans of texts: the model translates symbols in their place, which then become the spans again.

Why: a URL, a placeholder or a term of a glossary has one right translation, which no corpus teaches. A
model that was trained with symbols (`tokenize.masked_share`) copies them. A symbol that is missing in a
translation is put where attention places it, so that no span is lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

from seq2seq.data.placeholders import SYMBOLS, spans
from seq2seq.data.vocabulary import Vocabulary

if TYPE_CHECKING:  # these import PyTorch, which an exported model lacks
    from seq2seq.inference.engine import Engine
    from seq2seq.inference.glossary import Glossary
    from seq2seq.inference.hypothesis import Hypothesis
    from seq2seq.inference.translation import Translation

# While texts are split, a character of private use stands for each different span of a call.
FIRST, LAST = 0xF0000, 0x10FFFD
MARK = re.compile(f"[{chr(FIRST)}-{chr(LAST)}]")
SYMBOL = re.compile("|".join(map(re.escape, SYMBOLS)))
WORD_BEGIN = "\u2581"


class Span(NamedTuple):
    """A protected span: as it is in the source, and as it has to be in the translation."""

    source: str
    target: str


class Protection:
    """The protected spans of the texts of one call; none for a vocabulary without symbols."""

    def __init__(self, vocabulary: Vocabulary, glossary: Glossary | None) -> None:
        self._vocabulary, self._glossary = vocabulary, glossary
        self._spans: list[Span] = []
        self._marks: dict[Span, str] = {}

    def mark(self, text: str) -> str:
        """The text with a mark for each span: those of `placeholders.spans`, and terms of the glossary."""
        if not self._vocabulary.symbols:
            return text
        fixed = [(*found.span(), found[0]) for found in chain(spans(text), MARK.finditer(text))]
        terms = self._glossary.find(text) if self._glossary else []
        found = fixed + [term for term in terms if not any(term[0] < f[1] and f[0] < term[1] for f in fixed)]
        marked, done = "", 0
        for begin, end, target in sorted(found):
            if begin < done:  # inside another span
                continue
            marked += text[done:begin] + self._mark(Span(text[begin:end], target))
            done = end
        return marked + text[done:]

    def encode(self, sentences: list[str]) -> list[list[int]]:
        """The ids of marked sentences: marks as symbols; beyond the number of symbols, spans as they are."""
        return self._vocabulary.encode_all([self._with_symbols(sentence) for sentence in sentences])

    def settle(
        self,
        sentences: Sequence[str],
        ids: Sequence[list[int]],
        found: Sequence[Sequence[Hypothesis]],
        engine: Engine,
    ) -> list[Hypothesis | None]:
        """One hypothesis for each marked sentence, with each of its symbols once; None if there is none.

        That is the best one of those that the search has `found`; if none has each symbol once, the best of
        all, in which superfluous symbols are removed and missing ones inserted. A sentence without a span has
        no symbol.
        """
        settled: list[Hypothesis | None] = []
        for sentence, source, hypotheses in zip(sentences, ids, found, strict=True):
            if not hypotheses or not self._vocabulary.symbols:
                settled.append(hypotheses[0] if hypotheses else None)
            elif complete := self.complete(sentence, hypotheses):
                settled.append(complete[0])
            else:
                settled.append(self._repair(source, self._ids(sentence), hypotheses[0], engine))
        return settled

    def complete(self, sentence: str, found: Sequence[Hypothesis]) -> list[Hypothesis]:
        """The hypotheses that have each symbol of a marked sentence once."""
        wanted = self._ids(sentence)
        return [h for h in found if sorted(filter(self._is_symbol, h.ids)) == wanted]

    def restore(self, sentence: str, translation: str) -> str:
        """A translation of a marked sentence, with the spans in the place of their symbols."""
        targets = {symbol: span.target for span, symbol in zip(self._of(sentence), SYMBOLS, strict=False)}
        return SYMBOL.sub(lambda found: targets.get(found[0], found[0]), translation)

    def restore_pieces(self, sentence: str, found: Translation) -> Translation:
        """As `restore`, in the pieces of both sides as well: a symbol's piece becomes its span."""
        both = list(zip(self._of(sentence), SYMBOLS, strict=False))
        sources = {symbol: span.source for span, symbol in both}
        targets = {symbol: span.target for span, symbol in both}
        return found._replace(
            text=self.restore(sentence, found.text),
            source_pieces=[sources.get(piece, piece) for piece in found.source_pieces],
            target_pieces=[targets.get(piece, piece) for piece in found.target_pieces],
        )

    def _mark(self, span: Span) -> str:
        """The mark of a span; its source where all marks are in use."""
        if span not in self._marks:
            if FIRST + len(self._spans) > LAST:
                return span.source
            self._marks[span] = chr(FIRST + len(self._spans))
            self._spans.append(span)
        return self._marks[span]

    def _of(self, sentence: str) -> list[Span]:
        """The spans of a marked sentence."""
        return [self._spans[ord(mark) - FIRST] for mark in MARK.findall(sentence)] if self._spans else []

    def _ids(self, sentence: str) -> list[int]:
        """The ids of the symbols of a marked sentence, in order."""
        return self._vocabulary.symbols[: len(self._of(sentence))]

    def _is_symbol(self, piece: int) -> bool:
        return piece in self._vocabulary.symbols

    def _is_blank(self, ids: list[int]) -> bool:
        """Whether the only piece is a blank alone."""
        return self._vocabulary.pieces(ids) == [WORD_BEGIN]

    def _begins_word(self, ids: list[int]) -> bool:
        """Whether the only piece begins with a blank, or there is none, at the end."""
        return not ids or self._vocabulary.pieces(ids)[0].startswith(WORD_BEGIN)

    def _with_symbols(self, sentence: str) -> str:
        if not self._spans:
            return sentence
        forms = (
            symbol or span.source
            for span, symbol in zip(self._of(sentence), chain(SYMBOLS, repeat("")), strict=False)
        )
        return MARK.sub(lambda _: next(forms), sentence)

    def _repair(self, source: list[int], wanted: list[int], found: Hypothesis, engine: Engine) -> Hypothesis:
        """A hypothesis without superfluous symbols, and with the missing ones where attention places them."""
        ids: list[int] = []
        for number, piece in enumerate(found.ids):
            if not self._is_symbol(piece) or (piece in wanted and piece not in ids):
                ids.append(piece)
            elif self._is_blank(ids[-1:]) and self._begins_word(found.ids[number + 1 : number + 2]):
                ids.pop()  # of the two blanks around it
        for symbol in wanted:
            if symbol not in ids:
                ids = self._insert(source, symbol, ids, engine)
        return found._replace(ids=ids)

    def _insert(self, source: list[int], symbol: int, ids: list[int], engine: Engine) -> list[int]:
        """The ids with a symbol as a word, before the word that attends to it most; else by its place."""
        place = source.index(symbol)
        [aligned] = engine.attend([source], [ids], length_penalty=1.0, batch_size=1)
        if aligned.attention_TS is None:
            row = round(place / len(source) * len(ids))
        else:
            row = int(aligned.attention_TS[:, place].argmax())
        pieces = self._vocabulary.pieces(ids)
        while 0 < row < len(pieces) and not pieces[row].startswith(WORD_BEGIN):
            row -= 1
        word = self._vocabulary.encode(SYMBOLS[self._vocabulary.symbols.index(symbol)])
        return [*ids[:row], *word, *ids[row:]]
