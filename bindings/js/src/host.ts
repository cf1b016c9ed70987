import type { User } from "./user.js";

/** What differs from one place to another. */
export interface Host {
  /** What it can do, for the core: 1 files, 2 environment, 4 callback, 8 durable store. */
  readonly capabilities: number;
  /**
   * Whether a promise that belongs to one request cannot be awaited in another, and no timer runs between requests:
   * Cloudflare-like workers.
   */
  readonly isolated: boolean;
  /** Gives the module of that name, compiled once. */
  module(name: ModuleName): Promise<WebAssembly.Module>;
  /** The same, where it can be had at once. */
  moduleNow?(name: ModuleName): WebAssembly.Module;
  /** Reads a configuration. */
  read(place: string | URL): Promise<string>;
  readFile?(path: string): Promise<Uint8Array>;
  readVariable?(name: string): string | undefined;
  store?(file: string, timeMs: number): Promise<Store>;
  /** Runs what belongs to no caller: not in the context, or with the user, of whoever happens to be here. */
  detached<T>(work: () => T): T;
  /** Calls once after this time; nothing keeps running for that. The answer takes it back. */
  after(ms: number, work: () => void): () => void;
  /** The user on whose behalf the code that is running works. */
  user(): User | undefined;
  /** Lets work go on after the response to the request that is being answered. */
  waitUntil?(work: Promise<unknown>): void;
  /** What the client's own requests have besides. */
  readonly init?: RequestInit;
  /** Says what kind of failure a fetch ended with. */
  failure?(error: unknown): SendFailure;
}

/**
 * `svcauth` has what everyday life needs, and traps where it comes to anything else; `whole` has all, and takes its
 * place then.
 */
export type ModuleName = "svcauth" | "whole" | "exchange";

/** Refused and TLS mean that the server certainly has not received the request. */
export type SendFailure = "refused" | "tls" | "broken";

/** The durable store. */
export interface Store {
  get(key: string): Promise<Stored>;
  put(key: string, version: number, value: string): Promise<Stored>;
  lock(key: string, ttlMs: number): Promise<Stored>;
  unlock(key: string, fence: number): Promise<Stored>;
}

/** How an operation of the store ended; the numbers are the core's. */
export type Stored =
  | { kind: 0 }
  | { kind: 1; value: Uint8Array; number: number }
  | { kind: 2 | 4 | 5; number: number }
  | { kind: 3 | 6 };
