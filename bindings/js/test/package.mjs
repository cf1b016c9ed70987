// The package as it was built, and what lies beside it.
import { fileURLToPath } from "node:url";
import path from "node:path";

const here = path.dirname(fileURLToPath(import.meta.url));
export const root = path.resolve(here, "../../..");
export const target = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
export const dist = process.env.SVCAUTH_JS ?? path.join(target, "js/package/dist");

export const load = (file) => import(path.join(dist, file));
