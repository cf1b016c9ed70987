// The lab as a process, the package as it is installed, and programs that are run.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const here = path.dirname(fileURLToPath(import.meta.url));
export const root = path.resolve(here, "../../..");
export const target = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
/** Where the packages of this folder are installed. */
export const tools = path.join(target, "js/places-tools");
const work = path.join(target, "js/places");

const execute = promisify(execFile);

/** Runs a program to its end; the error shows what it said. */
export async function run(program, options, { cwd, env } = {}) {
  try {
    const { stdout } = await execute(program, options, {
      cwd, env: { ...process.env, ...env }, maxBuffer: 64 << 20, timeout: 240_000,
    });
    return stdout;
  } catch (error) {
    throw new Error(`${path.basename(program)} ${options.join(" ")}: ${error.message}\n${error.stdout}\n${error.stderr}`);
  }
}

/** The file of a program that an npm package brings, of this machine's kind. */
export function programOf(name, candidates) {
  const found = candidates.map((file) => path.join(tools, "node_modules", file)).find((file) => existsSync(file));
  if (found === undefined) {
    throw new Error(`npm has no ${name} for this machine (${process.platform} ${process.arch}): ${name} is not tested`);
  }
  return found;
}

export const requireFromTools = createRequire(path.join(tools, "package.json"));

/** A new folder that goes with the test. */
export function folder(t) {
  mkdirSync(work, { recursive: true });
  const made = mkdtempSync(path.join(work, "at-"));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

let packing;
/** `npm pack` of what was built: the file. */
export function packed() {
  return (packing ??= (async () => {
    // Files of tests run at the same time.
    mkdirSync(work, { recursive: true });
    const into = mkdtempSync(path.join(work, "packed-"));
    process.once("exit", () => rmSync(into, { recursive: true, force: true }));
    await run("npm", ["pack", "--silent", "--pack-destination", into, path.join(target, "js/package")]);
    return path.join(into, readdirSync(into)[0]);
  })());
}

/** An empty folder with the package installed. */
export async function installed(t, ...more) {
  const cwd = folder(t);
  writeFileSync(path.join(cwd, "package.json"), '{ "private": true, "type": "module" }\n');
  const options = ["install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--prefer-offline"];
  await run("npm", [...options, await packed(), ...more], { cwd });
  return cwd;
}

/** Starts a program that ends with the test. */
export function start(t, program, options, settings = {}) {
  const child = spawn(program, options, { stdio: ["ignore", "pipe", "inherit"], ...settings });
  const ended = new Promise((resolve) => child.on("close", resolve).on("error", resolve));
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return Object.assign(child, { ended });
}

/** The first line that a program writes. */
export async function firstLine(child, from = child.stdout) {
  const line = await Promise.race([
    once(createInterface(from), "line").then(([line]) => line),
    child.ended.then((code) => Promise.reject(new Error(`${child.spawnfile} ended (${code})`))),
  ]);
  return line;
}

/** The lab, with the client bss; `post` and `log` order and ask. */
export async function startLab(t, ...options) {
  const program = process.env.SVCAUTH_LAB ?? path.join(target, "debug/svcauth-lab");
  if (!existsSync(program)) {
    throw new Error(`${program} is missing; make js-test builds it`);
  }
  const child = start(t, program, ["--until-stdin-closes", ...options], { stdio: ["pipe", "pipe", "inherit"] });
  const lab = JSON.parse(await firstLine(child));
  const post = async (place, body = {}) => {
    const response = await fetch(lab.admin + place, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) {
      throw new Error(`${place}: ${response.status} ${await response.text()}`);
    }
    return response.json().catch(() => undefined);
  };
  const log = async (service) => (await fetch(`${lab.admin}/lab/log?service=${service}`)).json();
  const tokenRequests = async () => (await log("issuer")).filter(({ path }) => path === "/oauth2/token").length;
  const client = {
    client_id: "bss", client_secret: "a secret: 100%", scope: "read", grant_types: ["client_credentials"],
  };
  await post("/admin/clients", client);
  return { ...lab, post, log, tokenRequests };
}

async function listen(t, handler) {
  const server = http.createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** The lab's addresses for a page: each service behind an origin of its own that lets pages call it. */
export async function forBrowsers(t, lab) {
  const addresses = {};
  for (const name of ["issuer", "smd", "elsewhere", "admin"]) {
    addresses[name] = await listen(t, async (request, response) => {
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("access-control-expose-headers", "*");
      if (request.method === "OPTIONS") {
        response.setHeader("access-control-allow-headers", "*, authorization");
        response.setHeader("access-control-allow-methods", "*");
        response.end();
        return;
      }
      forward(lab[name], request, response);
    });
  }
  return addresses;
}

function forward(to, request, response) {
  const headers = { ...request.headers, host: new URL(to).host };
  const passed = http.request(to + request.url, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  passed.on("error", () => response.destroy());
  request.pipe(passed);
}

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

/** Serves the folder's files, and keeps what a page posts to /told. */
export async function serveFolder(t, cwd) {
  let tell;
  const told = new Promise((resolve) => (tell = resolve));
  const url = await listen(t, async (request, response) => {
    if (request.method === "POST") {
      let body = "";
      for await (const chunk of request.setEncoding("utf8")) {
        body += chunk;
      }
      response.end();
      tell(JSON.parse(body));
      return;
    }
    const file = path.join(cwd, path.normalize(new URL(request.url, "http://x").pathname));
    if (!existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream" });
    response.end(readFileSync(file));
  });
  return { url, told };
}

/** Chromium without a window; as root it runs without its sandbox. */
export async function startChromium(t, url, ...more) {
  const program = await run("sh", ["-c", "command -v chromium || command -v chromium-browser || command -v google-chrome"])
    .catch(() => Promise.reject(new Error("there is no chromium; Debian's package is chromium")));
  mkdirSync(work, { recursive: true });
  const profile = mkdtempSync(path.join(work, "profile-"));
  const options = [
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage", `--user-data-dir=${profile}`,
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
  ];
  // Its helpers are in its process group, and end with it.
  const child = spawn(program.trim(), [...options, ...more, url], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"], detached: true,
  });
  const ended = new Promise((resolve) => child.on("close", resolve).on("error", resolve));
  t.after(async () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // It ended by itself.
    }
    await ended;
    // Its helpers may still write.
    rmSync(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });
  return Object.assign(child, { ended });
}
