// What is told in every place, against the lab. The answer names what was seen; anything else throws.
const NODE = "/hsm/v2/State/Components/x0c0s0b0n0";
const SECRET = "a secret: 100%";

/** The configuration for the lab at these addresses. */
export function config(lab, more = {}) {
  return {
    endpoints: { token: `${lab.issuer}/oauth2/token` },
    client: { credentials: [{ client_id: "bss", client_secret: { callback: "bss" } }] },
    targets: { smd: { urls: [`${lab.smd}/hsm/v2`, `${lab.smd}/redirect`], scopes: ["read"] } },
    ...more,
  };
}

export const secrets = async (name) => (name === "bss" ? SECRET : Promise.reject(new Error(`${name} is not known`)));

export async function story({ Client, SvcauthError, withUser }, lab, { browser = false, everyday = () => {} } = {}) {
  const seen = [];
  const saw = (what, held, details) => {
    if (!held) {
      throw new Error(`not seen: ${what}: ${JSON.stringify(details)}`);
    }
    seen.push(what);
  };
  const order = async (place, body) => {
    const response = await fetch(`${lab.admin}/lab/${place}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return response.json().catch(() => undefined);
  };
  const log = async (service) => (await fetch(`${lab.admin}/lab/log?service=${service}`)).json();
  const codeOf = (promise) =>
    promise.then(
      () => "none",
      (error) => (error instanceof SvcauthError ? error.code : String(error)),
    );

  const client = await Client.open(config(lab), { secrets });
  const events = [];
  client.events.addEventListener("event", ({ detail }) => events.push(detail));
  saw("opened without a request", client.lease("smd") === undefined && client.stats().requests === 0);

  const smd = client.fetch("smd");
  const statuses = (await Promise.all(Array.from({ length: 16 }, () => smd(lab.smd + NODE)))).map(({ status }) => status);
  saw("16 calls, one token", statuses.every((status) => status === 200) && client.stats().tokenRequests === 1, statuses);
  const lease = client.lease("smd");
  saw(
    "a lease",
    lease !== undefined && lease.token === (await client.token("smd")) && lease.scopes.join() === "read" &&
      lease.clientId === "bss" && lease.expiresAt > new Date(),
    { lease },
  );
  saw("no secret in what is shown", !`${JSON.stringify({ client, lease, events })}`.includes(lease.token));

  await order("smd", { keys: "always" });
  await order("keys/rotate", {});
  const body = "a body that is sent again";
  const again = await smd(lab.smd + "/hsm/v2/State/Components", { method: "POST", body });
  saw("once more after a 401", again.status !== 401 && client.stats().tokenRequests === 2, [again.status, client.stats()]);
  saw("the new key's token", (await smd(lab.smd + NODE)).status === 200 && client.lease("smd").id !== lease.id);
  everyday();

  const { access_token: alice } = await order("user-token", { sub: "alice", scopes: ["read"], client_id: "portal" });
  const subjects = async (work) => {
    const before = (await log("smd")).length;
    await work();
    return (await log("smd")).slice(before).map(({ sub }) => sub).join();
  };
  const given = await subjects(() => smd(lab.smd + NODE, { user: alice }));
  saw("a user's token is passed on", given === "alice", given);
  if (withUser !== undefined) {
    const held = await subjects(() => withUser(alice, async () => (await null, smd(lab.smd + NODE))));
    saw("and with withUser", held === "alice", held);
  }
  const missing = await subjects(async () => {
    saw("none in a user's place", (await codeOf(smd(lab.smd + NODE, { userRequired: true }))) === "user_token_missing");
  });
  saw("and nothing was asked", missing === "", missing);

  const to = encodeURIComponent(`${lab.elsewhere}/redirected`);
  await client.fetch()(`${lab.elsewhere}/other-origin`);
  await smd(`${lab.elsewhere}/other-target`);
  const redirected = `${lab.smd}/redirect?to=${to}&status=307`;
  if (browser) {
    saw("a redirect that leads no one knows where is refused", (await codeOf(smd(redirected))) === "unexpected_redirect");
  } else {
    saw("a redirect is followed", (await smd(redirected)).status === 200);
    const within = encodeURIComponent(lab.smd + NODE);
    saw("with the token in the target", (await smd(`${lab.smd}/redirect?to=${within}`)).status === 200);
  }
  const elsewhere = (await log("elsewhere")).filter(({ method }) => method !== "OPTIONS");
  const paths = elsewhere.map(({ path }) => path.split("?")[0]).join();
  saw(
    "no token elsewhere",
    paths === `/other-origin,/other-target${browser ? "" : ",/redirected"}` &&
      elsewhere.every(({ authorization }) => !authorization),
    elsewhere,
  );
  const told = events.map(({ event }) => event);
  saw("events", told.includes("token_received") && told.includes("call"), told);

  await client.close();
  saw("closed", (await codeOf(client.token("smd"))) === "closed" && client.lease("smd") === undefined);
  return seen;
}
