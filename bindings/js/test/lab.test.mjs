// The client against the lab: a real authorization server and service, on loopback.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { load, target } from "./package.mjs";

const { Client, SvcauthError, withUser } = await load("node.js");
const messages = await load("exchange/node.js");

const NODE = "/hsm/v2/State/Components/x0c0s0b0n0";
const SECRET = "a secret: 100%";

/** A port on which nothing listens. */
async function closedPort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

class Lab {
  static async start(t, ...options) {
    const program = process.env.SVCAUTH_LAB ?? path.join(target, "debug/svcauth-lab");
    const child = spawn(program, ["--until-stdin-closes", ...options], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = new Promise((resolve, reject) => {
      child.on("error", (error) => reject(new Error(`${error.message}; make js-test builds the lab`)));
      child.on("exit", resolve);
    });
    t.after(() => {
      child.stdin.end();
      return ended;
    });
    const line = await Promise.race([
      new Promise((resolve) => createInterface(child.stdout).once("line", resolve)),
      ended.then(() => assert.fail("the lab ended")),
    ]);
    const lab = Object.assign(new Lab(), JSON.parse(line), { t });
    await lab.post("/admin/clients", {
      client_id: "bss", client_secret: SECRET, scope: "read", grant_types: ["client_credentials"],
    });
    return lab;
  }

  async post(place, body) {
    const response = await fetch(this.admin + place, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
    assert.ok(response.ok, `${place}: ${response.status}`);
    const text = await response.text();
    return text === "" ? undefined : JSON.parse(text);
  }

  async tokenRequests() {
    const log = await (await fetch(`${this.admin}/lab/log?service=issuer`)).json();
    return (log.entries ?? log).filter((entry) => entry.path === "/oauth2/token").length;
  }

  async client(change = {}, options = {}) {
    const client = await Client.open(
      {
        issuer: this.issuer,
        client: { credentials: [{ client_id: "bss", client_secret: { value: SECRET } }] },
        targets: { smd: { urls: [`${this.smd}/hsm/v2`], scopes: ["read"] } },
        ...change,
      },
      options,
    );
    this.t.after(() => client.close());
    return client;
  }
}

test("many callers share one token and survive a new signing key", async (t) => {
  const lab = await Lab.start(t);
  const client = await lab.client();
  const smd = client.fetch("smd");
  const everyone = async () => {
    const answers = await Promise.all(Array.from({ length: 64 }, () => smd(lab.smd + NODE)));
    assert.deepEqual(answers.filter((answer) => !answer.ok).map((answer) => answer.status), []);
    await Promise.all(answers.map((answer) => answer.body?.cancel()));
  };
  await everyone();
  assert.equal(client.stats().tokenRequests, 1);
  await lab.post("/lab/smd", { keys: "always" });
  await lab.post("/lab/keys/rotate");
  await everyone();
  assert.equal(client.stats().tokenRequests, 2);
});

test("tokens of one second are refreshed in the background: after the first nobody waits", async (t) => {
  const lab = await Lab.start(t, "--ttl", "1");
  const client = await lab.client();
  const refreshed = [];
  client.events.addEventListener("token_received", ({ detail }) => refreshed.push(detail));
  while (refreshed.length < 4) {
    assert.ok((await client.fetch()(lab.smd + NODE)).ok);
  }
  assert.equal(client.stats().waited, 1);
});

test("while the server is away the token serves, and afterwards a call says why there is none", async (t) => {
  const lab = await Lab.start(t);
  const client = await lab.client({ timeouts: { wait_s: 0.2 } });
  await client.token("smd");
  await lab.post("/lab/away", { service: "issuer" });
  assert.ok((await client.fetch()(lab.smd + NODE)).ok);
  const other = await lab.client({ timeouts: { wait_s: 0.2 } });
  await assert.rejects(other.token("smd"), (error) => {
    assert.ok(error instanceof SvcauthError);
    return error.code === "connection_failed" && error.fault === "network";
  });
});

test("a redirect to elsewhere carries no token", async (t) => {
  const lab = await Lab.start(t);
  const client = await lab.client({ targets: { smd: { urls: [lab.smd], scopes: ["read"] } } });
  const to = encodeURIComponent(`${lab.elsewhere}/x`);
  assert.ok((await client.fetch()(`${lab.smd}/redirect?to=${to}&status=307`)).ok);
  const log = await (await fetch(`${lab.admin}/lab/log?service=elsewhere`)).text();
  assert.ok(log.includes("/x") && !/bearer/i.test(log), log);
});

test("the flow of four messages, one by one and by the client itself", async (t) => {
  const lab = await Lab.start(t);
  const metadata = await messages.fetchMetadata({ issuer: lab.issuer });
  const { registration } = await messages.register({
    endpoint: metadata.registration_endpoint ?? `${lab.issuer}/oauth2/register`,
    metadata: {
      client_name: "bss", grant_types: ["client_credentials"], scope: "read", redirect_uris: ["http://127.0.0.1/cb"],
      response_types: ["token"],
    },
  });
  const led = await messages.authorize({ endpoint: metadata.authorization_endpoint, registration });
  assert.ok(["login_page", "callback", "error_page", "answered"].includes(led.kind));
  const answer = await messages.requestToken({
    endpoint: metadata.token_endpoint,
    client_id: registration.client_id,
    client_secret: registration.client_secret,
    scopes: ["read"],
  });
  assert.equal(answer.token_type, "Bearer");
  const called = await fetch(lab.smd + NODE, { headers: { authorization: `Bearer ${answer.access_token}` } });
  assert.equal(called.status, 200);
  const wrong = { endpoint: metadata.token_endpoint, client_id: registration.client_id, client_secret: "wrong" };
  await assert.rejects(messages.requestToken(wrong), (error) => error.oauthError === "invalid_client");
  await assert.rejects(messages.requestToken({ endpont: "x" }), (error) => error.code === "invalid_argument");
  await assert.rejects(
    messages.requestToken({ ...wrong, endpoint: `http://127.0.0.1:${await closedPort()}/token` }),
    (error) => error.code === "connection_failed",
  );
  await messages.deleteRegistration({ registration });

  const folder = mkdtempSync(path.join(tmpdir(), "svcauth-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const client = await lab.client({
    client: { registration: { metadata: { client_name: "bss", grant_types: ["client_credentials"], scope: "read" } } },
    endpoints: { registration: `${lab.issuer}/oauth2/register` },
    store: { file: path.join(folder, "state.json") },
  });
  assert.ok((await client.fetch()(lab.smd + NODE)).ok);
});

test("a user's token reaches the service, and the audit trail says whose call it was", async (t) => {
  const lab = await Lab.start(t);
  const { access_token: alice } = await lab.post("/lab/user-token", { sub: "alice", scopes: ["read"], client_id: "portal" });
  const client = await lab.client();
  const calls = [];
  client.events.addEventListener("call", ({ detail }) => calls.push(detail));
  await withUser(alice, () => client.fetch()(lab.smd + NODE));
  await client.fetch()(lab.smd + NODE);
  assert.deepEqual(
    calls.map(({ target, kind, subject, client_id, status }) => [target, kind, subject, client_id, status]),
    [["smd", "user", "alice", "portal", 200], ["smd", "service", "bss", "bss", 200]],
  );
});
