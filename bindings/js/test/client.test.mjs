import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { inspect } from "node:util";
import { load, root } from "./package.mjs";
import { story } from "../everyday/story.mjs";
import { config, gate, ISSUER, SMD, tokenAnswer, World } from "./world.mjs";

const { bearer, Client, passUser, requireUser, SvcauthError, withUser } = await load("node.js");
const { Engine, Panicked } = await load("engine.js");
const { ClientOn } = await load("client.js");

const STATE = `${SMD}/State/Components/x0c0s0b0n0`;

async function opened(t, world = new World(), change = {}, options = {}) {
  const client = await Client.open(config(change), { fetch: world.fetch, ...options });
  t.after(() => client.close());
  return client;
}

const code = (expected) => (error) => {
  assert.ok(error instanceof SvcauthError, inspect(error));
  assert.equal(error.code, expected, error.message);
  return true;
};

test("64 callers share one token request, and later ones take the lease at hand", async (t) => {
  const world = new World();
  const client = await opened(t, world);
  assert.equal(client.lease("smd"), undefined);
  const smd = client.fetch("smd");
  const answers = await Promise.all(Array.from({ length: 64 }, () => smd(STATE)));
  assert.ok(answers.every((answer) => answer.ok));
  assert.equal(world.tokenRequests.length, 1);
  assert.ok(world.calls.every((call) => call.authorization === "Bearer token-1"));
  assert.equal(await client.token("smd"), "token-1");
  assert.equal(client.lease("smd").token, "token-1");
  assert.equal(client.lease("smd").clientId, "bss");
  assert.deepEqual(client.lease("smd").scopes, ["read"]);
  const { asked, waited, tokenRequests } = client.stats();
  assert.deepEqual({ asked, waited, tokenRequests }, { asked: 64, waited: 64, tokenRequests: 1 });
  assert.throws(() => client.lease("smb"), code("unknown_target"));
  await assert.rejects(client.token("smb"), code("unknown_target"));
});

test("a call that is refused is made once more with another token, body and all", async (t) => {
  const world = new World();
  world.service = (call) => new Response("", { status: call.authorization === "Bearer token-1" ? 401 : 200 });
  const client = await opened(t, world);
  const smd = client.fetch();
  for (const [input, init] of [
    [STATE, { method: "POST", body: "one" }],
    [new Request(STATE, { method: "POST", body: "one" })],
  ]) {
    assert.equal((await smd(input, init)).status, 200);
  }
  assert.deepEqual(
    world.calls.map(({ authorization, body }) => [authorization, body]),
    [["Bearer token-1", "one"], ["Bearer token-2", "one"], ["Bearer token-2", "one"]],
  );
  assert.equal(world.tokenRequests.length, 2);
});

test("a stream is not sent twice, and a second 401 is the caller's", async (t) => {
  const world = new World();
  world.service = () => new Response("", { status: 401 });
  const client = await opened(t, world);
  const body = new ReadableStream({ start: (controller) => (controller.enqueue(new Uint8Array(1)), controller.close()) });
  assert.equal((await client.fetch()(STATE, { method: "POST", body, duplex: "half" })).status, 401);
  assert.equal(world.calls.length, 1);
  // The new token is refused too, and one rejection is acted on within the cool-down.
  assert.equal((await client.fetch()(STATE)).status, 401);
  assert.deepEqual(world.calls.map((call) => call.authorization), ["Bearer token-1", "Bearer token-2"]);
});

test("insufficient_scope is the caller's: a new token would be the same", async (t) => {
  const world = new World();
  const headers = { "www-authenticate": 'Bearer error="insufficient_scope"' };
  world.service = () => new Response("", { status: 401, headers });
  const client = await opened(t, world);
  assert.equal((await client.fetch()(STATE)).status, 401);
  assert.deepEqual([world.calls.length, world.tokenRequests.length], [1, 1]);
});

test("a token goes to its target and nowhere else", async (t) => {
  const world = new World();
  const client = await opened(t, world);
  const all = client.fetch();
  for (const [url, init, authorization, only] of [
    [STATE, {}, "Bearer token-1"],
    [`${STATE}?next=https://evil.example/`, {}, "Bearer token-1"],
    ["https://smd.example/hsm/v22", {}, null],
    ["https://smd.example/hsm/v2/../../admin", {}, null],
    ["https://smd.example/hsm/v2/%2e%2e/admin", {}, null],
    ["https://smd.example.evil.example/hsm/v2", {}, null],
    ["https://evil.example/", {}, null],
    [STATE, { headers: { Authorization: "Bearer own" } }, "Bearer own"],
    [new Request(STATE, { headers: { authorization: "Bearer own" } }), undefined, "Bearer own"],
    ["https://boot.example/", {}, null, "smd"],
    ["https://boot.example/", {}, "Bearer token-2"],
  ]) {
    await (only ? client.fetch(only) : all)(url, init);
    assert.equal(world.calls.at(-1).authorization, authorization, String(url));
  }
  // A call of no target goes out as it is.
  await all("https://evil.example/", { redirect: "error" });
  assert.equal(world.calls.at(-1).redirect, "error");
});

test("a redirect is followed with the token only within the target", async (t) => {
  const world = new World();
  const client = await opened(t, world);
  const places = {
    [`${SMD}/a`]: [302, `${SMD}/b`],
    [`${SMD}/b`]: [200],
    [`${SMD}/out`]: [307, "https://evil.example/x"],
    [`${SMD}/boot`]: [308, "https://boot.example/x"],
    [`${SMD}/plain`]: [301, "http://smd.example/hsm/v2/b"],
    [`${SMD}/loop`]: [302, `${SMD}/loop`],
  };
  world.service = ({ url }) => {
    const [status, location] = places[url] ?? [200];
    return new Response(null, { status, headers: location ? { location } : {} });
  };
  const run = async (url, init) => {
    world.calls.length = 0;
    const response = await client.fetch("smd")(url, init);
    return [response.status, response.redirected, ...world.calls.map((call) => `${call.method} ${call.url} ${call.authorization}`)];
  };
  const token = "Bearer token-1";
  assert.deepEqual(await run(`${SMD}/a`, { method: "POST", body: "x" }), [
    200, true, `POST ${SMD}/a ${token}`, `GET ${SMD}/b ${token}`,
  ]);
  assert.deepEqual(await run(`${SMD}/out`, { method: "POST", body: "x" }), [
    200, true, `POST ${SMD}/out ${token}`, "POST https://evil.example/x null",
  ]);
  assert.deepEqual((await run(`${SMD}/boot`)).at(-1), "GET https://boot.example/x null");
  assert.deepEqual((await run(`${SMD}/plain`)).at(-1), "GET http://smd.example/hsm/v2/b null");
  assert.deepEqual(await run(`${SMD}/a`, { redirect: "manual" }), [302, false, `GET ${SMD}/a ${token}`]);
  await assert.rejects(client.fetch()(`${SMD}/a`, { redirect: "error" }), TypeError);
  await assert.rejects(client.fetch()(`${SMD}/loop`), TypeError);
});

test("a caller who gives up harms nobody", async (t) => {
  const world = new World();
  const { opened: answered, open } = gate();
  world.token = async () => (await answered, tokenAnswer("late"));
  const client = await opened(t, world);
  const gone = new AbortController();
  const other = client.token("smd");
  const [given, called] = [
    client.token("smd", { signal: gone.signal }),
    client.fetch("smd")(STATE, { signal: gone.signal }),
  ];
  gone.abort(new Error("no patience"));
  await assert.rejects(given, /no patience/);
  await assert.rejects(called, /no patience/);
  open();
  assert.equal(await other, "late");
  assert.equal(world.tokenRequests.length, 1);
});

test("a user's own token is passed on, exchanged or refused, and the service's is never sent instead", async (t) => {
  const world = new World();
  const client = await opened(t, world);
  const all = client.fetch();
  await withUser("alice", () => all(STATE));
  assert.equal(world.calls.at(-1).authorization, "Bearer alice");
  assert.equal(world.tokenRequests.length, 0);
  await withUser("alice", () => all("https://swapped.example/"));
  assert.equal(world.calls.at(-1).authorization, "Bearer token-1");
  assert.match(world.tokenRequests[0], /subject_token=alice/);
  await withUser("alice", () => all("https://evil.example/"));
  assert.equal(world.calls.at(-1).authorization, null);
  await assert.rejects(withUser(undefined, () => all(STATE), { required: true }), code("user_token_missing"));
  await all(STATE, { user: "bob" });
  assert.equal(world.calls.at(-1).authorization, "Bearer bob");
  await assert.rejects(all(STATE, { user: "b\r\nob" }), code("invalid_argument"));
  world.service = () => new Response("", { status: 401 });
  assert.equal((await withUser("alice", () => all(STATE))).status, 401);
  assert.equal(world.calls.at(-1).authorization, "Bearer alice");

  const seen = [];
  for (const middleware of [passUser, requireUser]) {
    middleware({ headers: { authorization: "bearer  carol " } }, {}, () => seen.push(client.authorization(STATE)));
  }
  assert.deepEqual(await Promise.all(seen), ["Bearer carol", "Bearer carol"]);
  assert.deepEqual(["Basic x", "", null, "Bearer x"].map(bearer), [undefined, undefined, undefined, "x"]);
});

test("the client's own requests run in nobody's context", async (t) => {
  const { storage } = await load("hosts/node.js");
  const world = new World();
  let inside = "not asked";
  world.token = () => ((inside = storage.getStore()), tokenAnswer("x"));
  const client = await opened(t, world);
  await withUser("alice", () => client.token("smd"));
  assert.equal(inside, undefined);
});

test("what goes wrong has a code, and no secret is told anywhere", async (t) => {
  const world = new World();
  world.token = () => Response.json({ error: "invalid_client", error_description: "not s3cr3t-of-bss" }, { status: 401 });
  const client = await opened(t, world);
  const shown = [];
  client.events.addEventListener("event", ({ detail }) => shown.push(JSON.stringify(detail)));
  const error = await client.token("smd").catch((error) => error);
  code("oauth_error")(error);
  assert.equal(error.oauthError, "invalid_client");
  assert.equal(error.status, 401);
  assert.ok(error.retryAt > new Date());
  assert.equal(client.healthy(), false);
  assert.equal(client.health()[1].error.code, "oauth_error");
  world.token = () => tokenAnswer("t0ken-of-bss");
  client.secretsChanged();
  await client.token("boot");
  shown.push(...[error, client, client.lease("boot"), client.health(), client.stats()].flatMap((it) => [
    inspect(it, { depth: 9, showHidden: true }), JSON.stringify(it), String(it),
  ]));
  for (const text of shown) {
    assert.ok(!/s3cr3t|t0ken/.test(text), text);
  }
  assert.ok(shown.some((text) => text.includes('"event":"refresh_failed"')));
});

test("a wrong configuration is refused with the member that is wrong", async () => {
  for (const [change, expected, member] of [
    [{ isuer: "x" }, "invalid_configuration", "isuer"],
    [{ tls: { ca_file: "/x" } }, "unsupported", "tls.ca_file"],
    [{ proxy: "http://proxy.example" }, "unsupported", "proxy"],
  ]) {
    const error = await Client.open(config(change)).catch((error) => error);
    code(expected)(error);
    assert.equal(error.member, member);
  }
  await assert.rejects(Client.open("/does/not/exist.json"), /ENOENT/);
});

test("secrets come from files, the environment and a function, and are read again when one is refused", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "svcauth-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, "secret");
  writeFileSync(file, "from a file\n");
  process.env.SVCAUTH_TEST_SECRET = "from the environment";
  for (const [reference, text] of [
    [{ file }, "from a file"],
    [{ env: "SVCAUTH_TEST_SECRET" }, "from the environment"],
    [{ callback: "vault" }, "from vault"],
  ]) {
    const world = new World();
    world.token = (request) => {
      const pair = Buffer.from(request.headers.get("authorization").slice(6), "base64").toString();
      return tokenAnswer(decodeURIComponent(pair.split(":")[1].replaceAll("+", "%20")).replaceAll(" ", "-"));
    };
    const client = await opened(
      t, world, { client: { credentials: [{ client_id: "bss", client_secret: reference }] } },
      { secrets: async (name) => `from ${name}` },
    );
    assert.equal(await client.token("smd"), text.replaceAll(" ", "-"));
  }
  const missing = { client: { credentials: [{ client_id: "bss", client_secret: { file: folder } }] } };
  await assert.rejects((await opened(t, new World(), missing)).token("smd"), code("secret_unavailable"));
  const vault = { client: { credentials: [{ client_id: "bss", client_secret: { callback: "vault" } }] } };
  await assert.rejects(Client.open(config(vault)), code("unsupported"));
});

test("the file path, a URL and an object open the same client", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "svcauth-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, "svcauth.json");
  writeFileSync(file, JSON.stringify(config()));
  for (const place of [file, new URL(`file://${file}`)]) {
    const client = await Client.open(place);
    assert.deepEqual(client.targets, ["boot", "smd", "swapped"]);
    await client.close();
  }
});

test("the timer refreshes before callers notice", async (t) => {
  const world = new World();
  world.token = (_, number) => tokenAnswer(`token-${number}`, { expires_in: 1 });
  const client = await opened(t, world);
  await client.token("smd");
  const { opened: refreshed, open } = gate();
  client.events.addEventListener("token_received", open);
  // The client's own timer does not keep the process.
  const keeping = setInterval(() => {}, 1000);
  await refreshed;
  clearInterval(keeping);
  assert.equal(world.tokenRequests.length, 2);
  assert.equal(client.stats().waited, 1);
});

test("close ends those who wait and those who come later", async () => {
  const world = new World();
  world.token = () => new Promise(() => {});
  const client = await Client.open(config(), { fetch: world.fetch });
  const waiting = client.token("smd");
  await Promise.all([assert.rejects(waiting, code("closed")), client.close(), client.close()]);
  await assert.rejects(client.token("smd"), code("closed"));
  await assert.rejects(client.fetch()(STATE), code("closed"));
  assert.equal(client.lease("smd"), undefined);
  assert.deepEqual(client.health(), []);
});

test("ready waits for all targets, or says which has none", async (t) => {
  const world = new World();
  const client = await opened(t, world, { targets: { a: { urls: [] }, b: { urls: [] } } });
  await client.ready();
  assert.equal(world.tokenRequests.length, 2);
  assert.equal(client.healthy(), true);
});

test("after a trap another core goes on with the tokens at hand: the whole one, and after a panic the same", async (t) => {
  const world = new World();
  const client = await opened(t, world, { targets: { smd: { urls: [SMD], scopes: ["read"] } } });
  await client.token("smd");
  const told = [];
  client.events.addEventListener("client_replaced", ({ detail }) => told.push(detail));
  const { decide } = Engine.prototype;
  t.after(() => (Engine.prototype.decide = decide));
  let traps = 0;
  Engine.prototype.decide = function (call) {
    if (traps-- > 0) {
      throw new Panicked("on purpose");
    }
    return decide.call(this, call);
  };
  for (const [url, panics] of [[STATE, 0], [`${STATE}/1`, 1]]) {
    traps = 1;
    assert.equal((await client.fetch()(url)).status, 200);
    assert.equal(world.calls.at(-1).authorization, "Bearer token-1");
    assert.equal(world.tokenRequests.length, 1);
    assert.equal(client.lease("smd").token, "token-1");
    assert.equal(told.length, panics);
  }
  assert.match(told[0].error.message, /on purpose/);
});

test("everyday life needs the small module only", async () => {
  const loaded = await story();
  assert.deepEqual(new Set(loaded), new Set(["svcauth"]));
});

const recorded = path.join(process.env.SVCAUTH_SHARED ?? path.join(root, "../shared"), "vectors/recorded");
const without = existsSync(recorded) ? false : `there are no recorded answers at ${recorded}; set SVCAUTH_SHARED`;

test("the small module takes what Hydra and OPAAL answered", { skip: without }, async (t) => {
  const { host } = await load("hosts/node.js");
  const files = ["hydra", "opaal"].flatMap((server) =>
    readdirSync(path.join(recorded, server)).map((file) => path.join(recorded, server, file)),
  );
  let taken = 0;
  for (const file of files) {
    const text = readFileSync(file, "utf8").split("== response\n")[1] ?? "";
    const [, fields, body] = /^HTTP\/1.1 200 OK\r?\n(.*?)\r?\n\r?\n(\{"access_token".*)$/s.exec(text) ?? [];
    if (body === undefined) {
      continue;
    }
    taken++;
    const loaded = [];
    const counting = { ...host, moduleNow: (name) => (loaded.push(name), host.moduleNow(name)) };
    const world = new World();
    const headers = new Headers(fields.split(/\r?\n/).map((field) => field.split(/: (.*)/, 2)));
    world.token = () => new Response(body, { headers });
    // A token of another day is no everyday answer.
    t.mock.method(Date, "now", () => Date.parse(headers.get("date")));
    const client = new ClientOn(counting, await ClientOn.making(counting, config(), { fetch: world.fetch }), {
      fetch: world.fetch,
    });
    assert.equal(await client.token("smd"), JSON.parse(body).access_token, file);
    assert.deepEqual(loaded, [], file);
    await client.close();
    t.mock.restoreAll();
  }
  assert.ok(taken >= 10, `${taken}`);
});

test("what everyday life does not need is loaded when it is come to, and nothing is asked for twice", async (t) => {
  const { host } = await load("hosts/node.js");
  for (const [how, place] of [["at once", host], ["as in a browser", { ...host, moduleNow: undefined }]]) {
    const world = new World();
    const answers = ['{"access_token":"x","token_type":"mac"}', '{"access_token":"x"}', "[", '{"a":1,"a":2}', "\u{feff}{}"];
    const loaded = [];
    const counting = { ...place, module: (name) => (loaded.push(name), host.module(name)) };
    if (place.moduleNow) {
      counting.moduleNow = (name) => (loaded.push(name), place.moduleNow(name));
    }
    world.token = (_, number) => new Response(answers[number - 1], { headers: { "content-type": "application/json" } });
    for (const at of answers.keys()) {
      const client = new Client(counting, await ClientOn.making(counting, config(), { fetch: world.fetch }), {
        fetch: world.fetch,
      });
      t.after(() => client.close());
      await assert.rejects(client.token("smd"), SvcauthError);
      assert.equal(world.tokenRequests.length, at + 1, `${how}: ${answers[at]}`);
    }
    assert.ok(loaded.includes("whole"), how);
  }
});

test("an odd answer is an error with a code, and the body has an end", async (t) => {
  for (const [answer, expected] of [
    [() => new Response("<p>no</p>", { headers: { "content-type": "text/html" } }), "malformed_answer"],
    [() => new Response(null, { status: 302, headers: { location: "https://evil.example/" } }), "unexpected_redirect"],
    [() => new Response("x".repeat(5000)), "answer_too_large"],
    [() => new Response("", { status: 503 }), "server_error"],
  ]) {
    const world = new World();
    world.token = answer;
    const client = await opened(t, world, { limits: { answer_bytes: 4096 }, timeouts: { wait_s: 0.05 } });
    await assert.rejects(client.token("smd"), code(expected));
  }
});

test("a registration is kept in the store, mode 0600, and used by the next process", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "svcauth-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, "state.json");
  const change = {
    endpoints: { token: `${ISSUER}/token`, registration: `${ISSUER}/register` },
    client: { registration: { metadata: { client_name: "bss" } } },
    store: { file },
  };
  const world = new World();
  let registered = 0;
  world.service = ({ url }) => {
    assert.equal(url, `${ISSUER}/register`);
    registered++;
    return Response.json({ client_id: "made", client_secret: "made-secret" }, { status: 201 });
  };
  for (const round of [1, 2]) {
    const client = await Client.open(config(change), { fetch: world.fetch });
    assert.equal(await client.token("smd"), `token-${round}`);
    await client.close();
  }
  assert.equal(registered, 1);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const saved = JSON.parse(readFileSync(file, "utf8"));
  assert.equal(saved.format, 1);
  assert.deepEqual(saved.locks, {});
});
