// The page's life: who looks, the stream of snapshots, what happens when it breaks off.

import { byId, call, complaint, setText, show } from "./dom.js";
import { clock } from "./format.js";
import { ExplainForm, PurgeForm, login } from "./forms.js";
import { History } from "./history.js";
import { Panels } from "./panels.js";

/** Without a snapshot for this long the connection counts as lost, whatever the browser thinks of it. */
const SILENCE = 5000;
/** Between attempts: doubled from the first to the last. */
const [SOONEST, LATEST] = [1000, 10_000];

const history = new History();
const purge = new PurgeForm();
const explain = new ExplainForm();
const panels = new Panels({ purge: (tag) => purge.fill(tag), explain: (page) => explain.fill(page) });

let stream = null;
let watchdog = null;
let pause = SOONEST;
let retryAt = null;
let retryTimer = null;
let session = null;
let busy = false;

function state(kind, text) {
  byId("state").dataset.state = kind;
  setText(byId("state-text"), text);
}

function view(name) {
  show(byId("login"), name === "login");
  show(byId("main"), name === "main");
  show(document.querySelector("footer"), name === "main");
}

/** Who is this? Then the stream, or the form to log in. */
async function start() {
  if (busy) return;
  busy = true;
  try {
    const answer = await call("session");
    if (!answer.ok) return lost(complaint(answer));
    welcome(answer.json);
  } catch {
    lost("Larder can't be reached.");
  } finally {
    busy = false;
  }
}

function welcome(json) {
  session = json.session;
  show(byId("log-out"), Boolean(session?.name));
  if (json.needs_token) {
    stop();
    found();
    state("idle", "not logged in");
    view("login");
    byId("token").focus();
    return;
  }
  if (!session?.allow.includes("read")) {
    return lost("Your token may not read. Log out, and log in with one that may.");
  }
  view("main");
  open();
}

function stop() {
  clearTimeout(watchdog);
  clearTimeout(retryTimer);
  stream?.close();
  stream = null;
}

function open() {
  stop();
  stream = new EventSource("status/stream");
  stream.addEventListener("status", (event) => receive(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    stop();
    why();
  });
  watch();
}

function watch() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    stop();
    lost("Nothing has come for some seconds.");
  }, SILENCE);
}

function receive(snapshot) {
  pause = SOONEST;
  history.push(snapshot, new Date());
  found();
  state(snapshot.draining ? "fair" : "good", snapshot.draining ? "draining" : "live");
  watch();
  draw();
}

function draw() {
  if (document.hidden || !history.last) return;
  purge.permit(session?.allow.includes("purge") ?? false, Boolean(history.last.shared));
  panels.render(history);
}

/** An event stream does not say why it failed; a plain request does. */
async function why() {
  try {
    const answer = await call("status");
    if (answer.status === 401 || answer.status === 403) return start();
    // The stream has no place for us, or has ended: what it would have said is here.
    if (answer.ok) return receive(answer.json), again(null);
    lost(complaint(answer));
  } catch {
    lost("Larder can't be reached.");
  }
}

function lost(reason) {
  state("bad", "connection lost");
  document.body.classList.add("stale");
  again(reason);
}

function again(reason) {
  clearTimeout(watchdog);
  clearTimeout(retryTimer);
  retryAt = Date.now() + pause;
  pause = Math.min(LATEST, pause * 2);
  if (reason) {
    setText(byId("lost-text"), reason);
    show(byId("lost"), true);
  }
  countdown();
}

function countdown() {
  const left = Math.ceil((retryAt - Date.now()) / 1000);
  const since = history.lastTime ? `The figures are from ${clock(history.lastTime)}. ` : "";
  setText(byId("lost-detail"), `${since}Trying again${left > 0 ? ` in ${left} s` : ""}.`);
  retryTimer = setTimeout(left > 0 ? countdown : start, left > 0 ? Math.min(1000, retryAt - Date.now()) : 0);
}

function found() {
  show(byId("lost"), false);
  document.body.classList.remove("stale");
}

login((json) => welcome(json));

byId("log-out").addEventListener("click", async () => {
  stop();
  try {
    const answer = await call("session", { method: "DELETE" });
    history.samples = [];
    if (answer.ok) welcome(answer.json);
  } catch {
    lost("Larder can't be reached.");
  }
});

byId("retry").addEventListener("click", () => {
  pause = SOONEST;
  clearTimeout(retryTimer);
  start();
});

document.addEventListener("visibilitychange", () => draw());

const theme = byId("theme");
const label = () => setText(theme, `Theme: ${window.larderTheme.get()}`);
theme.addEventListener("click", () => {
  const order = ["system", "light", "dark"];
  window.larderTheme.set(order[(order.indexOf(window.larderTheme.get()) + 1) % order.length]);
  label();
});
label();

state("idle", "connecting");
start();
