"""The notation of a grammar file: rules, fields, templates and references, read into productions.

Why: parsing rules is separate from deriving sentences; grammar.py explains the formalism.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

SOURCE, TARGET = 0, 1
RULE_KEYS = {"weight", "when", "with", "words", "all", "features", "combinations", "source", "target"}

Path_ = tuple[str, ...]  # the names of a field


class Ref(NamedTuple):
    """`<feature>`, a variable or constraint of this node; or `<child.feature>`."""

    child: str
    feature: str


class Slot(NamedTuple):
    """`{child.field}` in a template."""

    child: str
    path: tuple[str | Ref, ...]
    fixed: Path_ | None  # the path if no name of it is a Ref


class Field(NamedTuple):
    """One line of a table; pattern None fits every path, an element is a Ref (any name) or names."""

    pattern: tuple[Ref | Path_, ...] | None
    parts: tuple[str | Slot, ...]

    def fits(self, path: tuple[str | Ref, ...]) -> bool:
        """Whether this field answers the path; a Ref in the path may turn out to be any name."""
        if self.pattern is None:
            return True
        return len(path) == len(self.pattern) and all(
            isinstance(want, Ref) or isinstance(name, Ref) or name in want
            for want, name in zip(self.pattern, path, strict=True)
        )


class Values:
    """Named texts of a rule, by what they take: nothing, one reference, or references and text.

    Millions are looked up, nearly all of the first two kinds.
    """

    def __init__(self, texts: Iterable[tuple[str, tuple[str | Ref, ...]]]) -> None:
        self.fixed: dict[str, str] = {}
        self.copied: list[tuple[str, str, str]] = []  # name, and the child and feature of its reference
        self.joined: list[tuple[str, tuple[str | Ref, ...]]] = []
        for name, parts in texts:
            if len(parts) != 1:
                self.joined.append((name, parts))
            elif isinstance(parts[0], str):
                self.fixed[name] = parts[0]
            else:
                self.copied.append((name, *parts[0]))


class Child(NamedTuple):
    """`name: Symbol(key=value, ...)` of a rule's `with`."""

    name: str
    symbol: str
    constraints: tuple[tuple[str, tuple[str | Ref, ...]], ...]
    values: Values  # of the constraints


class Production:
    """One way to rewrite a symbol; see the module's docstring for its parts."""

    def __init__(self, rule: Mapping[str, Any], where: str, word: str | None = None) -> None:
        self.where, self.lexical = where, word is not None
        self.weight = float(rule.get("weight", 1))
        features = {str(k): str(v) for k, v in rule.get("features", {}).items()}
        attributes: dict[str, str] = {}
        if word is not None:
            given = {**rule.get("all", {}), **(rule["words"][word] or {}), "lemma": word}
            attributes = {str(k): _fill(str(v), given, where) for k, v in given.items()}
            self.weight *= float(given.get("weight", 1))
        self.children = [
            _child(str(name), _fill(str(text), attributes, where), where)
            for name, text in rule.get("with", {}).items()
        ]
        names = {child.name for child in self.children}
        self.when = attributes | {str(k): str(v) for k, v in rule.get("when", {}).items()}
        self.features = {k: _refs(v) for k, v in (attributes | features).items()}
        self.values = Values(self.features.items())
        self.combinations = [_refs(str(text)) for text in rule.get("combinations", [])]
        self.fields = [
            [
                Field(_pattern(key), _template(text, names, attributes, where))
                for key, text in _table(rule, side, where)
            ]
            for side in ("source", "target")
        ]
        self.height = math.inf  # of the lowest tree; Grammar computes it
        self._found: dict[tuple[int, Path_], tuple[dict[str, str], tuple[str | Slot, ...]]] = {}

    def field(self, side: int, path: Path_) -> tuple[dict[str, str], tuple[str | Slot, ...]]:
        """The variables that the path binds, and the template; ValueError without such a field."""
        if (side, path) not in self._found:
            for field in self.fields[side]:
                if field.fits(path):
                    names = zip(field.pattern or (), path, strict=False)
                    bound = {want.feature: name for want, name in names if isinstance(want, Ref)}
                    self._found[side, path] = bound, field.parts
                    break
            else:
                raise ValueError(
                    f"{self.where}: no {('source', 'target')[side]} field {'.'.join(path)!r}; add it"
                )
        return self._found[side, path]

    def allows(self, constraints: Mapping[str, str]) -> bool:
        """Whether every constraint shares a value with ours; a word must have the attribute."""
        for key, value in constraints.items():
            mine = self.when.get(key)
            if mine is None:
                if self.lexical:
                    return False
            elif not set(mine.split("|")) & set(value.split("|")):
                return False
        return True


def read_productions(where: str, alternatives: Any) -> Iterable[Production]:
    """The productions of one symbol, given its list of rules."""
    if not isinstance(alternatives, list) or not alternatives:
        raise ValueError(f"{where}: needs a list of rules, not {alternatives!r}")
    for number, rule in enumerate(alternatives, 1):
        place = f"{where}, rule {number}"
        _check_rule(rule, place)
        try:
            if "words" not in rule:
                yield Production(rule, place)
            for word in rule.get("words", ()):
                yield Production(rule, f"{place}, word {word}", word)
        except RecursionError:
            raise ValueError(f"{place}: an attribute mentions itself; write it out") from None


def _check_rule(rule: Any, where: str) -> None:
    """ValueError for YAML that is not a rule; its texts are parsed later."""
    if not isinstance(rule, dict):
        raise ValueError(f"{where}: needs keys such as source and target, not {rule!r}")
    if unknown := set(rule) - RULE_KEYS:
        raise ValueError(f"{where}: unknown key {sorted(map(str, unknown))}; use {sorted(RULE_KEYS)}")
    for key in ("when", "with", "words", "all", "features"):
        if not isinstance(rule.get(key, {}), dict):
            raise ValueError(f"{where}: {key} needs names with values, not {rule[key]!r}")
    for word, given in rule.get("words", {}).items():
        if not isinstance(given, dict | None):
            raise ValueError(f"{where}, word {word}: needs attributes or nothing, not {given!r}")
        if empty := [name for name, value in (given or {}).items() if value is None]:
            raise ValueError(f"{where}, word {word}: {empty[0]} is empty; '' is no text")
    if not isinstance(rule.get("combinations", []), list):
        raise ValueError(f"{where}: combinations needs a list, not {rule['combinations']!r}")
    for holder in (rule, rule.get("all", {}), *filter(None, rule.get("words", {}).values())):
        weight = holder.get("weight", 1)
        if not isinstance(weight, int | float) or not 0 < weight < 1e300:
            raise ValueError(f"{where}: weight needs a number above 0, not {weight!r}")
    for side in ("source", "target"):
        texts = rule.get(side, "")
        for text in texts.values() if isinstance(texts, dict) else [texts]:
            if text is None or isinstance(text, list | dict):
                raise ValueError(f"{where}: {side} needs templates ('' for no text), not {text!r}")


def read_spelling(file: str, sides: Any) -> list[list[tuple[re.Pattern[str], str]]]:
    """For source and target the pairs of a pattern and its replacement, in order."""
    sides = sides if isinstance(sides, dict) else {"": sides}
    if unknown := set(sides) - {"source", "target"}:
        raise ValueError(f"{file}: spelling is of source and target, not of {sorted(map(str, unknown))}")
    read: list[list[tuple[re.Pattern[str], str]]] = []
    for side in ("source", "target"):
        read.append([])
        for pair in sides.get(side) or []:
            try:
                if not isinstance(pair, list):
                    raise TypeError("no pair")
                pattern, text = pair
                re.sub(pattern, text, "")  # fails for an invalid pattern or replacement
            except (re.error, TypeError, ValueError, IndexError) as error:
                problem = f"spelling needs pairs of a regular expression and a text, not {pair!r} ({error})"
                raise ValueError(f"{file}: {problem}") from None
            read[-1].append((re.compile(pattern), text))
    return read


def _table(rule: Mapping[str, Any], side: str, where: str) -> list[tuple[str | None, str]]:
    """The (field, template) lines of one side of a rule; field None where one answers for all."""
    if side not in rule:
        raise ValueError(f"{where}: no {side}; give a template or a table of them")
    if isinstance(rule[side], dict):
        return [(str(key), str(text)) for key, text in rule[side].items()]
    return [(None, str(rule[side]))]


def _pattern(key: str | None) -> tuple[Ref | Path_, ...] | None:
    """`nom|acc.<gender>` -> (("nom", "acc"), Ref("", "gender"))."""
    if key is None:
        return None
    return tuple(
        Ref("", name[1:-1]) if name.startswith("<") else tuple(name.split("|")) for name in key.split(".")
    )


def _refs(text: str) -> tuple[str | Ref, ...]:
    """`<v.lemma> x` -> (Ref("v", "lemma"), " x")."""
    parts: list[str | Ref] = []
    for index, part in enumerate(re.split(r"<([^<>]*)>", text)):
        if index % 2:
            child, _, feature = part.rpartition(".")
            parts.append(Ref(child, feature))
        elif part:
            parts.append(part)
    return tuple(parts)


def _child(name: str, text: str, where: str) -> Child:
    """`NP(class=<v.object>, number=sg|pl)` as a Child."""
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", text)
    if match is None:
        raise ValueError(f"{where}: {name}: {text!r} is not like `NP` or `NP(number=sg, class)`")
    pairs = [pair.strip().partition("=") for pair in match[2].split(",")] if match[2] else []
    constraints = tuple((key, _refs(value if equals else f"<{key}>")) for key, equals, value in pairs)
    return Child(name, match[1], constraints, Values(constraints))


def _template(
    text: str, names: set[str], attributes: Mapping[str, str], where: str
) -> tuple[str | Slot, ...]:
    """`the {n.<case>}` -> ("the ", Slot("n", (Ref("", "case"),))); attributes are filled in."""
    text = re.sub(
        r"\{(\w+)(:-\d+)?\}", lambda m: m[0] if m[1] in names else _fill(m[0], attributes, where), text
    )
    parts: list[str | Slot] = []
    for index, part in enumerate(re.split(r"\{([^{}]*)\}", text)):
        if index % 2:
            child, *path = re.split(r"\.(?![^<]*>)", part)
            if child not in names:
                raise ValueError(f"{where}: {{{part}}} is no child or attribute; add it or correct it")
            steps = [ref for name in path for ref in _refs(name)]
            fixed = tuple(step for step in steps if isinstance(step, str))
            parts.append(Slot(child, tuple(steps), fixed if len(fixed) == len(steps) else None))
        elif part:
            parts.append(part)
    return tuple(parts)


def _fill(text: str, attributes: Mapping[str, Any], where: str) -> str:
    """Replaces `{attribute}` and `{attribute:-2}` (less its last two letters) by their text."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in attributes:
            raise ValueError(f"{where}: {match[0]} is no child or attribute; add it or correct it")
        whole = _fill(str(attributes[match[1]]), attributes, where)
        return whole[: int(match[2][1:])] if match[2] else whole

    return re.sub(r"\{(\w+)(:-\d+)?\}", value, text)
