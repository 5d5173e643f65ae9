"""The stages that a run covers."""

from __future__ import annotations

import pytest

from seq2seq.common import planning
from seq2seq.common.dag import Change, Node
from seq2seq.common.errors import UserError


def test_until_takes_what_it_needs_and_fresh_files_are_no_stages() -> None:
    nodes = [
        Node("corpus.tsv.dvc", (), (), is_data=True),
        Node("a", ("corpus.tsv.dvc",), ()),
        Node("b", ("a",), ()),
        Node("c", ("a",), ()),
    ]
    assert [n.name for n in planning.select(nodes, None, [])] == ["a", "b", "c"]
    assert [n.name for n in planning.select(nodes, "c", ["a"])] == ["a", "c"]
    with pytest.raises(UserError, match="no stage 'd'; there are: a, b, c"):
        planning.select(nodes, None, ["d"])
    stale = Node("corpus.tsv.dvc", (), (), (Change("output", "corpus.tsv", "changed"),), is_data=True)
    assert [n.name for n in planning.select([stale, *nodes[1:]], "a", [])] == ["corpus.tsv.dvc", "a"]
