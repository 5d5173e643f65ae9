"""params.yaml: strict, whole, rewritten in place; recipes set the same keys."""

import re
from collections import Counter
from pathlib import Path

import pytest
from ruamel.yaml.comments import CommentedMap

from seq2seq.commands import upgrades
from seq2seq.common import params, recipes, schema
from seq2seq.common.params import ParamsError
from seq2seq.data import own_corpus
from tests.support.projects import ROOT

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text("utf-8"), "utf-8")
    return path


def edit(file: Path, before: str, after: str) -> None:
    """Replace a match of a regular expression, so that tests do not depend on tuned values."""
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
        (
            "train_size: [0-9]+",
            "train_size: yes",
            "ingest.sources.grammar.train_size: 'yes' is not allowed",
        ),
        (r"      licence: .*\n", "", "ingest.sources.grammar.licence: missing, write unknown if it is"),
        ("licence:", "license:", r"grammar.license: unknown key \(did you mean licence\?\)"),
        (r"path: \S+", "role: evaluation\n      path: x", "one at least has role: train and held_out: true"),
        ("weights: {}", "weights: {web: 2.0}", "mix.weights: no source to train on is 'web'; there are: gra"),
        ("weights: {}", "weights: {grammar: 0.0}", "mix.weights.grammar: 0.0 is not allowed"),
        ("tie_embeddings: true", "tie_embeddings: 1", "train.tie_embeddings: 1 is not allowed"),
        ("ingest:\n", "ingest: [\n", "not valid YAML"),
        (
            "    grammar:",
            "    digests:\n      role: evaluation",
            "ingest.sources.digests: the name is in use",
        ),
        ("patience: [0-9]+", "patience: 199", "train.patience: 199 is below train.validate_every, 340"),
    ],
)
def test_a_wrong_file_is_refused_with_key_value_and_allowed_values(file, before, after, message):
    edit(file, before, after)
    with pytest.raises(ParamsError, match=message):
        params.load(file)


def only(file: Path) -> schema.Source:
    """The only source of a file."""
    [source] = params.load(file).ingest.sources.values()
    return source


@pytest.mark.parametrize(
    "place",
    ["data/raw/mine.tsv", "model", "./reports/x/../mine.tsv", ".checkpoints/mine", "data", ".", "link/a"],
)
def test_a_corpus_among_the_outputs_is_refused_before_anything_is_written(file, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to("model")
    before = file.read_bytes()
    with pytest.raises(ParamsError, match=r"ingest.*path: .* is not allowed, it is in .*or contains it"):
        recipes.apply(None, [f"ingest.path={place}"], file)
    assert file.read_bytes() == before


def test_a_corpus_beside_the_outputs_is_accepted(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipes.apply(None, ["ingest.path=data/mine.tsv"], file)
    assert only(file).path == "data/mine.tsv"


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
    changes = recipes.apply(None, ["train.seed=7", "clean.source_script=Latin"], file)
    assert changes == [("clean.source_script", None, "Latin"), ("train.seed", 1, 7)]
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
        ("ingest.path=", "ingest.sources.grammar.path: '' is not allowed"),
        ("train.dropout=2", "train.dropout: 2 is not allowed"),
        ("promote.significance=0.0049", "promote.significance: 0.0049 is not allowed"),
        ("evaluate.length_bins=41", "evaluate.length_bins: 41 is not allowed"),
    ],
)
def test_a_wrong_override_is_refused_and_writes_nothing(file, override, message):
    before = file.read_bytes()
    with pytest.raises(ParamsError, match=message):
        recipes.apply(None, ["train.seed=9", override], file)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ('ingest.path="a #2.tsv"', "path", "a #2.tsv"),
        ("ingest.path='it''s'", "path", "it's"),
        ("ingest.source_column=2", "source_column", 2),
        ("ingest.source_column='2'", "source_column", "2"),
        ("ingest.source_column=1e3", "source_column", "1e3"),
        ("ingest.source_column=Text #1", "source_column", "Text #1"),
        ("ingest.train_size=null", "train_size", None),
        ("ingest.train_size=1_000", "train_size", 1000),
    ],
)
def test_other_values_are_yaml(file, override, key, value):
    recipes.apply(None, [override], file)
    assert getattr(only(file), key) == value


def test_text_or_null(file):
    for given, value in [("null", None), ("Latin", "Latin"), ("", None), ("~", None)]:
        recipes.apply(None, [f"clean.source_script={given}"], file)
        assert params.load(file).clean.source_script == value


def test_an_override_of_an_empty_section_is_refused(file):
    file.write_text(file.read_text() + "emptied:\n")
    with pytest.raises(ParamsError, match=r"no key emptied\.seed"):
        recipes.apply(None, ["emptied.seed=9"], file)


def use(file: Path, *overrides: str, recipe: Path | None = None) -> dict[str, object]:
    """Run `seq2seq use`; returns the changed values by key."""
    return {key: after for key, _, after in recipes.apply(recipe, overrides, file, own_corpus.complete)}


def test_an_own_corpus_gets_a_model_name_of_its_own(file):
    use(file, "ingest.path=corpora/My corpus v2.tsv.gz", "ingest.source_column=0", "ingest.target_column=1")
    assert params.load(file).register.name == "corpora-My-corpus-v2-0-1"
    use(file, "ingest.source_column=1", "ingest.target_column=0")
    assert (
        params.load(file).register.name == "corpora-My-corpus-v2-1-0"
    )  # the other direction is another model
    names = set()
    for path in ("корпус.tsv", "данные.tsv", "й.tsv", "\u0438\u0306.tsv"):
        use(file, f"ingest.path={path}")
        names.add(params.load(file).register.name)
    assert len(names) == 3
    assert all(re.fullmatch("1-0-[0-9a-f]{8}", name) for name in names), names
    use(file, "ingest.path=x.tsv", "register.name=kept")
    assert params.load(file).register.name == "kept"


def test_an_unknown_recipe_lists_all_recipes():
    with pytest.raises(ParamsError, match=r"did you mean multi30k\?\); there are: grammar"):
        recipes.recipe_path("multi30", ROOT / "recipes")


def keys(path: Path) -> set[str]:
    """The keys of a file; a source has those that it needs."""
    found = params.flatten(params.read_document(path))
    return {key for key in found if not key.startswith("ingest.sources.")}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_sets_every_key_and_is_valid(recipe, file):
    assert keys(recipe) == keys(ROOT / "params.yaml")
    recipes.apply(recipe, (), file)
    params.load(file)


@pytest.mark.slow
def test_a_second_recipe_replaces_the_first_completely(file):
    shipped = file.read_text("utf-8").split()  # the space before a comment may differ
    for recipe in RECIPES:
        recipes.apply(recipe, (), file)
    recipes.apply(ROOT / "recipes/grammar.yaml", (), file)
    assert file.read_text("utf-8").split() == shipped


def test_the_shipped_params_are_the_grammar_recipe(file):
    assert recipes.apply(ROOT / "recipes/grammar.yaml", (), file) == []


@pytest.mark.parametrize(
    ("path", "header", "columns", "expected"),
    [
        ("de-en/train.tsv", None, (0, 1), ("de", "en", "de-en-train")),
        ("fr-en/train.tsv", None, (0, 1), ("fr", "en", "fr-en-train")),
        ("fr-en/train.tsv", None, (1, 0), ("en", "fr", "fr-en-train-en-fr")),
        ("news/corpus.de-en.tsv", None, (1, 2), ("de", "en", "news-corpus-de-en")),
        ("mine.tsv", "deu\teng", (0, 1), ("de", "en", "mine-de-en")),
        ("mine.tsv", "id\tHindi\tEnglish", (1, 2), ("hi", "en", "mine-hi-en")),
        ("mine.csv", "en,zh-Hans", ("zh-Hans", "en"), ("zh-Hans", "en", "mine-zh-Hans-en")),
        ("mine.tsv", "source\ttarget", (0, 1), (None, None, "mine-0-1")),
        ("mine.tsv", None, (0, 1), (None, None, "mine-0-1")),
        ("mine.tsv", "id\tGerman\tEnglish", (0, 1), (None, None, "mine-0-1")),
    ],
)
def test_languages_and_name_come_from_header_columns_or_file_name(
    file, tmp_path, monkeypatch, path, header, columns, expected
):
    monkeypatch.chdir(tmp_path)
    Path(path).parent.mkdir(exist_ok=True)
    lines = [
        *([header] if header else []),
        *["7\tEin Hund.\tA dog.".replace("7\t", "7\t" * ("id" in (header or "")))] * 9,
    ]
    Path(path).write_text("\n".join(lines).replace("\t", "," if path.endswith("csv") else "\t"), "utf-8")
    use(
        file,
        f"ingest.path={path}",
        f"ingest.source_column={columns[0]}",
        f"ingest.target_column={columns[1]}",
    )
    found = params.load(file)
    source = only(file)
    assert (source.source_language, source.target_language, found.register.name) == expected


def test_values_set_by_hand_are_not_overwritten(file):
    columns = ("ingest.source_column=0", "ingest.target_column=1")
    changed = use(
        file, "ingest.path=fr-it/x.tsv", *columns, "ingest.source_language=oc", "register.name=mine"
    )
    assert (changed["ingest.sources.x.source_language"], changed["register.name"]) == ("oc", "mine")
    assert changed["ingest.sources.x.target_language"] == "it"


def test_a_recipe_that_brings_another_corpus_brings_its_languages_too(file):
    use(file, recipe=ROOT / "recipes/tatoeba-ru-en.yaml")
    columns = ("ingest.source_column=0", "ingest.target_column=1")
    use(file, *columns, recipe=ROOT / "recipes/local.yaml")
    assert (only(file).source_language, only(file).target_language) == (None, None)
    assert params.load(file).register.name == "corpora-corpus-0-1"


def test_the_same_command_again_keeps_later_corrections(file):
    command = ("ingest.path=news/x.tsv", "ingest.source_column=0", "ingest.target_column=1")
    use(file, *command, recipe=ROOT / "recipes/local.yaml")
    use(file, "ingest.source_language=gsw", "ingest.target_language=de", "register.name=mine")
    assert use(file, *command, recipe=ROOT / "recipes/local.yaml") == {}


def test_a_folder_and_a_grammar_state_their_languages(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("splits").mkdir()
    Path("splits/train.tsv").write_text("fr\ten\n" + "Un chien.\tA dog.\n" * 9)
    changed = use(file, "ingest.path=splits", "ingest.source_column=0", "ingest.target_column=1")
    assert changed["register.name"] == "splits-fr-en"
    assert only(file).model_dump(exclude_defaults=True) == {
        "path": "splits",
        "licence": "unknown",
        "source_language": "fr",
        "target_language": "en",
        "train_size": 32000,
    }
    Path("g.yaml").write_text("source_language: it\ntarget_language: en\nrules: {}\n")
    assert use(file, "ingest.path=g.yaml")["ingest.sources.g.source_language"] == "it"


def test_exchanged_columns_exchange_the_languages(file):
    changed = use(file, "ingest.source_column=1", "ingest.target_column=0")
    assert changed["ingest.sources.grammar.source_language"] == "en"
    assert changed["ingest.sources.grammar.target_language"] == "de"
    assert use(file, "train.seed=3") == {"train.seed": 3}


# The section of formats 2 to 4.
OLD_INGEST = {
    "path": "corpora/grammar-de-en.yaml",
    "source_column": "source",
    "target_column": "target",
    "source_language": "de",
    "target_language": "en",
    "evaluation_folder": "corpora/evaluation",
    "evaluation_sets": [],
    "train_size": 32000,
    "validation_size": 1000,
    "test_size": 1000,
    "max_malformed_rows": 0,
    "seed": 1,
}


def old(file: Path) -> Path:
    """The shipped file in format 1."""
    document = params.read_document(file)
    del document["format"]
    document["ingest"] = CommentedMap(OLD_INGEST)
    later = {name for sections in upgrades.SECTIONS.values() for name, _ in sections}
    for name in later:
        del document[name]
    for step in (step for steps in upgrades.STEPS.values() for step in steps):
        if isinstance(step, upgrades.Restructured) or step.section in later:
            continue
        place = list(document[step.section]).index(step.key)
        del document[step.section][step.key]
        if isinstance(step, upgrades.Renamed):
            document[step.section].insert(place, step.before, "nfkc")
    params.write(document, file)
    return file


def test_an_old_file_is_refused_with_the_command_that_upgrades_it(file):
    for act in (params.load, lambda path: recipes.apply(None, ["train.seed=2"], path)):
        with pytest.raises(
            ParamsError, match=r"has format 1, .*`seq2seq use --upgrade` adds the missing keys"
        ):
            act(old(file))
        file.write_text((ROOT / "params.yaml").read_text("utf-8"), "utf-8")
    edit(file, f"format: {params.FORMAT}", "format: 9")
    with pytest.raises(ParamsError, match=r"has format 9, .*newer release"):
        params.load(file)


def test_an_upgrade_keeps_results_and_comments_and_is_done_once(file):
    comments = re.findall(r"#.*", old(file).read_text("utf-8"))
    changes = {key: after for key, _, after in upgrades.upgrade(file)}
    assert changes["format"] == params.FORMAT
    assert changes["tokenize.normalization is now tokenize.source_normalization"] == "nfkc"
    found = params.load(file)
    assert found.tokenize.target_normalization == found.tokenize.source_normalization == "nfkc"
    assert (found.clean.typical_length_ratio, found.clean.max_dropped, found.clean.min_kept) == (
        1.0,
        1.0,
        0.0,
    )
    assert (found.clean.tidy_evaluation, found.evaluate.bleu_tokenizer) == (False, "13a")
    assert (only(file).source_language, only(file).target_language) == (None, None)
    text = file.read_text("utf-8")
    assert len(comments) > 20
    assert Counter(re.findall(r"#.*", text)) >= Counter(comments)
    # each at its position in the schema
    assert _keys_after_ingest(text) == _keys_after_ingest((ROOT / "params.yaml").read_text("utf-8"))
    assert upgrades.upgrade(file) == []
    assert file.read_text("utf-8") == text


def _keys_after_ingest(text: str) -> list[str]:
    lines = text[text.index("mix:") :].splitlines()
    return [line.split(":")[0] for line in lines if line.startswith("  ")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("train: {updates: 100}", {"train.updates": 100}),
        ("tokenize: {vocabulary_size: 500}", {"tokenize.vocabulary_size": 500}),
        (
            "tokenize: {normalization: nfkc}\nclean: {max_length_ratio: 2.0, unicode_form: NFC}",
            {
                "tokenize.source_normalization": "nfkc",
                "tokenize.target_normalization": "nfkc",
                "clean.max_length_ratio": 2.0,
                "clean.typical_length_ratio": 1.0,
                "clean.unicode_form": "NFC",
                "clean.tidy_evaluation": False,
            },
        ),
    ],
)
def test_a_recipe_of_a_few_keys_is_upgraded_and_used(file, tmp_path, before, after):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(before)
    with pytest.raises(ParamsError, match=r"use --upgrade .*mine\.yaml"):
        recipes.apply(recipe, (), file)
    upgrades.upgrade(recipe)
    assert params.flatten(params.read_document(recipe)) == {"format": params.FORMAT, **after}
    recipes.apply(recipe, (), file)
    now = params.flatten(params.load(file).model_dump())
    assert after.items() <= now.items()
    assert upgrades.upgrade(recipe) == []


def test_moved_paths_are_mapped(file):
    document = params.read_document(file)
    document["format"] = 2
    del document["mix"], document["score"]
    document["ingest"] = CommentedMap(OLD_INGEST | {"path": "seq2seq/grammars/de-en.yaml"})
    params.write(document, file)
    moved = ("ingest.path", "seq2seq/grammars/de-en.yaml", "corpora/grammar-de-en.yaml")
    assert moved in upgrades.upgrade(file)
    assert only(file).path == "corpora/grammar-de-en.yaml"


def test_an_older_corpus_and_its_evaluation_sets_become_sources(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sets").mkdir()
    Path("sets/news.tsv").write_text("a\tb\n")
    Path("sets/news.LICENSE").write_text("free")
    document = params.read_document(file)
    document["format"] = 4
    del document["mix"], document["score"]
    document["ingest"] = CommentedMap(
        OLD_INGEST
        | {"path": "corpora/mine.tsv", "evaluation_folder": "sets", "evaluation_sets": ["news", "gone"]}
    )
    params.write(document, file)
    upgrades.upgrade(file)
    found = params.load(file).ingest
    assert {name: (one.path, one.role) for name, one in found.sources.items()} == {
        "mine": ("corpora/mine.tsv", "train"),
        "news": ("sets/news.tsv", "evaluation"),
        "gone": ("sets/gone", "evaluation"),
    }
    assert {one.source_column for one in found.sources.values()} == {"source"}
    assert {one.licence for one in found.sources.values()} == {"unknown"}


def test_sources_are_added_by_a_path_and_removed_by_null(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("web.tsv").write_text("Ein Hund.\tA dog.\n" * 9)
    name = params.load(file).register.name
    assert use(
        file, "ingest.sources.web=web.tsv", "mix.weights.web=0.5", "ingest.sources.web.licence=CC0-1.0"
    ) == {
        "ingest.sources.web.path": "web.tsv",
        "ingest.sources.web.licence": "CC0-1.0",
        "ingest.sources.web.source_language": "de",
        "ingest.sources.web.target_language": "en",
        "mix.weights.web": 0.5,
    }
    assert params.load(file).register.name == name  # more text makes another version, no other model
    with pytest.raises(ParamsError, match=r"ingest.path=x.tsv: of which source\? .*there are: grammar, web"):
        use(file, "ingest.path=x.tsv")
    assert "mix.weights.web" in use(file, "ingest.sources.web=null")  # its weight goes with it
    assert list(params.load(file).ingest.sources) == ["grammar"]


def test_sources_of_two_languages_are_refused(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("x.fr-en.tsv").write_text("Un chien.\tA dog.\n" * 9)
    with pytest.raises(ParamsError, match=r"source_language is de in grammar and fr in web; all sources"):
        use(file, "ingest.sources.web=x.fr-en.tsv")
    use(file, "ingest.sources.web=x.fr-en.tsv", "ingest.sources.web.source_language=de-AT")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            ["score.model=wise"],
            "score.version, score.digest: missing; `seq2seq use --set score.model=",
        ),
        (["score.worst_share=0.1"], "score.worst_share: there are no scores, since score.model is null"),
        (["score.min_log_probability=2.0"], "score.min_log_probability"),
        (["score.digest=abc"], "score.digest"),
    ],
)
def test_a_scorer_is_named_whole_and_limits_need_one(file, values, message):
    with pytest.raises(ParamsError, match=message):
        recipes.apply(None, values, file)
    whole = ["score.model=wise", "score.version=3", f"score.digest={'ab' * 32}", "score.worst_share=0.1"]
    assert use(file, *whole)["score.version"] == 3


def test_a_start_is_named_whole_and_needs_its_vocabulary(file):
    named = f"{{model: wise, version: 3, digest: '{'ab' * 32}'}}"
    with pytest.raises(
        ParamsError, match=r"vocabulary_from: train.start_from is wise version 3, whose .*/3`"
    ):
        use(file, f"train.start_from={named}")
    with pytest.raises(ParamsError, match=r"start_from.digest: missing"):
        use(file, "train.start_from={model: wise, version: 3}")
    with pytest.raises(ParamsError, match=r"start_from: 'wise' is not allowed; .*start_from=models:/NAME@"):
        use(file, "train.start_from=wise")
    use(file, f"train.start_from={named}", f"tokenize.vocabulary_from={named}")
    assert params.load(file).train.start_from.digest == "ab" * 32
    use(file, "train.start_from=null")
    assert params.load(file).train.start_from is None
    recipes.apply(ROOT / "recipes/tiny.yaml", (), file)
    assert params.load(file).tokenize.vocabulary_from is None


def test_a_path_without_a_name_replaces_no_other_source(file):
    use(file, "ingest.sources.news=x/news.tsv", "ingest.sources.news.role=evaluation")
    use(file, "ingest.path=corpora/news.de-en.tsv")
    found = params.load(file).ingest.sources
    assert {name: (one.path, one.role) for name, one in found.items()} == {
        "news-2": ("corpora/news.de-en.tsv", "train"),
        "news": ("x/news.tsv", "evaluation"),
    }


@pytest.mark.parametrize("turned", [False, True])
def test_a_path_and_a_further_source_together_name_source_and_model(file, turned):
    values = ["ingest.path=corpora/mine.tsv", "ingest.sources.extra=corpora/news.tsv"]
    use(file, *values[:: -1 if turned else 1], recipe=ROOT / "recipes/local.yaml")
    found = params.load(file)
    assert {*found.ingest.sources} == {"mine", "extra"}
    assert found.register.name == "corpora-mine-0-1"


@pytest.mark.slow
def test_the_weight_of_a_source_goes_with_it(file):
    use(file, "mix.weights.grammar=2.0")
    use(file, "ingest.path=corpora/mine.tsv")
    assert params.load(file).mix.weights == {}
    with pytest.raises(ParamsError, match=r"there are: mine; to remove it: --set mix.weights.web=null"):
        use(file, "mix.weights.web=2.0")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ingest.sources=null", "ingest.sources is a mapping, e.g. ingest.sources.NAME="),
        ("ingest.sources.grammar.path.foo=1", "path has no keys of its own"),
        ("train.seed.foo=1", "train.seed has no keys of its own"),
    ],
)
def test_keys_of_no_mapping_are_refused(file, override, message):
    with pytest.raises(ParamsError, match=message):
        use(file, override)


def test_a_partial_recipe_with_keys_of_a_source_is_refused(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("format: 4\ningest: {train_size: 1000}\n")
    with pytest.raises(ParamsError, match=r"ingest.train_size: it belongs to a source now"):
        upgrades.upgrade(recipe)
