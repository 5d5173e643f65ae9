"""mix: the corpus is made of the sources that are named now, whatever lies in data/raw."""

import json
import shutil
from pathlib import Path

import pytest

from seq2seq.common import paths
from seq2seq.common.errors import UserError
from seq2seq.data import direction, manifest
from seq2seq.data.corpus import Pair, write_split
from seq2seq.ingest import ingest
from seq2seq.mix import mix
from tests.support.projects import ROOT
from tests.support.sources import ingested, with_source

LOCAL = ROOT / "recipes/local.yaml"


@pytest.fixture(autouse=True)
def _workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, count in (("news", 400), ("web", 300), ("small", 3)):
        rows = [f"{name} Satz {i} steht hier\t{name} sentence {i} stands here\n" for i in range(count)]
        Path(f"{name}.tsv").write_text("".join(rows), encoding="utf-8")


def settings(*names, **keys):
    """Params with the source `corpus` (news.tsv) and others by the names of their files."""
    more = {name: {"path": f"{name}.tsv", "licence": f"L-{name}", **keys.get(name, {})} for name in names}
    return with_source(LOCAL, path="news.tsv", test_size=5, validation_size=5, more=more)


def test_sources_are_put_together_in_the_order_of_their_names(capsys):
    splits, facts = ingested(settings("web", "aaa", aaa={"path": "small.tsv", "attribution": "by Ann"}))
    mixture = manifest.read()
    assert [(entry.name, entry.rows > 0, entry.licence) for entry in mixture.sources] == [
        ("aaa", True, "L-aaa"), ("corpus", True, "unknown"), ("web", True, "L-web")
    ]  # fmt: skip
    assert splits["train"][0].source.startswith("small")
    assert splits["train"][-1].source.startswith("web")
    assert len(splits["train"]) == facts["rows"]["train"] == mixture.rows
    assert {pair.source.split()[0] for pair in splits["test"]} >= {"news", "web"}
    assert (facts["kind"], facts["path"]) == ("mixed", "aaa, corpus, web")
    assert facts["licence"] == "L-aaa, unknown, L-web"
    assert facts["attribution"] == "by Ann"
    assert "  web " in capsys.readouterr().out


def test_a_small_source_needs_no_test_split_of_its_own_but_the_mixture_does():
    splits, _ = ingested(settings("small"))
    assert len(splits["test"]) >= 5
    Path("news.tsv").write_text("a b\tc d\n")
    with pytest.raises(UserError, match="too small to make a validation split from"):
        ingested(settings())


def test_folders_of_sources_that_are_not_named_are_not_read():
    alone, _ = ingested(settings())
    ingested(settings("web"))
    write_split(paths.RAW / "stray", "train", [Pair("x", "y")])
    again, facts = ingested(settings())
    assert again == alone
    assert list(facts["sources"]) == ["corpus"]


def test_pairs_other_than_those_that_mix_found_are_refused():
    ingested(settings())
    write_split(paths.RAW / "corpus", "train", [Pair("x", "y")])
    with pytest.raises(
        UserError, match=r"data/raw/corpus/train\.parquet is missing or differs .*`dvc repro mix`"
    ):
        manifest.read().check()
    shutil.rmtree(paths.RAW)
    with pytest.raises(UserError, match=r"`dvc repro ingest@corpus` writes it"):
        mix(settings())


def test_training_pairs_alone_are_taken_from_a_source_that_is_not_held_out():
    splits, facts = ingested(settings("web", web={"held_out": False}))
    assert {pair.source.split()[0] for pair in splits["test"]} == {"news"}
    assert facts["sources"]["web"]["rows"] == {"train": 300}
    folder = Path("split")
    folder.mkdir()
    for name in ("train", "test"):
        shutil.copyfile("web.tsv", folder / f"{name}.tsv")
    _, facts = ingested(settings("web", web={"held_out": False, "path": "split"}))
    assert facts["sources"]["web"]["rows"] == {"train": 300}


def test_regions_differ_but_the_language_is_one():
    both = {"source_language": "pt-BR", "target_language": "en"}
    checked = with_source(
        LOCAL, path="news.tsv", source_language="pt-PT", target_language="en",
        more={"web": {"path": "web.tsv", "licence": "x", **both}},
    )  # fmt: skip
    ingested(checked)
    assert str(direction.read(paths.MIXED)) == "pt → en"


def test_weights_and_licences_alone_change_no_pair():
    ingested(settings("web"))
    before = {path.name: path.read_bytes() for path in paths.MIXED.glob("*.parquet")}
    other = settings("web", web={"licence": "CC0-1.0"})
    other = other.model_copy(update={"mix": other.mix.model_copy(update={"weights": {"web": 2.0}})})
    ingest(other, "web")
    mix(other)
    assert {path.name: path.read_bytes() for path in paths.MIXED.glob("*.parquet")} == before
    [_, web] = manifest.read().sources
    assert (web.weight, web.licence) == (2.0, "CC0-1.0")
    assert json.loads(paths.PROVENANCE.read_text())["sources"]["web"]["licence"] == "CC0-1.0"
    with pytest.raises(UserError, match="no source 'wob'; there are: corpus, web"):
        ingest(other, "wob")


def test_a_sentence_of_two_sources_is_in_test_once(capsys):
    Path("web.tsv").write_text(Path("news.tsv").read_text("utf-8"), "utf-8")
    splits, _ = ingested(settings("web"))
    assert len({pair.source for pair in splits["test"]}) == len(splits["test"]) == 5
    assert "mix: 5 test pairs of web are left out: an earlier source has them" in capsys.readouterr().out
    Path("split").mkdir()
    for name in ("train", "validation", "test"):
        Path(f"split/{name}.tsv").write_text("Ja\tYes\nJa\tYes\n", encoding="utf-8")
    splits, _ = ingested(with_source(LOCAL, path="split"))
    assert len(splits["test"]) == 2  # an existing split is taken whole


def test_the_kind_of_a_corpus_is_that_of_the_sources_with_evaluation_pairs():
    """A grammar's champion stays comparable when pairs without evaluation sentences are added."""

    def kind(**keys):
        checked = settings("web", web=keys)
        ingest(checked)
        manifest.write_facts("corpus", manifest.read_facts("corpus") | {"kind": "grammar"})
        mix(checked)
        return json.loads(paths.PROVENANCE.read_text(encoding="utf-8"))["kind"]

    assert kind(held_out=False) == "grammar"
    assert kind() == "mixed"
