// Answers nodes that boot with a script for iPXE, with Node's own HTTP server and svcauth. For each it asks SMD what the
// node is, with a token that svcauth looks after.
//
//     node boot-scripts.mjs svcauth.json http://smd:27779 [127.0.0.1:27778]
import { createServer } from "node:http";
import process from "node:process";
import { Client, passUser, requireUser, SvcauthError } from "svcauth";

/** What the handlers need. */
class Service {
  constructor(client, smd) {
    this.client = client;
    this.smd = smd;
    this.call = client.fetch("smd");
    this.routes = {
      // A node that boots has no user; where there is one, the user's token goes along to SMD.
      "/boot/v1/bootscript": [passUser, this.bootScript],
      // Only for users: without one's token SMD is not asked, in nobody's name.
      "/boot/v1/bootparameters": [requireUser, this.bootParameters],
      "/boot/v1/service/status": [passUser, this.status],
      "/debug/vars": [passUser, this.counters],
    };
  }

  /** Answers a request. */
  handle(request, response) {
    const url = new URL(request.url, "http://localhost");
    const [user, answer] = this.routes[url.pathname] ?? [passUser, async () => text(404, "no such page\n")];
    user(request, response, async () => {
      const { status, headers, body } = await answer.call(this, url.searchParams.get("host") ?? "").catch(refusal);
      response.writeHead(status, headers).end(body);
    });
  }

  async bootScript(name) {
    const { ID, NID, Role } = await this.component(name);
    return text(200, `#!ipxe\nkernel http://boot/kernel nid=${NID} xname=${ID} role=${Role}\nboot\n`);
  }

  async bootParameters(name) {
    const { ID } = await this.component(name);
    return json(200, { hosts: [ID], params: "console=ttyS0" });
  }

  /** For probes: 503 while a token is missing. */
  async status() {
    return this.client.healthy() ? text(200, "ready\n") : text(503, "there is no token\n");
  }

  async counters() {
    return json(200, { svcauth: this.client.stats(), node: process.version });
  }

  /** Asks SMD. This is all that there is to do about tokens. */
  async component(name) {
    const answer = await this.call(`${this.smd}/hsm/v2/State/Components/${encodeURIComponent(name)}`);
    if (!answer.ok) {
      await answer.body?.cancel();
      throw new Answered(answer.status);
    }
    return answer.json();
  }
}

/** SMD's answer, where it is no component. */
class Answered extends Error {
  constructor(status) {
    super(`SMD answered ${status}`);
    this.status = status;
  }
}

const text = (status, body, more = {}) => ({ status, headers: { "content-type": "text/plain; charset=utf-8", ...more }, body });
const json = (status, body) => ({ status, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** What callers are told where there is no answer. */
function refusal(error) {
  const message = `${error.message}\n`;
  if (error instanceof Answered) {
    return text(error.status, message);
  }
  if (!(error instanceof SvcauthError)) {
    return text(502, message);
  }
  if (error.code === "user_token_missing") {
    return text(401, message);
  }
  const seconds = Math.ceil(((error.retryAt?.getTime() ?? 0) - Date.now()) / 1000);
  return text(503, message, { "retry-after": String(Math.max(1, seconds)) });
}

async function main(config, smd, address = "127.0.0.1:27778") {
  const client = await Client.open(config);
  // svcauth's events and the audit trail of calls: a line of JSON each.
  client.events.addEventListener("event", ({ detail }) => {
    console.error(JSON.stringify({ time: new Date().toISOString(), ...detail }));
  });
  const service = new Service(client, smd);
  const server = createServer((request, response) => service.handle(request, response));
  const [, host, port] = /^(.*):(\d+)$/.exec(address) ?? ["", address, "27778"];
  server.listen(Number(port), host, () => console.log(`listening on http://${host}:${server.address().port}`));
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      server.close(() => client.close());
      server.closeIdleConnections();
    });
  }
}

const given = process.argv.slice(2);
if (given.length !== 2 && given.length !== 3) {
  console.error("usage: boot-scripts.mjs CONFIGURATION SMD-URL [ADDRESS:PORT]");
  process.exit(2);
}
await main(...given).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
