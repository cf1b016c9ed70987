// The examples as they are, against the lab.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { pathToFileURL } from "node:url";
import { firstLine, folder, run, start, startLab } from "../../../bindings/js/places/lab.mjs";
import { open } from "./chromium.mjs";

const here = process.env.SVCAUTH_EXAMPLES;
assert.ok(here, "examples/js/test puts the examples where they run");
const load = (file) => import(pathToFileURL(path.join(here, file)));
const { Client, withUser } = await load("node_modules/svcauth/dist/node.js");
const NODE = "/hsm/v2/State/Components/x0c0s0b0n0";

const document = (lab) => ({
  issuer: lab.issuer,
  client: { credentials: [{ client_id: "bss", client_secret: { value: "a secret: 100%" } }] },
  targets: { smd: { urls: [`${lab.smd}/hsm/v2`], scopes: ["read"] } },
});

function written(t, lab) {
  const file = path.join(folder(t), "svcauth.json");
  writeFileSync(file, JSON.stringify(document(lab)));
  return file;
}

async function opened(t) {
  const lab = await startLab(t);
  const client = await Client.open(document(lab));
  t.after(() => client.close());
  return { lab, client };
}

async function newKey(lab) {
  await lab.post("/lab/smd", { keys: "always" });
  await lab.post("/lab/keys/rotate");
}

test("boot-scripts: the service", async (t) => {
  const lab = await startLab(t);
  const child = start(t, process.execPath, [path.join(here, "boot-scripts.mjs"), written(t, lab), lab.smd, "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let told = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (told += text));
  const url = (await firstLine(child)).replace("listening on ", "");
  const ask = async (place, token) => {
    const response = await fetch(url + place, { headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });
    return { status: response.status, text: await response.text(), retryAfter: response.headers.get("retry-after") };
  };

  const boots = await Promise.all(Array.from({ length: 16 }, () => ask("/boot/v1/bootscript?host=x0c0s0b0n0")));
  assert.ok(boots.every(({ status, text }) => status === 200 && text.startsWith("#!ipxe\nkernel ") && text.includes("xname=x0c0s0b0n0")));
  assert.equal(await lab.tokenRequests(), 1);
  await newKey(lab);
  assert.equal((await ask("/boot/v1/bootscript?host=x0c0s0b0n1")).status, 200);
  assert.equal((await ask("/boot/v1/bootscript?host=x9")).status, 404);
  assert.equal((await ask("/boot/v1/service/status")).text, "ready\n");
  assert.equal((await ask("/boot/v1/nothing")).status, 404);

  const { access_token: alice } = await lab.post("/lab/user-token", { sub: "alice", scopes: ["read"], client_id: "portal" });
  const parameters = await ask("/boot/v1/bootparameters?host=x0c0s0b0n0", alice);
  assert.deepEqual(JSON.parse(parameters.text), { hosts: ["x0c0s0b0n0"], params: "console=ttyS0" });
  assert.equal((await lab.log("smd")).at(-1).sub, "alice");
  const before = (await lab.log("smd")).length;
  assert.equal((await ask("/boot/v1/bootparameters?host=x0c0s0b0n0")).status, 401);
  assert.equal((await lab.log("smd")).length, before);
  assert.equal(JSON.parse((await ask("/debug/vars")).text).svcauth.tokenRequests, 2);

  child.kill("SIGTERM");
  assert.equal(await child.ended, 0);
  const events = told.trim().split("\n").map((line) => JSON.parse(line));
  const retried = events.filter(({ event, retried }) => event === "call" && retried);
  assert.equal(retried.length, 1);
  assert.ok(!told.includes(alice) && !told.includes("a secret"));
});

test("boot-scripts: without a token a node is told to come again, and a wrong configuration what is wrong", async (t) => {
  const lab = await startLab(t);
  const config = written(t, lab);
  writeFileSync(config, JSON.stringify({ ...document(lab), timeouts: { wait_s: 0.2 } }));
  await lab.post("/lab/away", { service: "issuer" });
  const child = start(t, process.execPath, [path.join(here, "boot-scripts.mjs"), config, lab.smd, "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const url = (await firstLine(child)).replace("listening on ", "");
  const response = await fetch(`${url}/boot/v1/bootscript?host=x0c0s0b0n0`);
  assert.equal(response.status, 503);
  assert.ok(Number(response.headers.get("retry-after")) >= 1);
  writeFileSync(config, '{ "client": {}, "targets": { "smd": { "urls": ["smd"] } } }');
  await assert.rejects(run(process.execPath, [path.join(here, "boot-scripts.mjs"), config, lab.smd]), /invalid_configuration/);
});

test("boot-scripts: it registers once, and is the same client after it was killed", async (t) => {
  const lab = await startLab(t);
  const config = path.join(folder(t), "svcauth.json");
  const metadata = {
    client_name: "boot", grant_types: ["client_credentials"], scope: "read", response_types: ["token"],
    token_endpoint_auth_method: "client_secret_basic", redirect_uris: ["http://127.0.0.1:5555/callback"],
  };
  writeFileSync(
    config,
    JSON.stringify({
      ...document(lab),
      endpoints: { registration: `${lab.issuer}/oauth2/register` },
      client: { registration: { metadata, authorize: true } },
      store: { file: path.join(path.dirname(config), "state.json") },
    }),
  );
  const served = async () => {
    const child = start(t, process.execPath, [path.join(here, "boot-scripts.mjs"), config, lab.smd, "127.0.0.1:0"]);
    return { child, url: (await firstLine(child)).replace("listening on ", "") };
  };
  await lab.post("/lab/faults", { endpoint: "token", fault: { action: "hold" } });
  const { child, url } = await served();
  const boots = Promise.all(Array.from({ length: 16 }, () => fetch(`${url}/boot/v1/bootscript?host=x0c0s0b0n0`)));
  const waited = async () => (await (await fetch(`${url}/debug/vars`)).json()).svcauth.waited;
  while ((await waited()) < 16) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await fetch(`${lab.admin}/lab/faults`, { method: "DELETE" });
  assert.ok((await boots).every(({ status }) => status === 200));
  const { client_id: registered } = (await lab.log("smd")).at(-1);
  // Whoever is killed while it has the store's lock leaves it until that ends by itself.
  const state = path.join(path.dirname(config), "state.json");
  while (Object.keys(JSON.parse(readFileSync(state, "utf8")).locks).length > 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  child.kill("SIGKILL");
  const again = await served();
  const booted = await fetch(`${again.url}/boot/v1/bootscript?host=x0c0s0b0n0`);
  assert.equal(booted.status, 200, await booted.text());
  assert.equal((await lab.log("smd")).at(-1).client_id, registered);
  const registrations = (await lab.log("issuer")).filter(({ path }) => path === "/oauth2/register");
  assert.equal(registrations.length, 1);
});

test("axios", async (t) => {
  const { lab, client } = await opened(t);
  const { axiosOn } = await load("with-axios.mjs");
  const http = axiosOn(client, { baseURL: lab.smd });
  assert.equal((await http.get(NODE)).data.ID, "x0c0s0b0n0");
  await newKey(lab);
  // A body is sent again.
  const { data } = await http.post("/hsm/v2/State/Components/Query", { ComponentIDs: ["x0c0s0b0n1"] });
  assert.equal(data.Components[0].ID, "x0c0s0b0n1");
  assert.equal(client.stats().tokenRequests, 2);
  const { access_token: alice } = await lab.post("/lab/user-token", { sub: "alice", scopes: ["read"], client_id: "portal" });
  await withUser(alice, () => http.get(NODE));
  assert.equal((await lab.log("smd")).at(-1).sub, "alice");
  await assert.rejects(http.get("/hsm/v2/State/Components/x9"), (error) => error.response.status === 404);
  await http.get(`${lab.elsewhere}/x`);
  assert.deepEqual((await lab.log("elsewhere")).map(({ authorization }) => authorization ?? null), [null]);
});

test("undici", async (t) => {
  const { lab, client } = await opened(t);
  const { agentOn } = await load("with-undici.mjs");
  const { request } = await load("node_modules/undici/index.js").then((module) => module.default);
  const dispatcher = agentOn(client);
  t.after(() => dispatcher.close());
  const ask = async (url, options = {}) => {
    const { statusCode, body } = await request(url, { ...options, dispatcher });
    return { status: statusCode, text: await body.text() };
  };
  assert.equal((await ask(lab.smd + NODE)).status, 200);
  await newKey(lab);
  const query = await ask(`${lab.smd}/hsm/v2/State/Components/Query`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"ComponentIDs":["x0c0s0b0n1"]}',
  });
  assert.equal(JSON.parse(query.text).Components[0].ID, "x0c0s0b0n1");
  assert.equal(client.stats().tokenRequests, 2);
  const { access_token: alice } = await lab.post("/lab/user-token", { sub: "alice", scopes: ["read"], client_id: "portal" });
  await withUser(alice, () => ask(lab.smd + NODE));
  assert.equal((await lab.log("smd")).at(-1).sub, "alice");
  const to = encodeURIComponent(`${lab.elsewhere}/x`);
  assert.equal((await ask(`${lab.smd}/redirect?to=${to}&status=307`)).status, 200);
  await ask(`${lab.elsewhere}/y`);
  assert.deepEqual((await lab.log("elsewhere")).map(({ authorization }) => authorization ?? null), [null, null]);
});

for (const file of ["with-axios.mjs", "with-undici.mjs"]) {
  test(`${file} from a command line`, async (t) => {
    const lab = await startLab(t);
    assert.match(await run(process.execPath, [path.join(here, file), written(t, lab), lab.smd + NODE]), /x0c0s0b0n0/);
  });
}

test("the page", async (t) => {
  const lab = process.env.SVCAUTH_LAB;
  const child = start(t, process.execPath, [path.join(here, "page/serve.mjs"), lab], { stdio: ["ignore", "pipe", "inherit"] });
  const url = (await firstLine(child)).replace("listening on ", "");
  const page = await open(t, url);
  const text = (id) => page.evaluate(`document.getElementById(${JSON.stringify(id)}).textContent`);
  const click = (id) => page.evaluate(`document.getElementById(${JSON.stringify(id)}).click()`);
  const number = (id) => `Number(document.getElementById("${id}").textContent)`;
  await page.until('document.documentElement.dataset.ready !== undefined && document.getElementById("lease").textContent === "none"');
  await click("many");
  await page.until(`${number("good")} === 64`);
  assert.match(await text("lease"), /^[0-9a-f]{16} for read$/);
  assert.equal(await text("bad"), "0");
  const first = await text("lease");
  await click("key");
  await click("always");
  // A token that had just been refreshed when the key was replaced is given up only after its predecessor.
  await page.until(`${number("refused")} >= 1`);
  const good = Number(await text("good"));
  await page.until(`${number("good")} > ${good + 1}`);
  assert.notEqual(await text("lease"), first);
  const tokens = Number(await text("tokens"));
  await page.until(`${number("tokens")} > ${tokens + 1}`); // refreshed, twice
  await click("away");
  await click("back");
  assert.match(await text("events"), /token_received/);
  assert.doesNotMatch(await page.evaluate("document.body.innerText"), /for the page|eyJ/);
});
