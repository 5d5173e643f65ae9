"""The card's metadata as the hub reads it, and escaping of texts in Markdown."""

import re
from typing import Any

from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st

from seq2seq.common import params, paths, recipes, workspace
from seq2seq.report import model_card, page
from tests.support.report_record import HOSTILE, lay, record


def written(files):
    lay(files)
    page.write()
    return paths.CARD.read_text("utf-8")


def test_the_hub_reads_the_card():
    text = written(record())
    found: Any = ModelCard(text).data
    assert found.language == ["no", "en"]  # not false
    assert (found.license, found.pipeline_tag, found.datasets) == (
        "cc-by-4.0",
        "translation",
        ["some/corpus"],
    )
    results = {(one.dataset_name, one.dataset_split, one.metric_type): one for one in found.eval_results}
    assert len(results) == 9
    assert results["some/corpus", "test", "bleu"].metric_value == 40.0
    assert results["some/corpus", "test", "bleu"].dataset_revision == "abc"
    assert ("some/corpus, validation held out by ingest", "validation", "ter") in results
    assert results["news", None, "chrf"].dataset_args == {"sha256": "c"}


def test_the_card_has_vocabulary_and_failed_checks():
    files = record()
    text = written(files)
    assert "Vocabulary: 300 pieces" in text  # the actual number, not the parameter
    assert "50 % of 2 cases pass, 90 % are required." in text
    files[paths.EVIDENCE]["behaviour"][0] |= {"share": 0.95, "champion_share": 1.0}
    assert "95 % of 2 cases pass, the champion passes 100 %." in written(files)


def test_a_note_names_parameters_changed_since_registration():
    files = record()
    origin = files[paths.VERDICT]["origin"]
    now = params.load()
    files[paths.VERDICT]["origin"] = {**origin, "params.sha256": workspace.params_digest(now)}
    changed = "params.yaml has changed since version 2 was registered"
    assert changed not in written(files)
    recipes.apply(None, [f"train.hidden_size={now.train.hidden_size + 1}"])
    assert changed in written(files)


def test_the_version_that_training_began_with_is_in_card_and_report():
    assert "trained from scratch on" in written(record())
    named = f"{{model: de-en, version: 1, digest: {'ab' * 32}}}"
    recipes.apply(None, [f"{key}={named}" for key in ("train.start_from", "tokenize.vocabulary_from")])
    text = written(record())
    assert "trained further from de-en version 1 on" in text
    assert f"- Start: the weights of `de-en` version 1 (model, sha256: `{'ab' * 32}`), with a new" in text
    assert "(SentencePiece of de-en version 1)" in text
    assert "- The training data of `de-en` version 1, with which training began, was not compared" in text
    assert "the weights of de-en version 1, model" in paths.REPORT.read_text("utf-8")


def test_several_licences_are_a_list():
    files = record()
    files[paths.PROVENANCE] |= {"licence": "cc-by-4.0, mit"}
    found: Any = ModelCard(written(files)).data
    assert found.license == ["cc-by-4.0", "mit"]


def test_unknown_metadata_is_left_out():
    files = record()
    files[paths.PROVENANCE] |= {
        "kind": "file",
        "id": None,
        "licence": None,
        "columns": {"source": "src", "target": "en"},
    }
    text = written(files)
    assert ModelCard(text).data.to_dict().keys().isdisjoint({"language", "license", "datasets"})
    stated = {"kind": "grammar", "path": "g.yaml", "source_language": "gsw", "target_language": "de"}
    assert model_card.languages(stated) == ["gsw", "de"]
    named = {"languages": {"source": {"language": "pt-BR"}, "target": {"language": "zh-Hant"}}}
    assert model_card.languages(named) == ["pt", "zh"]


def test_a_score_that_is_not_a_number_is_left_out():
    files = record()
    files[paths.METRICS]["test"] |= {"bleu": float("nan"), "ter": float("inf")}
    [test, *_] = ModelCard(written(files)).data.to_dict()["model-index"][0]["results"]
    assert [metric["type"] for metric in test["metrics"]] == ["chrf"]


def test_a_card_without_any_file():
    text = written({})
    assert "not judged yet" in text
    assert "There is no record of the corpus" in text
    assert ModelCard(text).data.to_dict().keys() == {"library_name", "pipeline_tag", "tags"}


def test_a_hostile_corpus_is_escaped():
    text = written(record(HOSTILE))
    _, _, body = text.split("---\n", 2)
    assert "<script" not in body
    assert "![" not in body.replace("!\\[", "")
    assert not re.search(r"[\x00-\x08\x7f-\x9f\u202a-\u202e]", text)


@given(st.text())
def test_a_code_span_and_escaped_text_hold_any_text(text):
    span = model_card.code(text)
    fence = re.match("`+", span)[0]
    assert span.endswith(fence)
    assert fence not in span[len(fence) : -len(fence)].replace("`" * len(fence) + "`", "") or not text.strip()
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>\[\]*_|]", model_card.escape(text))
