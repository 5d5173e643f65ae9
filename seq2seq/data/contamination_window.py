"""Compares a few training pairs with those evaluation sentences that may be near, as far as it matters.

Why: a pair from the template of an evaluation set is similar to a thousand of its sentences. One of them
decides that the pair is dropped; the others matter only while not all of them are recorded as hit, or few are
listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from seq2seq.data.contamination_side import Candidates, Side
from seq2seq.data.grams import Integers
from seq2seq.data.shares import Values, ranges

WINDOW = 128  # pairs compared at once
COMPARED = 4_000  # texts and sentences compared at once, if not more of one text
FEW = 8  # candidates of a text, and sentences with one text, that are not worth a selection
SECOND = 8  # candidates of a pair that are compared if the best is not near
EXACT, NEAR = "exact", "near"
KINDS = (EXACT, NEAR)

Flags = npt.NDArray[np.bool_]
Found = tuple[int, str, bool, float]  # a sentence, the side, whether it is exact, and the share


class Known:
    """The records of earlier hits, on which it depends whether another hit changes anything.

    `hit` has a flag for each sentence that was hit; `listed` has two for each set, whether enough exact and
    enough near hits are listed.
    """

    def __init__(self, names: Sequence[str], sets: Integers) -> None:
        self.sets = sets  # of each sentence
        self.hit: Flags = np.zeros(len(sets), np.bool_)
        self.listed: Flags = np.zeros((len(names), len(KINDS)), np.bool_)
        self._numbers = {name: number for number, name in enumerate(names)}
        self._firsts = np.searchsorted(sets, np.arange(len(names))).tolist()

    def add(self, name: str, row: int) -> None:
        """Record that a sentence of a set is hit."""
        self.hit[self._firsts[self._numbers[name]] + row] = True

    def enough(self, name: str, kind: str) -> None:
        """Record that no more hits of a set and kind are listed."""
        self.listed[self._numbers[name], KINDS.index(kind)] = True


class Rows(Side):
    """A side with the sentences that have each of its texts, and their sets; sentences are sorted by set."""

    def __init__(self, texts: Sequence[str], share: float, sets: Integers) -> None:
        super().__init__(texts, share)
        self.sets = sets
        rows = [self.rows[key] for key in self.keys]
        self._own = np.concatenate([np.empty(0, np.int64), *rows])
        self._own_counts = np.fromiter(map(len, rows), np.int64, len(rows))
        self._own_starts = np.cumsum(self._own_counts) - self._own_counts
        self.member = np.zeros((len(rows), int(sets.max(initial=0)) + 1), np.bool_)  # text, set
        self.member[np.repeat(np.arange(len(rows)), self._own_counts), sets[self._own]] = True

    def any(self, flags: Flags) -> Flags:
        """For each text, whether a sentence has a flag."""
        return np.logical_or.reduceat(flags[self._own], self._own_starts) if len(self._own) else flags[:0]

    def usable(self, found: Candidates, exact: Integers) -> Flags:
        """For candidates and sets, whether a sentence of the set is near if the candidate is.

        A sentence that is exact is not near: `exact` are those, sorted, each as text * sentences + sentence.
        """
        usable: Flags = self.member.T[:, found.sentence].T  # a set's flags are adjacent in memory
        if not len(exact):
            return usable
        width = self.member.shape[1]
        at, owner, rows, is_exact = self._exact(found, exact)
        cells = (owner * width + self.sets[rows])[~is_exact]
        usable[at] = np.bincount(cells, minlength=len(at) * width).reshape(-1, width) > 0
        return usable

    def equal(self, found: Candidates, exact: Integers) -> Integers:
        """The candidates that have an exact sentence, which are given as in `usable`."""
        at, owner, _, is_exact = self._exact(found, exact)
        equal: Integers = at[np.unique(owner[is_exact])]
        return equal

    def _exact(self, found: Candidates, exact: Integers) -> tuple[Integers, Integers, Integers, Flags]:
        """The candidates of texts with exact sentences; for each of their sentences place, row, and flag."""
        total = max(1, len(self.sets))
        at = np.flatnonzero(np.isin(found.text, exact // total))
        number = found.sentence[at]
        rows = self._own[ranges(self._own_starts[number], self._own_counts[number])]
        owner = np.repeat(np.arange(len(at)), self._own_counts[number])
        return at, owner, rows, np.isin(found.text[at][owner] * total + rows, exact)


class Batch:
    """Pairs, folded, with the candidates of both sides that may still be near."""

    def __init__(self, sides: Sequence[Rows], keys: Sequence[Sequence[str]]) -> None:
        self.sides, self.keys = sides, keys
        self.found = [side.candidates(own) for side, own in zip(sides, keys, strict=True)]
        self.alive = [np.ones(len(found.text), np.bool_) for found in self.found]
        self._bounded = [np.zeros(len(own), np.bool_) for own in keys]
        numbers = set(
            np.flatnonzero(np.bincount(np.concatenate([found.text for found in self.found]))).tolist()
        )
        for side, own in zip(sides, keys, strict=True):
            numbers.update(number for number, text in enumerate(own) if text in side.rows)
        self.texts = np.array(sorted(numbers), np.int64)  # with a candidate, or an equal sentence

    def bound(self, side: int, part: slice, which: Flags) -> None:
        """Leave out of the texts that have many of some candidates those that are not near by a bound."""
        found = self.found[side].take(part)
        counts = np.bincount(found.text[which], minlength=len(self.keys[side]))
        many = (counts > FEW) & ~self._bounded[side]
        self._bounded[side] |= many
        at = np.flatnonzero(many[found.text] & self.alive[side][part])
        if len(at):
            self.alive[side][part.start + at] = self.sides[side].bounded(self.keys[side], found.take(at))


class Window:
    """The first of some pairs: all, or as many as the records let compare with COMPARED sentences."""

    def __init__(self, batch: Batch, texts: Integers, known: Known | None) -> None:
        self._batch, self._known = batch, known
        self._exact: dict[int, list[Integers]] = {}
        for number in texts.tolist():
            rows = [
                side.rows.get(own[number], NO_ROWS) for side, own in zip(batch.sides, batch.keys, strict=True)
            ]
            if any(map(len, rows)):
                self._exact[number] = rows
        counts = np.zeros(len(texts), np.int64)
        self._musts = []
        for side, found in enumerate(batch.found):
            part = _between(found, int(texts[0]), int(texts[-1]))
            must = self._must(batch.sides[side], found.take(part))
            batch.bound(side, part, must)
            must &= batch.alive[side][part]
            self._musts.append(must)
            counts += np.bincount(np.searchsorted(texts, found.text[part][must]), minlength=len(texts))
        self._texts = texts[: max(1, int(np.searchsorted(np.cumsum(counts), COMPARED, "right")))]
        self._parts = [_between(one, int(texts[0]), int(self._texts[-1])) for one in batch.found]

    def __len__(self) -> int:
        return len(self._texts)

    def _must(self, side: Rows, found: Candidates) -> Flags:
        """The candidates that are compared in any case, by the records."""
        known = self._known
        if known is None:
            return np.ones(len(found.text), np.bool_)
        needed = side.any(~known.hit) | side.member[:, ~known.listed[: side.member.shape[1], 1]].any(axis=1)
        must: Flags = needed[found.sentence]
        # An exact sentence is listed with its other side.
        listed = {
            number
            for number, rows in self._exact.items()
            if known.listed[known.sets[np.concatenate(rows)], 0].all()
        }
        if len(exact := self._places(self._exact.keys() - listed)):
            must[side.equal(found, exact)] = True
        return must

    def _places(self, texts: Iterable[int]) -> Integers:
        """The exact sentences of some texts, sorted, each as text * sentences + sentence."""
        total = len(self._batch.sides[0].sets)
        places = [number * total + rows for number in texts for rows in self._exact[number]]
        return np.unique(np.concatenate([NO_ROWS, *places]))

    def hits(self) -> Iterator[tuple[int, list[Found]]]:
        """For each pair its hits, by the number of the sentence."""
        near: list[dict[int, list[tuple[int, float]]]] = []
        for found, part, shares in zip(self._batch.found, self._parts, self._compared(), strict=True):
            of_text: dict[int, list[tuple[int, float]]] = {}
            for at in np.flatnonzero(shares).tolist():
                entry = int(found.sentence[part.start + at]), float(shares[at])
                of_text.setdefault(int(found.text[part.start + at]), []).append(entry)
            near.append(of_text)
        for number in self._texts.tolist():
            exact = self._exact.get(number, (NO_ROWS, NO_ROWS))
            sides: list[dict[int, tuple[bool, float]]] = []
            for side, of_text, own in zip(self._batch.sides, near, exact, strict=True):
                sides.append(dict.fromkeys(self._chosen(own, 0), (True, 1.0)))
                for sentence, share in of_text.get(number, ()):
                    rows, both = side.rows[side.keys[sentence]], np.concatenate(exact)
                    if len(both):
                        is_exact = np.isin(rows, both)
                        sides[-1] |= dict.fromkeys(self._chosen(rows[is_exact], 0), (True, share))
                        rows = rows[~is_exact]
                    sides[-1] |= dict.fromkeys(self._chosen(rows, 1), (False, share))
            yield number, list(_joined(*sides))

    def _chosen(self, rows: Integers, kind: int) -> list[int]:
        """Of sentences with one text those whose hits of a kind change a record, and one of each set."""
        known = self._known
        if known is None or len(rows) <= FEW:
            found: list[int] = rows.tolist()
            return found
        sets = known.sets[rows]
        wanted = ~known.hit[rows] | ~known.listed[sets, kind]
        wanted[np.flatnonzero(np.diff(sets, prepend=-1))] = True
        chosen: list[int] = rows[wanted].tolist()
        return chosen

    def _compared(self) -> list[Values]:
        """The shares of candidates on each side; 0 if they are below the least, or do not matter."""
        batch = self._batch
        sides = range(len(batch.sides))
        found = [one.take(part) for one, part in zip(batch.found, self._parts, strict=True)]
        texts = np.flatnonzero(np.bincount(np.concatenate([one.text for one in found])))
        exact = self._places(self._exact.keys() & set(texts.tolist()))
        usable = [batch.sides[side].usable(found[side], exact) for side in sides]
        is_near = np.zeros((int(self._texts[-1]) + 1, usable[0].shape[1]), np.bool_)  # by pair and set
        shares = [np.zeros(len(one.text)) for one in found]
        done = [self._musts[side][: len(found[side].text)] for side in sides]
        for side in sides:
            done[side] |= _best(found[side], usable[side])
            at = np.flatnonzero(done[side] & batch.alive[side][self._parts[side]])
            self._compare(side, found[side].take(at), at, shares[side])
        for side in sides:
            hit = np.flatnonzero(shares[side])
            np.logical_or.at(is_near, found[side].text[hit], usable[side][hit])
        for most in (SECOND, None):
            for side in sides:
                rest = np.zeros(len(done[side]), np.bool_)
                for use, near in zip(usable[side].T, is_near.T, strict=True):
                    rest |= use & ~near[found[side].text]
                rest &= ~done[side]
                if not rest.any():
                    continue
                batch.bound(side, self._parts[side], rest)
                rest &= batch.alive[side][self._parts[side]]
                at = np.flatnonzero(rest)
                if most is not None:
                    at = at[_first(found[side].take(at), most)]
                done[side][at] = True
                self._compare(side, found[side].take(at), at, shares[side])
                hit = at[shares[side][at] > 0]
                np.logical_or.at(is_near, found[side].text[hit], usable[side][hit])
        return shares

    def _compare(self, side: int, found: Candidates, at: Integers, shares: Values) -> None:
        """Write the shares of some candidates into those of all."""
        shares[at] = self._batch.sides[side].shares.of(self._batch.keys[side], found.text, found.sentence)


NO_ROWS: Integers = np.empty(0, np.int64)


def _between(found: Candidates, first: int, last: int) -> slice:
    """The candidates of texts from a first to a last one."""
    return slice(*np.searchsorted(found.text, [first, last + 1]).tolist())


def _best(found: Candidates, usable: Flags) -> Flags:
    """Of each text and set the candidate with most n-grams in common."""
    best = np.zeros(len(found.text), np.bool_)
    if not len(best):
        return best
    is_first = np.diff(found.text, prepend=-1) != 0
    starts, owners = np.flatnonzero(is_first), np.cumsum(is_first) - 1
    for use in usable.T:
        score = np.where(use, found.common, -1.0)
        highest = np.maximum.reduceat(score, starts)
        at = np.flatnonzero((score == highest[owners]) & use)
        best[at[np.flatnonzero(np.diff(owners[at], prepend=-1))]] = True
    return best


def _first(found: Candidates, most: int) -> Integers:
    """Of each text the candidates, at most so many, with most n-grams in common."""
    order = np.lexsort((-found.common, found.text))
    place = np.arange(len(order)) - np.searchsorted(found.text, found.text)
    return np.sort(order[place < most])


def _joined(source: dict[int, tuple[bool, float]], target: dict[int, tuple[bool, float]]) -> Iterator[Found]:
    """The hits of a pair by those of its sides."""
    for number in sorted(source.keys() | target.keys()):
        side = "target" if number not in source else "both" if number in target else "source"
        exact, share = max(found[number] for found in (source, target) if number in found)
        yield number, side, exact, share
