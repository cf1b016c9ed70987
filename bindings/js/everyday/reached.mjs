// Notes the points of the module that are reached while a program runs, and the addresses of constants that are read:
// node --import, with the file in REACHED.
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const file = process.env.REACHED;
const reached = new Set(existsSync(file) ? readFileSync(file, "utf8").split("\n") : []);
const { Instance } = WebAssembly;
/** More than the stack and the constants behind it take; the heap comes then. */
const CONSTANTS_END = 1 << 18;

WebAssembly.Instance = function (module, imports) {
  imports.reached.at = (point) => reached.add(String(point));
  imports.reached.read = (address, offset) => {
    if (address + offset < CONSTANTS_END && address + offset >= 0) {
      reached.add(`@${address + offset}`);
    }
  };
  return new Instance(module, imports);
};

process.on("exit", () => writeFileSync(file, [...reached].join("\n")));
