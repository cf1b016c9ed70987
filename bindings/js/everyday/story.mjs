// A day on which nothing goes wrong but a 401: played through the client, with answers as servers give them.
import assert from "node:assert/strict";
import { load } from "../test/package.mjs";
import { config, ISSUER, SMD, World } from "../test/world.mjs";

const { ClientOn } = await load("client.js");
const { host } = await load("hosts/node.js");
const { withUser } = await load("node.js");

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const jwt = (claims, signature = "c2lnbmF0dXJl") => `${part({ alg: "ES256", kid: "x", typ: "JWT" })}.${part(claims)}.${signature}`;
const KINDS = {
  plain: (number) => ({ access_token: `token-${number}`, token_type: "Bearer", expires_in: 3600 }),
  hydra: (number) => ({
    access_token: jwt({
      aud: [], client_id: "bss", exp: 1800000001, ext: {}, iat: 1800000000, iss: ISSUER,
      jti: `69c4b4e3-4c57-41ef-81eb-${number}`, nbf: 1800000000, scp: ["read"], sub: "bss",
    }, "c".repeat(683)),
    expires_in: 1, scope: "read", token_type: "bearer",
  }),
  keycloak: (number) => ({
    access_token: jwt({
      exp: 1800000001, iat: 1800000000, jti: `trrtcc:${number}`, iss: ISSUER, aud: ["smd", "account"], sub: "service-bss",
      typ: "Bearer", azp: "bss", client_id: "bss", scope: "read email", email_verified: false,
      "allowed-origins": ["/*"], realm_access: { roles: ["offline_access", "ü"] },
    }),
    expires_in: 1, refresh_expires_in: 0, token_type: "Bearer", "not-before-policy": 0, scope: "read email", x: null, y: [true],
  }),
};
/** First tokens of other servers; texts where JSON is written in another way than here. */
const ANSWERS = {
  "Hydra, opaque": { access_token: "ory_at_x.y", expires_in: 3599, scope: "read", token_type: "bearer" },
  "Hydra, with an audience": {
    access_token: jwt({ aud: ["smd"], client_id: "bss", exp: 1800000001, ext: { a: {} }, scp: ["read", "write"], sub: "bss" }),
    expires_in: 19, scope: "read write", token_type: "bearer",
  },
  TokenSmith: {
    access_token: jwt({
      iss: ISSUER, sub: "boot-service", aud: ["smd"], exp: 1800003600, nbf: 1800000000, jti: "st-1", nonce: "s2Kf7shUefEoYJ0n79ZH-j8SGB4Kz5Ca9bw-ohN8lUY=",
      scope: ["read"], auth_level: "IAL2", auth_factors: 2, auth_methods: ["bootstrap_exchange"],
      session_id: "bootstrap-exchange-boot-service-1795401707026032454", session_exp: 1800003600,
      auth_events: ["bootstrap_token_exchange"], cluster_id: "cl-F00F00F00", openchami_id: "oc-F00F00F00",
    }, "x".repeat(342)),
    token_type: "Bearer", expires_in: 3600, refresh_token: "dc8114cdd31dc6c7a3ee7fc173437a7c655ea6974cf22bad7adbd7825447856c", refresh_expires_in: 86400, scope: "read",
    issued_token_type: "urn:ietf:params:oauth:token-type:access-token",
  },
  "Entra ID": {
    token_type: "Bearer", expires_in: "3599", ext_expires_in: "3599", expires_on: "1800003599", resource: "api://smd",
    access_token: jwt({ aud: "api://smd", appid: "bss", oid: "x", sub: "x", roles: [], ver: "2.0" }),
  },
  "Keycloak, without scopes": {
    access_token: jwt({ sub: "x", azp: "bss", acr: "1", realm_access: {}, resource_access: { smd: { roles: ["a", "b"] } } }),
    expires_in: 300, refresh_expires_in: 0, token_type: "Bearer", id_token: "", "not-before-policy": 0, scope: "",
  },
  "PHP, with escapes": String.raw`{"token_type":"Bearer","expires_in":3600,"access_token":"a\/b+c=","scope":"read","x":"\"\\\n"}`,
  "without an expiry": { access_token: jwt({ exp: Math.floor(Date.now() / 1000) + 3600, sub: "" }), token_type: "bearer" },
  "three parts, and no JWT": { access_token: "a.b.c", token_type: "Bearer", expires_in: 60 },
  // With keys of 2048 and 4096 bits, and with many roles.
  ...Object.fromEntries([342, 500, 683, 1000, 1500, 3000, 6000].map((length) => [
    `of ${length} characters and more`,
    { access_token: jwt({ aud: [], ext: {}, scp: ["read"], sub: "bss" }, "x".repeat(length)), token_type: "bearer", expires_in: 19, scope: "read" },
  ])),
  encrypted: { access_token: `${part({ alg: "dir", enc: "A256GCM" })}..aXY.Y2lwaGVy.dGFn`, token_type: "Bearer", expires_in: 60 },
};
const SECRETS = { plain: { value: "a secret" }, hydra: { env: "SVCAUTH_STORY" }, keycloak: { callback: "vault" } };
const METADATA = {
  issuer: ISSUER,
  token_endpoint: `${ISSUER}/token`,
  authorization_endpoint: `${ISSUER}/auth`,
  registration_endpoint: `${ISSUER}/register`,
  jwks_uri: `${ISSUER}/keys`,
  revocation_endpoint: `${ISSUER}/revoke`,
  introspection_endpoint: `${ISSUER}/introspect`,
  token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
  claims_parameter_supported: true,
  credentials: null,
  mtls_endpoint_aliases: { token_endpoint: `${ISSUER}/token` },
  max_age: 3600,
};

/** Gives the names of the modules that were loaded. */
export async function story() {
  const loaded = [];
  const counting = {
    ...host,
    module: (name) => (loaded.push(name), host.module(name)),
    moduleNow: (name) => (loaded.push(name), host.moduleNow(name)),
  };
  class Client extends ClientOn {
    static async open(document, options) {
      return new Client(counting, await ClientOn.making(counting, document, options), options);
    }
  }
  process.env.SVCAUTH_STORY = "a secret: 100%";
  for (const [kind, answer] of Object.entries(KINDS)) {
    const world = new World();
    const headers = {
      date: new Date().toUTCString(), "content-type": "application/json;charset=UTF-8", "cache-control": "no-store",
      pragma: "no-cache", "www-authenticate": "",
    };
    world.token = (_, number) => new Response(JSON.stringify(answer(number), null, kind === "hydra" ? 0 : 1), { headers });
    let refused = 0;
    world.service = ({ url }) => {
      if (url === `${ISSUER}/.well-known/openid-configuration`) {
        return new Response(JSON.stringify(METADATA), { headers });
      }
      const challenge = kind === "hydra" ? "Bearer" : 'Bearer realm="smd", error="invalid_token"';
      return refused++ === 20
        ? new Response("", { status: 401, headers: { "www-authenticate": challenge } })
        : new Response("ok");
    };
    const document = {
      ...(kind === "hydra" ? { issuer: ISSUER } : { endpoints: { token: `${ISSUER}/token` } }),
      client: {
        auth: kind === "hydra" ? "client_secret_basic" : "client_secret_post",
        credentials: [{ client_id: "bss", client_secret: SECRETS[kind] }],
      },
      targets: {
        smd: { urls: [SMD], scopes: ["read"], audience: ["smd"] },
        own: { urls: ["https://own.example"], user_token: "never", scopes: ["read"] },
      },
    };
    const client = await Client.open(document, { fetch: world.fetch, secrets: async (name) => `from ${name}` });
    const told = [];
    const listen = () => client.events.addEventListener("event", ({ detail }) => told.push(detail.event));
    if (kind === "keycloak") {
      await client.ready();
    }
    listen();
    const all = client.fetch();
    const calls = Array.from({ length: 16 }, () => all(`${SMD}/State?x=1`));
    assert.ok((await Promise.all(calls)).every((answer) => answer.ok));
    await withUser(jwt({ sub: "alice", client_id: "portal", exp: 1 }), () => all(`${SMD}/State`));
    await all("https://elsewhere.example/");
    await all("https://own.example/", { user: "opaque" });
    await all(SMD, { headers: { authorization: "Bearer own" } });
    const more = client.stats().tokensReceived + (kind === "plain" ? 1 : 3);
    while (client.stats().tokensReceived < more || !told.includes("rejected")) {
      assert.ok((await client.fetch("smd")(`${SMD}/State`)).ok);
    }
    assert.ok(client.healthy() && client.health().length === 2);
    await client.close();
  }
  for (const answer of Object.values(ANSWERS)) {
    const world = new World();
    const headers = { "content-type": "application/json", "cache-control": "no-store" };
    world.token = () => new Response(typeof answer === "string" ? answer : JSON.stringify(answer), { headers });
    const client = await Client.open(config(), { fetch: world.fetch });
    client.events.addEventListener("event", () => {});
    assert.ok((await client.fetch()(`${SMD}/State`)).ok);
    assert.ok(client.lease("smd") !== undefined && client.healthy());
    await client.close();
  }
  return loaded;
}

if (process.argv[1]?.endsWith("story.mjs")) {
  console.log(await story());
}
