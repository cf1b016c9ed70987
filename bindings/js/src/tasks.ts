import type { Engine, Now, TaskOutput, Turn } from "./engine.js";
import type { Host, Store } from "./host.js";
import { send, UnderWay } from "./send.js";
import type { Options } from "./types.js";

/** How a task is answered. */
export type Completion = (engine: Engine, task: number, now: Now) => Turn<boolean>;

const encoder = new TextEncoder();

/** The few things that are done for the core. */
export class Tasks {
  readonly #host: Host;
  readonly #fetch: typeof globalThis.fetch;
  readonly #secrets: Options["secrets"];
  readonly #sends = new UnderWay();
  /** Ends the program's own functions. */
  readonly #ended = new AbortController();
  /** The names that the program's function for secrets is busy with. */
  readonly #busy = new Set<string>();
  readonly store: Store | undefined;

  constructor(
    host: Host,
    fetch: typeof globalThis.fetch,
    secrets: Options["secrets"],
    store: Store | undefined,
  ) {
    this.#host = host;
    this.#fetch = fetch;
    this.#secrets = secrets;
    this.store = store;
  }

  /** Gives up what is under way. */
  giveUp(): void {
    this.#sends.giveUp();
    this.#ended.abort();
  }

  /** Does what takes no time; undefined for the rest. */
  atOnce(task: TaskOutput): Completion | undefined {
    if (task.random !== undefined) {
      const bytes = crypto.getRandomValues(new Uint8Array(task.random));
      return (engine, id, now) => engine.completeBytes(id, bytes, now);
    }
    if (task.from === "env") {
      const value = this.#host.readVariable?.(task.read_secret ?? "");
      return value === undefined ? failed("it is not set") : bytes(value);
    }
    if (task.unknown) {
      return (engine, id, now) => engine.completeFailed(id, "unsupported", "", now);
    }
    return undefined;
  }

  /** Does a task that may take time. */
  async perform(task: TaskOutput, timeLeft: number): Promise<Completion> {
    if (task.send !== undefined) {
      const { send: request, timeout_ms: timeout = 0, max_bytes: most = 0 } = task;
      const answer = await send(request, timeout, most, this.#fetch, this.#host, this.#sends);
      return "failure" in answer
        ? (engine, id, now) => engine.completeFailed(id, answer.failure, answer.detail, now)
        : (engine, id, now) => engine.completeResponse(id, answer.status, answer.fields, answer.body, now);
    }
    try {
      return task.store === undefined ? await this.#secret(task, timeLeft) : await this.#stored(task);
    } catch (error) {
      return failed(error instanceof Error ? error.message : String(error));
    }
  }

  async #secret(task: TaskOutput, timeLeft: number): Promise<Completion> {
    const name = task.read_secret ?? "";
    if (task.from === "file" && this.#host.readFile !== undefined) {
      return bytes(await this.#host.readFile(name));
    }
    if (this.#secrets === undefined) {
      throw new Error("the program gave no function for secrets");
    }
    // One that hangs is not called again and again.
    if (this.#busy.has(name)) {
      throw new Error("the program's function for secrets has not come back from the last call");
    }
    const giveUp = new AbortController();
    const end = (): void => giveUp.abort();
    const stop = this.#host.after(timeLeft, end);
    this.#ended.signal.addEventListener("abort", end);
    this.#busy.add(name);
    try {
      return bytes(await this.#secrets(name, giveUp.signal));
    } catch (error) {
      throw new Error(`the program's function for secrets says: ${error instanceof Error ? error.message : error}`);
    } finally {
      this.#busy.delete(name);
      stop();
      this.#ended.signal.removeEventListener("abort", end);
    }
  }

  async #stored({ store, key = "", number = 0, value = "" }: TaskOutput): Promise<Completion> {
    if (this.store === undefined) {
      throw new Error("there is no durable store here");
    }
    const done = await {
      get: () => this.store!.get(key),
      put_if: () => this.store!.put(key, number, value),
      lock: () => this.store!.lock(key, number),
      unlock: () => this.store!.unlock(key, number),
    }[store!]();
    return (engine, id, now) =>
      engine.completeStore(
        id,
        done.kind,
        "number" in done ? done.number : 0,
        done.kind === 1 ? done.value : undefined,
        now,
      );
  }
}

function bytes(value: string | Uint8Array): Completion {
  const given = typeof value === "string" ? encoder.encode(value) : value;
  return (engine, id, now) => engine.completeBytes(id, given, now);
}

function failed(detail: string): Completion {
  return (engine, id, now) => engine.completeFailed(id, "failed", detail, now);
}
