// Words of a translation from its pieces, their attention weights, and the differences between two texts.
//
// Why: a model translates pieces of words, and people read words. These functions touch no element of the page.

const BYTE = /^<0x([0-9A-Fa-f]{2})>$/;
const SPACE = "\u2581"; // SentencePiece's mark of a blank before a piece
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const MARKS = /^[^\p{L}\p{N}\p{M}'\u2019-]+$/u;

// The words of a list of pieces: [{text, first, last}], by the numbers of their pieces. </s> is in none. A mark
// of punctuation, and a piece of a script without blanks, is a word of its own.
export function wordsOf(pieces) {
  const words = [];
  let alone = false;
  pieces.forEach((piece, number) => {
    if (piece === "</s>") return;
    const plain = piece.replaceAll(SPACE, " ");
    const text = plain.trim();
    const byte = BYTE.test(piece);
    const stands = !byte && text !== "" && (UNSPACED.test(text) || MARKS.test(text));
    if (!words.length || plain.startsWith(" ") || (stands && words.at(-1).parts.length) || alone) {
      words.push({ parts: [], first: number, last: number });
    }
    const word = words.at(-1);
    word.last = number;
    if (piece !== SPACE) word.parts.push(byte ? Uint8Array.of(parseInt(BYTE.exec(piece)[1], 16)) : new TextEncoder().encode(text));
    alone = stands;
  });
  return words
    .map(({ parts, first, last }) => ({ text: new TextDecoder().decode(joined(parts)), first, last }))
    .filter((word) => word.text.trim());
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    bytes.set(part, place);
    place += part.length;
  }
  return bytes;
}

const GAP = 10; // characters of a text that may precede a word without being one of another word

// The words with their places in a text, {..., start, end}. A word that the text does not have there, as a
// tokenizer changes some characters, is left out.
export function located(text, words) {
  const found = [];
  let place = 0, gap = GAP;
  for (const word of words) {
    const start = text.indexOf(word.text, place);
    if (start < 0 || text.slice(place, start).replace(/\s/gu, "").length > gap) {
      gap += word.text.length;
      continue;
    }
    place = start + word.text.length;
    gap = GAP;
    found.push({ ...word, start, end: place });
  }
  return found;
}

// The share of a target word's attention on a source word: the mean of its pieces' rows.
export function weight(attention, target, source) {
  let sum = 0;
  for (let row = target.first; row <= target.last; row++) {
    for (let column = source.first; column <= source.last; column++) sum += attention[row]?.[column] ?? 0;
  }
  return sum / (target.last - target.first + 1);
}

// The words of a text with their places: [{text, start, end}].
export function tokens(text, language) {
  const found = [];
  if (globalThis.Intl?.Segmenter) {
    for (const { segment, index, isWordLike } of segmenter(language).segment(text)) {
      if (isWordLike || MARKS.test(segment.trim())) found.push({ text: segment, start: index, end: index + segment.length });
    }
    return found.filter((token) => token.text.trim());
  }
  for (const match of text.matchAll(/\S+/gu)) found.push({ text: match[0], start: match.index, end: match.index + match[0].length });
  return found;
}

function segmenter(language) {
  try {
    return new Intl.Segmenter(language || undefined, { granularity: "word" });
  } catch {
    return new Intl.Segmenter(undefined, { granularity: "word" }); // the server's tag is none
  }
}

const LONGEST = 400; // tokens of a text that are compared

// Which tokens of two lists are not common to both: two arrays of true and false (longest common subsequence).
export function changes(before, after) {
  const a = before.slice(0, LONGEST), b = after.slice(0, LONGEST);
  const length = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i][j] = a[i].text === b[j].text ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const gone = before.map(() => true), added = after.map(() => true);
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i].text === b[j].text) gone[i++] = added[j++] = false;
    else if (length[i + 1][j] >= length[i][j + 1]) i++;
    else j++;
  }
  return [gone, added];
}

// A confidence in words, and the class that colours it.
export function inWords(confidence) {
  if (confidence === null || confidence === undefined) return ["Confidence unknown: this version is not calibrated", "unknown"];
  const number = `confidence ${Math.round(confidence * 100)}\u00a0%`;
  if (confidence >= 0.9) return [`Very likely a good translation (${number})`, "sure"];
  if (confidence >= 0.7) return [`Likely a good translation (${number})`, "sure"];
  if (confidence >= 0.4) return [`Uncertain, check it (${number})`, "unsure"];
  return [`Likely a bad translation (${number})`, "wrong"];
}
