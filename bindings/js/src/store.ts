import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { open, readFile, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import type { Store, Stored } from "./host.js";

const FORMAT = 1;
const CLOCK_SKEW_MS = 5_000;

/** The file; what it does not know stays as it is. */
interface Document {
  format: number;
  last: number;
  records: Record<string, { version: number; value: string }>;
  locks: Record<string, { owner: string; fence: number; taken_ms: number; ttl_ms: number }>;
}

/**
 * The durable store in a file, which any number of processes may share, those of the Rust and Go clients too.
 *
 * Each operation reads the file and, where it changes something, writes a new one beside it, syncs it and renames it:
 * whoever is killed at whatever moment leaves the old file or the new one. An operation holds the system's lock on
 * `<file>.lock` for these milliseconds only; the lock that the core takes for longer is an entry in the file that ends
 * by itself.
 */
export class FileStore implements Store {
  readonly #path: string;
  readonly #timeMs: number;
  /** Tells this store's locks from those of others, in this process too. */
  readonly #owner = `${process.pid}-${randomBytes(8).toString("hex")}`;

  constructor(path: string, timeMs: number) {
    this.#path = path;
    this.#timeMs = timeMs;
  }

  /** Needs no lock: the file is always whole. */
  async get(key: string): Promise<Stored> {
    const record = (await this.#read()).records[key];
    if (record === undefined) {
      return { kind: 0 };
    }
    if (!Number.isSafeInteger(record.version) || record.version < 1 || !isBase64Url(record.value)) {
      throw this.#damaged();
    }
    return { kind: 1, value: Buffer.from(record.value, "base64url"), number: record.version };
  }

  put(key: string, version: number, value: string): Promise<Stored> {
    return this.#alone((document) => {
      if ((document.records[key]?.version ?? 0) !== version) {
        return { kind: 3 };
      }
      const next = ++document.last;
      document.records[key] = { version: next, value: Buffer.from(value, "utf8").toString("base64url") };
      return { kind: 2, number: next };
    });
  }

  lock(key: string, ttlMs: number): Promise<Stored> {
    return this.#alone((document) => {
      const now = Date.now();
      const lock = document.locks[key];
      const left = lock === undefined || lock.owner === this.#owner ? 0 : timeLeft(lock.taken_ms, lock.ttl_ms, now);
      if (left > 0) {
        return { kind: 5, number: left };
      }
      const fence = ++document.last;
      document.locks[key] = { owner: this.#owner, fence, taken_ms: now, ttl_ms: ttlMs };
      return { kind: 4, number: fence };
    });
  }

  unlock(key: string, fence: number): Promise<Stored> {
    return this.#alone((document) => {
      if (document.locks[key]?.owner === this.#owner && document.locks[key].fence === fence) {
        delete document.locks[key];
        return { kind: 6 };
      }
      return undefined;
    });
  }

  /** Runs an operation while nobody else is at it. What changes nothing answers undefined, and is done. */
  async #alone(operation: (document: Document) => Stored | undefined): Promise<Stored> {
    const lock = `${this.#path}.lock`;
    const guard = await open(lock, constants.O_RDWR | constants.O_CREAT, 0o600).catch((error: unknown) => {
      throw this.#cannot("be locked", error);
    });
    try {
      await this.#take(guard);
      const document = await this.#read();
      const done = operation(document);
      if (done !== undefined && done.kind !== 3 && done.kind !== 5) {
        await this.#write(document);
      }
      return done ?? { kind: 6 };
    } finally {
      await guard.close(); // the lock ends with it
    }
  }

  /** A process that was stopped while it had the lock must not stop this one for ever. */
  async #take(guard: FileHandle): Promise<void> {
    const deadline = performance.now() + this.#timeMs;
    for (let pause = 2; !(await locked(guard.fd)); pause = Math.min(2 * pause, 50)) {
      if (performance.now() >= deadline) {
        throw new Error(`${this.#path} is locked by another process that does not go on`);
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async #read(): Promise<Document> {
    const document: Document = { format: FORMAT, last: 0, records: {}, locks: {} };
    let text: string;
    try {
      const { mode } = await stat(this.#path);
      if ((mode & 0o077) !== 0) {
        const shown = (mode & 0o777).toString(8).padStart(4, "0");
        throw new Error(
          `${this.#path} holds secrets and others may read it (mode ${shown}); say: chmod 600 ${this.#path}`,
        );
      }
      text = await readFile(this.#path, "utf8");
    } catch (error) {
      switch (codeOf(error)) {
        case "ENOENT":
          return document;
        case undefined:
          throw error;
        default:
          throw this.#cannot("be read", error);
      }
    }
    let read: unknown;
    try {
      read = JSON.parse(text);
    } catch {
      throw this.#damaged();
    }
    if (!isObject(read) || typeof read["format"] !== "number") {
      throw this.#damaged();
    }
    if (read["format"] !== FORMAT) {
      throw new Error(
        `${this.#path} has format ${read["format"]}, written by another version of svcauth; this one knows format ${FORMAT}`,
      );
    }
    Object.assign(document, read);
    if (!Number.isSafeInteger(document.last) || !isObject(document.records) || !isObject(document.locks)) {
      throw this.#damaged();
    }
    return document;
  }

  async #write(document: Document): Promise<void> {
    const beside = `${this.#path}.new`;
    try {
      // Left by a process that was killed; and nobody's link is followed.
      await rm(beside, { force: true });
      const file = await open(beside, "wx", 0o600);
      try {
        await file.writeFile(JSON.stringify(document));
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(beside, this.#path);
      const directory = await open(dirname(this.#path), "r");
      try {
        await directory.sync();
      } finally {
        await directory.close();
      }
    } catch (error) {
      throw this.#cannot("be written", error);
    }
  }

  #damaged(): Error {
    return new Error(`${this.#path} is no state file of svcauth, or damaged; move it away, then the client starts anew`);
  }

  #cannot(what: string, error: unknown): Error {
    const directory = dirname(this.#path);
    const code = codeOf(error);
    const advice =
      code === "ENOENT"
        ? `make the directory ${directory}`
        : code === "EACCES" || code === "EPERM"
          ? `make it and the directory ${directory} belong to the user of this process`
          : "see to the file system";
    return new Error(`the state file ${this.#path} cannot ${what} (${code ?? error}); ${advice}`);
  }
}

/** Takes the system's lock, which belongs to the open file that the command shares with this process, and ends with it. */
function locked(fd: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const command = spawn("flock", ["-x", "-n", "3"], { stdio: ["ignore", "ignore", "ignore", fd], env: process.env });
    command.on("error", () => reject(new Error("the store needs the command flock, of util-linux")));
    command.on("exit", (code) => resolve(code === 0));
  });
}

/** A lock from the future was taken before the clock was set back: nobody knows how long ago, and it does not count. */
function timeLeft(taken: number, ttl: number, now: number): number {
  return taken > now + CLOCK_SKEW_MS ? 0 : Math.max(0, taken + ttl - now);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isBase64Url(text: unknown): text is string {
  return typeof text === "string" && /^[A-Za-z0-9_-]*$/.test(text);
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}
