// The package as it is published: what it says of itself, its types, and what it weighs.
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { gzipSync } from "node:zlib";
import { here, installed, packed, requireFromTools, run, target, tools } from "./lab.mjs";

/** What a program may load, gzipped, as package and module. */
const MOST_LOADED = 60_000;
const AIM = 40_000;

test("publint finds nothing", async () => {
  await run(process.execPath, [path.join(tools, "node_modules/publint/src/cli.js"), "--strict", path.join(target, "js/package")]);
});

test("are the types wrong? They are not", async () => {
  const cli = path.join(tools, "node_modules/@arethetypeswrong/cli/dist/index.js");
  // ESM only: what CommonJS gets is `require` of ESM (Node 22), or a dynamic import.
  await run(process.execPath, [cli, await packed(), "--profile", "esm-only", "--exclude-entrypoints", "./svcauth.wasm", "./whole.wasm"]);
});

for (const [module, moduleResolution] of [["node16", "node16"], ["nodenext", "nodenext"], ["es2022", "bundler"]]) {
  test(`a strict TypeScript program compiles with moduleResolution ${moduleResolution}`, async (t) => {
    const cwd = await installed(t);
    copyFileSync(path.join(here, "types/program.ts"), path.join(cwd, "program.ts"));
    const compilerOptions = {
      module, moduleResolution, target: "es2022", lib: ["es2023", "dom", "dom.iterable"], types: [], noEmit: true, strict: true,
      noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, noPropertyAccessFromIndexSignature: true,
      skipLibCheck: false,
    };
    writeFileSync(path.join(cwd, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
    const tsc = path.join(target, "js/tools/node_modules/typescript/bin/tsc");
    await run(process.execPath, [tsc, "--project", cwd]);
  });
}

/** Bundles a program for a place: the text that is loaded at first. */
async function bundled(cwd, name, program, conditions, platform) {
  writeFileSync(path.join(cwd, `${name}.js`), program);
  const { outputFiles } = await requireFromTools("esbuild").build({
    absWorkingDir: cwd,
    entryPoints: [`${name}.js`],
    bundle: true, minify: true, splitting: true, outdir: "out", write: false, format: "esm", target: "es2022", logLevel: "error",
    conditions, platform, external: ["*.wasm"],
  });
  const first = outputFiles.find((file) => path.basename(file.path) === `${name}.js`).text;
  assert.ok(!/(^|[;}])(import|export)[^;()]*from"\.\//.test(first), "what is loaded at first is one file");
  return first;
}

test("a program loads no more than it may", async (t) => {
  const cwd = await installed(t);
  const dist = path.join(cwd, "node_modules/svcauth/dist");
  const weigh = (content) => gzipSync(content, { level: 9 }).length;
  const code = {
    browser: await bundled(cwd, "browser", 'export { Client } from "svcauth";', ["browser"], "browser"),
    Node: await bundled(cwd, "node", 'export { Client } from "svcauth";', ["node"], "node"),
  };
  const module = weigh(readFileSync(path.join(dist, "svcauth.wasm")));
  for (const [place, text] of Object.entries(code)) {
    const loaded = weigh(text) + module;
    t.diagnostic(
      `${place}: ${loaded} bytes gzipped (JavaScript ${weigh(text)}, svcauth.wasm ${module}); at most ${MOST_LOADED}, the aim is ${AIM}`,
    );
    assert.ok(loaded <= MOST_LOADED, `${place}: ${loaded}`);
  }
});

test("what is not used is left out of a bundle", async (t) => {
  const cwd = await installed(t);
  const nothing = await bundled(cwd, "nothing", 'import "svcauth"; import "svcauth/exchange"; import "svcauth/undici";', ["browser"], "browser");
  assert.equal(nothing.trim(), "");
  const error = await bundled(cwd, "error", 'export { SvcauthError } from "svcauth";', ["browser"], "browser");
  assert.ok(!error.includes(".wasm") && !error.includes("WebAssembly"), "an error class brings the client along");
  assert.ok(error.length < 2000, `${error.length}`);
  const client = await bundled(cwd, "client", 'export { Client } from "svcauth";', ["browser"], "browser");
  const undici = await bundled(cwd, "undici", 'export { interceptor } from "svcauth/undici";', ["browser"], "browser");
  assert.ok(!client.includes("onResponseStart"), "the client brings the interceptor along");
  assert.ok(!undici.includes("WebAssembly"), "the interceptor brings the client along");
});

test("the package holds what is published and nothing else", async (t) => {
  const cwd = await installed(t);
  const { dependencies, files, scripts } = JSON.parse(readFileSync(path.join(cwd, "node_modules/svcauth/package.json"), "utf8"));
  assert.deepEqual([dependencies, scripts], [undefined, undefined]);
  assert.deepEqual(files, ["dist", "LICENSE-*"]);
  const listed = (await run("tar", ["-tzf", await packed()])).trim().split("\n").map((file) => file.replace("package/", ""));
  const outside = listed.filter((file) => !file.startsWith("dist/")).sort();
  assert.deepEqual(outside, ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "package.json"]);
  assert.deepEqual(listed.filter((file) => !/\.(js|d\.ts|wasm)$|^[A-Z]|package\.json$/.test(file)), []);
  t.diagnostic(`${statSync(await packed()).size} bytes packed, ${listed.length} files`);
});
