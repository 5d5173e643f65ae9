"""Writes sentence pairs with gold word alignments from a synchronous grammar, a yaml file.

Why: a corpus that needs no download, with translations and alignments that are correct by construction.

The formalism is a parallel multiple context-free grammar (Seki et al. 1991; it is also the core of
Ranta's Grammatical Framework, 2004). One derivation is spelled twice, as source and as target:

- a *rule* rewrites a symbol as named children (`with`) and gives, for each side, a template or a table
  of templates by *field*. A field is a name such as `acc`, or several, `present.3sg`; `<case>` stands
  for any name and binds it, `nom|acc` for either one; the first field that fits is taken. A plain
  template answers every field.
- in a template, `{n.acc}` spells the field `acc` of child `n`, and `{n.<case>.<d.number>}` the one named
  by the variable `case` and by the feature `number` of child `d`.
- *features* rise from a child (`features`); *constraints* sink to it (`n: Noun(class=<v.object>)`,
  or `Noun(class)` for our own).
  A value such as `food|drink` is a choice: two values agree when they share one. A constraint whose
  value is unknown does not constrain; the constraint `but` excludes words.
- a rule with `words` stands for one production a word. A word's attributes are its features, and
  `{stem}` spells one, `{stem:-2}` without its last two letters.
- *alignment*: words that the same node has written, in source and in target, are aligned. A rule's node
  writes its own letters, a word's node also all that its children write.
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from seq2seq.data.grammar_rules import (
    SOURCE,
    TARGET,
    Path_,
    Production,
    Ref,
    Slot,
    Values,
    read_productions,
    read_spelling,
)

MAX_DEPTH = 16  # below it only the shortest way down is taken, so that recursion ends

ABOUT = ("source_language", "target_language", "licence", "description")


class Example(NamedTuple):
    """A sentence pair; `alignment` holds Pharaoh pairs `i-j` of 0-based whitespace-word positions."""

    source: str
    target: str
    alignment: str


class Node:
    """A node of a derivation: a production, its children, its constraints and its features."""

    __slots__ = ("children", "constraints", "features", "production")

    def __init__(self, production: Production, constraints: dict[str, str]) -> None:
        self.production, self.constraints = production, constraints
        self.children: dict[str, Node] = {}
        self.features: dict[str, str] = {}

    def value(self, parts: tuple[str | Ref, ...]) -> str | None:
        """The text with its references resolved; None where one of them is unknown."""
        texts = [part if isinstance(part, str) else self.look_up(part) for part in parts]
        return None if None in texts else "".join(text or "" for text in texts)

    def look_up(self, ref: Ref) -> str | None:
        """A child's feature, or a constraint on this node; None if unknown."""
        if ref.child:
            return self.children[ref.child].features.get(ref.feature)
        return self.constraints.get(ref.feature)

    def spell(self, side: int, path: Path_, out: list[tuple[str, Node]], by: Node | None) -> None:
        """Appends the pieces of text of one field, each with its node."""
        bound, parts = self.production.field(side, path)
        writer = by or (self if self.production.lexical else None)
        for part in parts:
            if isinstance(part, str):
                out.append((part, writer or self))
                continue
            names = part.fixed
            if names is None:
                names = tuple(self._name(name, bound) for name in part.path)
            self.children[part.child].spell(side, names, out, writer)

    def _name(self, name: str | Ref, bound: Mapping[str, str]) -> str:
        """A name of a path, with its reference resolved."""
        if isinstance(name, str):
            return name
        found = (bound.get(name.feature) if not name.child else None) or self.look_up(name)
        if found is None:
            where, feature = self.production.where, ".".join(filter(None, name))
            raise ValueError(f"{where}: <{feature}> is unknown here; add it to `features`")
        return found

    def values(self, texts: Values) -> dict[str, str]:
        """The texts with their references resolved, without those where one is unknown."""
        found = texts.fixed.copy()
        for name, child, feature in texts.copied:
            value = (self.children[child].features if child else self.constraints).get(feature)
            if value is not None:
                found[name] = value
        for name, parts in texts.joined:
            value = self.value(parts)
            if value is not None:
                found[name] = value
        return found

    def combinations(self) -> Iterator[str]:
        """The combinations of lemmas in this tree, as its rules declare them: `lesen Buch`."""
        for parts in self.production.combinations:
            if text := self.value(parts):
                yield from map(" ".join, itertools.product(*(c.split("|") for c in text.split(" "))))
        for child in self.children.values():
            yield from child.combinations()


class Grammar:
    """A grammar read and checked by `Grammar.load`; `about` is its metadata."""

    def __init__(self, document: Mapping[str, Any], file: str) -> None:
        self.file = file
        try:
            self.about = {key: str(document[key]) for key in ABOUT}
            self.start, rules = str(document["start"]), document["rules"]
        except KeyError as missing:
            raise ValueError(f"{file}: no key {missing}; a grammar needs it") from None
        if not isinstance(rules, dict):
            raise ValueError(f"{file}: rules needs symbols, each with a list of rules, not {rules!r}")
        self.closing = str(document.get("closing") or "")
        self.spelling = read_spelling(file, document.get("spelling", {}))
        self.rules = {
            str(symbol): list(read_productions(f"{file}: {symbol}", alternatives))
            for symbol, alternatives in rules.items()
        }
        self._options: dict[tuple[Any, ...], tuple[list[Production], list[float]]] = {}
        self._check()

    @classmethod
    def load(cls, path: str | Path) -> Grammar:
        """Reads a yaml file; ValueError names the file, the rule and the remedy."""
        try:
            document = YAML(typ="safe").load(Path(path))
        except YAMLError as error:
            raise ValueError(f"{path}: not yaml: {error}") from None
        if not isinstance(document, dict):
            raise ValueError(f"{path}: not a grammar; it needs {', '.join(ABOUT)}, start and rules")
        return cls(document, str(path))

    def sample(self, rng: random.Random) -> Example:
        """One random sentence pair."""
        return self.spell(self.derive(rng))

    def derive(self, rng: random.Random) -> Node:
        """The root of a random derivation."""
        return self._derive(rng, self.start, {}, self.file, 0)

    def spell(self, root: Node) -> Example:
        """A derivation's sentences and alignment."""
        (source, writers), (target, others) = self._words(root, SOURCE), self._words(root, TARGET)
        pairs = [
            f"{i}-{j}"
            for i, mine in enumerate(writers)
            for j, yours in enumerate(others)
            if not mine.isdisjoint(yours)
        ]
        return Example(source, target, " ".join(pairs))

    def _derive(
        self, rng: random.Random, symbol: str, constraints: dict[str, str], where: str, depth: int
    ) -> Node:
        production = self._choose(rng, symbol, constraints, where, depth)
        node = Node(production, constraints)
        for child in production.children:
            sinking = node.values(child.values)
            node.children[child.name] = self._derive(rng, child.symbol, sinking, production.where, depth + 1)
        node.features = production.when if production.lexical else node.values(production.values)
        return node

    def _choose(
        self, rng: random.Random, symbol: str, constraints: dict[str, str], where: str, depth: int
    ) -> Production:
        """A production that the constraints allow, by weight."""
        lasting = constraints
        if "but" in constraints:
            lasting = {name: value for name, value in constraints.items() if name != "but"}
        key = (symbol, depth > MAX_DEPTH, *lasting.items())
        found = self._options.get(key)
        if found is None:
            options = [p for p in self.rules[symbol] if p.allows(lasting)]
            if depth > MAX_DEPTH:
                lowest = min((p.height for p in options), default=0)
                options = [p for p in options if p.height == lowest]
            found = self._options[key] = options, list(itertools.accumulate(p.weight for p in options))
        production = _draw(rng, *found)
        if production and "but" in constraints:  # `but` varies too much to be kept
            excluded = constraints["but"].split("|")
            if production.when.get("lemma") in excluded:
                options = [p for p in found[0] if p.when.get("lemma") not in excluded]
                production = _draw(rng, options, list(itertools.accumulate(p.weight for p in options)))
        if production is None:
            raise ValueError(f"{where}: no {symbol} with {constraints}; add one or loosen this")
        return production

    def _words(self, root: Node, side: int) -> tuple[str, list[set[int]]]:
        """The sentence, and for each of its words the nodes of its letters."""
        pieces: list[tuple[str, Node]] = []
        root.spell(side, (), pieces, None)
        words: list[str] = []
        writers: list[set[int]] = []
        joined = False  # does the next piece continue the last word?
        for text, node in pieces:
            joined = joined and not text[0].isspace()
            for piece in text.split():
                if words and (joined or piece[0] in self.closing):
                    words[-1] += piece
                else:
                    words.append(piece)
                    writers.append(set())
                if piece.isalnum() or any(map(str.isalnum, piece)):
                    writers[-1].add(id(node))
                joined = False
            joined = not text[-1].isspace()
        sentence = " ".join(words)
        for pattern, replacement in self.spelling[side]:
            sentence = pattern.sub(replacement, sentence)
        if len(sentence.split()) != len(words):
            raise ValueError(f"{self.file}: spelling changes the number of words of {words}")
        return sentence[:1].upper() + sentence[1:], writers

    def _check(self) -> None:
        """Raises ValueError for errors of the grammar that sampling would find only in rare sentences."""
        if self.start not in self.rules:
            raise ValueError(f"{self.file}: start {self.start!r} has no rule; add it to `rules`")
        everything = [p for productions in self.rules.values() for p in productions]
        sinking: dict[str, set[str]] = {symbol: set() for symbol in self.rules}
        for production in everything:
            for child in production.children:
                if child.symbol not in self.rules:
                    known = ", ".join(self.rules)
                    raise ValueError(
                        f"{production.where}: unknown symbol {child.symbol}; it is none of {known}"
                    )
                sinking[child.symbol].update(name for name, _ in child.constraints)
        for symbol, productions in self.rules.items():
            for production in productions:
                self._check_production(production, sinking[symbol])
        for _ in range(len(self.rules) + 1):  # a tree's height settles after one round a symbol
            low = {s: min(p.height for p in productions) for s, productions in self.rules.items()}
            for p in everything:
                p.height = 1 + max((low[child.symbol] for child in p.children), default=0)
        for production in everything:
            if production.height == math.inf:
                raise ValueError(f"{production.where}: a cycle without end; add a rule that ends it")

    def _check_production(self, production: Production, sinking: set[str]) -> None:
        symbols = {child.name: child.symbol for child in production.children}
        refs = [ref for _, parts in production.features.items() for ref in parts]
        refs += [ref for parts in production.combinations for ref in parts]
        refs += [ref for c in production.children for _, parts in c.constraints for ref in parts]
        known = set(sinking)
        for side, field in ((s, f) for s in (SOURCE, TARGET) for f in production.fields[s]):
            known.update(want.feature for want in field.pattern or () if isinstance(want, Ref))
            for slot in (part for part in field.parts if isinstance(part, Slot)):
                refs += slot.path
                for p in self.rules[symbols[slot.child]]:
                    if not any(f.fits(slot.path) for f in p.fields[side]):
                        path = ".".join(name if isinstance(name, str) else "*" for name in slot.path)
                        raise ValueError(
                            f"{p.where}: no {('source', 'target')[side]} field {path!r}, which "
                            f"{production.where} needs; add it"
                        )
        for ref in (ref for ref in refs if isinstance(ref, Ref)):
            if ref.child and ref.child not in symbols:
                raise ValueError(f"{production.where}: no child {ref.child!r}; add it to `with`")
            risen = {f for p in self.rules[symbols[ref.child]] for f in p.features} if ref.child else known
            if ref.feature not in risen:
                feature = ".".join(filter(None, ref))
                raise ValueError(f"{production.where}: <{feature}> is never set; correct its name")


def _draw(rng: random.Random, options: list[Production], cumulated: list[float]) -> Production | None:
    """One of the options by their cumulated weights; None if there is none."""
    if not options:
        return None
    return options[bisect(cumulated, rng.random() * cumulated[-1], hi=len(options) - 1)]
