// The figures, each beside what it is compared with, in the same process.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { setImmediate as turn } from "node:timers/promises";
import * as oauth from "oauth4webapi";
import * as openid from "openid-client";
import { ClientCredentials } from "simple-oauth2";
import { Client } from "svcauth";
import { requestToken } from "svcauth/exchange";

const SECRET = "a-secret";
const CALLERS = 32;
const AT_ONCE = 64;
const ROUNDS = 15;
const seconds = Number(process.env.SECONDS_UNDER_LOAD ?? 60);
let missed = 0;

/** Shows a figure and its goal. */
function figure(name, value, unit, goal) {
  const miss = goal !== undefined && value > goal;
  missed += miss ? 1 : 0;
  const shown = Number.isInteger(value) ? String(value) : value.toFixed(2);
  const aim = goal === undefined ? "" : `   goal <= ${goal}${miss ? "   MISSED" : ""}`;
  console.log(`${name.padEnd(72)}${shown.padStart(9)} ${unit}${aim}`);
}

const median = (values) => values.slice().sort((a, b) => a - b)[values.length >> 1];

/** The medians of a turn's time, in ns: rounds of each contender follow each other, so that all have the same weather. */
async function compared(turns, contenders) {
  const times = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
  for (let round = -2; round < ROUNDS; round++) {
    for (const [name, contender] of Object.entries(contenders)) {
      const started = process.hrtime.bigint();
      await contender(turns);
      if (round >= 0) {
        times[name].push(Number(process.hrtime.bigint() - started) / turns);
      }
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)]));
}

async function startLab(...options) {
  const child = spawn(process.env.SVCAUTH_LAB, ["--until-stdin-closes", ...options], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(createInterface(child.stdout), "line");
  const lab = JSON.parse(line);
  const post = (place, body) =>
    fetch(lab.admin + place, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  await post("/admin/clients", {
    client_id: "bss", client_secret: SECRET, scope: "read", grant_types: ["client_credentials"],
  });
  const tokenRequests = async () => {
    const { endpoints } = await (await fetch(`${lab.admin}/lab/stats`)).json();
    return endpoints.token?.requests ?? 0;
  };
  const end = async () => {
    child.stdin.end();
    await once(child, "close");
  };
  return { ...lab, post, tokenRequests, end };
}

const config = (endpoint, base) => ({
  endpoints: { token: endpoint },
  client: { credentials: [{ client_id: "bss", client_secret: { value: SECRET } }] },
  targets: { smd: { urls: [`${base}/hsm/v2`], scopes: ["read"] } },
});

const ANSWER = JSON.stringify({ access_token: "eyJ.".padEnd(700, "x"), token_type: "bearer", expires_in: 3600, scope: "read" });
const HEADERS = { "content-type": "application/json" };
const noFetch = async () => new Response(ANSWER, { headers: HEADERS });

// A token at hand.
{
  const client = await Client.open(config("https://hydra.example/token", "https://smd.example"), { fetch: noFetch });
  const token = await client.token("smd");
  const held = { token, until: performance.now() + 3_000_000 };
  const kept = Promise.resolve(token);
  const read = () => (performance.now() < held.until ? held : undefined);
  const await_ = () => (performance.now() < held.until ? kept : undefined);
  const simple = new ClientCredentials({ client: { id: "bss", secret: SECRET }, auth: { tokenHost: "https://hydra.example" } });
  const simpleToken = simple.createToken({ access_token: token, expires_in: 3600 });
  let sum = 0;

  const lease = await compared(200_000, {
    ideal: (turns) => {
      for (let i = 0; i < turns; i++) sum += read().token.length;
    },
    svcauth: (turns) => {
      for (let i = 0; i < turns; i++) sum += client.lease("smd").token.length;
    },
    simple: (turns) => {
      for (let i = 0; i < turns; i++) sum += simpleToken.expired() ? 0 : simpleToken.token.access_token.length;
    },
  });
  figure("a property and a clock read", lease.ideal, "ns");
  figure("simple-oauth2: expired() and the token", lease.simple, "ns");
  figure("client.lease(\"smd\")", lease.svcauth, "ns");
  figure("client.lease(\"smd\") / a property and a clock read", lease.svcauth / lease.ideal, "x", 1.2);

  const awaited = await compared(100_000, {
    ideal: async (turns) => {
      for (let i = 0; i < turns; i++) sum += (await await_()).length;
    },
    svcauth: async (turns) => {
      for (let i = 0; i < turns; i++) sum += (await client.token("smd")).length;
    },
  });
  figure("an awaited promise that is kept, and a clock read", awaited.ideal, "ns");
  figure("await client.token(\"smd\")", awaited.svcauth, "ns");
  figure("await client.token(\"smd\") / awaited ideal", awaited.svcauth / awaited.ideal, "x", 1.3);
  assert.ok(sum > 0);
  await client.close();
}

// One token, asked for and read, over a fetch that does nothing.
{
  const server = { issuer: "https://hydra.example", token_endpoint: "https://hydra.example/token" };
  const who = { client_id: "bss" };
  const auth = oauth.ClientSecretBasic(SECRET);
  const parameters = new URLSearchParams({ scope: "read" });
  const request = { endpoint: server.token_endpoint, client_id: "bss", client_secret: SECRET, scopes: ["read"] };
  const sending = { fetch: noFetch };
  const fetched = await compared(2_000, {
    response: async (turns) => {
      for (let i = 0; i < turns; i++) await (await noFetch()).json();
    },
    oauth4webapi: async (turns) => {
      for (let i = 0; i < turns; i++) {
        const options = { [oauth.customFetch]: noFetch };
        const answer = await oauth.clientCredentialsGrantRequest(server, who, auth, parameters, options);
        await oauth.processClientCredentialsResponse(server, who, answer);
      }
    },
    svcauth: async (turns) => {
      for (let i = 0; i < turns; i++) await requestToken(request, sending);
    },
  });
  figure("Response and json() alone", fetched.response / 1000, "µs");
  figure("oauth4webapi: fetch and parse", fetched.oauth4webapi / 1000, "µs");
  figure("requestToken: fetch and parse", fetched.svcauth / 1000, "µs");
  figure("requestToken / oauth4webapi", fetched.svcauth / fetched.oauth4webapi, "x", 0.9);
}

// Many callers and no token.
{
  const lab = await startLab();
  const endpoint = `${lab.issuer}/oauth2/token`;
  const server = { issuer: lab.issuer, token_endpoint: endpoint };
  const node = `${lab.smd}/hsm/v2/State/Components/x0c0s0b0n0`;
  const client = await Client.open(config(endpoint, lab.smd));
  const smd = client.fetch("smd");
  const simple = new ClientCredentials({
    client: { id: "bss", secret: SECRET },
    auth: { tokenHost: lab.issuer, tokenPath: "/oauth2/token" },
  });
  const opened = new openid.Configuration(server, "bss", undefined, openid.ClientSecretBasic(SECRET));
  openid.allowInsecureRequests(opened);
  const options = { [oauth.allowInsecureRequests]: true };
  const contenders = {
    svcauth: async () => assert.ok((await smd(node)).ok),
    "simple-oauth2": () => simple.getToken({ scope: "read" }),
    oauth4webapi: async () => {
      const auth = oauth.ClientSecretBasic(SECRET);
      const answer = await oauth.clientCredentialsGrantRequest(server, { client_id: "bss" }, auth, new URLSearchParams(), options);
      return oauth.processClientCredentialsResponse(server, { client_id: "bss" }, answer);
    },
    "openid-client": () => openid.clientCredentialsGrant(opened, { scope: "read" }),
  };
  for (const [name, contender] of Object.entries(contenders)) {
    const before = await lab.tokenRequests();
    await Promise.all(Array.from({ length: AT_ONCE }, contender));
    const requests = (await lab.tokenRequests()) - before;
    figure(`${name}: token requests of ${AT_ONCE} at once without a token`, requests, "", name === "svcauth" ? 1 : undefined);
  }
  await client.close();
  await lab.end();
}

// Tokens of one second, and callers who are never idle.
if (seconds > 0) {
  const lab = await startLab("--ttl", "1");
  const client = await Client.open(config(`${lab.issuer}/oauth2/token`, lab.smd));
  const simple = new ClientCredentials({
    client: { id: "bss", secret: SECRET },
    auth: { tokenHost: lab.issuer, tokenPath: "/oauth2/token" },
  });
  let token;
  const contenders = {
    svcauth: () => client.token("smd"),
    "simple-oauth2": async () => {
      if (token === undefined || token.expired()) token = await simple.getToken({ scope: "read" });
      return token.token.access_token;
    },
  };
  for (const [name, contender] of Object.entries(contenders)) {
    await contender();
    const before = await lab.tokenRequests();
    const waitedBefore = client.stats().waited;
    const until = performance.now() + seconds * 1000;
    let calls = 0;
    const caller = async () => {
      while (performance.now() < until) {
        await contender();
        calls++;
        await turn();
      }
    };
    await Promise.all(Array.from({ length: CALLERS }, caller));
    const rate = ((await lab.tokenRequests()) - before) / seconds;
    figure(`${name}: token requests a second, ${CALLERS} callers for ${seconds} s (${calls} calls)`, rate, "/s", name === "svcauth" ? 1.5 : undefined);
    if (name === "svcauth") {
      figure("svcauth: callers who waited after the first token", client.stats().waited - waitedBefore, "", 0);
    }
  }
  await client.close();
  await lab.end();
}

process.exitCode = missed > 0 ? 1 : 0;
