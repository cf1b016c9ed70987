import type { Host, ModuleName } from "../host.js";

// Bundlers know this way of writing, and take the files along.
const places: Record<ModuleName, URL> = {
  svcauth: new URL("../svcauth.wasm", import.meta.url),
  whole: new URL("../whole.wasm", import.meta.url),
  exchange: new URL("../exchange.wasm", import.meta.url),
};

const modules = new Map<ModuleName, Promise<WebAssembly.Module>>();

/** Where modules are fetched from beside the code: browsers, and places that are not known. */
export const host: Host = {
  capabilities: 0,
  isolated: false,
  init: { credentials: "omit", cache: "no-store" },
  module(name) {
    let module = modules.get(name);
    if (module === undefined) {
      module = compile(places[name]);
      modules.set(name, module);
      module.catch(() => modules.delete(name));
    }
    return module;
  },
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
  user: () => undefined,
};

async function compile(place: URL): Promise<WebAssembly.Module> {
  const response = await fetch(place);
  if (!response.ok) {
    throw new Error(`${place.pathname} cannot be fetched (HTTP ${response.status}); give it as the option wasm`);
  }
  // Servers that do not know its media type are many.
  return WebAssembly.compile(await response.arrayBuffer());
}
