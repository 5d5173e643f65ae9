"""The page: complete, safe and readable for any files on disk."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from typing import Any

import pytest

from seq2seq.common import params, paths, workspace
from seq2seq.common.errors import UserError
from seq2seq.gate.policy import judge
from seq2seq.report import context, page
from tests.support.report_record import HOSTILE, ORIGIN, drift, lay, record

VOID = {"meta", "link", "img"}
HEBREW = "שלושה כלבים (2) משחקים בשלג."
PICTURE = "data:image/png;base64,UE5H"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")


def written(files):
    lay(files)
    paths.PICTURES.mkdir(parents=True, exist_ok=True)
    (paths.PICTURES / "attention_1_longest.png").write_bytes(b"PNG")
    page.write()
    return Page(paths.REPORT.read_text("utf-8"))


class Page(HTMLParser):
    """Parses a page and fails where tags do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.source, self.tags, self.text = text, set(), ""
        self.open: list[Any] = []
        self.attributes, self.ids = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def check_safe(shown):
    assert not shown.tags & {"script", "iframe", "object", "embed", "form", "base"}
    assert not [name for name, _ in shown.attributes if name.startswith("on")]
    loaded = [value for name, value in shown.attributes if name in ("src", "href", "srcset", "xlink:href")]
    assert {value for value in loaded if not value.startswith("#")} <= {"data:,", PICTURE}
    assert "url(" not in shown.source
    assert "@import" not in shown.source
    assert shown.source.isprintable() or not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown.source
    )


SECTIONS = {
    "criteria": paths.VERDICT, "metrics": paths.METRICS, "curve": paths.CURVE, "attention": paths.SAMPLES,
    "regressions": paths.EVIDENCE, "gains": paths.EVIDENCE, "behaviour": paths.EVIDENCE,
    "confidence": paths.CONFIDENCE, "cleaning": paths.CLEANING, "contamination": paths.CONTAMINATION,
    "tokenizer": paths.COVERAGE,
}  # fmt: skip


def test_figures_are_rounded_without_hiding_a_difference():
    assert [page.signed(v) for v in (-0.04, 0.04, -0.06, 1.25)] == ["−0.0", "+0.0", "−0.1", "+1.2"]
    assert [page.percent(v) for v in (0, 0.0004, 0.925, 0.9999, 1)] == [
        *("0 %", "< 0.1 %", "92.5 %", "> 99.9 %", "100 %")
    ]


def test_a_page_with_all_files_has_all_sections():
    shown = written(record())
    check_safe(shown)
    assert set(SECTIONS) | {"slices", "provenance"} <= set(shown.ids)
    assert len(shown.ids) == len(set(shown.ids))
    for text in ("Rejected", "not met", "not judged", "−70.0", "some/corpus", "22 November 2026", "< 0.001"):
        assert text in shown.text
    again = paths.REPORT.read_bytes(), paths.CARD.read_bytes()
    page.write()
    assert again == (paths.REPORT.read_bytes(), paths.CARD.read_bytes())


@pytest.mark.parametrize(
    "missing", [path for path in context.FILES.values() if path not in (paths.DRIFT, paths.COSTS)], ids=str
)
def test_a_missing_file_leaves_its_section_out(missing):
    files = record()
    del files[missing]
    shown = written(files)
    check_safe(shown)
    gone = {section for section, path in SECTIONS.items() if path == missing}
    if missing == paths.REGISTRATION:  # then the judged version is unknown
        gone = {"criteria", "regressions", "gains", "behaviour"}
    assert set(SECTIONS) - set(shown.ids) == gone
    assert ("Not judged yet" in shown.text) == ("criteria" in gone)


def test_a_verdict_of_an_earlier_release_has_its_outcome_as_what():
    files = record()
    page_of_now = written(files).source
    files[paths.VERDICT]["what"] = files[paths.VERDICT].pop("outcome")
    assert written(files).source == page_of_now


def test_a_page_without_any_file():
    shown = written({})
    assert "Not judged yet" in shown.text
    assert shown.ids == ["contents", "provenance", "provenance-title"]


def test_a_hostile_corpus_is_escaped():
    shown = written(record(HOSTILE))
    check_safe(shown)
    assert "<script>alert(1)</script>" in shown.text  # shown as text
    assert "␀" in shown.text
    assert "{{ 7 * 7 }}" in shown.text


def test_text_of_any_direction_stands_in_an_element_of_its_own():
    shown = written(record(HEBREW))
    assert shown.source.count(f'<bdi dir="auto" lang="">{HEBREW}</bdi>') > 10


def test_figures_that_are_nan_are_written_and_not_drawn():
    files = record()
    files[paths.METRICS]["test"] |= {"bleu": float("nan"), "bleu_low": float("nan"), "ter": float("inf")}
    files[paths.EVIDENCE]["challenger"]["scores"] = None
    files[paths.EVIDENCE]["tests"]["bleu"] = {"delta": float("nan"), "p": float("nan")}
    files[paths.EVIDENCE]["slices"][0] |= {"champion": None, "delta": None, "p": None}
    shown = written(files)
    assert "NaN" in shown.text
    assert not [value for _, value in shown.attributes if value and re.search(r"\b(nan|inf)\b", value)]


def test_a_first_version_has_nothing_to_compare():
    files = record()
    files[paths.EVIDENCE] |= {"champion": None, "tests": None, "slices": [], "regressions": [], "gains": []}
    shown = written(files)
    assert {"regressions", "gains"}.isdisjoint(shown.ids)
    assert {"slices", "behaviour"} <= set(shown.ids)  # the slices of evaluate
    assert "Against" not in shown.text


@pytest.mark.parametrize(("path", "key"), [(paths.VERDICT, "version"), (paths.VERDICT, "name")])
def test_a_verdict_about_another_version_is_left_out_with_a_note(path, key):
    files = record()
    files[path][key] = "7"
    shown = written(files)
    assert "criteria" not in shown.ids
    assert "Not judged yet" in shown.text
    assert f"{path} is about" in shown.text


def test_evidence_of_another_model_is_left_out_with_a_note():
    files = record()
    files[paths.EVIDENCE]["metrics"]["model_digest"] = "another"
    shown = written(files)
    assert "behaviour" not in shown.ids
    assert f"{paths.EVIDENCE} is about" in shown.text


def test_only_slices_large_enough_are_judged():
    rows = context.slices(record()[paths.EVIDENCE], None, params.load().promote)["rows"]
    assert [row["tone"] for row in rows] == ["good", ""]


def test_the_significance_of_slices_is_corrected_as_in_the_gate():
    policy = params.load().promote
    part = {"sentences": policy.smallest_slice, "challenger": 30.0, "champion": 40.0, "delta": -10.0}
    ten = [
        {**part, "slice": str(i), "p": p}
        for i, p in enumerate([policy.significance * 0.99 / 10] + [0.03] * 9)
    ]
    evidence = record()[paths.EVIDENCE] | {"slices": ten, "behaviour": []}
    evidence["challenger"]["answers_as_evaluated"] = True
    shown = [row["tone"] == "bad" for row in context.slices(evidence, None, policy)["rows"]]
    judged = [one.ok is False for one in judge(evidence, policy).criteria if one.name.startswith("slice ")]
    assert shown == judged == [True] + [False] * 9


def test_a_model_of_no_flow_has_no_row_for_one():
    files = record()
    assert "Prefect flow run" in written(files).text
    for nothing in ("none", "unknown"):
        files[paths.VERDICT]["origin"] = {**ORIGIN, "prefect.flow_run_id": nothing}
        assert "Prefect flow run" not in written(files).text


def test_a_version_not_judged_yet_has_the_current_commit():
    files = record()
    assert "Not judged" not in written(files).text
    del files[paths.VERDICT]
    paths.VERDICT.unlink()
    assert (
        "Not judged yet: commit, dvc.lock and flow run below are those of this folder now."
        in written(files).text
    )


def test_files_that_are_not_shown_are_counted():
    files = record()
    news = files[paths.PROVENANCE]["sources"]["news"]
    news["files"] = [{"name": f"f{i}", "sha256": "a", "bytes": 1} for i in range(150)]
    assert "with sha256 (150, 100 shown)" in written(files).text
    assert "- And 130 more" in paths.CARD.read_text("utf-8")


def test_several_sources_are_listed_with_licence_and_attribution():
    files = record()
    sources = files[paths.PROVENANCE]["sources"]
    sources["memory"] = {**sources["news"], "path": "m.tmx", "attribution": "by Ann", "rows": {"train": 7}}
    assert "Attribution m.tmx" not in written(record()).text
    text = written(files).text
    assert "Files of memory" in text
    assert "by Ann" in text
    assert "| memory | 7 | CC-BY-4.0 | by Ann |" in paths.CARD.read_text("utf-8")


def test_a_file_that_is_cut_off_is_named(capsys):
    lay({paths.METRICS: '{"test": '})
    with pytest.raises(UserError, match="is not valid JSON"):
        context.read(paths.METRICS)
    assert page.main() == 2
    assert "metrics.json" in capsys.readouterr().err


def test_metrics_of_an_earlier_release_are_an_error():
    lay({paths.METRICS: {"test": {"bleu": 40.0}, "test_digest": "b"}})
    with pytest.raises(UserError, match="has no frozen set, an earlier release wrote it"):
        page.write()


def test_a_picture_is_on_the_page_and_only_one_of_its_folder(project):
    files = record("Hund")
    assert [value for name, value in written(files).attributes if name == "src"] == [PICTURE]
    files[paths.SAMPLES][0]["picture"] = "../../params.yaml"
    shown = written(files)
    assert not [value for name, value in shown.attributes if name == "src"]
    assert "There is no picture" in shown.text


@pytest.mark.slow
def test_a_large_record_makes_a_small_page():
    long = "word " * 400
    files = record(long)
    files[paths.CONTAMINATION]["hits"] *= 500
    files[paths.DROPPED] *= 500
    files[paths.EVIDENCE]["gains"] *= 10
    written(files)
    assert paths.REPORT.stat().st_size < 1_000_000


def test_every_text_has_enough_contrast():
    """WCAG 2: 4.5 to 1 for text, in light and dark."""

    def luminance(colour):
        parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    style = (page.TEMPLATES / "report.css").read_text()
    themes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", theme)) for theme in style.split("@media", 2)[:2]
    ]
    assert themes[0].keys() == themes[1].keys()
    for theme in themes:
        grounds = ["paper", "card", "sunk"]
        pairs = [(text, ground) for text in theme if text.endswith("-text") for ground in grounds]
        pairs += [(text, ground) for text in ("ink", "muted") for ground in grounds]
        pairs += [(f"{tone}-text", f"{tone}-wash") for tone in ("good", "bad", "odd", "calm")]
        pairs += [
            (text, f"{tone}-wash")
            for text in ("ink", "calm-text", "muted")
            for tone in ("good", "bad", "odd")
        ]
        for text, ground in pairs:
            low, high = sorted(luminance(theme[name]) for name in (text, ground))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH")
def test_a_browser_shows_it_without_errors(tmp_path):
    def shown(shown):
        command = [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'user'}",
        ]
        command += [
            "--disable-background-networking",
            "--enable-logging=stderr",
            "--dump-dom",
            shown.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, re.findall(".*CONSOLE.*", done.stderr)

    written(record(HOSTILE))
    dom, errors = shown(paths.REPORT.resolve())
    assert errors == []  # anything loaded from elsewhere would be one, see below
    assert dom.count("<section") == len(SECTIONS) + 2
    assert "<script" not in dom
    assert all(
        source.startswith("data:image/png;base64,") for source in re.findall('<img[^>]*src="([^"]*)', dom)
    )

    other = tmp_path / "other.html"
    image = '<img src="http://127.0.0.1:9/x.png"><script>1</script>'
    other.write_text(paths.REPORT.read_text("utf-8").replace("<footer>", f"{image}<footer>"), "utf-8")
    _, errors = shown(other)
    assert len(errors) >= 2
    assert all("Content Security Policy" in error for error in errors)


@pytest.mark.slow
def test_the_corpus_is_shown_against_the_champions_and_accepted_limits_by_whom_and_why():
    paths.REPORTS.mkdir()
    paths.PROFILE.write_text("{}")
    accepted = {
        **{"stage": "train", "figure": "drift", "value": "0.62", "limit": "0.50", "key": "promote.max_drift"},
        **{"who": "Ada <ada@example.org>", "when": "2026-11-30T10:00:00+00:00", "reason": HOSTILE},
    }
    files = record()
    of_this = drift(workspace.file_digest(paths.PROFILE), HOSTILE, [accepted])
    shown = written(files | {paths.DRIFT: of_this})
    check_safe(shown)
    assert "drift" in shown.ids
    assert "0.250" in shown.text
    line = "drift is 0.62, promote.max_drift allows 0.50: accepted by Ada <ada@example.org> on 2026-11-30"
    assert line in shown.text
    assert "promote.max\\_drift allows 0.50" in paths.CARD.read_text("utf-8")
    other = written(files | {paths.DRIFT: drift("0" * 64, "of another corpus", [accepted])})
    assert "drift" not in other.ids
    assert "accepted by" not in other.text + paths.CARD.read_text("utf-8")
    written(files | {paths.CLEAN_ACCEPTED: [accepted | {"key": "clean.min_kept", "reason": "it is small"}]})
    assert "it is small" in paths.CARD.read_text("utf-8")


@pytest.mark.slow
def test_the_use_of_the_confidence_is_on_page_and_card():
    files = record()
    shown = written(files)
    assert "43.4 %" in shown.text
    assert "differ by 3.6 % on average" in shown.text
    card = paths.CARD.read_text("utf-8")
    assert "with probability 95.3 %; the least confident 5 % hold 43.4 % of the bad ones" in card
    assert "Calibrated on" in card
    found = files[paths.CONFIDENCE]
    written(files | {paths.CONFIDENCE: found | {"calibration": None}})
    assert "Not calibrated: too few bad translations of" in paths.CARD.read_text("utf-8")
    without = found | {"measured": found["measured"] | {"auc": None}}
    assert "confidence" not in written(files | {paths.CONFIDENCE: without}).ids


def test_costs_are_shown_if_there_are_any():
    used = {
        "seconds": 61.24,
        "cpu_seconds": 120.0,
        "gpu_seconds": 0.0,
        "bytes_written": 3.2e6,
        "money": 0.0123,
    }
    assert "costs" not in written(record()).ids
    costs = {"currency": HOSTILE, "unfinished": [], "stages": {"train": used}}
    shown = written(record() | {paths.COSTS: costs})
    assert "costs" in shown.ids
    page = paths.REPORT.read_text("utf-8")
    assert ">61.2<" in page
    assert ">0.0123<" in page
