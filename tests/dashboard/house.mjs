// A larder with its sample shop, people who visit it, and a browser.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const { chromium } = createRequire(import.meta.url)(process.env.DRIVER);
const root = fileURLToPath(new URL("../..", import.meta.url));

async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Until `holds()` is true; fails with `what` after a while. */
export async function until(what, holds, patience = 15_000) {
  const end = Date.now() + patience;
  for (;;) {
    if (await holds()) return;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });

export function request(url, headers = {}, method = "GET") {
  return new Promise((done, failed) => {
    const sent = http.request(url, { agent, headers, method }, (answer) => {
      answer.resume();
      answer.on("end", () => done(answer.statusCode));
      answer.on("error", failed);
    });
    sent.on("error", failed);
    sent.end();
  });
}

export class Larder {
  /** With the sample configuration; or, where `admin` is given, with that section and `rules` over the same site. */
  static async start({ admin, rules = "[{ name: all, origin: app }]", port, adminPort } = {}) {
    const larder = new Larder();
    larder.port = port ?? (await freePort());
    larder.adminPort = adminPort ?? (await freePort());
    larder.folder = await mkdtemp(path.join(tmpdir(), "larder-dashboard-"));
    larder.site = `http://127.0.0.1:${larder.port}`;
    larder.admin = `http://127.0.0.1:${larder.adminPort}`;
    let config = path.join(root, "config.yaml");
    if (admin) {
      config = path.join(larder.folder, "config.yaml");
      await writeFile(config, `admin: ${admin}\norigins: { app: { servers: [demo] } }\nrules: ${rules}\n`);
    }
    const listen = ["--listen", `127.0.0.1:${larder.port}`, "--admin", `127.0.0.1:${larder.adminPort}`];
    larder.process = spawn(process.env.LARDER, ["serve", "-c", config, ...listen], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    larder.process.stderr.on("data", (text) => (said += text));
    await until("larder", async () => {
      if (larder.process.exitCode !== null) throw new Error(`larder ended: ${said}`);
      return (await request(`${larder.admin}/livez`).catch(() => 0)) === 200;
    });
    return larder;
  }

  async stop(signal = "SIGKILL") {
    if (this.process.exitCode === null) {
      this.process.kill(signal);
      await once(this.process, "exit");
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Visitors, who mostly look at the same few pages. */
export function visitors(larder, perSecond) {
  const weighted = [
    [30, () => `/products/${1 + Math.floor(Math.random() ** 2 * 5)}`],
    [14, () => "/static/pantry.svg"],
    [12, () => "/"],
    [10, () => "/products"],
    [8, () => "/api/products"],
    [8, () => "/bytes/65536"],
    [6, () => "/news"],
    [4, () => "/account"],
    [3, () => `/search?q=${["tea", "jam", "salt"][Math.floor(Math.random() * 3)]}`],
    [3, () => "/nostore/2048"],
    [2, () => "/missing"],
    [1, () => "/slow?ms=120"],
  ];
  const sum = weighted.reduce((total, [weight]) => total + weight, 0);
  let stopped = false;
  let phase = 0;
  const pick = () => {
    let left = Math.random() * sum;
    return weighted.find(([weight]) => (left -= weight) < 0)?.[1]() ?? "/";
  };
  const visit = async () => {
    const headers = Math.random() < 0.03 ? { "cache-control": "no-cache" } : {};
    await request(larder.site + pick(), headers).catch(() => {});
  };
  const loop = async () => {
    while (!stopped) {
      phase += 0.05;
      const tempo = perSecond * (1 + 0.35 * Math.sin(phase / 3) + 0.15 * Math.random());
      for (let i = 0; i < tempo / 20; i += 1) visit();
      await new Promise((done) => setTimeout(done, 50));
    }
  };
  const running = loop();
  return async () => {
    stopped = true;
    await running;
  };
}

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export class Browser {
  static async start() {
    const browser = new Browser();
    browser.profile = await mkdtemp(path.join(tmpdir(), "larder-chromium-"));
    browser.context = await chromium.launchPersistentContext(browser.profile, {
      executablePath: process.env.CHROMIUM,
      headless: true,
      args: FLAGS,
      viewport: { width: 1600, height: 1000 },
    });
    browser.problems = [];
    browser.hosts = new Set();
    return browser;
  }

  /** A page that notes what goes wrong on it, and whom it asks. */
  async open(url) {
    const page = await this.context.newPage();
    page.on("console", (message) => {
      // A request that fails is told by the browser; who makes it fail on purpose says so.
      if (message.type() === "error" || message.type() === "warning") this.problems.push(message.text());
    });
    page.on("pageerror", (error) => this.problems.push(String(error)));
    page.on("request", (asked) => {
      const { protocol, host } = new URL(asked.url());
      if (protocol !== "data:") this.hosts.add(host);
    });
    await page.goto(url);
    return page;
  }

  async stop() {
    await this.context.close();
    await rm(this.profile, { recursive: true, force: true });
  }
}
