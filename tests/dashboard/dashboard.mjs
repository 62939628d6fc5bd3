// What a person would look at on the dashboard, looked at by a program.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, Larder, request, until, visitors } from "./house.mjs";
import { faults } from "./readable.mjs";

const LOAD = Number(process.env.LARDER_LOAD_SECONDS ?? 12);
const picture = (name) => `${process.env.OUT}/${name}.png`;

let larder, browser, page, leave;

before(async () => {
  [larder, browser] = await Promise.all([Larder.start(), Browser.start()]);
  page = await browser.open(larder.admin);
  leave = visitors(larder, 60);
}, { timeout: 60_000 });

after(async () => {
  await leave?.();
  await browser?.stop();
  await larder?.stop();
}, { timeout: 30_000 });

const text = (selector) => page.locator(selector).first().innerText();
const cell = (outcome, column) => page.locator(`#answers tr:has-text("${outcome}") td`).nth(column).innerText();
const number = (shown) => Number(shown.replaceAll(",", ""));
const nothingWrong = () => assert.deepEqual(browser.problems.splice(0), []);

test("it is live at once, and its figures move", async () => {
  await until("the first snapshot", async () => (await text("#state-text")) === "live");
  await until("some hits", async () => number(await cell("hit", 5)) > 20);
  const before = number(await cell("hit", 5));
  const ratio = await text("#tile-hits output");
  await until("another hit ratio", async () => (await text("#tile-hits output")) !== ratio);
  await until("more hits", async () => number(await cell("hit", 5)) > before + 20);
  await until("a rate", async () => number(await text("#tile-requests output")) > 10);
  assert.match(await text("#tile-hits output"), /^\d+\.\d %$/);
  assert.match(await text("#tile-memory output"), /^[\d.]+ [KM]iB$/);
  assert.match(await text("#tile-latency output"), /^(< )?[\d.]+ ms$/);
  assert.match(await text("#origins .origin"), /app[\s\S]*up[\s\S]*\/ s · p50[\s\S]*healthy/);
  const label = page.locator("#answers-chart svg");
  await until("a chart that says what it shows", async () => /now [\d.]+ \/ s: .*hit/.test(await label.getAttribute("aria-label")));
});

test("reasons for not caching, hot pages and tags are told", async () => {
  await until("a reason", async () => (await page.locator("#not-stored li").count()) > 0);
  const reason = page.locator("#not-stored li", { hasText: "no-store" });
  await until("no-store", async () => (await reason.count()) > 0);
  await reason.locator("summary").click();
  assert.match(await reason.innerText(), /the origin says no-store[\s\S]*CDN-Cache-Control/);
  await until("a hot page", async () => /products\/\d/.test(await page.locator("#pages").innerText()));
  await until("a hot tag", async () => /product/.test(await page.locator("#tags").innerText()));
  assert.ok(!(await page.locator("#pages").innerText()).includes("?"), "queries are not shown");
});

test("a purge gives a receipt, and is listed", async () => {
  await page.fill("#purge-names", "products\nno-such-tag");
  await page.click("#purge-form button[type=submit]");
  const receipt = page.locator("#receipt");
  await until("the receipt", async () => /Purged: \d+ entr(y|ies) matched/.test(await receipt.innerText()));
  assert.match(await receipt.innerText(), /nodes\s*1 of 1[\s\S]*took\s*[\d.]+ ms[\s\S]*id\s*\d+-\d+/);
  await until("the purge in the list", async () => /tag products and 1 more\s+hard/.test(await page.locator("#purges").innerText()));

  await page.locator("#purge-form .choice label", { hasText: "Prefixes" }).click();
  assert.equal(await text("#purge-names-label"), "Prefixes, one a line");
  await page.fill("#purge-names", "http://shop.example.com/x");
  await page.click("#purge-form button[type=submit]");
  await until("the complaint", async () => /prefixes\[0\]: expected host\/path/.test(await receipt.innerText()));
  browser.problems = browser.problems.filter((problem) => !problem.includes("400"));

  await page.locator("#purge-form .choice label", { hasText: "All" }).click();
  assert.ok(!(await page.isVisible("#purge-names")));
  await page.click("#purge-form button[type=submit]");
  assert.equal(await receipt.innerText(), "", "nothing is sent before it is confirmed");
  await page.locator("#purge-form .choice label", { hasText: "Tags" }).click();
  await page.fill("#purge-names", "lists");
  await page.selectOption("#purge-mode", "soft");
  await page.click("#purge-form button[type=submit]");
  await until("the receipt", async () => /Purged/.test(await receipt.innerText()));
});

test("explain answers, for a hot page and for one that is typed", async () => {
  await page.locator("#pages button", { hasText: "/products/1" }).first().click();
  const explained = page.locator("#explained");
  await until("an explanation", async () => /decision/.test(await explained.innerText()));
  assert.match(await explained.innerText(), /product pages[\s\S]*RFC 9111/);

  await page.fill("#explain-url", `${larder.site}/account`);
  await page.locator("#explain-more summary").click();
  await page.fill("#explain-headers", "Accept-Language: de\nCookie: a=1");
  await page.press("#explain-url", "Enter");
  await until("the reason", async () => /the rule accounts says cache: bypass/.test(await explained.innerText()));
  assert.match(await explained.innerText(), /Advice take cache: bypass out of that rule/);
  await page.fill("#explain-headers", "nonsense");
  await page.press("#explain-url", "Enter");
  await until("the complaint", async () => /Name: value/.test(await text("#explain-error")));
  await page.fill("#explain-headers", "");
  await page.locator("#explain-more summary").click();
});

test("nothing went wrong on the page, and nobody else was asked", async () => {
  nothingWrong();
  assert.deepEqual([...browser.hosts], [new URL(larder.admin).host]);
  const answer = await page.request.get(larder.admin);
  const policy = answer.headers()["content-security-policy"];
  assert.equal(
    policy,
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  );
});

test("it can be read and used by everybody, in both themes and at every width", async () => {
  await page.fill("#explain-url", `${larder.site}/products/3`);
  await page.press("#explain-url", "Enter");
  await page.evaluate(() => scrollTo(0, 0));
  if (LOAD > 12) await new Promise((done) => setTimeout(done, LOAD * 1000));
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const width of [1600, 1024, 360]) {
      await page.setViewportSize({ width, height: width === 360 ? 780 : 1000 });
      await until("a drawing of that width", async () => (await text("#state-text")) === "live");
      assert.deepEqual(await page.evaluate(faults), [], `${scheme}, ${width}`);
      await page.screenshot({ path: picture(`${scheme}-${width}`), fullPage: true });
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1360, height: 900 });
  await page.evaluate(() => document.activeElement.blur());
  await page.screenshot({ path: picture("dashboard") });
  await page.emulateMedia({ colorScheme: "dark" });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await paper();
  await page.click("#theme"); // system -> light
  const light = await paper();
  assert.notEqual(light, dark);
  await page.reload();
  assert.equal(await paper(), light, "it is remembered");
  await page.click("#theme");
  await page.emulateMedia({ colorScheme: "light" });
  assert.equal(await paper(), dark);
  await page.click("#theme");
  await page.setViewportSize({ width: 1600, height: 1000 });
});

test("the keyboard reaches everything, and shows where it is", async () => {
  await page.reload();
  await until("live", async () => (await text("#state-text")) === "live");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  const reached = new Set();
  for (let i = 0; i < 80; i += 1) {
    await page.keyboard.press("Tab");
    const seen = await page.evaluate(() => {
      const at = document.activeElement;
      const ring = getComputedStyle(at.matches(".choice input") ? at.nextElementSibling : at);
      return { id: at.id || at.name || at.className, ring: ring.outlineStyle !== "none" && parseFloat(ring.outlineWidth) >= 1, body: at === document.body };
    });
    if (seen.body) break;
    assert.ok(seen.ring, `no ring around ${seen.id}`);
    reached.add(seen.id);
  }
  for (const id of ["kind", "purge-names", "purge-mode", "explain-method", "explain-url"]) assert.ok(reached.has(id), id);
});

test("a lost connection is said, and found again", async () => {
  await larder.stop();
  await until("the banner", () => page.isVisible("#lost"));
  assert.match(await text("#lost"), /can't be reached.[\s\S]*figures are from [\d:]+[\s\S]*Try now/);
  assert.equal(await text("#state-text"), "connection lost");
  await page.screenshot({ path: picture("lost") });
  larder = await Larder.start({ port: larder.port, adminPort: larder.adminPort });
  await page.click("#retry");
  await until("the connection", async () => (await text("#state-text")) === "live" && !(await page.isVisible("#lost")));
  await until("figures of the new process only", async () => number(await cell("hit", 5)) < 1e6 && /up \d+ s/.test(await text("#uptime")));
  browser.problems = browser.problems.filter((problem) => !/ERR_(CONNECTION|INCOMPLETE|EMPTY)/.test(problem));
  nothingWrong();
});

test("why a page is not cached is told from nothing: the explain form after one visit", async () => {
  const rules = "[{ name: all, origin: app, ttl: 1m, force: true }]"; // as somebody would try first
  const visited = await Larder.start({ admin: "{}", rules });
  const opened = await browser.open(visited.admin);
  try {
    await request(`${visited.site}/account`);
    await opened.fill("#explain-url", `${visited.site}/account`);
    await opened.press("#explain-url", "Enter");
    const explained = opened.locator("#explained");
    await until("the reason", async () => /was not stored: set-cookie/.test(await explained.innerText()));
    assert.match(await explained.innerText(), /set set_cookie: strip in a rule/);
    const reason = opened.locator("#not-stored li", { hasText: "set-cookie" });
    await until("the reason among all", async () => (await reason.count()) > 0);
    nothingWrong();
  } finally {
    await opened.close();
    await visited.stop();
    browser.problems = browser.problems.filter((problem) => !/ERR_(CONNECTION|INCOMPLETE|EMPTY)/.test(problem));
  }
});

test("with tokens it asks for one, and shows what that allows", async () => {
  const secrets = { read: "read-and-long-enough-to-be-one", purge: "purge-and-long-enough-to-be-one" };
  const admin = `{ tokens: [{ name: reader, secret: ${secrets.read}, allow: [read] }, { name: deploy, secret: ${secrets.purge}, allow: [read, purge] }] }`;
  const locked = await Larder.start({ admin });
  page = await browser.open(locked.admin);
  try {
    await until("the form", () => page.isVisible("#token"));
    assert.ok(!(await page.isVisible("#main")));
    assert.deepEqual(await page.evaluate(faults), []);
    await page.screenshot({ path: picture("login") });
    await page.fill("#token", "wrong");
    await page.press("#token", "Enter");
    await until("the complaint", async () => /not known/.test(await text("#login-error")));
    await page.fill("#token", secrets.read);
    await page.press("#token", "Enter");
    await until("the figures", async () => (await text("#state-text")) === "live");
    await until("that purging is not allowed", () => page.isVisible("#purge-denied"));
    assert.ok(!(await page.isVisible("#purge-form")));
    const [cookie] = await browser.context.cookies(locked.admin);
    assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ["larder_session", true, "Strict"]);
    assert.ok(!cookie.value.includes(secrets.read));

    // The cookie goes to every port of the host: our public listener lets nobody see it.
    const echo = await browser.open(`${locked.site}/echo`);
    assert.ok((await browser.context.cookies(locked.site)).length > 0);
    assert.ok(!(await echo.innerText("body")).includes("larder_session"));
    await echo.close();

    await page.click("#log-out");
    await until("the form again", () => page.isVisible("#token"));
    assert.equal(await page.evaluate(() => fetch("status").then((answer) => answer.status)), 401);
    await page.fill("#token", secrets.purge);
    await page.press("#token", "Enter");
    await until("the figures", async () => (await text("#state-text")) === "live");
    await request(`${locked.site}/products`);
    await page.locator("#purge-form .choice label", { hasText: "All" }).click();
    await page.check("#purge-sure");
    await page.click("#purge-form button[type=submit]");
    await until("the receipt", async () => /Purged/.test(await text("#receipt")));
    await until("the name of the token", async () => /everything\s+hard[\s\S]*deploy/.test(await page.locator("#purges").innerText()));
  } finally {
    await locked.stop();
  }
});
