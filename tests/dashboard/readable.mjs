// The basics of what keeps a page from being read or used. Runs in the page.

export function faults() {
  const found = [];
  const fault = (what, element) => found.push(`${what}: ${element?.outerHTML?.slice(0, 120) ?? ""}`);
  const visible = (element) => element.checkVisibility() && element.getClientRects().length > 0;
  const all = (selector) => [...document.querySelectorAll(selector)];

  if (!document.documentElement.lang) fault("no language");
  if (!document.title) fault("no title");
  for (const [selector, count] of [["h1", 1], ["main:not([hidden])", 1], ["header.bar", 1], ["footer", 1]]) {
    if (all(selector).length !== count) fault(`not ${count} of ${selector}`);
  }
  const ids = all("[id]").map((element) => element.id);
  ids.filter((id, i) => ids.indexOf(id) !== i).forEach((id) => fault(`id ${id} twice`));
  for (const field of all("input, select, textarea")) {
    const label = [...(field.labels ?? [])].map((l) => l.textContent.trim()).join("");
    if (!label && !field.getAttribute("aria-label")) fault("no label", field);
  }
  for (const button of all("button")) if (!button.textContent.trim()) fault("a button without a name", button);
  for (const link of all("a")) if (!link.textContent.trim()) fault("a link without a name", link);
  for (const image of all("img")) if (!image.hasAttribute("alt")) fault("no alternative text", image);
  for (const chart of all(".chart svg").filter(visible)) {
    if (chart.getAttribute("role") !== "img" || !chart.getAttribute("aria-label")) fault("a chart without words", chart);
  }
  for (const table of all("table")) {
    if (!table.caption) fault("no caption", table);
    for (const head of table.querySelectorAll("th")) if (!head.scope) fault("no scope", head);
  }
  for (const part of all("[aria-labelledby]")) {
    if (!document.getElementById(part.getAttribute("aria-labelledby"))) fault("labelled by nothing", part);
  }
  for (const region of all("[role=region], section")) {
    if (!region.getAttribute("aria-label") && !region.getAttribute("aria-labelledby")) fault("a region without a name", region);
  }
  let level = 0;
  for (const heading of all("h1, h2, h3").filter(visible)) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) fault("a level of headings left out", heading);
    level = own;
  }

  // Nothing sticks out, and everything that is pressed is large enough (WCAG 2.2, 2.5.8).
  if (document.documentElement.scrollWidth > innerWidth) fault(`wider than the window: ${document.documentElement.scrollWidth}`);
  for (const target of all("button, select, input:not([type=radio]):not([type=checkbox])").filter(visible)) {
    if (target.getBoundingClientRect().height < 24) fault("too small to press", target);
  }

  // Contrast (WCAG 1.4.3).
  const parse = (color) => {
    const parts = color.match(/[\d.]+/g).map(Number);
    const scale = color.startsWith("color(") ? 255 : 1;
    return { rgb: parts.slice(0, 3).map((n) => n * scale), alpha: parts[3] ?? 1 };
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((n) => n / 255).map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { rgb, alpha } = parse(getComputedStyle(at).backgroundColor);
      if (alpha > 0.9) return rgb;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !visible(element) || element.closest("option, noscript, .unseen, .skip, :disabled")) continue;
    const style = getComputedStyle(element);
    const [ink, ground] = [light(parse(style.color).rgb), light(paper(element))];
    const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    const needed = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (contrast < needed) fault(`contrast ${contrast.toFixed(2)} of "${walker.currentNode.textContent.trim().slice(0, 30)}"`, element);
  }
  return found;
}
