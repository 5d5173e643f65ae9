"""The splits of folders are found by the dataset card, or else by the names of files."""

import os

import pytest

from seq2seq.common.errors import UserError
from seq2seq.data.formats import open_table
from seq2seq.data.splits import File, find_splits, map_to_our_splits

os.environ.setdefault("USE_TORCH", "0")


def names(found):
    return {split: [file.name for file in files] for split, files in found.items()}


def fill(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("Haus\thouse\n", encoding="utf-8")


@pytest.mark.slow
def test_by_file_names(tmp_path):
    folder = tmp_path / "my [corpus] #1"
    fill(folder, "train.tsv.gz", "valid.tsv.gz", "test.tsv.gz", "LICENSE", "train.tsv.gz.dvc")
    found = find_splits(folder)
    expected = {"train": ["train.tsv.gz"], "validation": ["valid.tsv.gz"], "test": ["test.tsv.gz"]}
    assert names(found) == expected
    assert found["test"][0].path == folder / "test.tsv.gz"


def test_shards_and_folders(tmp_path):
    fill(tmp_path, *(f"data/train-0000{n}-of-00002.parquet" for n in (1, 0)), "data/dev/x.parquet")
    shards = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
    assert names(find_splits(tmp_path))["train"] == shards


def test_other_names_are_train(tmp_path):
    fill(tmp_path, "b.tsv", "a.tsv")
    assert names(find_splits(tmp_path)) == {"train": ["a.tsv", "b.tsv"]}


def test_left_out_files_are_named(tmp_path, capsys):
    fill(tmp_path, "train.tsv", "train-2.tsv", "train-3.jsonl", "test.tsv", "mined.tsv", "README.txt")
    train = ["train-2.tsv", "train-3.jsonl", "train.tsv"]
    assert names(find_splits(tmp_path)) == {"train": train, "test": ["test.tsv"]}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [str(tmp_path / "mined.tsv")]


def test_mixed_kinds(tmp_path):
    fill(tmp_path, "train.tsv", "validation.csv.gz", "data/test.jsonl", "README.md", "LICENSE.txt")
    assert names(find_splits(tmp_path)) == {
        "train": ["train.tsv"], "validation": ["validation.csv.gz"], "test": ["data/test.jsonl"]
    }  # fmt: skip


def test_one_split_in_two_kinds(tmp_path):
    fill(tmp_path, "train.tsv.gz", "train.jsonl", "test.tsv")
    with pytest.raises(UserError, match=r"holds train.jsonl and train.tsv.gz: remove one if"):
        find_splits(tmp_path)


def test_one_file_for_each_language(tmp_path, capsys):
    fill(tmp_path, "train.de", "train.en", "valid.de.gz", "valid.en.gz", "test.en", "test.de", "README.md")
    found = find_splits(tmp_path)
    expected = {"train": ["train.de"], "validation": ["valid.de.gz"], "test": ["test.de"]}
    assert names(found) == expected
    assert found["train"][0].parts() == [
        File("train.de", tmp_path / "train.de"),
        File("train.en", tmp_path / "train.en"),
    ]
    assert capsys.readouterr().out == ""
    (tmp_path / "test.de").unlink()  # a language alone is no split to leave out silently
    assert names(find_splits(tmp_path))["test"] == ["test.en"]
    with pytest.raises(UserError, match=r"test.en holds one language"):
        open_table(tmp_path / "test.en", 0, 1)


def test_files_of_one_language_without_split_names(tmp_path):
    fill(tmp_path, "a/Europarl.de-en.de", "a/Europarl.de-en.en", "b/news.de", "b/news.en", "a/LICENSE")
    fill(tmp_path, "a/Europarl.de-en.xml")
    assert names(find_splits(tmp_path)) == {"train": ["a/Europarl.de-en.de", "b/news.de"]}


def test_files_of_one_language_beside_other_kinds_are_named(tmp_path, capsys):
    fill(tmp_path, "train.de", "train.en", "train.tsv")
    assert names(find_splits(tmp_path)) == {"train": ["train.tsv"]}
    expected = f"ingest: train.de, train.en of {tmp_path} are not used: it has files of other kinds\n"
    assert capsys.readouterr().out == expected
    (tmp_path / "train.en").unlink()
    find_splits(tmp_path)
    assert capsys.readouterr().out == ""


def test_memories(tmp_path):
    fill(tmp_path, "train.tmx", "train-2.sdlxliff", "validation.po", "test.xlf.gz", "train-3.tsv.zst")
    assert names(find_splits(tmp_path)) == {
        "train": ["train-2.sdlxliff", "train-3.tsv.zst", "train.tmx"],
        "validation": ["validation.po"],
        "test": ["test.xlf.gz"],
    }


def test_saved_datasets(tmp_path):
    import datasets

    pairs = datasets.Dataset.from_dict({"de": ["a", "b", "c"], "en": ["x", "y", "z"]})
    pairs.save_to_disk(tmp_path / "one", num_shards=2)
    assert [file.name for file in find_splits(tmp_path / "one")["train"]] == [
        f"data-0000{n}-of-00002.arrow" for n in (0, 1)
    ]
    datasets.DatasetDict({"train": pairs, "dev": pairs}).save_to_disk(tmp_path / "two")
    found = find_splits(tmp_path / "two")
    assert names(found) == {split: [f"{split}/data-00000-of-00001.arrow"] for split in ("train", "dev")}
    rows = [row for file in found["dev"] for row in open_table(file.path, "de", "en").rows]
    assert [tuple(row[:2]) for row in rows] == [("a", "x"), ("b", "y"), ("c", "z")]
    (tmp_path / "two/dev/data-00000-of-00001.arrow").unlink()
    with pytest.raises(UserError, match=r"dev/state.json names .*00001.arrow, which is missing"):
        find_splits(tmp_path / "two")
    (tmp_path / "two/dev/state.json").write_text("{")
    with pytest.raises(UserError, match=r"dev/state.json cannot be read: .*save_to_disk"):
        find_splits(tmp_path / "two")


def test_a_saved_dataset_names_no_file_elsewhere(tmp_path):
    fill(tmp_path, "other.arrow", "c/x")
    (tmp_path / "c/state.json").write_text('{"_data_files": [{"filename": "../other.arrow"}]}')
    with pytest.raises(UserError, match="which is not in"):
        find_splits(tmp_path / "c")


@pytest.mark.parametrize("path", ["../../secret.jsonl", "{folder}/secret.jsonl"])
def test_a_card_names_no_file_elsewhere(tmp_path, path):
    fill(tmp_path, "secret.jsonl", "a/b/train.jsonl")
    place = path.format(folder=tmp_path)
    (tmp_path / "a/b/README.md").write_text(
        f"---\nconfigs: [{{config_name: x, data_files: '{place}'}}]\n---\n", encoding="utf-8"
    )
    with pytest.raises(UserError, match=r"which is not in|cannot be used as a corpus"):
        find_splits(tmp_path / "a/b")


@pytest.mark.slow
def test_links(tmp_path, monkeypatch):
    fill(tmp_path, "secret/x.tsv", "c/inner/train.tsv")
    (tmp_path / "c/train-2.tsv").symlink_to("inner/train.tsv")
    (tmp_path / "linked").symlink_to("c")
    expected = ["inner/train.tsv", "train-2.tsv"]
    assert (
        names(find_splits(tmp_path / "linked"))["train"]
        == names(find_splits(tmp_path / "c"))["train"]
        == expected
    )
    for name, target, reason in [
        (
            "test.tsv",
            "../secret/x.tsv",
            f"test.tsv is a link out of {tmp_path}/c, to {tmp_path}/secret/x.tsv",
        ),
        ("test", "../secret", f"test is a link out of {tmp_path}/c"),
        ("test.tsv", "nowhere", "test.tsv is a link to .*nowhere, which does not exist"),
    ]:
        (tmp_path / "c" / name).symlink_to(target)
        with pytest.raises(UserError, match=reason):
            find_splits(tmp_path / "c")
        (tmp_path / "c" / name).unlink()
    fill(tmp_path, "blobs/abc", "snapshots/0123/x")  # a download of the hub
    (tmp_path / "snapshots/0123/train.tsv").symlink_to("../../blobs/abc")
    assert names(find_splits(tmp_path / "snapshots/0123"))["train"] == ["train.tsv"]


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({}, ".dvc/cache"),
        ({"config": "[cache]\n    dir = {root}/far\n"}, "far"),
        ({"config.local": "[cache]\n    dir = {root}/far\n"}, "far"),
        ({"config.local": "[cache]\n    dir = ../far\n", "config": "[cache]\n    dir = {root}/x\n"}, "far"),
    ],
)
def test_links_into_dvcs_cache_are_followed(tmp_path, monkeypatch, settings, place):
    fill(tmp_path, "project/c/train.tsv", "project/.dvc/tmp/x")  # with DVC's cache.type symlink
    root = tmp_path / "project"
    for name, text in {"config": "", **settings}.items():
        (root / ".dvc" / name).write_text("[core]\n    no_scm = true\n" + text.format(root=root))
    fill(root, f"{place}/files/md5/ab/cd", f"{place}/ab/cd", "else/files/md5/ab/cd")
    monkeypatch.chdir(root)
    for name, target in (("test", "files/md5/ab/cd"), ("dev", "ab/cd")):  # dev: the cache of DVC 2
        (root / f"c/{name}.tsv").symlink_to(root / place / target)
    assert {*names(find_splits(root / "c"))} == {"train", "test", "validation"}
    (root / "c/dev-2.tsv").symlink_to(root / "else/files/md5/ab/cd")
    with pytest.raises(UserError, match="is a link out of"):
        find_splits(root / "c")


def test_by_dataset_card(tmp_path):
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n"
        "- {config_name: a, data_files: [{split: train, path: one.jsonl}]}\n"
        "- {config_name: b, data_files: [{split: train, path: 't*.jsonl'}, {split: dev, path: one.jsonl}]}\n"
        "---\n",
        encoding="utf-8",
    )
    fill(tmp_path, "one.jsonl", "two.jsonl", "three.jsonl")
    assert names(find_splits(tmp_path, "b")) == {"train": ["three.jsonl", "two.jsonl"], "dev": ["one.jsonl"]}
    with pytest.raises(UserError, match="Config name is missing"):
        find_splits(tmp_path)


def test_a_dataset_card_that_is_no_yaml(tmp_path):
    (tmp_path / "README.md").write_text("---\nfoo: [\n---\n", encoding="utf-8")
    fill(tmp_path, "one.jsonl")
    with pytest.raises(UserError, match="cannot be used as a corpus: while parsing"):
        find_splits(tmp_path)


@pytest.mark.parametrize("files", [(), ("notes.doc",)])
def test_without_data(tmp_path, files):
    fill(tmp_path, *files)
    with pytest.raises(UserError, match=r"cannot be used as a corpus: .*any data files"):
        find_splits(tmp_path)


def test_our_names(tmp_path, capsys):
    found = {name: [File(name, tmp_path)] for name in ("train", "dev", "test2016", "test")}
    assert names(map_to_our_splits(found, {}, "c")) == {
        "train": ["train"],
        "validation": ["dev"],
        "test": ["test"],
    }
    assert capsys.readouterr().out == "ingest: split test2016 of c is not used\n"
    assert names(map_to_our_splits(found, {"test": "test2016"}, "c"))["test"] == ["test2016"]
    assert capsys.readouterr().out == "ingest: split test of c is not used\n"
    with pytest.raises(UserError, match="c has no split tst, only train, dev, test2016, test"):
        map_to_our_splits(found, {"test": "tst"}, "c")
    with pytest.raises(UserError, match="c has no train split, only test"):
        map_to_our_splits({"test": []}, {}, "c")
