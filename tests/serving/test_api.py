"""The API of a real server: LibreTranslate's paths, `inspect`, limits and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from seq2seq.inference.translator import Translator
from seq2seq.serving import app
from tests.support.serving import TEXTS, Client

FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def expected(tiny_model: Path) -> list[str]:
    """The translations of TEXTS, each alone."""
    translator = Translator.from_folder(tiny_model)
    found = [translator.translate_fully([text], warn=False, divide=True, attend=False)[0] for text in TEXTS]
    assert len({one.text for one in found}) > 1
    return [one.text for one in found]


@pytest.mark.slow
def test_a_text_and_a_list(served: Client, expected: list[str]):
    one = served.translate(TEXTS[0])
    assert (one.status, one.content) == (200, {"translatedText": expected[0]})
    assert one.headers["x-model-version"] == "model"
    many = served.translate([*TEXTS, "", TEXTS[0]])
    assert many.content == {"translatedText": [*expected, "", expected[0]]}


def test_forms(served: Client, expected: list[str]):
    data = urlencode({"q": TEXTS[1], "source": "de", "target": "en", "alternatives": "2", "api_key": "x"})
    answer = served.send("/translate", data.encode(), FORM)
    assert answer.content["translatedText"] == expected[1]
    assert len(answer.content["alternatives"]) == 2
    data = urlencode({"q": TEXTS[1], "source": "de", "target": "en", "format": "", "alternatives": ""})
    assert served.send("/translate", data.encode(), FORM).content == {"translatedText": expected[1]}
    answer = served.send("/translate?source=de&target=en", urlencode({"q": TEXTS[1]}).encode(), FORM)
    assert answer.content == {"translatedText": expected[1]}


def test_alternatives_differ_and_change_nothing(served: Client, expected: list[str]):
    answer = served.translate(TEXTS, alternatives=4, format="text")
    assert answer.content["translatedText"] == expected
    for text, others in zip(expected, answer.content["alternatives"], strict=True):
        assert 1 <= len(others) <= 4
        assert len({text, *others}) == len(others) + 1


def test_html_keeps_its_markup(served: Client, expected: list[str]):
    answer = served.translate(f"<p class='x'>{TEXTS[0]}</p><!-- der Hund -->", format="html")
    assert answer.content["translatedText"] == f"<p class='x'>{expected[0]}</p><!-- der Hund -->"
    marked = served.translate("<p>der <b>Hund</b> schläft im Haus</p>", format="html").content[
        "translatedText"
    ]
    assert marked.count("<b>") == marked.count("</b>") == 1


def test_detected_language(served: Client, expected: list[str]):
    answer = served.translate(TEXTS[0], source="auto")
    assert answer.content["translatedText"] == expected[0]
    assert answer.content["detectedLanguage"]["language"] == "de"
    found = served.json("/detect", q="The house is where the dog sleeps").content
    assert [one["language"] for one in found] == ["en", "de"]
    assert found[0]["confidence"] > 50 > found[1]["confidence"]
    french = served.json("/detect", q="Le chien dort dans la maison avec le chat").content
    assert all(one["confidence"] < 10 for one in french)


def test_inspect(served: Client, expected: list[str]):
    found = served.json("/inspect", q=TEXTS[0], alternatives=2).content
    assert found["translation"] == expected[0]
    assert found["source_pieces"][-1] == found["target_pieces"][-1] == "</s>"
    assert len(found["attention"]) == len(found["target_pieces"])
    for row in found["attention"]:
        assert len(row) == len(found["source_pieces"])
        assert sum(row) == pytest.approx(1, abs=1e-3)
    scores = [one["score"] for one in found["alternatives"]]
    assert scores == sorted(scores, reverse=True)
    assert found["version"] == {"name": "model", "number": "", "url": None}
    assert served.json("/inspect", q="QQQQQ WWWWW EEEEE").content["doubts"] != []
    assert "(101) exceeds text limit (100)" in served.json("/inspect", q="x" * 101).content["error"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"q": ""}, "missing q"),
        ({"q": []}, "missing q"),
        ({"q": None}, "missing q"),
        ({"q": 7}, "q"),
        ({"q": "x", "source": ""}, "missing source"),
        ({"q": "x", "source": "fr"}, "fr is not supported"),
        ({"q": "x", "target": "de"}, "de is not available as a target language from de"),
        ({"q": "x", "source": "en", "target": "de"}, "not available"),
        ({"q": "x", "format": "pdf"}, "format"),
        ({"q": "x", "alternatives": -1}, "alternatives"),
        ({"q": "x" * 2001}, r"\(2001\) exceeds text limit \(2000\)"),
        ({"q": ["x"] * 51}, "limit of texts"),
        ({"q": "x\ud800"}, "half of a surrogate pair"),
    ],
)
def test_wrong_requests(served: Client, fields: dict[str, Any], message: str):
    answer = served.json("/translate", **{"source": "de", "target": "en", **fields})
    assert answer.status == 400
    assert list(answer.content) == ["error"]
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(answer.content["error"])


def test_bodies_that_cannot_be_read(served: Client):
    for data in (b"{", b"[1]", b'"x"', b"\xff", b"[" * 40_000):
        assert served.send("/translate", data).status == 400, data[:9]
    assert served.send("/translate", b"q=%ff&source=de&target=en", FORM).status == 400
    assert served.send("/translate", b" " * 60_000).status == 413
    assert served.send("/translate", b"no parts", "multipart/form-data; boundary=x").status == 400
    assert served.send("/translate").status == 405
    assert served.send("/nothing").content == {"error": "Not Found"}


def test_files(served: Client, expected: list[str]):
    answer = served.upload("../my file.txt", f"  {TEXTS[0]}\n\n{TEXTS[1]}\n".encode())
    assert answer.status == 200, answer.content
    address = answer.content["translatedFileUrl"]
    assert address.startswith(f"{served.address}/download_file/")
    found = served.send(address.removeprefix(served.address))
    assert found.content.decode() == f"  {expected[0]}\n\n{expected[1]}\n"
    assert "my_file_en.txt" in found.headers["content-disposition"]
    assert served.send("/download_file/other.txt").status == 404


def test_files_of_other_formats(served: Client, expected: list[str]):
    table = f"a\tde\n1\t{TEXTS[0]}\n".encode()
    answer = served.upload("x.tsv", table, column="de")
    found = served.send(answer.content["translatedFileUrl"].removeprefix(served.address)).content
    *fields, translation = found.decode().rstrip("\n").split("\t")
    assert fields == ["a", "de", "translation\n1", TEXTS[0]]
    assert translation.split() == expected[0].split()
    page = served.upload("x.html", f"<h1>{TEXTS[0]}</h1>".encode())
    found = served.send(page.content["translatedFileUrl"].removeprefix(served.address)).content
    assert found.decode() == f"<h1>{expected[0]}</h1>"


@pytest.mark.parametrize(
    ("name", "content", "status", "message"),
    [
        ("x.exe", b"x", 400, "name the format"),
        ("x.tsv", b"x\ty\n", 400, "column"),
        ("x.txt", b"\xff\xfe\n", 400, "UTF-8"),
        ("x.xliff", b"<xliff", 400, "x.xliff"),
        ("x.txt", b"x" * 100_001, 413, "exceeds"),
        ("x.txt", b"der Hund\n" + b"x" * 2001, 400, "a segment of 2,001 characters"),
        ("x.html", b"<p>" + b"x " * 1001 + b"</p>", 400, "a segment of 2,001 characters"),
    ],
)
def test_files_that_cannot_be_translated(
    served: Client, name: str, content: bytes, status: int, message: str
):
    answer = served.upload(name, content)
    assert answer.status == status
    assert message in answer.content["error"]
    assert "/tmp" not in answer.content["error"]


def test_what_clients_read_first(served: Client):
    assert served.send("/languages").content == [
        {"code": "de", "name": "German", "targets": ["en"]},
        {"code": "en", "name": "English", "targets": []},
    ]
    settings = served.send("/frontend/settings").content
    assert settings["charLimit"] == 2000
    assert settings["inspectLimit"] == 100
    assert ".txt" in settings["supportedFilesFormat"]
    health = served.health()
    assert health["status"] == "ok"
    assert health["registry"]["away_since"] is None
    assert settings["suggestions"] is True


def test_the_page_or_a_clear_message(served: Client):
    answer = served.send("/")
    if (app.PAGE / "index.html").is_file():
        assert b"<html" in answer.content
    else:
        assert answer.status == 404
        assert "index.html is missing" in answer.content["error"]


def test_metrics(served: Client):
    before = served.send("/metrics").content.decode()
    served.translate(TEXTS)
    after = served.send("/metrics").content.decode()

    def figure(text: str, name: str) -> float:
        """The value of a series; one that was never counted is not listed."""
        return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0.0)

    name = 'seq2seq_segments_total{outcome="translated"}'
    assert figure(after, name) == figure(before, name) + len(TEXTS)
    assert figure(after, "seq2seq_queue_segments") == 0
    assert 'seq2seq_version_info{name="model",version=""} 1.0' in after
    assert 'seq2seq_requests_total{path="/translate",status="200"}' in after


def test_openapi_describes_every_path(served: Client):
    described = served.send("/openapi.json").content
    paths = {"/translate", "/translate_file", "/detect", "/languages", "/inspect", "/suggest", "/health"}
    assert paths <= described["paths"].keys()
    body = described["paths"]["/translate"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/x-www-form-urlencoded"}
