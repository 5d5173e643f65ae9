"""`--set score.model=...` becomes model, version and digest."""

import pytest

from seq2seq.common.errors import UserError
from seq2seq.tracking import registry, scorer
from tests.support import registered

DIGEST = "ab" * 32


def test_an_alias_becomes_name_number_and_digest(project):
    registered.register(project, "wise", model_digest="cd" * 32)
    registered.register(project, "wise", model_digest=DIGEST)
    registry.set_alias("wise", "champion", "2")
    expanded = ["score.model=wise", "score.version=2", f"score.digest={DIGEST}"]
    for name in ("models:/wise@champion", "models:/wise/2"):
        found = scorer.resolve(["train.seed=2", f"score.model={name}", "score.worst_share=0.1"])
        assert found == ["train.seed=2", *expanded, "score.worst_share=0.1"]
    with pytest.raises(UserError, match=r"models:/wise@best does not exist: the versions of wise are: 1, 2"):
        scorer.resolve(["score.model=models:/wise@best"])
    with pytest.raises(UserError, match=r"write models:/NAME@ALIAS or models:/NAME/VERSION"):
        scorer.resolve(["score.model=models:/wise"])


def test_a_version_without_a_digest_is_refused(project):
    registered.register(project, "bare")
    with pytest.raises(UserError, match="no tag model_digest"):
        scorer.resolve(["score.model=models:/bare/1"])


def test_no_model_means_no_version_and_no_limits():
    found = scorer.resolve(["score.model=null"])
    assert found == ["score.model=null", *(f"score.{name}=null" for name in scorer.OTHERS)]
    assert scorer.resolve(["train.seed=2"]) == ["train.seed=2"]


def test_no_registry_is_made_by_a_look_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no model is registered yet"):
        scorer.resolve(["score.model=models:/wise@champion"])
    assert list(tmp_path.iterdir()) == []
