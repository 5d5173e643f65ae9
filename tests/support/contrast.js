// The visible texts with less than 4.5 to 1 of contrast to their background (WCAG 2), without placeholders.
() => {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const over = (top, below) => top.slice(0, 3).map((part, i) => part * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
  const luminance = (color) => {
    const [r, g, b] = color.map((part) => part / 255).map((p) => (p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    if (!one) return [255, 255, 255];
    return over(parse(getComputedStyle(one).backgroundColor), ground(one.parentElement));
  };
  const bad = [];
  for (const one of document.querySelectorAll("body *")) {
    if (!one.checkVisibility() || one.closest(".unseen") || ![...one.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const pair = [luminance(parse(getComputedStyle(one).color).slice(0, 3)), luminance(ground(one))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) bad.push(`${one.tagName} ${one.className} ${one.textContent.slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return bad;
}
