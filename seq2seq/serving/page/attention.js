// The words of a text and of its translation as elements, and the attention weights between them.
//
// Why: a weight is shown by a colour and by a number, for the word that is pointed at or has the keyboard's focus.

import { at, element } from "./elements.js";
import { weight } from "./words.js";

const SHOWN = 3; // words named in a sentence about attention
const LEAST = 0.05; // a smaller weight is not named
let shown = null; // {attention, sourceWords, targetWords}
let focused = null; // the word with the keyboard's focus

// Draw the words of an answer.
export function drawWords(answer) {
  shown = answer;
  focused = null;
  draw(at("source-words"), answer.text, answer.sourceWords, "source");
  draw(at("translation"), answer.translation, answer.targetWords, "target");
  at("attention").textContent = "";
}

// A text with its words as elements that can be pointed at, and moved between by arrow keys.
function draw(place, text, words, side) {
  const parts = [];
  let end = 0;
  words.forEach((word, number) => {
    parts.push(text.slice(end, word.start));
    const made = element("span", word.text, "word");
    made.tabIndex = number ? -1 : 0;
    made.setAttribute("role", "button");
    made.dataset.side = side;
    made.dataset.number = number;
    word.element = made;
    parts.push(made);
    end = word.end;
  });
  place.replaceChildren(...parts, text.slice(end));
}

function wordAt(target) {
  const found = target.closest?.(".word");
  if (!found || !shown) return null;
  return { side: found.dataset.side, ...shown[`${found.dataset.side}Words`][found.dataset.number] };
}

// The words of the other side with the weights between them and a word.
function weightsOf(word) {
  if (word.side === "target") return shown.sourceWords.map((one) => [weight(shown.attention, word, one), one]);
  return shown.targetWords.map((one) => [weight(shown.attention, one, word), one]);
}

function showWeights(word) {
  if (!shown) return;
  for (const one of [...shown.sourceWords, ...shown.targetWords]) {
    one.element.style.removeProperty("--share");
    one.element.classList.remove("chosen");
  }
  at("attention").textContent = "";
  if (!word) return;
  word.element.classList.add("chosen");
  const weights = weightsOf(word);
  for (const [share, one] of weights) one.element.style.setProperty("--share", (0.75 * share).toFixed(3));
  const most = weights.filter(([share]) => share >= LEAST).sort((a, b) => b[0] - a[0]).slice(0, SHOWN);
  const listed = most.flatMap(([share, one], i) => [i ? ", " : "", isolated(one.text), ` ${Math.round(share * 100)}\u00a0%`]);
  const [before, after] = word.side === "target" ? ["", " attends to: "] : ["Words that attend to ", ": "];
  at("attention").append(before, isolated(word.text), after, ...(listed.length ? listed : ["none above 5 %"]));
}

// A word of any direction of writing within a sentence of the page.
function isolated(text) {
  const made = element("b");
  made.append(element("bdi", text));
  return made;
}

function choose(element) {
  for (const one of element.parentElement.querySelectorAll(".word")) one.tabIndex = -1;
  element.tabIndex = 0;
  element.focus();
}

// Let words be pointed at, clicked, and moved between by arrow keys. `select` gets a word of the translation that is
// clicked or entered; a word of the source leads to the one that attends to it most.
export function connect(select) {
  const enter = (word) => {
    if (word.side === "target") select(word);
    else if (shown.targetWords.length) choose(weightsOf(word).reduce((a, b) => (b[0] > a[0] ? b : a))[1].element);
  };
  for (const place of [at("source-words"), at("translation")]) {
    place.addEventListener("pointerover", (event) => showWeights(wordAt(event.target) ?? focused));
    place.addEventListener("pointerleave", () => showWeights(focused));
    place.addEventListener("focusin", (event) => showWeights((focused = wordAt(event.target))));
    place.addEventListener("focusout", () => showWeights((focused = null)));
    place.addEventListener("click", (event) => {
      const word = wordAt(event.target);
      if (word && getSelection().isCollapsed) enter(word);
    });
    place.addEventListener("keydown", (event) => {
      const words = [...place.querySelectorAll(".word")], number = words.indexOf(event.target);
      if (number < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
      const ahead = getComputedStyle(words[number]).direction === "rtl" ? "ArrowLeft" : "ArrowRight";
      const moves = { ArrowLeft: -1, ArrowRight: -1, [ahead]: 1, Home: -number, End: words.length - 1 - number };
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        enter(wordAt(event.target));
      } else if (event.key in moves) {
        event.preventDefault();
        choose(words[Math.min(words.length - 1, Math.max(0, number + moves[event.key]))]);
      }
    });
  }
}
