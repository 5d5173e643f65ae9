"""Writes a translation with the marks of its source, each at the words that it belongs to.

Why: marks are written from a tree, so that they are well-formed whatever the alignment is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from seq2seq.data.placeholders import PLACEHOLDER
from seq2seq.documents import links
from seq2seq.documents.segments import Kind, Place, Segment
from seq2seq.inference.document import MARKS
from seq2seq.inference.translation import Translation


class Node:
    """A pair of marks, or the whole segment, and the marks inside it."""

    def __init__(self, place: Place | None) -> None:
        self.place, self.close, self.end = place, "", 0
        self.children: list[Node] = []

    @property
    def kind(self) -> Kind:
        """That of its mark."""
        return self.place.mark.kind if self.place else Kind.OPEN


class Target(NamedTuple):
    """A child's words in the translation: of a pair from begin to end, else the word before which it is."""

    begin: int
    end: int
    node: Node


def write(segment: Segment, translation: Translation) -> str:
    """The translation in the syntax of the document; one that equals its source is written as that is."""
    text = translation.text
    if text == segment.text:
        return segment.raw
    if not segment.places:
        return segment.finish(segment.encoder()(text))
    writer = _Writer(segment, translation)
    inner, done = writer.write(_tree(segment.places, len(segment.text)), 0, len(writer.targets), 0)
    return segment.finish(inner + writer.encode(text[done:]))


class _Writer:
    def __init__(self, segment: Segment, translation: Translation) -> None:
        self.text, self.encode = translation.text, segment.encoder()
        self.sources, self.targets = links.words(segment.text), links.words(self.text)
        self.links = links.link(segment.text, translation)
        self.length = max(len(segment.text), 1)

    def write(self, node: Node, begin: int, end: int, done: int) -> tuple[str, int]:
        """The words from begin to end with the marks inside a node; `done` is the offset written so far."""
        written = ""
        targets = [target for child in node.children if (target := self._target(child, begin, end))]
        for first, last, child in sorted(targets, key=lambda target: target.begin):
            assert child.place
            first = max(first, bisect_left([b for b, _ in self.targets], done), begin)
            if child.kind is Kind.BREAK:
                if not begin < first < end:
                    continue
                before, after = self.targets[first - 1][1], self.targets[first][0]
                if before >= done and before < after:
                    written += self.encode(self.text[done:before]) + child.place.mark.raw
                    done = after
                continue
            last = max(last, first)
            at = self._offset(first, begin, end, done, child)
            written += self.encode(self.text[done:at])
            done = at
            if child.kind is Kind.ALONE:
                written += self._alone(child.place, at)
                continue
            inner, done = self.write(child, first, last, done)
            written += child.place.mark.raw + inner + child.close
        if end > begin and (stop := self.targets[end - 1][1]) > done:
            written += self.encode(self.text[done:stop])
            done = stop
        return written, done

    def _offset(self, word: int, begin: int, end: int, done: int, child: Node) -> int:
        """Where a mark stands that belongs before a word: at its begin, or at the end of the one before."""
        if begin < word and (word >= end or self._is_glued(child)):
            return max(done, self.targets[word - 1][1])
        return max(done, self.targets[word][0]) if word < len(self.targets) else done

    def _is_glued(self, node: Node) -> bool:
        """Whether a mark that stands alone has no blank between it and the word before."""
        if node.kind is not Kind.ALONE or not node.place or node.place.is_word:
            return False
        return any(end == node.place.offset for _, end in self.sources)

    def _alone(self, place: Place, at: int) -> str:
        raw = place.mark.raw
        if not place.is_word:
            return raw
        before = " " if at and not self.text[at - 1].isspace() else ""
        is_word = self.text[at : at + 1].isalnum() or PLACEHOLDER.match(self.text, at)
        return before + raw + (" " if is_word else "")

    def _target(self, node: Node, begin: int, end: int) -> Target | None:
        assert node.place
        offset = node.place.offset
        if node.kind is Kind.BREAK:
            share = (offset + 0.5) / self.length * len(self.text)
            gaps = [word for word in range(begin + 1, end) if self._may_break(word)]
            best = min(gaps, key=lambda word: abs(self.targets[word][0] - 0.5 - share), default=None)
            return None if best is None else Target(best, best, node)
        inside = {n for n, (b, e) in enumerate(self.sources) if b < node.end and e > offset}
        if node.kind is Kind.OPEN and inside:
            first, last = _densest([self.links[word] in inside for word in range(begin, end)])
            if last > first:
                return Target(begin + first, begin + last, node)
        word = self._word_after(node.place, begin, end, self._is_glued(node))
        if node.kind is Kind.OPEN and inside and word < end:
            return Target(word, word + 1, node)
        return Target(word, word, node)

    def _word_after(self, place: Place, begin: int, end: int, is_glued: bool) -> int:
        """The word of the translation before which a mark stands, by the source words around it."""
        following = bisect_left([b for b, _ in self.sources], place.offset)
        before = [word for word in range(begin, end) if self.links[word] == following - 1]
        after = [word for word in range(begin, end) if self.links[word] == following]
        touches = not place.is_word and any(begin == place.offset for begin, _ in self.sources)
        if before and after and abs(after[0] - before[-1]) == 1 and (is_glued or not touches):
            return max(after[0], before[-1])
        if after and not (is_glued and before):
            return after[0]
        if before:
            return before[-1] + 1
        return min(max(round(following / max(len(self.sources), 1) * len(self.targets)), begin), end)

    def _may_break(self, word: int) -> bool:
        """Whether a line may begin with a word: a blank is before it, and it is no mark of a list."""
        begin = self.targets[word][0]
        if not self.text[begin - 1].isspace():
            return False
        rest = self.text[begin:]
        return MARKS.sub("", rest, count=1) == rest and not rest.startswith(
            ("#", "=", "|", "+", "`", "~", ":")
        )


def _tree(places: Sequence[Place], length: int) -> Node:
    root = Node(None)
    stack = [root]
    for place in places:
        if place.mark.kind is Kind.CLOSE:
            closed = stack.pop()
            closed.close, closed.end = place.mark.raw, place.offset
            continue
        node = Node(place)
        node.end = place.offset
        stack[-1].children.append(node)
        if place.mark.kind is Kind.OPEN:
            stack.append(node)
    root.end = length
    return root


def _densest(flags: Sequence[bool]) -> tuple[int, int]:
    """The range in which the true flags exceed the false ones most (Bentley 1984); the first of several."""
    best, best_range, total, begin = 0, (0, 0), 0, 0
    for number, flag in enumerate(flags):
        if total <= 0:
            total, begin = 0, number
        total += 1 if flag else -1
        if total > best:
            best, best_range = total, (begin, number + 1)
    return best_range
