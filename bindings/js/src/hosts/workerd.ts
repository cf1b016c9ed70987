import svcauth from "../svcauth.wasm";
import whole from "../whole.wasm";
import type { Host, ModuleName } from "../host.js";
import type { Storage } from "../user.js";

interface AsyncHooks {
  AsyncLocalStorage: new () => Storage;
}

interface Workers {
  waitUntil?: (work: Promise<unknown>) => void;
}

// Each is there with a flag, or in newer versions.
const [hooks, workers] = await Promise.all([
  import("node:async_hooks").then(
    (module) => module as unknown as AsyncHooks,
    () => undefined,
  ),
  import("cloudflare:workers").then(
    (module) => module as Workers,
    () => undefined,
  ),
]);

/** Not that of single messages: a worker has all that it imports. */
const modules: Partial<Record<ModuleName, WebAssembly.Module>> = { svcauth, whole };

export const storage = hooks && new hooks.AsyncLocalStorage();

/** Cloudflare-like workers: requests share memory, and nothing else. */
export const host: Host = {
  capabilities: 0,
  isolated: true,
  module: async (name) => modules[name]!,
  moduleNow: (name) => modules[name]!,
  async read(place) {
    const response = await fetch(place);
    if (!response.ok) {
      throw new Error(`the configuration cannot be fetched: HTTP ${response.status}`);
    }
    return response.text();
  },
  detached: (work) => work(),
  after(ms, work) {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
  user: () => storage?.getStore(),
  ...(workers?.waitUntil && { waitUntil: workers.waitUntil }),
};
