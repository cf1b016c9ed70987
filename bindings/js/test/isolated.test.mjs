// A Cloudflare-like worker: requests share memory and nothing else. jsrun's tests run the same in workerd.
import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./package.mjs";
import { config, gate, tokenAnswer, World } from "./world.mjs";

const { ClientOn } = await load("client.js");
const { host } = await load("hosts/node.js");

class Client extends ClientOn {
  static async open(document, options, more = {}) {
    const place = { ...host, isolated: true, ...more };
    return new Client(place, await ClientOn.making(place, document, options), options);
  }
}

const none = async (t, world, change = {}, more = {}) => {
  const client = await Client.open(config(change), { fetch: world.fetch }, more);
  t.after(() => client.close());
  return client;
};

test("the request that finds no token asks for one, and others look again until it is there", async (t) => {
  const world = new World();
  const { opened, open } = gate();
  world.token = async () => (await opened, tokenAnswer("shared"));
  const client = await none(t, world);
  const requests = Array.from({ length: 8 }, () => client.fetch("smd")("https://smd.example/hsm/v2"));
  setTimeout(open, 50);
  await Promise.all(requests);
  assert.equal(world.tokenRequests.length, 1);
  assert.ok(world.calls.every((call) => call.authorization === "Bearer shared"));
});

test("a request that ended with its work undone harms nobody: another one does it after its deadline", async (t) => {
  const world = new World();
  world.token = (_, number) => (number === 1 ? new Promise(() => {}) : tokenAnswer("second"));
  // The first request's timers end with it.
  const client = await none(t, world, { timeouts: { request_s: 0.1, wait_s: 60 } }, { after: () => () => {} });
  const ended = client.token("smd");
  ended.catch(() => {});
  assert.equal(await client.token("smd"), "second");
  assert.equal(world.tokenRequests.length, 2);
});

test("the request that finds a refresh due has it done after its response", async (t) => {
  const world = new World();
  world.token = (_, number) => tokenAnswer(`token-${number}`, { expires_in: 1 });
  const later = [];
  const client = await none(t, world, {}, { waitUntil: (work) => later.push(work) });
  assert.equal(await client.token("smd"), "token-1");
  while (later.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    await client.token("smd");
  }
  await Promise.all(later);
  assert.equal(await client.token("smd"), "token-2");
});

test("no timer runs between requests", async (t) => {
  const world = new World();
  world.token = (_, number) => tokenAnswer(`token-${number}`, { expires_in: 1 });
  const client = await none(t, world);
  assert.equal(await client.token("smd"), "token-1");
  await new Promise((resolve) => setTimeout(resolve, 1200));
  assert.equal(world.tokenRequests.length, 1);
  assert.equal(await client.token("smd"), "token-2");
});
