"""Any text as a value of params.yaml."""

from pathlib import Path

import pytest

from seq2seq.common import params, recipes
from tests.support.projects import ROOT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text("utf-8"), "utf-8")
    return path


@pytest.mark.parametrize(
    "path",
    [
        "a #2.tsv", "a: b.tsv", "[x].tsv", "{x}.tsv", "1e3", "007", "null", "~", "true", "*x.tsv", "&x", "!x",
        "%x", "@x", "`x`", "- x", "? x", "x:", "x\t.tsv", " x", "x ", "it's.tsv", 'a "b" c.tsv', "a=b.tsv",
        "| x", "> x", "Ünï (1).tsv", "名前.tsv", "x, y", "'", '"x', "C:\\x.tsv", "x" * 300 + " y",
        "2024-01-01", "---", "...",
    ],
)  # fmt: skip
def test_text_is_set_as_given(file, path):
    recipes.apply(None, [f"ingest.path={path}"], file)
    [source] = params.load(file).ingest.sources.values()
    assert source.path == path
