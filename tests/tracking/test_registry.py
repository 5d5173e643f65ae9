"""Versions, tags, aliases, and the files behind a name; also through a real server on loopback."""

import shutil
from pathlib import Path

import pytest

from seq2seq.commands import translate
from seq2seq.common import paths, recipes
from seq2seq.common.errors import UserError
from seq2seq.tracking import client, promotions, registry
from tests.support.projects import ROOT
from tests.support.registered import register


def test_a_version_is_found_by_its_tags_the_newest_first(project):
    first = register(project, "a", model_digest="1", decoding='{"beam": 4}')
    second = register(project, "a", model_digest="1", decoding='{"beam": 5}')
    register(project, "b", model_digest="1")
    assert (first.version, second.version) == ("1", "2")
    assert registry.find_version("a", model_digest="1") == second
    assert registry.find_version("a", model_digest="1", decoding='{"beam": 4}') == first
    assert registry.find_version("a", model_digest="2") is None
    assert registry.find_version("c", model_digest="1") is None
    assert registry.get_version("a", "2") == second
    assert registry.get_version("a", "3") is None
    assert second.uri == "models:/a/2"


def test_an_alias_moves_and_tags_are_added(project):
    first, second = register(project, "a", bleu="1"), register(project, "a", bleu="2")
    assert registry.version_by_alias("a", "champion") is None
    assert registry.version_by_alias("b", "champion") is None
    for version in (first, second):
        registry.set_alias("a", "champion", version.version)
        assert registry.version_by_alias("a", "champion") == version
    registry.tag_version("a", "2", {"promotion.verdict": "promoted"})
    assert registry.get_version("a", "2").tags == {"bleu": "2", "promotion.verdict": "promoted"}


def test_an_alias_moved_by_another_process_is_an_error(project, monkeypatch):
    first = register(project, "a")
    monkeypatch.setattr(registry, "version_by_alias", lambda name, alias: None)
    with pytest.raises(UserError, match=r"a@champion was set to version 1, but is None"):
        registry.set_alias("a", "champion", first.version)


def test_the_direct_query_finds_the_same_files_as_mlflow(project):
    register(project, "a")
    register(project, "a")
    registry.set_alias("a", "champion", "1")
    for alias, number in (("champion", None), (None, "1"), (None, "2")):
        short, tags = registry._beside_the_project("a", alias, number)
        assert (short, tags) == registry._through_mlflow("models:/a", "a", alias, number)
        assert (short / "note").read_text() == "a"
    assert registry.download_model("models:/a@champion") == registry.download_model("models:/a/1")
    client.connect().delete_model_version("a", "2")
    assert registry._beside_the_project("a", None, "2") is None
    with pytest.raises(UserError, match=r"a/2 does not exist: the versions of a are: 1 \(champion\)$"):
        registry.download_model("models:/a/2")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models:/grammer@champion", r"no such model \(did you mean grammar\?\); there are: grammar"),
        ("models:/grammar@best", r"does not exist: the versions of grammar are: 1 \(champion\), 2 \(kept\)$"),
        ("models:/grammar/9", r"does not exist: the versions of grammar are: 1 \(champion\), 2 \(kept\)$"),
        ("models:/grammar", r"write models:/NAME@ALIAS or models:/NAME/VERSION"),
    ],
)
def test_a_wrong_name_lists_the_alternatives(project, name, message):
    register(project, "grammar")
    register(project, "grammar", **{registry.VERDICT: "kept"})
    registry.set_alias("grammar", "champion", "1")
    with pytest.raises(UserError, match=message):
        registry.download_model(name)


def test_without_a_champion_the_error_names_the_model_folder(project):
    register(project, "m", **{registry.VERDICT: "rejected"})
    registry.set_alias("m", "challenger", "1")
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    recipes.apply(None, ["register.name=m"])
    message = r"models:/m@champion does not exist: the versions of m are: 1 \(challenger, rejected\)"
    with pytest.raises(UserError, match=f"{message}$"):
        translate.model_folder(None)
    Path("model").mkdir()
    with pytest.raises(UserError, match=f"{message}; `--model model` translates with the model trained here"):
        translate.model_folder(None)


def test_missing_files_are_an_error(project):
    register(project, "a")
    shutil.rmtree(project / "mlruns")
    with pytest.raises(UserError, match=r"models:/a/1: its files are missing in .*mlruns"):
        registry.download_model("models:/a/1")


def test_reading_creates_no_registry(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no model is registered yet, .*mlflow\.db does not exist"):
        registry.download_model("models:/a@champion")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_files_of_a_server_are_downloaded_once(server, project, monkeypatch):
    version = register(project, "a", model_digest="1")
    registry.set_alias("a", "champion", version.version)
    assert registry.find_version("a", model_digest="1") == version
    folder = registry.download_model("models:/a@champion")
    assert folder.parts[:2] == registry.DOWNLOADS.parts
    assert (folder / "note").read_text() == "a"
    assert [path.name for path in registry.DOWNLOADS.iterdir()] == [folder.name]

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", None)  # would fail if it were called
    assert registry.download_model("models:/a/1") == folder
    with pytest.raises(UserError, match=r"no such model; there are: a$"):
        registry.download_model("models:/nothing@champion")


@pytest.mark.slow
def test_a_server_keeps_the_log_and_the_files_of_verdicts(server, project, tmp_path):
    first, second = register(project, "a"), register(project, "a")
    for number, (outcome, version) in enumerate(
        [("promoted", first), ("rejected", second), ("forced", second)]
    ):
        champion = "1" if number else None
        entry = promotions.Entry("a", outcome, champion, version.version, "why", *promotions.now_and_here())
        promotions.apply(entry, {"what": outcome})
    done = [(e.outcome, e.champion, e.version, e.state) for e in promotions.entries("a")]
    assert done == [
        ("forced", "1", "2", "done"),
        ("rejected", "1", "2", "done"),
        ("promoted", None, "1", "done"),
    ]
    assert registry.version_by_alias("a", registry.PREVIOUS).version == "1"
    (project / "verdict.json").write_text("{}")
    promotions.publish(second, [project / "verdict.json", project / "nothing.html"], "today")
    assert registry.get_version("a", "2").tags[promotions.PUBLISHED] == "today"
    (project / "back").mkdir()
    promotions.restore_files(second, project / "back")
    assert [path.name for path in (project / "back").iterdir()] == ["verdict.json"]
    promotions.restore_files(first, project / "back")  # nothing was published for it


@pytest.mark.slow
def test_a_version_and_the_model_of_a_champion_show_the_card(project):
    first, second = register(project, "a"), register(project, "a")

    def card(text: str, version: registry.Version) -> None:
        paths.CARD.parent.mkdir(exist_ok=True)
        paths.CARD.write_text(f"---\nlicense: mit\n---\n\n# {text}\n")
        promotions.publish(version, [paths.CARD], "today")

    def shown() -> list[str]:
        versions = [client.connect().get_model_version("a", number).description for number in "12"]
        return [client.connect().get_registered_model("a").description, *versions]

    def move(outcome: str, champion: str | None, version: str) -> None:
        entry = promotions.Entry("a", outcome, champion, version, "why", *promotions.now_and_here())
        promotions.apply(entry, {})

    card("first", first)
    assert shown()[:2] == ["# first", "# first"]  # there is no champion yet
    move("promoted", None, "1")
    card("second", second)
    assert shown() == ["# first", "# first", "# second"]
    move("promoted", "1", "2")
    assert shown()[0] == "# second"
    move(promotions.ROLLED_BACK, "2", "1")
    assert shown()[0] == "# first"


def test_a_long_card_names_the_place_of_the_whole(project):
    version = register(project, "a")
    paths.CARD.parent.mkdir()
    paths.CARD.write_text("# a card\n" + "a line of the card\n" * 1000)
    promotions.publish(version, [paths.CARD], "today")
    text = client.connect().get_model_version("a", "1").description
    assert len(text) < 5000
    assert text.endswith(
        f"a line of the card\n\nThe whole card: promotion/a-1/card.md of run {version.run_id}"
    )
