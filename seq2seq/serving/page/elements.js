// Elements of the page.

export const at = (id) => document.getElementById(id);

// A new element with a text, which is never HTML.
export function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function hide(...ids) {
  for (const id of ids) at(id).hidden = true;
}
