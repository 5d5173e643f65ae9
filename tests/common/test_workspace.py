"""Facts about the workspace: commit, differences, locks, packages."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from seq2seq.common import params, recipes, workspace
from tests.support.projects import ROOT


def git(*arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("a: 1\n")
    (tmp_path / "dvc.lock").write_text("stages: {}\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    return tmp_path


def test_a_clean_commit_has_no_differences(repository):
    assert len(workspace.commit()) == 40
    assert (workspace.dirty(), workspace.diff()) == ("false", "")


def test_changed_parameters_are_dirty_and_shown(repository):
    (repository / "params.yaml").write_text("a: 2\n")
    assert workspace.dirty() == "true"
    assert "+a: 2" in workspace.diff()


def test_a_new_module_is_dirty(repository):
    (repository / "seq2seq").mkdir()
    (repository / "seq2seq/new.py").touch()
    assert workspace.dirty() == "true"


def test_new_code_is_named_among_the_differences_and_a_new_corpus_is_not(repository):
    for folder, name in (("seq2seq", "new.py"), ("corpora", "mine.tsv")):
        (repository / folder).mkdir()
        (repository / folder / name).write_text("a line\n")
    (repository / "params.yaml").write_text("a: 2\n")
    diff = workspace.diff()
    assert "+a: 2" in diff
    assert "# new, content not included: seq2seq/new.py\n" in diff
    assert "mine.tsv" not in diff
    git("stash", "--include-untracked")
    subprocess.run(["git", "apply"], input=diff, text=True, check=True)
    assert (repository / "params.yaml").read_text() == "a: 2\n"


TOKEN = "hf_" + "Qw" * 16


def test_other_files_are_not_among_the_differences(repository):
    (repository / "seq2seq").mkdir()
    for name in (".env", "notebook.ipynb", "seq2seq/.env", "notes.md", "seq2seq/secrets.yaml", ".dvc/config"):
        path = repository / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("first\n")
    git("add", "--force", ".")
    git("commit", "-qm", "all of it")
    for path in repository.rglob("*"):
        if path.is_file() and ".git/" not in str(path) and path.name not in ("params.yaml", "dvc.lock"):
            path.write_text(f"KEY={TOKEN}\n")
    for name in ("seq2seq/.netrc", "seq2seq/api_token.toml", "mine.env"):  # new ones
        (repository / name).write_text(f"KEY={TOKEN}\n")
    assert workspace.diff() == ""


def test_a_token_in_code_is_masked_and_a_long_difference_cut(repository, monkeypatch):
    address = "https://me:hunter2secret@git.example/x.git"
    (repository / "params.yaml").write_text(f"a: 2 # {TOKEN}\n# {address}\n")
    diff = workspace.diff()
    assert "+a: 2 # ***\n+# https://***@git.example/x.git\n" in diff
    monkeypatch.setattr(workspace, "LONGEST_DIFF", 100)
    shown = workspace.diff()
    left_out = len(diff.encode()) - 100
    assert shown == f"{diff[:100]}\n# cut off here: {left_out} bytes are left out\n"


def test_configured_diff_programs_are_not_used(repository):
    git("config", "diff.external", "touch evil;")
    (repository / "params.yaml").write_text("a: 2\n")
    assert "+a: 2" in workspace.diff()
    assert not (repository / "evil").exists()


def test_the_commit_with_a_content_of_a_file_is_found(repository):
    commits, contents = [], ["a: 2\n", "a: 3\r\nb: 1\r\n", "a: 4\n"]
    for content in contents:
        (repository / "params.yaml").write_bytes(content.encode())
        git("commit", "-qam", "next")
        commits.append(workspace.commit())
    for commit, content in zip(commits, contents, strict=True):
        assert workspace.commit_with("params.yaml", hashlib.md5(content.encode()).hexdigest()) == commit
    assert workspace.commit_with("params.yaml", "0" * 32) is None
    assert workspace.commit_with("nowhere.yaml", "0" * 32) is None
    assert workspace.lines_changed("params.yaml", commits[1]) == (1, 2)
    assert workspace.lines_changed("params.yaml", commits[2]) is None


def test_the_closest_recipe_and_its_differences(tmp_path, monkeypatch):
    tiny = params.load(ROOT / "recipes/tiny.yaml")
    assert workspace.closest_recipe(tiny, ROOT / "recipes") == ("tiny", {})
    changed = tiny.model_copy(update={"train": tiny.train.model_copy(update={"seed": 7})})
    assert workspace.closest_recipe(changed, ROOT / "recipes") == ("tiny", {"train.seed": (1, 7)})
    assert workspace.closest_recipe(tiny, ROOT / "tests") is None
    monkeypatch.chdir(tmp_path)  # where there are no recipes
    assert workspace.recipe_tags(tiny) == {}


def test_changes_too_long_for_the_record_are_named(monkeypatch):
    monkeypatch.chdir(ROOT)
    tiny = params.load(ROOT / "recipes/tiny.yaml")
    many = tiny.evaluate.model_copy(update={"negations": ["nicht"] * 3000})
    tags = workspace.recipe_tags(tiny.model_copy(update={"evaluate": many}))
    assert len(tags["recipe.changes"]) < workspace.LONGEST_TAG
    assert json.loads(tags["recipe.changes"]) == {"evaluate.negations": [workspace.TOO_LONG] * 2}


def test_files_written_by_the_run_are_not_dirty(repository):
    (repository / "dvc.lock").write_text("stages: {train: {}}\n")
    (repository / "note.txt").touch()
    assert workspace.dirty() == "false"


def test_outside_a_repository_it_is_unknown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert (workspace.commit(), workspace.dirty(), workspace.diff()) == ("unknown", "unknown", "")
    assert workspace.lock_digest() == "unknown"
    assert workspace.data_hash(Path("data/corpus")) == "unknown"


def test_without_git_it_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (workspace.commit(), workspace.dirty()) == ("unknown", "unknown")


def test_a_hash_is_found_in_the_lock(repository):
    Path("dvc.lock").write_text("stages:\n  clean:\n    outs:\n    - path: data/corpus\n      md5: 12.dir\n")
    assert workspace.data_hash(Path("data/corpus")) == "12.dir"
    assert workspace.data_hash(Path("data/raw")) == "unknown"


def test_the_digest_of_params_is_of_their_values(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    other = tmp_path / "params.yaml"
    other.write_text(text + "\n# a comment\n")
    assert workspace.params_digest(params.load(other)) == workspace.params_digest(
        params.load(ROOT / "params.yaml")
    )
    recipes.apply(None, ["train.seed=77"], other)
    assert workspace.params_digest(params.load(other)) != workspace.params_digest(
        params.load(ROOT / "params.yaml")
    )


def test_packages_are_listed_in_pip_s_order():
    lines = workspace.packages().splitlines()
    assert any(line.startswith("torch==") for line in lines)
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0].casefold())


def test_the_content_of_untracked_files_is_never_among_the_differences(repository):
    (repository / "seq2seq").mkdir()
    for name in ("intended.py", "untracked.py", "staged.py"):
        (repository / "seq2seq" / name).write_text(f"{name[:-3]} = 1\n")
    git("add", "--intent-to-add", "seq2seq/intended.py")
    git("add", "seq2seq/staged.py")
    diff = workspace.diff()
    assert "+staged = 1" in diff
    assert "intended = 1" not in diff
    assert "untracked = 1" not in diff
    assert diff.endswith(
        "# new, content not included: seq2seq/intended.py\n"
        "# new, content not included: seq2seq/untracked.py\n"
    )


def test_a_difference_of_a_million_bytes_is_cut(repository):
    (repository / "params.yaml").write_text("a: 2\n" * 400_000)
    diff = workspace.diff()
    assert len(diff.encode()) < workspace.LONGEST_DIFF + 100
    assert "bytes are left out\n" in diff[-50:]
