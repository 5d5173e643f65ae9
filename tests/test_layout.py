"""Folders are read by the dataset card's rules, and without one by their files' names."""

import os

import pytest

from seq2seq.errors import UserError
from seq2seq.layout import File, find, ours

os.environ.setdefault("USE_TORCH", "0")


def names(found):
    return {split: [file.name for file in files] for split, files in found.items()}


def fill(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("Haus\thouse\n", encoding="utf-8")


def test_by_file_names(tmp_path):
    folder = tmp_path / "my [corpus] #1"
    fill(folder, "train.tsv.gz", "valid.tsv.gz", "test.tsv.gz", "LICENSE", "train.tsv.gz.dvc")
    found = find(folder)
    expected = {"train": ["train.tsv.gz"], "validation": ["valid.tsv.gz"], "test": ["test.tsv.gz"]}
    assert names(found) == expected
    assert found["test"][0].path == folder / "test.tsv.gz"


def test_shards_and_folders(tmp_path):
    fill(tmp_path, *(f"data/train-0000{n}-of-00002.parquet" for n in (1, 0)), "data/dev/x.parquet")
    shards = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
    assert names(find(tmp_path))["train"] == shards


def test_other_names_are_train(tmp_path):
    fill(tmp_path, "b.tsv", "a.tsv")
    assert names(find(tmp_path)) == {"train": ["a.tsv", "b.tsv"]}


def test_what_is_left_out_is_said(tmp_path, capsys):
    fill(tmp_path, "train.tsv", "train-2.tsv", "train-3.jsonl", "test.tsv", "mined.tsv")
    left = {"mined.tsv", "train-3.jsonl"}
    assert names(find(tmp_path)) == {"train": ["train-2.tsv", "train.tsv"], "test": ["test.tsv"]}
    assert {line.split()[1] for line in capsys.readouterr().out.splitlines()} == {
        str(tmp_path / name) for name in left
    }


def test_by_dataset_card(tmp_path):
    (tmp_path / "README.md").write_text(
        "---\nconfigs:\n"
        "- {config_name: a, data_files: [{split: train, path: one.jsonl}]}\n"
        "- {config_name: b, data_files: [{split: train, path: 't*.jsonl'}, {split: dev, path: one.jsonl}]}\n"
        "---\n",
        encoding="utf-8",
    )
    fill(tmp_path, "one.jsonl", "two.jsonl", "three.jsonl")
    assert names(find(tmp_path, "b")) == {"train": ["three.jsonl", "two.jsonl"], "dev": ["one.jsonl"]}
    with pytest.raises(UserError, match="Config name is missing"):
        find(tmp_path)


def test_a_dataset_card_that_is_no_yaml(tmp_path):
    (tmp_path / "README.md").write_text("---\nfoo: [\n---\n", encoding="utf-8")
    fill(tmp_path, "one.jsonl")
    with pytest.raises(UserError, match="cannot be used as a corpus: while parsing"):
        find(tmp_path)


@pytest.mark.parametrize("files", [(), ("notes.doc",)])
def test_without_data(tmp_path, files):
    fill(tmp_path, *files)
    with pytest.raises(UserError, match=r"cannot be used as a corpus: .*any data files"):
        find(tmp_path)


def test_our_names(tmp_path, capsys):
    found = {name: [File(name, tmp_path)] for name in ("train", "dev", "test2016", "test")}
    assert names(ours(found, {}, "c")) == {"train": ["train"], "validation": ["dev"], "test": ["test"]}
    assert capsys.readouterr().out == "ingest: split test2016 of c is not used\n"
    assert names(ours(found, {"test": "test2016"}, "c"))["test"] == ["test2016"]
    assert capsys.readouterr().out == "ingest: split test of c is not used\n"
    with pytest.raises(UserError, match="c has no split tst, only train, dev, test2016, test"):
        ours(found, {"test": "tst"}, "c")
    with pytest.raises(UserError, match="c has no train split, only test"):
        ours({"test": []}, {}, "c")
