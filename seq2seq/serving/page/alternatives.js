// The alternatives of a translation; of a word, those that have another one in its place.
//
// Why: the server lists alternatives of the whole text; a comparison with the translation finds those of a word.

import { at, element } from "./elements.js";
import { changes, inWords, tokens } from "./words.js";

// List the alternatives of an answer, of a word if one is given. `use` is called with the text of a chosen one, if
// there may be corrections. `move` sets the focus to the list.
export function list(answer, language, use, word, move) {
  const before = tokens(answer.translation, language);
  const rows = (answer.alternatives ?? []).map((one) => {
    const after = tokens(one.text, language);
    const [gone, added] = changes(before, after);
    const changed = Boolean(word) && before.some((token, i) => gone[i] && token.start < word.end && token.end > word.start);
    return { ...one, changed, marked: after.filter((_, i) => added[i]) };
  });
  const chosen = word ? rows.filter((row) => row.changed) : rows;
  at("alternatives-part").hidden = !rows.length;
  at("all").hidden = !chosen.length || chosen.length === rows.length;
  at("alternatives-about").textContent = about(word, chosen, rows);
  at("alternatives").replaceChildren(...(chosen.length ? chosen : rows).map((row) => item(row, language, use)));
  if (move && rows.length) {
    at("alternatives-label").focus({ preventScroll: true });
    at("alternatives-part").scrollIntoView({ block: "nearest" });
  } else if (move) at("status").textContent = "There are no alternatives.";
}

function about(word, chosen, rows) {
  if (!word) return "Other translations that the search found, best first.";
  if (!chosen.length) return `No alternative has another word for “${word.text}”; these are all.`;
  return `${chosen.length} of ${rows.length} with other words for “${word.text}”.`;
}

function item(row, language, use) {
  const made = element("li"), text = element("span", undefined, "text");
  text.dir = "auto";
  text.lang = language;
  let end = 0;
  for (const token of row.marked) {
    text.append(row.text.slice(end, token.start), element("mark", token.text));
    end = token.end;
  }
  text.append(row.text.slice(end));
  made.append(text);
  const [words, kind] = inWords(row.confidence);
  if (kind !== "unknown") made.append(element("span", words, `confidence small ${kind}`));
  if (use) {
    const button = element("button", "Use as correction");
    button.type = "button";
    button.addEventListener("click", () => use(row.text));
    made.append(button);
  }
  return made;
}
