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

import hashlib
import itertools
import math
import random
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from functools import cache
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
    read_productions,
    read_spelling,
)

MAX_DEPTH = 16  # below it only the shortest way down is taken, so that recursion ends
LONGEST_TRAIN, LONGEST = 20, 25  # source words: in train and validation, in test
HELD_OUT = 10  # one combination in so many is kept for test
PATIENCE = 400  # draws for each pair before the grammar is reported as too small

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
        if len(parts) == 1:  # the usual case, on the hottest path
            part = parts[0]
            if isinstance(part, str):
                return part
            child, feature = part
            return (self.children[child].features if child else self.constraints).get(feature)
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
            names = []
            for name in part.path:
                if isinstance(name, Ref):
                    found = bound.get(name.feature) if not name.child else None
                    found = found or self.look_up(name)
                    if found is None:
                        where, feature = self.production.where, ".".join(filter(None, name))
                        raise ValueError(f"{where}: <{feature}> is unknown here; add it to `features`")
                    name = found
                names.append(name)
            self.children[part.child].spell(side, tuple(names), out, writer)

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
            sinking: dict[str, str] = {}
            for name, parts in child.constraints:
                value = node.value(parts)
                if value is not None:
                    sinking[name] = value
            node.children[child.name] = self._derive(rng, child.symbol, sinking, production.where, depth + 1)
        if production.lexical:
            node.features = production.when
            return node
        for name, parts in production.features.items():
            value = node.value(parts)
            if value is not None:
                node.features[name] = value
        return node

    def _choose(
        self, rng: random.Random, symbol: str, constraints: dict[str, str], where: str, depth: int
    ) -> Production:
        """A production that the constraints allow, by weight."""

        def draw(options: list[Production], cumulated: list[float]) -> Production:
            return options[bisect(cumulated, rng.random() * cumulated[-1], hi=len(options) - 1)]

        lasting = {name: value for name, value in constraints.items() if name != "but"}
        key = (symbol, depth > MAX_DEPTH, *lasting.items())
        if key not in self._options:
            options = [p for p in self.rules[symbol] if p.allows(lasting)]
            if depth > MAX_DEPTH:
                lowest = min((p.height for p in options), default=0)
                options = [p for p in options if p.height == lowest]
            self._options[key] = options, list(itertools.accumulate(p.weight for p in options))
        options, cumulated = self._options[key]
        production = draw(options, cumulated) if options else None
        if production and "but" in constraints:  # `but` varies too much to be kept
            excluded = constraints["but"].split("|")
            if production.when.get("lemma") in excluded:
                options = [p for p in options if p.when.get("lemma") not in excluded]
                weights = list(itertools.accumulate(p.weight for p in options))
                production = draw(options, weights) if options else None
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
                if any(map(str.isalnum, piece)):
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


def write_splits(path: str | Path, sizes: dict[str, int], seed: int) -> dict[str, list[Example]]:
    """Train, validation and test from the grammar at `path`; the same arguments, the same splits.

    Args:
        path: the grammar's yaml file.
        sizes: how many pairs, e.g. {"train": 40000, "validation": 1000, "test": 1000}.
        seed: of the draws; which combinations are held out depends on the grammar alone.

    Returns:
        The three splits. All sources differ; no validation or test target occurs in train. Validation
        is drawn like train. Each test sentence has a combination of lemmas held out from both,
        though all its words occur in train; its longest quarter is longer than nine tenths of train.

    Raises:
        ValueError: an unknown or missing split, a faulty grammar, or one too small for the sizes.
    """
    if set(sizes) != {"train", "validation", "test"} or min(sizes.values()) < 1:
        raise ValueError(f"sizes {sizes}: give train, validation and test, each at least 1")
    grammar, rng = Grammar.load(path), random.Random(seed)
    sources: set[str] = set()

    def draw(split: str, keep: Callable[[Example, int], bool]) -> list[Example]:
        kept: list[Example] = []
        for _ in range(PATIENCE * (sizes[split] + 10)):
            root = grammar.derive(rng)
            if any(map(_held_out, root.combinations())) != (split == "test"):
                continue
            example = grammar.spell(root)
            if example.source not in sources and keep(example, example.source.count(" ") + 1):
                sources.add(example.source)
                kept.append(example)
                if len(kept) == sizes[split]:
                    return kept
        raise ValueError(
            f"{path}: found {len(kept)} of {sizes[split]} {split} pairs; set fewer, "
            "for a larger train split, or add rules and words to the grammar"
        )

    train = draw("train", lambda _, length: length <= LONGEST_TRAIN)
    targets = {example.target for example in train}
    known = {word for example in train for word in _bare_words(example)}
    lengths = sorted(example.source.count(" ") + 1 for example in train)
    usual = lengths[math.ceil(0.9 * len(lengths)) - 1]

    def is_new(example: Example) -> bool:
        return example.target not in targets and known.issuperset(_bare_words(example))

    validation = draw("validation", lambda e, length: length <= LONGEST_TRAIN and is_new(e))
    room = {True: math.ceil(sizes["test"] / 4)}  # is it longer than usual? -> how many are wanted
    room[False] = sizes["test"] - room[True]

    def fits_test(example: Example, length: int) -> bool:
        fits = length <= LONGEST and room[length > usual] > 0 and is_new(example)
        room[length > usual] -= fits
        return fits

    test = draw("test", fits_test)
    rng.shuffle(test)
    return {"train": train, "validation": validation, "test": test}


@cache
def _held_out(combination: str) -> bool:
    """Whether a combination is held out; unlike hash(), the same in every process."""
    digest = hashlib.sha256(combination.encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT == 0


def _bare_words(example: Example) -> Iterator[tuple[int, str]]:
    """The (side, word) of an example without punctuation and capitals."""
    for side in (SOURCE, TARGET):
        for word in example[side].lower().split():
            yield side, word.strip(".,;:!?")
