// The forms: logging in, purging, explaining.

import { byId, call, complaint, el, marked, setText, show } from "./dom.js";
import * as f from "./format.js";

const UNREACHABLE = "Larder can't be reached.";

async function ask(path, request) {
  try {
    return await call(path, request);
  } catch {
    return { status: 0, ok: false, json: { error: UNREACHABLE } };
  }
}

/** A form that does one thing at a time. */
function handle(form, send) {
  const button = form.querySelector("button[type=submit]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    form.setAttribute("aria-busy", "true");
    try {
      await send();
    } finally {
      button.disabled = false;
      form.removeAttribute("aria-busy");
    }
  });
}

export function login(done) {
  handle(byId("login-form"), async () => {
    const token = byId("token");
    setText(byId("login-error"), "");
    const answer = await ask("session", { method: "POST", body: { token: token.value } });
    if (answer.ok) {
      token.value = "";
      done(answer.json);
    } else {
      setText(byId("login-error"), complaint(answer));
      token.select();
    }
  });
}

const NAMES = {
  tags: ["Tags, one a line", "product:7"],
  urls: ["URLs, one a line", "http://shop.example.com/path"],
  prefixes: ["Prefixes, one a line", "shop.example.com/blog"],
  hosts: ["Hosts, one a line", "shop.example.com"],
};

export class PurgeForm {
  constructor() {
    this.form = byId("purge-form");
    this.names = byId("purge-names");
    this.form.addEventListener("change", (event) => {
      this.fit();
      // What is said there is of something else.
      if (event.target.name === "kind") byId("receipt").replaceChildren();
    });
    handle(this.form, () => this.send());
    this.fit();
  }

  get kind() {
    return this.form.elements.kind.value;
  }

  fit() {
    const everything = this.kind === "everything";
    show(byId("purge-named"), !everything);
    show(byId("purge-sure-row"), everything);
    this.names.required = !everything;
    byId("purge-sure").required = everything;
    if (!everything) byId("purge-sure").checked = false;
    const [label, example] = NAMES[this.kind] ?? NAMES.tags;
    setText(byId("purge-names-label"), label);
    this.names.placeholder = example;
  }

  /** `inFleet`: there are other nodes that one may wait for. */
  permit(may, inFleet) {
    show(this.form, may);
    show(byId("purge-denied"), !may);
    show(byId("purge-wait-row"), inFleet);
  }

  fill(tag) {
    this.form.elements.kind.value = "tags";
    this.fit();
    this.names.value = tag;
    this.form.scrollIntoView({ block: "center" });
    this.names.focus();
  }

  async send() {
    const lines = this.names.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const body = { mode: byId("purge-mode").value, wait: byId("purge-wait").checked ? "fleet" : "node" };
    if (this.kind === "everything") body.everything = true;
    else body[this.kind] = lines;
    const answer = await ask("purge", { method: "POST", body });
    byId("receipt").replaceChildren(answer.ok ? receipt(answer) : el("p", { class: "error" }, complaint(answer)));
    if (answer.ok) byId("purge-sure").checked = false;
  }
}

function receipt({ status, json }) {
  const { applied, total, missing } = json.nodes;
  const least = json.matched_exact === false ? "at least " : "";
  const one = (n, word, words) => `${f.count(n)} ${n === 1 ? word : words}`;
  const pair = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  return el(
    "div",
    { class: status === 202 ? "callout fair" : "callout good" },
    el("p", {}, el("strong", {}, status === 202 ? "Purged here, and not everywhere yet" : "Purged"), `: ${least}${one(json.matched, "entry", "entries")} matched.`),
    el("dl", { class: "pairs" }, pair("nodes", `${applied} of ${total}`), missing.length ? pair("missing", missing.join(", ")) : null, pair("took", `${json.took_ms} ms`), pair("id", json.id)),
  );
}

const ACTION = { serve: "good", revalidate: "fair", fetch: "fair", pass: "plain", respond: "plain", refuse: "bad" };

export class ExplainForm {
  constructor() {
    this.form = byId("explain-form");
    this.url = byId("explain-url");
    handle(this.form, () => this.send());
  }

  /** `page` is host and path; the scheme is that of most. */
  fill(page) {
    this.url.value = `${location.protocol}//${page}`;
    this.form.scrollIntoView({ block: "start" });
    this.form.requestSubmit();
    this.url.focus();
  }

  async send() {
    const headers = {};
    setText(byId("explain-error"), "");
    for (const line of byId("explain-headers").value.split("\n").filter((text) => text.trim())) {
      const [name, ...value] = line.split(":");
      if (!value.length) {
        setText(byId("explain-error"), `A header field is written as Name: value, not “${line.trim()}”.`);
        return;
      }
      (headers[name.trim()] ??= []).push(value.join(":").trim());
    }
    const text = this.url.value.trim();
    const url = text.includes("://") ? text : `http://${text}`;
    const body = { url, method: byId("explain-method").value, headers };
    const answer = await ask("explain", { method: "POST", body });
    if (answer.ok) {
      byId("explained").replaceChildren(...explanation(answer.json));
    } else {
      byId("explained").replaceChildren();
      setText(byId("explain-error"), complaint(answer));
    }
  }
}

function explanation(json) {
  const { decision, advice, steps } = json;
  const source = (text) => (text ? el("span", { class: "source" }, text) : null);
  return [
    el(
      "div",
      { class: `callout ${ACTION[decision.action] ?? "plain"}` },
      el("p", {}, el("span", { class: `badge ${ACTION[decision.action] ?? "plain"}` }, decision.action), decision.reason ? el("span", { class: "word" }, decision.reason) : null, " ", marked(decision.says), ". ", source(decision.source)),
      decision.cache_status ? el("p", { class: "code" }, `Cache-Status: ${decision.cache_status}`) : null,
    ),
    ...advice.map((text) => el("p", { class: "callout advice" }, el("strong", {}, "Advice "), marked(text), ".")),
    el(
      "ol",
      { class: "steps" },
      steps.map((step) =>
        el(
          "li",
          {},
          el("p", {}, el("span", { class: "step" }, step.step), el("span", { class: "says" }, marked(step.says)), " ", source(step.source)),
          step.details.length ? el("ul", {}, step.details.map((detail) => el("li", {}, marked(detail)))) : null,
        ),
      ),
    ),
    el("details", {}, el("summary", {}, "As JSON"), el("pre", { tabindex: "0", role: "region", "aria-label": "The explanation as JSON" }, JSON.stringify(json, null, 2))),
  ];
}
