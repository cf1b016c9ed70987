// Notes the points of the module that are reached while a program runs: node --import, with the file in REACHED.
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const file = process.env.REACHED;
const reached = new Set(existsSync(file) ? readFileSync(file, "utf8").split("\n") : []);
const { Instance } = WebAssembly;

WebAssembly.Instance = function (module, imports) {
  imports.reached.at = (point) => reached.add(String(point));
  return new Instance(module, imports);
};

process.on("exit", () => writeFileSync(file, [...reached].join("\n")));
