import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { constants, readFileSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import type { Host, ModuleName, SendFailure } from "../host.js";
import type { User } from "../user.js";

const MOST_SECRET_BYTES = 64 << 10;
const MOST_CONFIGURATION_BYTES = 1 << 20;

const modules = new Map<ModuleName, Promise<WebAssembly.Module>>();
const outside = new AsyncResource("svcauth");

export const storage = new AsyncLocalStorage<User>();

/** Node, and places that have its modules: Bun and Deno. */
export const host: Host = {
  // The durable store locks its file with `flock`, as the other hosts do.
  capabilities: 1 | 2 | (process.platform === "linux" && !("Deno" in globalThis) ? 8 : 0),
  isolated: false,
  module(name) {
    let module = modules.get(name);
    if (module === undefined) {
      module = readFile(placeOf(name)).then((bytes) => WebAssembly.compile(bytes));
      modules.set(name, module);
      module.catch(() => modules.delete(name));
    }
    return module;
  },
  // Once in a process that comes to it.
  moduleNow: (name) => new WebAssembly.Module(readFileSync(placeOf(name))),
  async read(place) {
    if (place instanceof URL && place.protocol !== "file:") {
      const response = await fetch(place);
      if (!response.ok) {
        throw new Error(`the configuration cannot be fetched: HTTP ${response.status}`);
      }
      return response.text();
    }
    return Buffer.from(await bytesOf(place, MOST_CONFIGURATION_BYTES)).toString("utf8");
  },
  readFile: (path) => bytesOf(path, MOST_SECRET_BYTES),
  readVariable: (name) => process.env[name],
  // Hardly any program has one.
  store: async (file, timeMs) => new (await import("../store.js")).FileStore(file, timeMs),
  detached: (work) => outside.runInAsyncScope(work),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
  user: () => storage.getStore(),
  failure,
};

function placeOf(name: ModuleName): URL {
  return new URL(`../${name}.wasm`, import.meta.url);
}

async function bytesOf(path: string | URL, most: number): Promise<Uint8Array> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((error: unknown) => {
    throw new Error(`it cannot be opened (${codeOf(error)})`);
  });
  try {
    // A pipe is read once only, and a terminal has no end.
    if (!(await file.stat()).isFile()) {
      throw new Error("it is no regular file");
    }
    const bytes = new Uint8Array(most + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
      length += bytesRead;
      if (length > most) {
        throw new Error(`it is larger than ${most} bytes`);
      }
      if (bytesRead === 0) {
        return bytes.slice(0, length);
      }
    }
  } finally {
    await file.close();
  }
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? "error";
}

const REFUSED =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ConnectionRefused)$/;

function failure(error: unknown): SendFailure {
  for (let inner = error; inner instanceof Error; inner = inner.cause) {
    const code = codeOf(inner);
    if (REFUSED.test(code)) {
      return "refused";
    }
    if (/CERT|^ERR_(TLS|SSL)|UNABLE_TO_VERIFY|SELF_SIGNED|EPROTO/.test(code)) {
      return "tls";
    }
  }
  return "broken";
}
