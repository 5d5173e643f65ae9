"""Filters of OpusFilter by name, with a small package of its form in its place."""

import sys
import types

import pytest

from seq2seq.common import params
from seq2seq.common.errors import UserError
from seq2seq.data import filters, opus
from tests.support.projects import ROOT

CLEAN = params.load(ROOT / "params.yaml").clean.model_copy(update={"typical_length_ratio": 1.0})


class FilterABC:
    def __init__(self, name=None, workdir="", **kwargs):
        self.kwargs = kwargs


class WordsFilter(FilterABC):
    def __init__(self, most=3, **kwargs):
        if most < 1:
            raise ValueError("most is at least 1")
        self.most = most
        super().__init__(**kwargs)

    def score(self, pairs):
        for pair in pairs:
            yield max(len(side.split()) for side in pair)

    def accept(self, score):
        return score <= self.most


class LetterFilter(WordsFilter):
    def score(self, pairs):
        for pair in pairs:
            yield max(map(len, pair))


@pytest.fixture
def package(monkeypatch):
    package, module = types.ModuleType("opusfilter"), types.ModuleType("opusfilter.filters")
    vars(package).update(FilterABC=FilterABC, filters=module, __path__=[])
    vars(module).update(FilterABC=FilterABC, WordsFilter=WordsFilter, LetterFilter=LetterFilter)
    monkeypatch.setitem(sys.modules, "opusfilter", package)
    monkeypatch.setitem(sys.modules, "opusfilter.filters", module)


def made(*wanted):
    return filters.Filters(CLEAN.model_copy(update={"opusfilter": list(wanted)}))


def test_a_pair_is_dropped_by_the_first_filter_that_rejects_it(package):
    chosen = made({"WordsFilter": {"most": 4}}, {"LetterFilter": {"most": 31}})
    assert chosen.reason("der Hund schläft", "the dog sleeps") is None
    assert chosen.reason("der Hund schläft hier nicht", "the dog sleeps") == "opusfilter"
    assert chosen.reason("der Hundehüttendachdeckermeister", "the roofer of dog houses") == "opusfilter"
    assert made({"WordsFilter": None}).reason("ein Hund schläft nicht", "no dog sleeps") == "opusfilter"
    assert made().reason("ein Hund schläft nicht", "no dog sleeps") is None
    assert opus.REASON in filters.NAMES
    assert opus.REASON in filters.REMEDIES


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (
            {"WordFilter": {}},
            r"no filter 'WordFilter' \(did you mean WordsFilter\?\); there are: Letter",
        ),
        ({"FilterABC": {}}, "no filter 'FilterABC'"),
        ({"WordsFilter": {"least": 2}}, "WordsFilter has no option 'least'; it has: most, name, workdir"),
        ({"WordsFilter": {"most": 0}}, "WordsFilter cannot be used with {'most': 0}: most is at least 1"),
    ],
)
def test_a_wrong_name_or_option_is_refused_with_those_that_exist(package, wanted, message):
    with pytest.raises(UserError, match=f"clean.opusfilter: {message}"):
        made(wanted)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "opusfilter", None)
    with pytest.raises(
        UserError, match=r"WordsFilter needs the package opusfilter: `pip install .*opusfilter\]'`"
    ):
        made({"WordsFilter": {}})


def test_the_package_itself_where_it_is_installed():
    pytest.importorskip("opusfilter")
    chosen = made(
        {"RepetitionFilter": {"threshold": 2}}, {"LengthRatioFilter": {"unit": "char", "threshold": 3}}
    )
    assert chosen.reason("Der Hund schläft.", "The dog sleeps.") is None
    assert chosen.reason("Der Hund schläft.", "The dog dog dog dog sleeps.") == "opusfilter"
    with pytest.raises(UserError, match="no filter 'RepetitionsFilter'"):
        made({"RepetitionsFilter": {}})
