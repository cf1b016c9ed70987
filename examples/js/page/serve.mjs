// Starts the lab, and serves the page with the lab behind the same origin.
//
//     node page/serve.mjs [LAB-PROGRAM [PORT]]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const [program = path.join(here, "../../../target/debug/svcauth-lab"), port = "0"] = process.argv.slice(2);
if (!existsSync(program)) {
  console.error(`there is no ${program}: cargo build -p svcauth-lab`);
  process.exit(2);
}

// Tokens of eight seconds: refreshes are seen.
const lab = spawn(program, ["--until-stdin-closes", "--ttl", "8"], { stdio: ["pipe", "pipe", "inherit"] });
const [line] = await once(createInterface(lab.stdout), "line");
const addresses = JSON.parse(line);
const post = (place, body) =>
  fetch(addresses.admin + place, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
await post("/admin/clients", {
  client_id: "page", client_secret: "for the page", scope: "read", grant_types: ["client_credentials"],
});
// A new signing key is known to SMD at once: tokens of the old one are refused.
await post("/lab/smd", { keys: "always" });

const dist = path.join(path.dirname(createRequire(import.meta.url).resolve("svcauth/package.json")), "dist");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const [, service] = pathname.split("/");
  if (["issuer", "smd", "admin"].includes(service)) {
    forward(addresses[service] + request.url.slice(service.length + 1), request, response);
    return;
  }
  const file = service === "svcauth" ? path.join(dist, pathname.slice(8)) : path.join(here, pathname === "/" ? "index.html" : pathname);
  if (!existsSync(file)) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "application/octet-stream" });
  response.end(readFileSync(file));
});

function forward(to, request, response) {
  const headers = { ...request.headers, host: new URL(to).host };
  const passed = http.request(to, { method: request.method, headers }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  // The server is away: a page sees a broken connection.
  passed.on("error", () => response.destroy());
  request.pipe(passed);
}

server.listen(Number(port), "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    lab.stdin.end();
    server.close();
    server.closeAllConnections();
  });
}
