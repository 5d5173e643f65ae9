"""`--set score.model=...`, and others that name a version, become name, version and digest."""

import pytest

from seq2seq.common.errors import UserError
from seq2seq.tracking import named_versions, registry
from tests.support import registered

DIGEST = "ab" * 32


def test_an_alias_becomes_name_number_and_digest(project):
    registered.register(project, "wise", model_digest="cd" * 32)
    registered.register(project, "wise", model_digest=DIGEST)
    registry.set_alias("wise", "champion", "2")
    expanded = ["score.model=wise", "score.version=2", f"score.digest={DIGEST}"]
    for name in ("models:/wise@champion", "models:/wise/2"):
        found = named_versions.resolve(["train.seed=2", f"score.model={name}", "score.worst_share=0.1"])
        assert found == ["train.seed=2", *expanded, "score.worst_share=0.1"]
    with pytest.raises(UserError, match=r"models:/wise@best does not exist: the versions of wise are: 1, 2"):
        named_versions.resolve(["score.model=models:/wise@best"])
    with pytest.raises(UserError, match=r"write models:/NAME@ALIAS or models:/NAME/VERSION"):
        named_versions.resolve(["score.model=models:/wise"])


def test_a_version_without_a_digest_is_refused(project):
    registered.register(project, "bare")
    with pytest.raises(UserError, match="no tag model_digest"):
        named_versions.resolve(["score.model=models:/bare/1"])


def test_no_model_means_no_version_and_no_limits():
    found = named_versions.resolve(["score.model=null"])
    assert found == ["score.model=null", *(f"score.{name}=null" for name in named_versions.OF_SCORER)]
    assert named_versions.resolve(["train.seed=2"]) == ["train.seed=2"]


def test_a_start_is_a_mapping_and_names_its_vocabulary(project):
    registered.register(project, "wise", model_digest=DIGEST)
    registry.set_alias("wise", "champion", "1")
    mapping = f'{{"model": "wise", "version": 1, "digest": "{DIGEST}"}}'
    start, vocabulary = f"train.start_from={mapping}", f"tokenize.vocabulary_from={mapping}"
    assert named_versions.resolve(["train.start_from=models:/wise@champion"]) == [start, vocabulary]
    assert named_versions.resolve(["tokenize.vocabulary_from=models:/wise/1"]) == [vocabulary]
    with pytest.raises(UserError, match=r"train\.start_from: models:/wise/2 does not exist"):
        named_versions.resolve(["train.start_from=models:/wise/2"])


def test_no_start_means_no_vocabulary_unless_one_is_given():
    start, vocabulary = "train.start_from=null", "tokenize.vocabulary_from=null"
    assert named_versions.resolve([start]) == [start, vocabulary]
    own = "tokenize.vocabulary_from={}"
    assert named_versions.resolve([own, start]) == [own, start]


def test_no_registry_is_made_by_a_look_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no model is registered yet"):
        named_versions.resolve(["score.model=models:/wise@champion"])
    assert list(tmp_path.iterdir()) == []
