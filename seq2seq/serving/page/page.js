// The page to try the translator: sends the text as one types, and shows the server's answers.
//
// Why: everything shown comes from `POST inspect`; answers that arrive out of order are dropped, and every text is
// set as text, never as HTML.

import { list } from "./alternatives.js";
import { connect, drawWords } from "./attention.js";
import { at, element, hide } from "./elements.js";
import { request } from "./server.js";
import { inWords, located, wordsOf } from "./words.js";

const PAUSE = 300; // milliseconds without a key before the request
const ALTERNATIVES = 5;
const PATIENCE = 30000; // milliseconds between two attempts while the server is away, at most
const source = at("source"), result = at("result");

let limit = Infinity; // characters of a text
let mayCorrect = true;
let languages = { source: { code: "", name: "" }, target: { code: "", name: "" } };
let requested = 0; // the number of the last request
let running = null; // its AbortController
let timer = 0;
let wait = 0; // milliseconds until the next attempt
let shown = null; // the content of the page: {text, ...the answer}

// Requests as one types.

function typed() {
  clearTimeout(timer);
  running?.abort();
  requested++; // an answer on its way is of an earlier text
  result.setAttribute("aria-busy", "false");
  markStale();
  const length = [...source.value].length;
  const tooLong = length > limit;
  at("count").textContent = limit < Infinity ? `${length.toLocaleString("en")} of ${limit.toLocaleString("en")} characters` : "";
  at("clear").hidden = !source.value;
  source.setAttribute("aria-invalid", String(tooLong));
  at("count").classList.toggle("bad", tooLong);
  if (!source.value.trim()) {
    showNothing();
    if (!languages.source.code) begin();
    return;
  }
  if (tooLong) {
    return showProblem(`The text has ${length.toLocaleString("en")} characters, ${limit.toLocaleString("en")} are allowed: shorten it.`, false);
  }
  timer = setTimeout(attempt, PAUSE);
}

// Dim what is shown of an earlier text.
function markStale() {
  document.querySelector(".panes").classList.toggle("stale", Boolean(shown) && shown.text !== source.value);
}

// Translate; before that, the server's languages are needed.
function attempt() {
  return languages.source.code ? translate() : begin();
}

async function translate() {
  clearTimeout(timer);
  running?.abort();
  const text = source.value, number = ++requested;
  if (!text.trim()) return;
  running = new AbortController();
  result.setAttribute("aria-busy", "true");
  try {
    const pair = { source: languages.source.code, target: languages.target.code };
    const body = { q: text, alternatives: ALTERNATIVES, ...pair };
    const found = await request("inspect", body, running.signal);
    if (number !== requested) return;
    wait = 0;
    hide("problem");
    show({ text, ...found });
  } catch (error) {
    if (number !== requested || error.name === "AbortError") return;
    showProblem(error.message, error.passes);
  } finally {
    if (number === requested) result.setAttribute("aria-busy", "false");
  }
}

function showProblem(message, passes) {
  at("problem-text").textContent = message; // the same text again is not read aloud again
  at("again").hidden = !passes;
  at("problem").hidden = false;
  if (passes) {
    wait = Math.min(PATIENCE, Math.max(2000, wait * 2));
    timer = setTimeout(attempt, wait);
  }
}

function showNothing() {
  shown = null;
  at("translation").replaceChildren();
  at("empty").hidden = false;
  at("spoken").textContent = "";
  hide("problem", "actions", "confidence", "notes", "source-part", "attention-part", "alternatives-part", "correction");
}

// Showing an answer.

function show(answer) {
  shown = answer;
  at("empty").hidden = true;
  at("thanks").textContent = "";
  closeCorrection();
  const attended = Array.isArray(answer.attention);
  const of = (text, pieces) => (attended ? located(text, wordsOf(pieces)) : []);
  shown.sourceWords = of(answer.text, answer.source_pieces);
  shown.targetWords = of(answer.translation, answer.target_pieces);
  drawWords(shown);
  markStale();
  at("spoken").textContent = answer.translation;
  const [text, kind] = inWords(answer.confidence);
  at("confidence").textContent = text;
  at("confidence").className = `confidence ${kind}`;
  at("actions").hidden = at("confidence").hidden = false;
  at("correct").hidden = !mayCorrect;
  at("source-part").hidden = at("attention-part").hidden = !shown.targetWords.length || !shown.sourceWords.length;
  showNotes(answer);
  showAlternatives();
  showVersion(answer.version);
}

function showNotes(answer) {
  const notes = (answer.doubts ?? []).map((doubt) => `The translation may be bad: ${doubt}`);
  if (answer.splits) notes.push(`A sentence is too long for the model and was divided (${answer.splits}).`);
  at("notes").replaceChildren(...notes.map((note) => element("li", note)));
  at("notes").hidden = !notes.length;
}

function showVersion(version) {
  const place = at("version");
  place.replaceChildren();
  if (!version?.name) return;
  place.append(`Translated by ${version.name}${version.number ? ` version ${version.number}` : ""}`);
  if (/^https?:\/\//.test(version.url ?? "")) {
    const link = element("a", "its verdict and model card");
    link.href = version.url;
    link.rel = "noreferrer";
    place.append(": ", link);
  }
}

function showAlternatives(word, move) {
  list(shown, languages.target.code, mayCorrect ? openCorrection : null, word, move);
}

// Corrections.

function openCorrection(text) {
  at("correction").hidden = false;
  at("correct").setAttribute("aria-expanded", "true");
  at("suggestion").value = text;
  at("correction-problem").textContent = at("thanks").textContent = "";
  at("suggestion").focus();
}

function closeCorrection() {
  at("correction").hidden = true;
  at("correct").setAttribute("aria-expanded", "false");
}

at("correction").addEventListener("submit", async (event) => {
  event.preventDefault();
  const suggestion = at("suggestion").value.trim(), of = shown;
  at("correction-problem").textContent = "";
  if (!of || !suggestion || suggestion === of.translation.trim()) {
    at("correction-problem").textContent = "Change the translation before you send it.";
    return;
  }
  at("send").disabled = true;
  try {
    const pair = { source: languages.source.code, target: languages.target.code };
    const version = of.version?.name ? [of.version.name, of.version.number].filter(Boolean).join("/") : null;
    await request("suggest", { q: of.text, s: suggestion, ...pair, translation: of.translation, version });
    closeCorrection();
    at("thanks").textContent = "Thank you: the correction is stored and waits for a review.";
    at("correct").focus();
  } catch (error) {
    at("correction-problem").textContent = error.message;
  } finally {
    at("send").disabled = false;
  }
});

at("correct").addEventListener("click", () => (at("correction").hidden ? openCorrection(shown.translation) : closeCorrection()));
at("cancel").addEventListener("click", () => {
  closeCorrection();
  at("correct").focus();
});
at("correction").addEventListener("keydown", (event) => {
  if (event.key === "Escape") at("cancel").click();
});

at("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(shown.translation);
    at("status").textContent = at("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(at("translation")); // without a secure connection: then by Ctrl-C
    at("status").textContent = at("copy").textContent = "Selected";
  }
  setTimeout(() => (at("copy").textContent = "Copy"), 2000);
});

at("clear").addEventListener("click", () => {
  source.value = "";
  typed();
  source.focus();
});
at("all").addEventListener("click", () => showAlternatives(undefined, true));
connect((word) => showAlternatives(word, true));
at("again").addEventListener("click", attempt);
at("key").addEventListener("change", typed);
source.addEventListener("input", typed);
addEventListener("online", () => at("problem").hidden || at("again").click());

// The languages and limits of the server, when the page opens.
async function begin() {
  clearTimeout(timer);
  try {
    const [known, settings] = await Promise.all([request("languages"), request("frontend/settings").catch(() => ({}))]);
    const from = known.find((one) => one.targets?.length) ?? known[0];
    const to = known.find((one) => one.code === from.targets?.[0]) ?? from;
    languages = { source: from, target: to };
    const longest = settings.inspectLimit ?? settings.charLimit;
    limit = longest > 0 ? longest : Infinity;
    mayCorrect = settings.suggestions !== false;
    at("key-part").hidden = !settings.keyRequired;
  } catch (error) {
    showProblem(error.message, true);
    return;
  }
  hide("problem");
  wait = 0;
  const { source: from, target: to } = languages;
  at("direction").textContent = `${from.name} → ${to.name}`;
  at("source-label").textContent = `Text in ${from.name}`;
  at("translation-label").textContent = `Translation into ${to.name}`;
  source.lang = at("source-words").lang = from.code;
  at("translation").lang = at("suggestion").lang = at("spoken").lang = to.code;
  document.title = `${from.name} → ${to.name}`;
  if (source.value.trim()) typed();
}

begin();
