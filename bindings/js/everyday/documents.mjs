// Opens the documents that everyday life has: what is read of a configuration beside what the scenarios have.
import { readFileSync } from "node:fs";
import path from "node:path";
import { dist, load } from "../test/package.mjs";

const { Engine } = await load("engine.js");
const module = await WebAssembly.compile(readFileSync(path.join(dist, "svcauth.wasm")));
const plain = {
  issuer: "https://hydra.example",
  client: { auth: "client_secret_basic", credentials: [{ client_id: "bss", client_secret: { file: "/run/secrets/bss" } }] },
  targets: {
    smd: { urls: ["https://smd.example/hsm/v2"], scopes: ["read"], audience: ["smd"], user_token: "pass" },
  },
};
const now = { mono: 1000, wall: 1_800_000_000_000 };

const target = { urls: ["https://smd.example:8443/hsm/v2/"] };
const more = {
  client: { auth: "client_secret_post", credentials: [{ client_id: "bss", client_secret: { env: "BSS_SECRET" } }] },
  targets: {
    a: { ...target, scopes: ["read", "write"] },
    b: { urls: [], user_token: "never" },
    c: { urls: ["http://127.0.0.1:27779/hsm/v2", "http://localhost:27779"] },
  },
};
for (const change of [{}, more, {
  client: { credentials: [{ client_id: "bss", client_secret: { callback: "vault" } }] }, issuer: "https://hydra.example/realms/x",
}, { client: { credentials: [{ client_id: "bss", client_secret: { value: "secret" } }] }, endpoints: undefined }]) {
  new Engine(module, JSON.stringify({ ...plain, ...change }, null, 2), 7, 1, now);
}

// What services refuse a token with.
const engine = new Engine(module, JSON.stringify(plain), 7, 1, now);
for (const challenge of [
  "", "Bearer", "bearer realm=smd", 'Bearer realm="smd"', 'Bearer realm="smd", error="invalid_token", error_description="expired"',
  'Bearer error="request_unauthorized",error_description="The request could not be authorized. Check it."',
  'Bearer realm="a \\"b\\"", scope="read write", error="insufficient_scope"', 'Basic realm="smd", Bearer error=invalid_token',
  'Negotiate YII=, Bearer realm="smd"', 'DPoP algs="ES256 RS256", error="invalid_token"', "Basic", ",",
]) {
  engine.answered({ url: "https://smd.example/hsm/v2/State" }, 401, challenge, true);
}
