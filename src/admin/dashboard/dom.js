// Small helpers for building and changing the page. Text is only ever set as text.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; `null` children are left out. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(2).filter((child) => child != null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Sets a text if it is another, so that nothing is selected away or read out for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function show(element, visible) {
  element.hidden = !visible;
}

/**
 * Keeps one child per item, in order, and moves as little as possible: what has the focus keeps it.
 * `make(item)` returns an element, `update(element, item)` fills it.
 */
export function keyed(parent, items, key, make, update) {
  const known = (parent.keyedChildren ??= new Map());
  const wanted = new Set(items.map(key));
  for (const [name, element] of known) {
    if (!wanted.has(name)) {
      element.remove();
      known.delete(name);
    }
  }
  let before = null;
  for (const item of items) {
    const name = key(item);
    let element = known.get(name);
    if (!element) {
      element = make(item);
      known.set(name, element);
    }
    const next = before ? before.nextElementSibling : parent.firstElementChild;
    if (next !== element) parent.insertBefore(element, next);
    update(element, item);
    before = element;
  }
}

/** Text in which `words` stand between backticks, as code. */
export function marked(text) {
  return text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));
}

/** A call to the admin listener: status and JSON. Throws where there is no answer at all. */
export async function call(path, { method = "GET", body } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    credentials: "same-origin",
  });
  let json = null;
  try {
    json = await response.json();
  } catch {
    // An answer of something that stands in between.
  }
  return { status: response.status, ok: response.ok, json };
}

/** What an answer that is no success says of itself. */
export function complaint({ status, json }) {
  return json?.error ?? `The answer was ${status}, without a reason.`;
}
