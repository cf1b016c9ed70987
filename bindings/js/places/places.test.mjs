// The package as it is published, installed into an empty folder, in each place where it runs, against the lab.
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import {
  firstLine, forBrowsers, here, installed, programOf, requireFromTools, run, serveFolder, start, startChromium, startLab,
} from "./lab.mjs";

const SEEN = [
  "opened without a request",
  "16 calls, one token",
  "a lease",
  "no secret in what is shown",
  "once more after a 401",
  "the new key's token",
  "a user's token is passed on",
  "and with withUser",
  "none in a user's place",
  "and nothing was asked",
  "a redirect is followed",
  "with the token in the target",
  "no token elsewhere",
  "events",
  "closed",
];
const ALONE = "one message by itself";

const addresses = ({ admin, issuer, smd, elsewhere }) => ({ admin, issuer, smd, elsewhere });

function copy(cwd, ...files) {
  for (const file of files) {
    copyFileSync(path.join(here, file), path.join(cwd, file));
  }
}

async function tells(t, program, options) {
  const [lab, cwd] = await Promise.all([startLab(t), installed(t)]);
  copy(cwd, "run.mjs", "story.mjs");
  const told = await run(program, [...options, "run.mjs", JSON.stringify(addresses(lab))], { cwd });
  assert.deepEqual(JSON.parse(told), [...SEEN, ALONE]);
  // One for each key, and that of the message.
  assert.equal(await lab.tokenRequests(), 3);
}

test("Node", (t) => tells(t, process.execPath, []));

const deno = () => programOf("deno", [`@deno/${kind("glibc")}/deno`]);
const bun = () => programOf("bun", [`@oven/bun-${kind().replace("arm64", "aarch64")}/bin/bun`]);
const workerd = () =>
  programOf("workerd", [`@cloudflare/workerd-${process.platform}-${process.arch === "x64" ? "64" : process.arch}/bin/workerd`]);

/** How Deno and Bun call the machine's kind. */
function kind(library) {
  return [process.platform, process.arch, ...(process.platform === "linux" && library ? [library] : [])].join("-");
}

test("Deno", (t) => tells(t, deno(), ["run", "--quiet", "--no-lock", "--allow-net=127.0.0.1", "--allow-read=."]));

test("Bun", (t) => tells(t, bun(), ["run"]));

test("Chromium", async (t) => {
  const [lab, cwd] = await Promise.all([startLab(t), installed(t)]);
  copy(cwd, "page.html", "story.mjs");
  const [{ url, told }, opened] = await Promise.all([serveFolder(t, cwd), forBrowsers(t, lab)]);
  const chromium = await startChromium(t, `${url}/page.html#${encodeURIComponent(JSON.stringify(addresses(opened)))}`);
  const { error, seen, loaded } = await Promise.race([
    told,
    chromium.ended.then((code) => ({ error: `Chromium ended (${code})` })),
  ]);
  assert.equal(error, undefined);
  const redirects = SEEN.filter((what) => what.includes("redirect") || what === "with the token in the target");
  const expected = SEEN.filter((what) => !redirects.includes(what) && what !== "and with withUser");
  expected.splice(expected.indexOf("no token elsewhere"), 0, "a redirect that leads no one knows where is refused");
  assert.deepEqual(seen, expected);
  const modules = loaded.filter((name) => name.endsWith(".wasm")).map((name) => path.basename(name));
  assert.deepEqual(modules, ["svcauth.wasm"], "calls and a new key need one module");
});

/** Bundles the worker as Cloudflare's tool does, and starts it. */
async function startWorker(t, { date, flags = ["nodejs_als"], labOptions = [] }) {
  const [lab, cwd] = await Promise.all([startLab(t, ...labOptions), installed(t)]);
  copy(cwd, "worker.mjs", "story.mjs");
  const modules = new Set();
  await requireFromTools("esbuild").build({
    absWorkingDir: cwd,
    entryPoints: ["worker.mjs"],
    outfile: "worker.js",
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["workerd", "worker", "browser"],
    external: ["node:async_hooks", "cloudflare:workers"],
    logLevel: "error",
    plugins: [
      {
        name: "wasm",
        setup: (build) =>
          build.onResolve({ filter: /\.wasm$/ }, ({ path: file, resolveDir }) => {
            const name = path.basename(file);
            copyFileSync(path.join(resolveDir, file), path.join(cwd, name));
            modules.add(name);
            return { path: `./${name}`, external: true };
          }),
      },
    ],
  });
  const wasm = [...modules].map((name) => `(name = "${name}", wasm = embed "${name}"),`).join(" ");
  const text = (value) => JSON.stringify(value);
  writeFileSync(
    path.join(cwd, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js"), ${wasm}],
  compatibilityDate = "${date}",
  compatibilityFlags = ${text(flags)},
  bindings = [(name = "LAB", json = ${text(JSON.stringify(addresses(lab)))})],
);
`,
  );
  const child = start(t, workerd(), ["serve", "--control-fd=3", "config.capnp"], {
    cwd, stdio: ["ignore", "inherit", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (said += text));
  const line = await firstLine(child, child.stdio[3]).catch((error) => assert.fail(`${error.message}\n${said}`));
  const { port } = JSON.parse(line);
  const ask = async (place, options) => {
    const response = await fetch(`http://127.0.0.1:${port}${place}`, options);
    return { status: response.status, text: await response.text() };
  };
  return { lab, ask, said: () => said, bundle: () => readFileSync(path.join(cwd, "worker.js"), "utf8") };
}

const NEW = { date: "2026-11-01" };
/** Before requests were told of promises that another one keeps. */
const OLD = { date: "2024-09-01" };

test("workerd", async (t) => {
  const { ask } = await startWorker(t, NEW);
  const { status, text } = await ask("/story");
  assert.equal(status, 200, text);
  assert.deepEqual(JSON.parse(text), SEEN);
});

for (const [name, version] of Object.entries({ today: NEW, "before 2024-10-14": OLD })) {
  test(`workerd, compatible with ${name}: requests at once share a token, and not a promise`, async (t) => {
    const { lab, ask } = await startWorker(t, version);
    const shared = await Promise.all([ask("/shared"), ask("/shared")]);
    assert.ok(
      shared.some(({ status, text }) => status === 500 || text === "no"),
      `what one request was answered cannot be used in another: ${JSON.stringify(shared)}`,
    );

    await lab.post("/lab/faults", { endpoint: "token", fault: { delay_ms: 300, times: 1 } });
    const answers = await Promise.all(Array.from({ length: 32 }, () => ask("/call")));
    assert.deepEqual(answers.filter(({ status }) => status !== 200), []);
    assert.equal(await lab.tokenRequests(), 1);

    await lab.post("/lab/smd", { keys: "always" });
    await lab.post("/lab/keys/rotate");
    const again = await Promise.all(Array.from({ length: 32 }, () => ask("/call")));
    assert.deepEqual(again.filter(({ status }) => status !== 200), []);
    assert.equal(await lab.tokenRequests(), 2);
  });
}

test("workerd: the request that asks for the token goes away, and another one asks in its place", async (t) => {
  const { lab, ask } = await startWorker(t, NEW);
  // It is never answered, and its timers end with it.
  await lab.post("/lab/faults", { endpoint: "token", fault: { action: "hold", times: 1 } });
  const leaves = new AbortController();
  const gone = assert.rejects(ask("/call", { signal: leaves.signal }), { name: "AbortError" });
  while ((await (await fetch(`${lab.admin}/lab/stats`)).json()).endpoints.token?.in_flight !== 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  leaves.abort();
  await gone;
  const others = await Promise.all(Array.from({ length: 8 }, () => ask("/call")));
  assert.deepEqual(others.filter(({ status }) => status !== 200), []);
  const { endpoints } = await (await fetch(`${lab.admin}/lab/stats`)).json();
  assert.equal(endpoints.token.requests, 2);
});

test("workerd: tokens of two seconds are refreshed by the calls that find them due", async (t) => {
  const { lab, ask } = await startWorker(t, { ...NEW, labOptions: ["--ttl", "2"] });
  while ((await lab.tokenRequests()) < 3) {
    const { status, text } = await ask("/call");
    assert.equal(status, 200, text);
  }
  const { asked, waited, failures } = JSON.parse((await ask("/stats")).text);
  assert.equal(failures, 0, JSON.stringify({ asked, waited }));
});
