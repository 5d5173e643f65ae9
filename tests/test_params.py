"""params.yaml: strict, whole, rewritten in place; recipes set the same keys."""

import re
from pathlib import Path

import pytest

from seq2seq import params
from seq2seq.params import ParamsError

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text("utf-8"), "utf-8")
    return path


def edit(file: Path, before: str, after: str) -> None:
    """Replace what a regular expression finds: the tuned values themselves are nobody's test."""
    text, found = re.subn(before, after, file.read_text("utf-8"), count=1)
    assert found
    file.write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("  beam:", "  beem:", r"evaluate.beem: unknown key \(did you mean beam\?\)"),
        (
            r"  beam: \d+",
            "  beam: four",
            "evaluate.beam: 'four' is not allowed, it should be a valid int",
        ),
        (
            r"  beam: \d+",
            "  beam: 0",
            "evaluate.beam: 0 is not allowed, it should be greater than or equal to 1",
        ),
        (r"  beam: \d+", "  beam: 4.0", "evaluate.beam: 4.0 is not allowed"),
        (r"  beam: \d+.*\n", "", "evaluate.beam: missing"),
        ("attention: [a-z]+", "attention: off", "'off' is not allowed, only 'additive', 'dot'"),
        ("dropout: [0-9.]+", "dropout: 1.0", "train.dropout: 1.0 is not allowed, it should be less than 1"),
        ("register:", "registry:", "registry: unknown key"),
        ("train_size: [0-9]+", "train_size: yes", "ingest.train_size: 'yes' is not allowed"),
        ("tie_embeddings: true", "tie_embeddings: 1", "train.tie_embeddings: 1 is not allowed"),
        ("ingest:\n", "ingest: [\n", "not valid YAML"),
        (r"sets: \[\]", "sets: [digests]", "'digests' is not allowed, the name is taken"),
        ("patience: [0-9]+", "patience: 199", "train.patience: 199 is below train.validate_every, 200"),
    ],
)
def test_a_wrong_file_is_refused_with_key_value_and_what_is_allowed(file, before, after, message):
    edit(file, before, after)
    with pytest.raises(ParamsError, match=message):
        params.load(file)


@pytest.mark.parametrize("key", ["path", "evaluation_folder"])
@pytest.mark.parametrize(
    "place",
    ["data/raw/mine.tsv", "model", "./reports/x/../mine.tsv", ".checkpoints/mine", "data", ".", "link/a"],
)
def test_a_corpus_among_the_outputs_is_refused_before_anything_is_written(
    file, tmp_path, monkeypatch, key, place
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to("model")
    before = file.read_bytes()
    with pytest.raises(ParamsError, match=rf"ingest.{key}: .* is not allowed, it lies in .*or holds it"):
        params.apply(None, [f"ingest.{key}={place}"], file)
    assert file.read_bytes() == before
    params.apply(None, [f"ingest.{key}=data/mine.tsv"], file)  # beside them it is safe


def test_every_problem_is_named_at_once(file):
    edit(file, r"  beam: \d+", "  beam: -1")
    edit(file, "dropout: [0-9.]+", "dropout: much")
    with pytest.raises(ParamsError) as error:
        params.load(file)
    assert "evaluate.beam" in str(error.value)
    assert "train.dropout" in str(error.value)


def test_a_missing_or_empty_file_is_named(tmp_path):
    with pytest.raises(ParamsError, match=r"missing: run from the project's root"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(ParamsError, match="no sections"):
        params.load(tmp_path / "params.yaml")


def test_numbers_are_read_as_dvc_reads_them(file):
    edit(file, "learning_rate: [0-9.]+", "learning_rate: 1e-3")
    assert params.load(file).train.learning_rate == 0.001


def test_set_changes_only_its_key_and_keeps_comments(file):
    before = file.read_text("utf-8").splitlines()
    changes = params.apply(None, ["train.seed=7", "clean.source_script=Latin"], file)
    assert changes == [("train.seed", 1, 7), ("clean.source_script", None, "Latin")]
    after = file.read_text("utf-8").splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert len(changed) == 2
    assert all("#" not in a or a.split("#")[1] == b.split("#")[1] for a, b in changed)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.sed=1", r"no key train.sed \(did you mean train.seed\?\)"),
        ("trian.seed=1", "no key trian.seed"),
        ("train.seed", "write section.key=value"),
        ("seed=1", "write section.key=value"),
        ("train.seed=[", "not a YAML value"),
        ("ingest.path=", "ingest.path: None is not allowed"),
        ("train.dropout=2", "train.dropout: 2 is not allowed"),
        ("promote.significance=0.0049", "promote.significance: 0.0049 is not allowed"),
        ("evaluate.length_bins=41", "evaluate.length_bins: 41 is not allowed"),
    ],
)
def test_a_wrong_override_is_refused_and_writes_nothing(file, override, message):
    before = file.read_bytes()
    with pytest.raises(ParamsError, match=message):
        params.apply(None, ["train.seed=9", override], file)
    assert file.read_bytes() == before


def test_an_override_of_a_section_that_holds_nothing_is_refused(file):
    file.write_text(file.read_text() + "emptied:\n")
    with pytest.raises(ParamsError, match=r"no key emptied\.seed"):
        params.apply(None, ["emptied.seed=9"], file)


def test_an_own_corpus_gets_a_model_name_of_its_own(file):
    params.apply(None, ["ingest.path=corpora/My corpus v2.tsv.gz"], file)
    assert params.load(file).register.name == "My-corpus-v2"
    params.apply(None, ["ingest.source_column=1", "ingest.target_column=0"], file)
    assert params.load(file).register.name == "My-corpus-v2-1-0"  # the other direction is another model
    names = set()
    for path in ("корпус.tsv", "данные.tsv", "й.tsv", "\u0438\u0306.tsv"):
        params.apply(None, [f"ingest.path={path}"], file)
        names.add(params.load(file).register.name)
    assert len(names) == 3
    assert all(re.fullmatch("corpus-[0-9a-f]{8}", name) for name in names), names
    params.apply(None, ["ingest.path=x.tsv", "register.name=kept"], file)
    assert params.load(file).register.name == "kept"


def test_an_unknown_recipe_names_those_there_are():
    with pytest.raises(ParamsError, match=r"did you mean multi30k\?\); there are: grammar"):
        params.recipe_path("multi30", ROOT / "recipes")


def keys(path: Path) -> set[tuple[str, str]]:
    return {(s, k) for s, section in params._read(path).items() for k in section}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_sets_every_key_and_is_valid(recipe, file):
    assert keys(recipe) == keys(ROOT / "params.yaml")
    params.apply(recipe, (), file)
    params.load(file)


def test_using_one_recipe_after_another_leaves_nothing_of_the_first(file):
    shipped = file.read_text("utf-8").split()  # the space before a comment may differ
    for recipe in RECIPES:
        params.apply(recipe, (), file)
    params.apply(ROOT / "recipes/grammar.yaml", (), file)
    assert file.read_text("utf-8").split() == shipped


def test_the_shipped_params_are_the_grammar_recipe(file):
    assert params.apply(ROOT / "recipes/grammar.yaml", (), file) == []
