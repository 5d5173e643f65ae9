"""Suites of checks on what a translator does: numbers survive, names are copied, nothing is said twice.

Why: a model whose BLEU has risen may have lost something that no average shows. A suite is data, a YAML
file: which checks, and what share of the cases of each has to pass. All its sources are translated at
once, by whatever translates; here they are made, and the translations judged.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from pydantic import ValidationError, field_validator, model_validator
from ruamel.yaml.error import YAMLError

from seq2seq.common.errors import UserError
from seq2seq.common.params import Seed, round_trip_yaml
from seq2seq.data.corpus import Pair
from seq2seq.gate.checks import AnyCheck, Case, Check, Strict

OWN = "cases"  # what the check of the team's own sentences is called
FAILURES = 5  # shown of a check


class Failure(TypedDict):
    """A case that did not pass, for people to read."""

    source: str
    translation: str
    why: str


class Result(TypedDict):
    """How a check went; `ok`, whether the floor is held, is None where there are too few cases.

    Beside a champion: the sentences of which this model fails more cases than that one are `lost`, the
    other way round `gained` (most checks make one case of a sentence), and p says how often chance alone
    parts them as unevenly (exact sign test, both ways).
    """

    check: str
    cases: int
    passed: int
    share: float | None
    threshold: float
    ok: bool | None
    failures: list[Failure]
    champion_share: float | None
    lost: int | None
    gained: int | None
    p: float | None


class Expected(Strict):
    """A sentence of the team's own, and one thing that is asked of its translation."""

    source: str
    equals: str | None = None
    contains: str | None = None
    matches: str | None = None  # a regular expression, anywhere in it

    @field_validator("matches")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"should be a regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _one_thing(self) -> Expected:
        if [self.equals, self.contains, self.matches].count(None) != 2:
            raise ValueError("should have one of equals, contains, matches")
        return self

    def fault(self, translation: str) -> str:
        """Why a translation does not pass; empty if it does."""
        if self.equals is not None:
            return "" if translation == self.equals else f"it should be {self.equals!r}"
        if self.contains is not None:
            return "" if self.contains in translation else f"it should contain {self.contains!r}"
        return "" if re.search(str(self.matches), translation) else f"it should match {self.matches!r}"


class Own(Check):
    """The team's own sentences become what they should."""

    sentences: list[Expected]

    def _find(self, pairs: Sequence[Pair], rng: random.Random) -> Iterator[Case]:
        yield from map(Case, dict.fromkeys(sentence.source for sentence in self.sentences))

    def _fault(self, case: Case, said: Mapping[str, str]) -> str:
        asked = (sentence for sentence in self.sentences if sentence.source == case.source)
        return "; ".join(filter(None, (sentence.fault(said[case.source]) for sentence in asked)))


class Suite(Strict):
    """Checks with cases from an evaluation set, and sentences of the team's own, which must all pass."""

    seed: Seed  # of what is drawn and changed
    checks: list[AnyCheck]
    cases: list[Expected]

    @field_validator("checks")
    @classmethod
    def _each_once(cls, value: list[AnyCheck]) -> list[AnyCheck]:
        names = [check.check for check in value]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"names {twice} twice: a verdict knows a check by its name")
        return value

    def on(self, pairs: Sequence[Pair]) -> Trial:
        """The suite with the cases that an evaluation set gives it: always the same."""
        size = max(len(self.cases), 1)
        own = Own(check=OWN, threshold=1.0, most=size, fewest=1, sentences=self.cases)
        checks: list[Check] = [*self.checks, *([own] if self.cases else [])]
        return Trial([(c, c.cases(pairs, random.Random(f"{self.seed} {c.check}"))) for c in checks])


class Trial(NamedTuple):
    """The checks of a suite, each with its cases."""

    asked: list[tuple[Check, list[Case]]]

    def sources(self) -> list[str]:
        """What has to be translated, each source once."""
        wanted = (text for _, cases in self.asked for case in cases for text in sorted(case.sources))
        return list(dict.fromkeys(wanted))

    def judge(self, said: Mapping[str, str], champion: Mapping[str, str] | None) -> list[Result]:
        """How each check goes by the translations of `sources`; one that is missing fails its cases."""
        return [_result(check, cases, said, champion) for check, cases in self.asked]


def load(path: Path) -> Suite:
    """Read a suite; raises UserError that names file, key, value and what is allowed."""
    try:
        document = round_trip_yaml().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: promote.behaviour names a suite, or null for none") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    try:
        return Suite.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(_explain(e) for e in error.errors())
        raise UserError(f"{path} cannot be used: {problems}") from None


def sign_test(lost: int, gained: int) -> float:
    """How often a fair coin, thrown so many times, parts as unevenly as this or more (two-sided)."""
    throws, fewer = lost + gained, min(lost, gained)
    return float(min(1.0, sum(comb(throws, k) for k in range(fewer + 1)) / 2 ** (throws - 1)))


def _result(
    check: Check, cases: Sequence[Case], said: Mapping[str, str], champion: Mapping[str, str] | None
) -> Result:
    faults = [check.fault(case, said) for case in cases]
    units = _by_unit(cases, faults)
    passed = faults.count("")
    result = Result(
        check=check.check,
        cases=len(cases),
        passed=passed,
        share=_share(faults),
        threshold=check.threshold,
        ok=passed / len(cases) >= check.threshold if len(units) >= check.fewest else None,
        failures=[
            Failure(source=case.source, translation=said.get(case.source, ""), why=why)
            for case, why in zip(cases, faults, strict=True)
            if why
        ][:FAILURES],
        champion_share=None,
        lost=None,
        gained=None,
        p=None,
    )
    if champion is not None:
        theirs = [check.fault(case, champion) for case in cases]
        before = _by_unit(cases, theirs)
        lost = sum(units[unit] > before[unit] for unit in units)
        gained = sum(units[unit] < before[unit] for unit in units)
        p = sign_test(lost, gained)
        result |= {"champion_share": _share(theirs), "lost": lost, "gained": gained, "p": p}
    return result


def _by_unit(cases: Sequence[Case], faults: Sequence[str]) -> dict[str, int]:
    """How many cases fail of each sentence that they come from."""
    failed = dict.fromkeys((case.unit for case in cases), 0)
    for case, fault in zip(cases, faults, strict=True):
        failed[case.unit] += bool(fault)
    return failed


def _share(faults: Sequence[str]) -> float | None:
    return round(faults.count("") / len(faults), 4) if faults else None


def _explain(error: Any) -> str:
    """One line for one pydantic error: where, what is there, what is allowed."""
    where = ""
    for part in error["loc"]:
        where += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    where, what = where.lstrip(".") or "the file", error["input"]
    match error["type"]:
        case "extra_forbidden":
            return f"{where}: unknown key"
        case "missing":
            return f"{where}: missing"
        case "union_tag_invalid":
            return f"{where}: no check {error['ctx']['tag']!r}; there are: {error['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return f"{where}: has no key `check`"
        case "value_error":
            return f"{where}: {error['ctx']['error']}"
        case _:
            return f"{where}: {what!r} is not allowed, it {error['msg'].removeprefix('Input ')}"
