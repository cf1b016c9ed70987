import type * as ClientModule from "./modules/svcauth.js";
import type * as ExchangeModule from "./modules/exchange.js";
import type { Told } from "./errors.js";

/** A panic in the core: a bug. The instance is of no use any more. */
export class Panicked extends Error {
  override readonly name = "Panicked";
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

type Shared = Pick<typeof ClientModule, "memory" | "room" | "output" | "wipe">;

/** An instance of a module, and the way texts go in and out. */
export class Instance<Exports extends Shared> {
  readonly #exports: Exports;
  #bytes: Uint8Array = new Uint8Array(0);
  #panicked = false;

  constructor(module: WebAssembly.Module) {
    // What wasm-bindgen would set up for objects of JavaScript is of no use here: numbers go in and out.
    const imports: Record<string, Record<string, () => void>> = {};
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      (imports[from] ??= {})[name] = () => {};
    }
    this.#exports = new WebAssembly.Instance(module, imports).exports as unknown as Exports;
  }

  /** Makes one call with the text, and the bytes behind it, in the room; and gives the JSON that comes out. */
  call<T>(text: string, bytes: Uint8Array | undefined, work: (module: Exports, textLength: number) => number): T {
    return this.guarded((module) => {
      const textLength = text.length > 0 || bytes !== undefined ? this.#write(text, bytes) : 0;
      const length = work(module, textLength);
      if (length === 0) {
        return {} as T;
      }
      const at = module.output() >>> 0;
      const told = decoder.decode(this.#memory().subarray(at, at + length));
      module.wipe();
      return JSON.parse(told) as T;
    });
  }

  /** Makes one call whose answer is a number. */
  number(text: string, rest: string, work: (module: Exports, textLength: number) => number): number {
    return this.guarded((module) => {
      const answer = work(module, this.#write(text, encoder.encode(rest)));
      module.wipe();
      return answer;
    });
  }

  guarded<T>(work: (module: Exports) => T): T {
    if (this.#panicked) {
      throw new Panicked("the core panicked before");
    }
    try {
      return work(this.#exports);
    } catch (error) {
      if (error instanceof WebAssembly.RuntimeError) {
        this.#panicked = true;
        this.#memory().fill(0);
        throw new Panicked(`the core panicked (${error.message}); please report it`);
      }
      throw error;
    }
  }

  #memory(): Uint8Array {
    // Memory that has grown is another buffer.
    if (this.#bytes.length === 0) {
      this.#bytes = new Uint8Array(this.#exports.memory.buffer);
    }
    return this.#bytes;
  }

  /** Most texts have one byte for each character; room for all of them is made where one has not. */
  #write(text: string, bytes: Uint8Array | undefined): number {
    const more = bytes?.length ?? 0;
    let capacity = text.length + more;
    let at = this.#exports.room(capacity) >>> 0;
    let { read, written } = encoder.encodeInto(text, this.#memory().subarray(at, at + text.length));
    if (read < text.length) {
      capacity = 3 * text.length + more;
      at = this.#exports.room(capacity) >>> 0;
      ({ written } = encoder.encodeInto(text, this.#memory().subarray(at, at + capacity)));
    }
    if (bytes !== undefined) {
      this.#memory().set(bytes, at + written);
    }
    if (written + more !== capacity) {
      this.#exports.room(written + more);
    }
    return written;
  }
}

/** The two clocks, read together; see the core's `Now`. */
export interface Now {
  mono: number;
  wall: number;
}

export interface ToldRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
}

export interface ToldLease {
  token: string;
  id: string;
  ask_at_ms: number;
  refresh_at_ms: number;
  serve_until_ms: number;
  expires_at_ms: number;
  expires_at_wall_ms: number;
  scopes: string[];
  client_id: string | null;
  subject: string | null;
}

export interface ToldFailure {
  error: Told;
  retry_at_ms?: number;
}

export interface LeaseOutput {
  target: number;
  subject?: string;
  ready?: ToldLease;
  record?: object;
  once?: ToldLease;
  cleared?: true;
  failed?: ToldFailure;
}

export interface EventOutput {
  level: "info" | "warn" | "error";
  event: { event: string };
}

export interface TaskOutput {
  task: number;
  deadline_ms: number;
  send?: ToldRequest;
  timeout_ms?: number;
  max_bytes?: number;
  read_secret?: string;
  from?: "file" | "env" | "callback";
  random?: number;
  store?: "get" | "put_if" | "lock" | "unlock";
  key?: string;
  number?: number;
  value?: string;
  unknown?: true;
}

export type Output = TaskOutput | LeaseOutput | EventOutput | { calls_changed: true };

/** What a turn answers. */
export interface Turn<Result = unknown> {
  result: Result;
  outputs: Output[];
  idle: number | null;
}

export type Asked = { ready: ToldLease } | { failed: ToldFailure } | null;
export type Rejection = { retry: ToldLease } | "wait" | "deliver";

/** What an outgoing call is, for the core. */
export interface Call {
  url: string;
  hasAuthorization?: boolean;
  userToken?: string | undefined;
  userRequired?: boolean;
  redirectedFrom?: string | undefined;
}

export interface Decision {
  carries?: "nothing" | "user_token" | "lease";
  target?: number;
  subject?: string;
  authorization?: string;
  event: CallEvent;
  refused?: Told;
}

export interface CallEvent {
  event: "call";
  target: string | null;
  url: string;
  kind: "service" | "user" | "caller" | "none";
  subject: string | null;
  client_id: string | null;
}

/** What of the configuration the host itself has to heed. */
export interface Settings {
  targets: string[];
  store: { file: string } | null;
  needs_durable_store: boolean;
  tls: { ca_file: string | null; certificate_file: string | null };
  proxy: string;
  timeouts: { secret_ms: number; store_ms: number; wait_ms: number };
}

/** How a task failed; the numbers are the core's. */
export const failures = { refused: 0, timeout: 1, tls: 2, too_large: 3, broken: 4, failed: 5, unsupported: 6 } as const;
export type Failure = keyof typeof failures;

export type Deed = "none" | "retry" | "report";

/** One client in the core. */
export class Engine {
  readonly #instance: Instance<typeof ClientModule>;
  readonly settings: Settings;

  /** Throws a `ToldFailure`. */
  constructor(module: WebAssembly.Module, document: string, capabilities: number, seed: number, now: Now) {
    this.#instance = new Instance(module);
    const made = this.#instance.call<{ settings: Settings } | ToldFailure>(document, undefined, (m) =>
      m.open(capabilities, seed, now.mono, now.wall),
    );
    if ("error" in made) {
      throw made;
    }
    this.settings = made.settings;
  }

  listen(level: "info" | "warn" | "error"): void {
    this.#instance.guarded((m) => m.listen({ info: 0, warn: 1, error: 2 }[level]));
  }

  wake(now: Now): Turn<null> {
    return this.#instance.call("", undefined, (m) => m.wake(now.mono, now.wall));
  }

  token(target: number, now: Now): Turn<Asked> {
    return this.#instance.call("", undefined, (m) => m.token(target, now.mono, now.wall));
  }

  tokenFor(call: Call, now: Now): Turn<Asked> {
    return this.#instance.call(textOf(call), undefined, (m) => m.token_for(flagsOf(call), now.mono, now.wall));
  }

  reject(call: Call, lease: string, replayable: boolean, now: Now): Turn<Rejection> {
    const [high, low] = [parseInt(lease.slice(0, 8), 16), parseInt(lease.slice(8), 16)];
    return this.#instance.call(textOf(call), undefined, (m) =>
      m.reject(flagsOf(call), high, low, Number(replayable), now.mono, now.wall),
    );
  }

  decide(call: Call): Decision {
    return this.#instance.call(textOf(call), undefined, (m) => m.decide(flagsOf(call)));
  }

  answered(call: Call, status: number, challenge: string, replayable: boolean): Deed {
    const what = this.#instance.number(textOf(call), challenge, (m, length) =>
      m.answered(flagsOf(call), length, status, Number(replayable)),
    );
    return (["none", "retry", "report"] as const)[what] ?? "none";
  }

  completeResponse(task: number, status: number, fields: string, body: Uint8Array, now: Now): Turn<boolean> {
    return this.#instance.call(fields, body, (m, length) =>
      m.complete_response(task, status, length, now.mono, now.wall),
    );
  }

  completeFailed(task: number, failure: Failure, detail: string, now: Now): Turn<boolean> {
    return this.#instance.call(detail, undefined, (m) =>
      m.complete_failed(task, failures[failure], now.mono, now.wall),
    );
  }

  completeBytes(task: number, bytes: Uint8Array, now: Now): Turn<boolean> {
    return this.#instance.call("", bytes, (m) => m.complete_bytes(task, now.mono, now.wall));
  }

  completeStore(task: number, kind: number, number: number, value: Uint8Array | undefined, now: Now): Turn<boolean> {
    return this.#instance.call("", value, (m) => m.complete_store(task, kind, number, now.mono, now.wall));
  }

  secretsChanged(now: Now): Turn<null> {
    return this.#instance.call("", undefined, (m) => m.secrets_changed(now.mono, now.wall));
  }

  register(now: Now): Turn<true | null | { failed: ToldFailure }> {
    return this.#instance.call("", undefined, (m) => m.register(now.mono, now.wall));
  }

  adopt(target: number, record: object, sameClock: boolean, now: Now): Turn<boolean> {
    return this.#instance.call(JSON.stringify(record), undefined, (m) =>
      m.adopt(target, Number(sameClock), now.mono, now.wall),
    );
  }

  health(target: number): ToldHealth {
    return this.#instance.call("", undefined, (m) => m.health(target));
  }

  stats(): ToldStats {
    return this.#instance.call("", undefined, (m) => m.stats());
  }
}

export interface ToldHealth {
  ready: boolean;
  asked_for: boolean;
  expires_at_wall_ms: number | null;
  error: Told | null;
  retry_at_ms: number | null;
}

export interface ToldStats {
  requests: number;
  token_requests: number;
  tokens_received: number;
  failures: number;
  rejections: number;
  tasks_overdue: number;
  outcomes_ignored: number;
  events_dropped: number;
}

function textOf(call: Call): string {
  return `${call.url}\n${call.redirectedFrom ?? ""}\n${call.userToken ?? ""}`;
}

function flagsOf(call: Call): number {
  return (
    (call.hasAuthorization ? 1 : 0) |
    (call.userToken !== undefined ? 2 : 0) |
    (call.userRequired ? 4 : 0) |
    (call.redirectedFrom !== undefined ? 8 : 0)
  );
}

/** A message's way through the core. */
export class Messages {
  readonly #instance: Instance<typeof ExchangeModule>;

  constructor(module: WebAssembly.Module) {
    this.#instance = new Instance(module);
  }

  make(name: string, parameters: string): { message: number; request: ToldRequest } | ToldFailure {
    const bytes = encoder.encode(parameters);
    return this.#instance.call(name, bytes, (m, length) => m.exchange(length));
  }

  answer<T>(message: number, status: number, fields: string, body: Uint8Array): { answer: T } | ToldFailure {
    return this.#instance.call(fields, body, (m, length) => m.exchange_answer(message, status, length));
  }

  failed(message: number, failure: Failure, detail: string): ToldFailure {
    return this.#instance.call(detail, undefined, (m) => m.exchange_failed(message, failures[failure]));
  }
}
