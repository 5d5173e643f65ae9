"""The page of the translator in a real browser: typing, words, alternatives, corrections, widths."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from seq2seq.corrections import store
from tests.support import serving
from tests.support.page_stub import PAGE, PageStub, answer
from tests.support.projects import ROOT

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH")
CONTRASTS = ROOT / "tests/support/contrast.js"
DOG = "Der Hund schläft"
HOSTILE = "<img src=x onerror=alert(1)><b>x"
HEBREW = "שלושה כלבים משחקים"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def stub() -> Iterator[PageStub]:
    server = PageStub()
    links = [(0, 0, 0.8), (1, 1, 0.9), (1, 0, 0.06), (2, 2, 0.97)]
    others = [("The hound sleeps", 0.55), ("A dog sleeps", 0.2), ("The dog is asleep", None)]
    server.answers[DOG] = answer(DOG, "The dog sleeps", links, others)
    server.answers["xss"] = answer("xss", HOSTILE, alternatives=[(HOSTILE + "y", 0.1)], doubts=[HOSTILE])
    server.answers["rtl"] = answer("rtl", HEBREW, [(0, 0, 0.9)])
    yield server
    server.close()


@pytest.fixture
def open_page(browser: Browser, stub: PageStub) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end nothing may have been printed to its console."""
    printed: list[str] = []
    contexts = []

    def open_it(**options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: printed.append(message.text))
        page.on("pageerror", lambda error: printed.append(str(error)))
        page.on("request", lambda request: stub.origins.add(request.url.split("/")[2]))
        page.goto(stub.url)
        expect(page.locator("#direction")).to_have_text("German → English")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert [text for text in printed if "Failed to load resource" not in text] == []
    assert stub.origins == {stub.url.split("/")[2]}  # nothing is loaded from elsewhere


@pytest.fixture
def page(open_page: Callable[..., Page]) -> Page:
    return open_page()


def type_text(page: Page, text: str, translation: str) -> None:
    page.locator("#source").fill(text)
    expect(page.locator("#translation")).to_have_text(translation)


def word(page: Page, text: str, side: str = "translation") -> Any:
    return page.locator(f"#{side} .word", has_text=re.compile(f"^{text}$"))


def share(page: Page, text: str, side: str = "source-words") -> float:
    return float(word(page, text, side).evaluate("one => one.style.getPropertyValue('--share') || 0"))


def test_a_text_is_translated_as_one_types_and_only_after_a_pause(page: Page, stub: PageStub) -> None:
    page.locator("#source").press_sequentially(DOG, delay=20)
    expect(page.locator("#translation")).to_have_text("The dog sleeps")
    assert stub.questions() == [DOG]
    assert stub.bodies[0][1] == {"q": DOG, "alternatives": 5, "source": "de", "target": "en"}
    expect(page.locator("#spoken")).to_have_text("The dog sleeps")
    assert page.locator("#spoken").get_attribute("aria-live") == "polite"
    expect(page.locator("#confidence")).to_have_text("Very likely a good translation (confidence 93 %)")
    expect(page.locator("#version")).to_have_text("Translated by grammar-de-en version 3")
    expect(page.locator("#count")).to_have_text("16 of 200 characters")
    assert page.locator("#translation").get_attribute("lang") == "en"
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#translation")).to_be_empty()
    expect(page.locator("#source")).to_be_focused()
    expect(page.locator("#actions")).to_be_hidden()


@pytest.mark.parametrize("stops", [True, False], ids=["stopped", "not stopped"])
def test_an_answer_that_comes_too_late_is_dropped(page: Page, stub: PageStub, stops: bool) -> None:
    if not stops:  # then the number of the question decides
        page.evaluate("AbortController.prototype.abort = () => {}")
    stub.delays = {"slow": 1.2}
    page.locator("#source").fill("slow")
    page.wait_for_timeout(450)
    assert stub.questions() == ["slow"]
    expect(page.locator("#result")).to_have_attribute("aria-busy", "true")
    expect(page.locator(".stale")).to_have_count(0)
    type_text(page, "fast", "FAST")
    page.wait_for_timeout(1200)
    expect(page.locator("#translation")).to_have_text("FAST")
    page.locator("#source").fill("slow")
    expect(page.locator(".stale")).to_have_count(1)
    page.wait_for_timeout(450)
    page.locator("#source").fill("")
    page.wait_for_timeout(1200)
    expect(page.locator("#translation")).to_be_empty()


def test_attention_is_shown_for_the_word_under_the_pointer(page: Page) -> None:
    type_text(page, DOG, "The dog sleeps")
    word(page, "dog").hover()
    expect(page.locator("#attention")).to_have_text("dog attends to: Hund 90 %, Der 6 %")
    assert share(page, "Hund") > 10 * share(page, "Der") > share(page, "schläft") == 0
    word(page, "Hund", "source-words").hover()
    expect(page.locator("#attention")).to_have_text("Words that attend to Hund: dog 90 %")
    assert share(page, "dog", "translation") > 0.5
    page.mouse.move(0, 0)
    expect(page.locator("#attention")).to_be_empty()
    assert share(page, "dog", "translation") == 0


def test_words_and_alternatives_are_reached_by_the_keyboard(page: Page) -> None:
    expect(page.locator("#source")).to_be_focused()
    page.keyboard.type(DOG)
    expect(page.locator("#translation")).to_have_text("The dog sleeps")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Clear")).to_be_focused()
    page.keyboard.press("Tab")
    expect(word(page, "Der", "source-words")).to_be_focused()
    page.keyboard.press("Tab")
    expect(word(page, "The")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(word(page, "dog")).to_be_focused()
    expect(page.locator("#attention")).to_contain_text("dog attends to: Hund 90 %")
    outline = word(page, "dog").evaluate("one => getComputedStyle(one).outlineWidth")
    assert outline == "3px"
    page.keyboard.press("Enter")
    expect(page.locator("#alternatives-label")).to_be_focused()
    expect(page.locator("#alternatives-about")).to_have_text("1 of 3 with other words for “dog”.")
    expect(page.locator("#alternatives li .text")).to_have_text(["The hound sleeps"])
    expect(page.locator("#alternatives mark")).to_have_text(["hound"])
    page.get_by_role("button", name="Show all alternatives").click()
    expect(page.locator("#alternatives li")).to_have_count(3)
    word(page, "schläft", "source-words").focus()
    page.keyboard.press("Enter")
    expect(word(page, "sleeps")).to_be_focused()
    page.keyboard.press("Home")
    expect(word(page, "The")).to_be_focused()
    page.keyboard.press("End")
    expect(word(page, "sleeps")).to_be_focused()


def test_alternatives_have_their_confidence_and_become_corrections(page: Page, stub: PageStub) -> None:
    type_text(page, DOG, "The dog sleeps")
    expect(page.locator("#alternatives li")).to_have_count(3)
    rows = [row.replace("\u00a0", " ") for row in page.locator("#alternatives li").all_inner_texts()]
    assert "Uncertain, check it (confidence 55 %)" in rows[0]
    assert "Likely a bad translation (confidence 20 %)" in rows[1]
    assert "confidence" not in rows[2].lower()
    page.locator("#alternatives button").first.click()
    expect(page.get_by_label("Your correction")).to_be_focused()
    expect(page.get_by_label("Your correction")).to_have_value("The hound sleeps")
    page.get_by_label("Your correction").fill("The dog is sleeping")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#thanks")).to_contain_text("waits for a review")
    expect(page.locator("#correction")).to_be_hidden()
    sent = {"q": DOG, "s": "The dog is sleeping", "source": "de", "target": "en"}
    assert stub.bodies[-1] == (
        "/suggest",
        {**sent, "translation": "The dog sleeps", "version": "grammar-de-en/3"},
    )


def test_a_correction_can_be_cancelled_is_never_the_translation_itself_and_shows_a_refusal(
    page: Page, stub: PageStub
) -> None:
    type_text(page, DOG, "The dog sleeps")
    correct = page.get_by_role("button", name="Correct", exact=True)
    correct.click()
    assert correct.get_attribute("aria-expanded") == "true"
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#correction-problem")).to_have_text("Change the translation before you send it.")
    page.keyboard.press("Escape")
    expect(page.locator("#correction")).to_be_hidden()
    expect(correct).to_be_focused()
    correct.click()
    page.get_by_label("Your correction").fill("x")
    stub.problem = 400, {"error": "the suggestion has several lines"}
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#correction-problem")).to_contain_text("the suggestion has several lines")
    expect(page.get_by_label("Your correction")).to_have_value("x")
    assert stub.questions("/suggest") == [DOG]


def test_a_server_without_suggestions_shows_no_corrections(
    open_page: Callable[..., Page], stub: PageStub
) -> None:
    stub.settings = {"charLimit": 200, "suggestions": False, "keyRequired": True}
    page = open_page()
    page.locator("summary").click()
    page.get_by_label("This server needs a key").fill("secret")
    type_text(page, DOG, "The dog sleeps")
    expect(page.locator("#correct")).to_be_hidden()
    expect(page.locator("#alternatives button")).to_have_count(0)
    assert stub.bodies[-1][1]["api_key"] == "secret"


def test_a_text_that_is_too_long_is_not_sent(page: Page, stub: PageStub) -> None:
    page.locator("#source").fill("a" * 201)
    alert = page.get_by_role("alert").filter(has_text="201 characters, 200 are allowed: shorten it")
    expect(alert).to_be_visible()
    assert page.locator("#source").get_attribute("aria-invalid") == "true"
    page.wait_for_timeout(500)
    assert stub.questions() == []
    type_text(page, "a" * 200, "A" * 200)
    expect(page.locator("#problem")).to_be_hidden()
    type_text(page, "😀" * 200, "😀" * 200)  # characters, not units of UTF-16


def test_a_server_that_is_away_or_refuses_is_named_and_asked_again(page: Page, stub: PageStub) -> None:
    stub.close()
    page.locator("#source").fill(DOG)
    expect(page.get_by_role("alert").first).to_contain_text(
        "The server does not answer. Your text stays here."
    )
    stub.start_again()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#translation")).to_have_text("The dog sleeps")
    expect(page.locator("#problem")).to_be_hidden()
    stub.problem = 503, {"error": "the server is busy"}
    page.locator("#source").fill("busy")
    expect(page.locator("#problem-text")).to_have_text("The server cannot answer now: the server is busy")
    stub.problem = None
    expect(page.locator("#translation")).to_have_text("BUSY", timeout=10_000)  # by itself
    stub.problem = 400, {"error": "fr is not supported"}
    page.locator("#source").fill("no")
    expect(page.locator("#problem-text")).to_contain_text("fr is not supported")
    expect(page.locator("#again")).to_be_hidden()
    stub.problem = 502, b"<html>a proxy</html>"
    page.locator("#source").fill("proxy")
    expect(page.locator("#problem-text")).to_have_text("The server answers 502 without a reason.")


def test_a_page_that_opens_before_its_server_starts_by_itself(browser: Browser, stub: PageStub) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.route("**/languages", lambda route: route.abort())
        page.goto(stub.url)
        expect(page.locator("#problem-text")).to_contain_text("does not answer")
        page.unroute("**/languages")
        expect(page.locator("#direction")).to_have_text("German → English", timeout=10_000)
        expect(page.locator("#problem")).to_be_hidden()


def test_texts_are_never_html(page: Page) -> None:
    type_text(page, "xss", HOSTILE)
    assert page.locator("img").count() == 0
    expect(page.locator("#notes")).to_contain_text(HOSTILE)
    expect(page.locator("#alternatives .text")).to_have_text(HOSTILE + "y")


def test_a_text_from_right_to_left_is_set_so_and_arrows_move_so(page: Page) -> None:
    type_text(page, "rtl", HEBREW)
    assert page.locator("#translation").evaluate("one => getComputedStyle(one).direction") == "rtl"
    assert page.locator("#source").evaluate("one => getComputedStyle(one).direction") == "ltr"
    first, second = HEBREW.split()[:2]
    word(page, first).focus()
    page.keyboard.press("ArrowLeft")
    expect(word(page, second)).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_fits_every_width_and_texts_have_contrast(
    open_page: Callable[..., Page], stub: PageStub, scheme: Any, width: int
) -> None:
    page = open_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    long = "Donaudampfschifffahrtsgesellschaftskapitän " * 4
    stub.answers[long.strip()] = answer(long, long.upper(), alternatives=[(long, 0.5)], doubts=["x" * 90])
    page.locator("#source").fill(long.strip())
    expect(page.locator("#alternatives li")).to_have_count(1)
    page.get_by_role("button", name="Correct", exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRASTS.read_text("utf-8")) == []


def test_words_come_from_pieces(page: Page) -> None:
    def words(*pieces: str) -> list[list[Any]]:
        code = "async (pieces) => (await import('./words.js')).wordsOf(pieces)"
        return [[w["text"], w["first"], w["last"]] for w in page.evaluate(code, list(pieces))]

    assert words("▁Der", "▁Hu", "nd", "▁schläf", "t", ".", "</s>") == [
        *(["Der", 0, 0], ["Hund", 1, 2], ["schläft", 3, 4], [".", 5, 5])
    ]
    assert words("▁", "(", "x", ")", "▁don", "'", "t", "</s>") == [
        *(["(", 0, 1], ["x", 2, 2], [")", 3, 3], ["don't", 4, 6])
    ]
    assert words("▁a", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "▁b") == [["a😀", 0, 4], ["b", 5, 5]]
    assert words("▁我", "喜欢", "狗", "。", "</s>") == [
        *(["我", 0, 0], ["喜欢", 1, 1], ["狗", 2, 2], ["。", 3, 3])
    ]
    assert words("</s>") == []


def test_words_that_a_text_does_not_have_are_left_out(page: Page) -> None:
    def located(text: str, *words: str) -> list[Any]:
        code = "async ([text, words]) => (await import('./words.js')).located(text, words)"
        found = page.evaluate(code, [text, [{"text": word} for word in words]])
        return [(one["text"], one["start"], one["end"]) for one in found]

    assert located("a b\na", "a", "b", "a") == [("a", 0, 1), ("b", 2, 3), ("a", 4, 5)]
    # The tokenizer has replaced … by three dots, which are in the text much later.
    text = "Warte… auf den anderen Hund... ja"
    assert [
        one[0] for one in located(text, "Warte", "...", "auf", "den", "anderen", "Hund", "...", "ja")
    ] == [*("Warte", "auf", "den", "anderen", "Hund", "...", "ja")]
    assert located("nothing", "of", "this") == []


def test_a_text_keeps_its_lines_and_a_version_without_attention_has_plain_text(
    page: Page, stub: PageStub
) -> None:
    stub.answers["a b\n\nc"] = answer("a b c", "x  y\nz", [(2, 2, 0.7)])
    page.locator("#source").fill("a b\n\nc")
    expect(page.locator("#translation .word")).to_have_count(3)
    assert page.locator("#translation").inner_text() == "x  y\nz"
    assert page.locator("#source-words").inner_text() == "a b\n\nc"
    stub.answers["plain"] = answer("plain", "no weights") | {"attention": None, "confidence": None}
    type_text(page, "plain", "no weights")
    expect(page.locator(".word")).to_have_count(0)
    expect(page.locator("#source-part")).to_be_hidden()
    expect(page.locator("#confidence")).to_contain_text("not calibrated")


def test_the_version_leads_to_its_verdict_if_its_page_has_an_address(page: Page, stub: PageStub) -> None:
    for address, links in (("http://mlflow.example/#/models/m/versions/3", 1), ("javascript:alert(1)", 0)):
        version = {"name": "m", "number": "3", "url": address}
        stub.answers[address] = answer(address, "x", version=version)
        page.locator("#source").fill(address)
        expect(page.locator("#version")).to_contain_text("m version 3")
        expect(page.locator("#version a")).to_have_count(links)


def test_the_page_works_with_the_real_server(browser: Browser, tmp_path: Path) -> None:
    database = tmp_path / "corrections.db"
    model = serving.make_model(tmp_path / "made")
    text = f"{serving.TEXTS[0]}. {serving.TEXTS[1]}."
    with (
        serving.serving(str(model), corrections=database, max_characters=100) as client,
        browser.new_context() as context,
    ):
        translation = client.translate(text).content["translatedText"]
        page = context.new_page()
        printed: list[str] = []
        page.on("console", lambda message: printed.append(message.text))
        page.goto(client.address)
        expect(page.locator("#direction")).to_have_text("German → English")
        page.locator("#source").fill(text)
        expect(page.locator("#spoken")).to_have_text(translation)
        expect(page.locator("#source-words")).to_have_text(text)  # its words have their places in the text
        expect(page.locator("#translation")).to_have_text(translation)
        expect(page.locator("#source-words .word")).to_have_count(9)
        expect(page.locator("#count")).to_contain_text("of 100 characters")
        page.get_by_role("button", name="Correct", exact=True).click()
        page.get_by_label("Your correction").fill("the dog sleeps in the house. the cat does not run.")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#thanks")).to_contain_text("waits for a review")
        page.locator("#source").fill("der Hund\ndie Katze")
        expect(page.locator("#spoken")).not_to_have_text(translation)
        page.get_by_role("button", name="Correct", exact=True).click()
        page.get_by_label("Your correction").fill("the dog")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#correction-problem")).to_contain_text("send a correction for each line")
    [kept] = store.find(path=database)
    assert (kept.source, kept.translation, kept.version) == (text, translation.strip(), "model")
    assert [line for line in printed if "Failed to load resource" not in line] == []


def test_a_server_that_takes_no_suggestions(browser: Browser, tmp_path: Path) -> None:
    model = serving.make_model(tmp_path / "made")
    with serving.serving(str(model), corrections=None) as client, browser.new_context() as context:
        answer = client.json("/suggest", q="der Hund", s="the dog", source="de", target="en")
        assert (answer.status, "disabled" in answer.content["error"]) == (403, True)
        page = context.new_page()
        page.goto(client.address)
        page.locator("#source").fill("der Hund")
        expect(page.locator("#actions")).to_be_visible()
        expect(page.locator("#correct")).to_be_hidden()


def test_the_page_names_no_other_server_and_every_field_has_a_label() -> None:
    for file in PAGE.iterdir():
        assert not re.search(r"https?://(?!\w*\\)", file.read_text("utf-8").replace(r"^https?:\/\/", "")), (
            file
        )
    html = (PAGE / "index.html").read_text("utf-8")
    fields = re.findall(r'<(?:textarea|input)[^>]* id="(\w+)"', html)
    assert len(fields) == 3
    assert all(f'for="{field}"' in html for field in fields)
    ids = set(re.findall(r' id="([\w-]+)"', html))
    used = {
        name for file in PAGE.glob("*.js") for name in re.findall(r'\bat\("([\w-]+)"\)', file.read_text())
    }
    assert used <= ids
    assert len(used) > 20
