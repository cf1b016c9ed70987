import { CallSender } from "./calls.js";
import {
  Engine,
  Panicked,
  type Asked,
  type Call,
  type EventOutput,
  type LeaseOutput,
  type Now,
  type Output,
  type Rejection,
  type TaskOutput,
  type ToldFailure,
  type ToldLease,
  type Turn,
} from "./engine.js";
import { closed, SvcauthError, type Told } from "./errors.js";
import { Events } from "./events.js";
import type { Host, Store } from "./host.js";
import { HeldLease } from "./lease.js";
import { Tasks, type Completion } from "./tasks.js";
import type { Config, Fetch, Health, Lease, Options, Stats, UserOptions, WaitOptions } from "./types.js";

/** The place of one token. */
export class Cell {
  readonly target: number;
  readonly subject: string | undefined;
  lease: HeldLease | undefined;
  /** Until when the lease is served without asking the core; -∞ without one. */
  askAt = -Infinity;
  /** The token as a promise that is kept: for callers who await what is there. */
  promise: Promise<string> | undefined;
  record: object | undefined;
  waiting: { promise: Promise<News>; tell: (news: News) => void } | undefined;

  constructor(target: number, subject?: string) {
    this.target = target;
    this.subject = subject;
  }

  hold(lease: HeldLease | undefined): void {
    this.lease = lease;
    this.askAt = lease?.askAt ?? -Infinity;
    this.promise = lease && Promise.resolve(lease.token);
  }

  /** Tells those who wait; all hear the same. */
  wake(news: News): void {
    this.waiting?.tell(news);
    this.waiting = undefined;
  }

  news(): Promise<News> {
    if (this.waiting === undefined) {
      let tell!: (news: News) => void;
      const promise = new Promise<News>((resolve) => (tell = resolve));
      this.waiting = { promise, tell };
    }
    return this.waiting.promise;
  }
}

/** A lease, an error, or neither: ask again. */
interface News {
  lease?: HeldLease;
  error?: Error;
}

/** What an engine is made with. */
interface Making {
  module: WebAssembly.Module;
  /** Whether that is the whole module. */
  isWhole: boolean;
  document: string;
  capabilities: number;
  seed: number;
}

/** A client under construction. */
export interface Made {
  making: Making;
  engine: Engine;
  store: Store | undefined;
}

/** The whole module is on its way: ask again when it is there. */
class Loading extends Error {}

const NEVER = Infinity;
/** How often a request of a Cloudflare-like worker looks whether another one got the token. */
const LOOK_AGAIN_MS = 20;
/** What panics more often than this is not asked for ever. */
const PANICS_APART_MS = 10_000;
/** How long an answer may be old that the whole module takes, where the other one could not. */
const ANSWER_KEPT_MS = 10_000;

/** One identity, the targets that it calls, and their tokens. */
export class ClientOn {
  /** What happens: for logs, counters, and the audit trail. */
  readonly events: Events;
  /** The targets' names, in order. */
  readonly targets: readonly string[];

  readonly #host: Host;
  readonly #making: Making;
  readonly #tasks: Tasks;
  readonly #calls: CallSender;
  readonly #waitMs: number;
  readonly #saveMs: number;
  readonly #cells = new Map<string, Cell>();
  readonly #ofUsers = new Map<string, Cell>();
  readonly #byNumber: Cell[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #engine: Engine;
  #loading: Promise<void> | undefined;
  /** The answer that the engine could not take, for the one that takes its place and asks the same. */
  #kept: { request: string; completion: Completion; at: number } | undefined;
  #ready: TaskOutput[] = [];
  #happened: EventOutput[] = [];
  #wakeAt = NEVER;
  #disarm: (() => void) | undefined;
  #closed = false;
  #panickedAt = -Infinity;
  #asked = 0;
  #waited = 0;

  /** @internal */
  protected constructor(host: Host, { making, engine, store }: Made, options: Options) {
    this.#host = host;
    this.#making = making;
    this.#engine = engine;
    this.events = new Events(() => this.#engine.listen("info"));
    const { settings } = this.#engine;
    const fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    refuseWhatFetchCannot(this.#engine.settings, options);
    this.#tasks = new Tasks(host, fetch, options.secrets, store);
    this.#calls = new CallSender(this.#core(), host, fetch);
    this.#waitMs = settings.timeouts.wait_ms;
    this.#saveMs = settings.timeouts.store_ms;
    this.targets = settings.targets;
    for (const [number, name] of settings.targets.entries()) {
      const cell = new Cell(number);
      this.#cells.set(name, cell);
      this.#byNumber.push(cell);
    }
  }

  /** @internal */
  protected static async making(host: Host, config: Config | string | URL, options: Options): Promise<Made> {
    const place = typeof config === "string" || config instanceof URL;
    const [module, document] = await Promise.all([
      options.wasm === undefined ? host.module("svcauth") : compiled(options.wasm),
      place ? host.read(config) : JSON.stringify(config),
    ]);
    const making: Making = {
      module,
      isWhole: options.wasm !== undefined,
      document,
      capabilities: host.capabilities | (options.secrets === undefined ? 0 : 4),
      seed: options.seed ?? Math.random(),
    };
    let engine: Engine | undefined;
    try {
      engine = engineOf(making);
    } catch (error) {
      if (making.isWhole || !(error instanceof Panicked)) {
        throw error;
      }
    }
    // What can be used once, and the store that it is kept in, are not everyday life.
    if (!making.isWhole && engine?.settings.needs_durable_store !== false) {
      making.module = await host.module("whole");
      making.isWhole = true;
      engine = engineOf(making);
    }
    const { store, timeouts } = engine!.settings;
    return { making, engine: engine!, store: store === null ? undefined : await host.store?.(store.file, timeouts.store_ms) };
  }

  /** The lease of a target, if one is at hand that may be used now. Nothing is asked for, and nobody waits. */
  lease(target: string): Lease | undefined {
    const cell = this.#cells.get(target);
    if (cell === undefined) {
      throw unknownTarget(target);
    }
    return performance.now() < cell.askAt ? cell.lease : undefined;
  }

  /**
   * The service's own access token for a target, for `Authorization: Bearer …`. A secret.
   *
   * Waits for it where none is at hand, for `timeouts.wait_s` at most.
   */
  token(target: string, options?: WaitOptions): Promise<string> {
    const cell = this.#cells.get(target);
    if (cell !== undefined && performance.now() < cell.askAt && !this.#host.isolated) {
      return cell.promise!;
    }
    return this.#token(target, cell, options);
  }

  async #token(target: string, cell: Cell | undefined, options: WaitOptions | undefined): Promise<string> {
    if (cell === undefined) {
      throw unknownTarget(target);
    }
    return (await this.#leaseOf(cell, undefined, options?.signal)).token;
  }

  /**
   * A `fetch` that adds the right token to each call, and makes a call once more with a new token where the first was
   * refused.
   *
   * With a target only its token is added. A call to a URL of no target goes out as it is, and so does one that has an
   * Authorization of its own. A redirect is followed with the token only within the target.
   */
  fetch(target?: string): Fetch {
    const only = target === undefined ? undefined : this.#cells.get(target);
    if (target !== undefined && only === undefined) {
      throw unknownTarget(target);
    }
    return (input, init) => this.#calls.send(only?.target, input, init);
  }

  /**
   * The value of the Authorization header that a call to a URL carries, as `fetch` would add it; undefined where it
   * carries none. A secret. Where the service refuses it, say so with `refused`.
   */
  authorization(url: string | URL, options?: WaitOptions & UserOptions): Promise<string | undefined> {
    return this.#calls.authorization(String(url), options);
  }

  /**
   * Says that the service at a URL answered 401 to a call with the Authorization that `authorization` gave. Gives the
   * one to make the call once more with; undefined where the 401 is the caller's.
   */
  refused(
    url: string | URL,
    authorization: string,
    answer?: { challenge?: string | null; replayable?: boolean } & WaitOptions & UserOptions,
  ): Promise<string | undefined> {
    return this.#calls.refused(String(url), authorization, answer);
  }

  /** Waits until every target has a token. The error is that of the first that has none in time. */
  async ready(options?: WaitOptions): Promise<void> {
    // All are asked for before the first is waited for.
    await Promise.all(this.#byNumber.map((cell) => this.#leaseOf(cell, undefined, options?.signal)));
  }

  /** Whether every target that was asked for can serve a token. Asks for nothing. */
  healthy(): boolean {
    return this.health().every((target) => target.ready || !target.askedFor);
  }

  /** How the targets are doing, in the order of their names; nothing after `close`. */
  health(): Health[] {
    return this.#closed || this.#loading ? [] : this.targets.map((target, number) => this.#health(target, number));
  }

  #health(target: string, number: number): Health {
    const told = this.#withEngine((engine) => engine.health(number));
    const retryAt = told.retry_at_ms === null ? undefined : dateOf(told.retry_at_ms);
    return {
      target,
      ready: told.ready,
      askedFor: told.asked_for,
      expiresAt: told.expires_at_wall_ms === null ? undefined : new Date(told.expires_at_wall_ms),
      error: told.error === null ? undefined : new SvcauthError(told.error, retryAt),
      retryAt,
    };
  }

  /** Counters since the client was opened. */
  stats(): Stats {
    const told = this.#engine.stats();
    return {
      requests: told.requests,
      tokenRequests: told.token_requests,
      tokensReceived: told.tokens_received,
      failures: told.failures,
      rejections: told.rejections,
      asked: this.#asked,
      waited: this.#waited,
      eventsDropped: told.events_dropped,
    };
  }

  /** Says that secrets have changed: what failed for want of a good one is tried at once. */
  secretsChanged(): void {
    this.#turn((engine, now) => engine.secretsChanged(now));
    this.#start();
  }

  /**
   * Ends the client: those who wait are told `closed`, and so is everybody who asks later. Requests are given up; with
   * a `store` their answers are waited for, `timeouts.store_s` at most, and saved.
   */
  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#disarm?.();
      for (const cell of this.#allCells()) {
        cell.hold(undefined);
        cell.record = undefined;
        cell.wake({ error: closed() });
      }
      this.#calls.forget();
      if (this.#tasks.store !== undefined) {
        const giveUp = this.#host.after(this.#saveMs, () => this.#tasks.giveUp());
        await this.#settled();
        giveUp();
      }
      this.#tasks.giveUp();
    }
    await this.#settled();
    this.#making.document = "";
  }

  async #settled(): Promise<void> {
    while (this.#underWay.size > 0) {
      await Promise.allSettled(this.#underWay);
    }
  }

  toJSON(): object {
    return { targets: this.targets };
  }

  /** What calls need of the client. */
  #core() {
    return {
      decide: (call: Call) => this.#asking(() => this.#withEngine((engine) => engine.decide(call))),
      answered: (call: Call, status: number, challenge: string, replayable: boolean) =>
        this.#asking(() => this.#withEngine((engine) => engine.answered(call, status, challenge, replayable))),
      cell: (target: number, subject: string | undefined) => this.#cell(target, subject),
      lease: (cell: Cell, call: Call, signal: AbortSignal | null | undefined) =>
        this.#leaseOf(cell, cell.subject === undefined ? undefined : call, signal),
      report: async (call: Call, lease: HeldLease) => {
        await this.#asking(() => this.#turn((engine, now) => engine.reject(call, lease.id, false, now)));
        this.#start();
      },
      reject: (cell: Cell, call: Call, lease: HeldLease, signal: AbortSignal | null | undefined) =>
        this.#reject(cell, call, lease, signal),
      tell: (event: EventOutput) => {
        if (this.events.listening) {
          this.#happened.push(event);
          this.#emit();
        }
      },
      listening: () => this.events.listening,
    };
  }

  #cell(target: number, subject: string | undefined): Cell {
    if (subject === undefined) {
      return this.#byNumber[target]!;
    }
    const key = `${target} ${subject}`;
    let cell = this.#ofUsers.get(key);
    if (cell === undefined) {
      cell = new Cell(target, subject);
      this.#ofUsers.set(key, cell);
    }
    return cell;
  }

  *#allCells(): Iterable<Cell> {
    yield* this.#byNumber;
    yield* this.#ofUsers.values();
  }

  /** Gets a lease: the one at hand, or the one that the core gives or gets. */
  async #leaseOf(cell: Cell, call: Call | undefined, signal: AbortSignal | null | undefined): Promise<HeldLease> {
    if (this.#host.isolated && performance.now() >= this.#wakeAt) {
      await this.#refreshForAll(cell);
    }
    if (cell.lease !== undefined && performance.now() < cell.askAt) {
      return cell.lease;
    }
    signal?.throwIfAborted();
    this.#asked++;
    const deadline = performance.now() + this.#waitMs;
    for (let first = true; ; first = false) {
      const { result, heard } = await this.#asking(() => {
        const { result } = this.#turn<Asked>((engine, now) =>
          call === undefined ? engine.token(cell.target, now) : engine.tokenFor(call, now),
        );
        return { result, heard: result === null ? cell.news() : undefined };
      });
      if (result !== null) {
        this.#start();
        if ("ready" in result) {
          return new HeldLease(result.ready);
        }
        throw errorOf(result.failed);
      }
      if (first) {
        this.#waited++;
      }
      const news = await this.#news(cell, heard, signal, deadline);
      if (news === undefined) {
        throw this.#late(cell);
      }
      if (news.error !== undefined) {
        throw news.error;
      }
      if (news.lease !== undefined) {
        return news.lease;
      }
    }
  }

  /** Says that a lease was refused, and gets another one; undefined to deliver the answer. */
  async #reject(
    cell: Cell,
    call: Call,
    lease: HeldLease,
    signal: AbortSignal | null | undefined,
  ): Promise<HeldLease | undefined> {
    const deadline = performance.now() + this.#waitMs;
    for (let last = false; ; ) {
      const { result, heard } = await this.#asking(() => {
        const { result } = this.#turn<Rejection>((engine, now) => engine.reject(call, lease.id, true, now));
        return { result, heard: result === "wait" ? cell.news() : undefined };
      });
      if (result === "deliver" || (result === "wait" && last)) {
        this.#start();
        return undefined;
      }
      if (result !== "wait") {
        this.#start();
        return new HeldLease(result.retry);
      }
      this.#waited++;
      last = (await this.#news(cell, heard, signal, deadline)) === undefined;
    }
  }

  /** Waits for news of a token; undefined when the time is up. Throws what the signal says. */
  async #news(
    cell: Cell,
    heard: Promise<News> | undefined,
    signal: AbortSignal | null | undefined,
    deadline: number,
  ): Promise<News | undefined> {
    const left = Math.max(0, deadline - performance.now());
    if (this.#host.isolated || heard === undefined) {
      return this.#newsOfOwn(cell, signal, left);
    }
    this.#start();
    return raced(heard, left, signal);
  }

  /** Waits as a request that can await nothing of another: it does what there is to do, or looks again later. */
  async #newsOfOwn(cell: Cell, signal: AbortSignal | null | undefined, left: number): Promise<News | undefined> {
    const tasks = this.#take();
    const work = tasks.length === 0 ? sleep(Math.min(left, LOOK_AGAIN_MS)) : this.#performAll(tasks);
    if (left <= 0 || !(await raced(work, left, signal))) {
      return undefined;
    }
    return performance.now() < cell.askAt && cell.lease !== undefined ? { lease: cell.lease } : {};
  }

  /** In a place without timers the request that finds something due does it, after its response where it can. */
  async #refreshForAll(cell: Cell): Promise<void> {
    this.#turn((engine, now) => engine.wake(now));
    const tasks = this.#take();
    if (tasks.length === 0) {
      return;
    }
    const work = this.#performAll(tasks);
    if (this.#host.waitUntil !== undefined && performance.now() < cell.askAt) {
      this.#host.waitUntil(work);
    } else {
      await work;
    }
  }

  #late(cell: Cell): Error {
    const told = this.#engine.health(cell.target).error;
    return new SvcauthError(
      told ?? {
        code: "timeout",
        fault: "network",
        message: "no token in time; check the server, or wait longer (timeouts.wait_s)",
      },
    );
  }

  /** Asks the core, once more where the whole module had to be got first. */
  async #asking<T>(work: () => T): Promise<T> {
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (!(error instanceof Loading)) {
          throw error;
        }
        await this.#loading;
      }
    }
  }

  /** Something that the core is asked. */
  #withEngine<T>(work: (engine: Engine) => T): T {
    if (this.#closed) {
      throw closed();
    }
    if (this.#loading !== undefined) {
      throw new Loading();
    }
    const engine = this.#engine;
    try {
      return work(engine);
    } catch (error) {
      if (!(error instanceof Panicked)) {
        throw error;
      }
      this.#replace(engine, error);
      return this.#withEngine(work);
    }
  }

  /** One call into the core, and all that follows from it. What there is to do then waits for `#start`. */
  #turn<Result>(call: (engine: Engine, now: Now) => Turn<unknown>): Turn<Result> {
    const turn = this.#withEngine((engine) => call(engine, nowOf())) as Turn<Result>;
    this.#heed(turn);
    return turn;
  }

  #heed({ outputs, idle }: Turn): void {
    let next: number | null = idle;
    for (let queue = outputs; queue.length > 0; ) {
      const more: Output[] = [];
      for (const output of queue) {
        const answer = this.#heedOne(output);
        if (answer !== undefined) {
          more.push(...answer.outputs);
          next = answer.idle;
        }
      }
      queue = more;
    }
    this.#arm(next ?? NEVER);
    this.#emit();
  }

  #heedOne(output: Output): Turn | undefined {
    if ("task" in output) {
      const done = this.#tasks.atOnce(output);
      if (done !== undefined) {
        return done(this.#engine, output.task, nowOf());
      }
      this.#ready.push(output);
    } else if ("event" in output) {
      this.#happened.push(output);
    } else if ("target" in output) {
      this.#deliver(output);
    } else {
      this.#calls.forget();
    }
    return undefined;
  }

  /** Passes on what has become of a token. */
  #deliver(output: LeaseOutput): void {
    const cell = this.#cell(output.target, output.subject);
    if (this.#closed) {
      return;
    }
    if (output.ready !== undefined) {
      const lease = new HeldLease(output.ready);
      cell.hold(lease);
      cell.record = output.record;
      cell.wake({ lease });
    } else if (output.once !== undefined) {
      cell.hold(undefined);
      cell.wake({ lease: new HeldLease(output.once) });
    } else if (output.failed !== undefined) {
      cell.wake({ error: errorOf(output.failed) });
    } else {
      cell.hold(undefined);
      if (output.subject !== undefined) {
        this.#ofUsers.delete(`${output.target} ${output.subject}`);
        cell.wake({});
      }
    }
  }

  #emit(): void {
    const happened = this.#happened;
    this.#happened = [];
    for (const { event, level } of happened) {
      this.events.tell({ ...event, level });
    }
  }

  #take(): TaskOutput[] {
    const tasks = this.#ready;
    this.#ready = [];
    return tasks;
  }

  /** Starts what there is to do, on nobody's behalf. */
  #start(): void {
    if (this.#ready.length === 0) {
      return;
    }
    if (this.#host.isolated) {
      // Whoever asked has a result already; what remains is for the rest of this request.
      for (const task of this.#take()) {
        const work = this.#perform(task);
        this.#host.waitUntil?.(work);
      }
      return;
    }
    for (const task of this.#take()) {
      this.#host.detached(() => {
        const work = this.#perform(task);
        this.#underWay.add(work);
        void work.finally(() => this.#underWay.delete(work));
      });
    }
  }

  async #performAll(tasks: TaskOutput[]): Promise<true> {
    await Promise.all(tasks.map((task) => this.#perform(task)));
    return true;
  }

  async #perform(task: TaskOutput): Promise<void> {
    const request = JSON.stringify(task.send);
    const kept = this.#kept;
    if (request !== undefined) {
      // What comes before the request, its secret for one, is done again.
      this.#kept = undefined;
    }
    const left = Math.max(0, task.deadline_ms - performance.now());
    const isKept = kept !== undefined && kept.request === request && performance.now() - kept.at < ANSWER_KEPT_MS;
    const completion = isKept ? kept.completion : await this.#tasks.perform(task, left);
    // After `close` too, which waits for what is to be saved.
    const engine = this.#engine;
    try {
      this.#heed(completion(engine, task.task, nowOf()));
    } catch (error) {
      if (!(error instanceof Panicked)) {
        throw error;
      }
      if (!this.#making.isWhole && request !== undefined) {
        this.#kept = { request, completion, at: performance.now() };
      }
      this.#replace(engine, error);
    }
    if (this.#host.isolated) {
      await this.#performAll(this.#take());
    } else {
      this.#start();
    }
  }

  /** Sets the time of the next turn. */
  #arm(at: number): void {
    if (this.#closed || at === this.#wakeAt) {
      return;
    }
    this.#disarm?.();
    this.#disarm = undefined;
    this.#wakeAt = at;
    if (at === NEVER || this.#host.isolated) {
      return;
    }
    // Longer ones would end at once.
    const time = Math.min(Math.max(1, Math.ceil(at - performance.now())), 0x7fffffff);
    this.#disarm = this.#host.detached(() => this.#host.after(time, () => this.#wake()));
  }

  #wake(): void {
    this.#disarm = undefined;
    this.#wakeAt = NEVER;
    if (!this.#closed && this.#loading === undefined) {
      void this.#asking(() => this.#turn((engine, now) => engine.wake(now))).then(() => this.#start(), ignored);
    }
  }

  /**
   * Puts another core in the place of one that trapped: the whole one, where this was not; after a panic, which is a
   * bug, the same anew.
   */
  #replace(ended: Engine, why: Panicked): void {
    if (this.#closed || this.#engine !== ended || this.#loading !== undefined) {
      return;
    }
    if (this.#making.isWhole) {
      this.#putAnother(why);
    } else if (this.#host.moduleNow !== undefined) {
      this.#takeWhole(this.#host.moduleNow("whole"));
    } else {
      const failed = (error: unknown): void => {
        const message = `the rest of svcauth cannot be loaded: ${error instanceof Error ? error.message : error}`;
        this.#loading = undefined;
        for (const cell of this.#allCells()) {
          cell.wake({ error: new SvcauthError({ code: "internal", fault: "internal", message }) });
        }
      };
      this.#loading = this.#host.module("whole").then((module) => {
        this.#loading = undefined;
        this.#takeWhole(module);
        this.#start();
      });
      this.#loading.catch(failed);
    }
  }

  #takeWhole(module: WebAssembly.Module): void {
    this.#making.module = module;
    this.#making.isWhole = true;
    this.#putAnother();
  }

  /** The new core takes over the service's own leases, and those who wait ask again. */
  #putAnother(panic?: Panicked): void {
    if (this.#closed) {
      return;
    }
    this.#engine = engineOf(this.#making);
    if (this.events.listening) {
      this.#engine.listen("info");
    }
    this.#calls.forget();
    this.#disarm?.();
    this.#disarm = undefined;
    this.#wakeAt = NEVER;
    this.#ready = [];
    const often = panic !== undefined && performance.now() - this.#panickedAt < PANICS_APART_MS;
    this.#panickedAt = panic === undefined ? this.#panickedAt : performance.now();
    const told: Told = { code: "internal", fault: "internal", message: panic?.message ?? "" };
    for (const cell of [...this.#allCells()]) {
      if (cell.record !== undefined) {
        this.#heed(this.#engine.adopt(cell.target, cell.record, true, nowOf()));
      }
      cell.wake(often ? { error: new SvcauthError(told) } : {});
    }
    if (panic !== undefined && this.events.listening) {
      // The core cannot tell this one itself.
      this.#happened.push({ level: "error", event: { event: "client_replaced", error: told } as EventOutput["event"] });
      this.#emit();
    }
  }
}

/** Throws an `SvcauthError`. */
function engineOf({ module, document, capabilities, seed }: Making): Engine {
  try {
    return new Engine(module, document, capabilities, seed, nowOf());
  } catch (error) {
    throw isFailure(error) ? errorOf(error) : error;
  }
}

function errorOf({ error, retry_at_ms }: ToldFailure): SvcauthError {
  return new SvcauthError(error, retry_at_ms === undefined ? undefined : dateOf(retry_at_ms));
}

function ignored(): void {}

function nowOf(): Now {
  return { mono: performance.now(), wall: Date.now() };
}

function dateOf(mono: number): Date {
  return new Date(Date.now() + mono - performance.now());
}

function isFailure(error: unknown): error is ToldFailure {
  return typeof error === "object" && error !== null && "error" in error;
}

function unknownTarget(name: string): SvcauthError {
  return new SvcauthError({ code: "unknown_target", message: "no target of this name is configured", member: name });
}

/** The part of a configuration that `fetch` has no options for. */
function refuseWhatFetchCannot({ tls, proxy }: Engine["settings"], options: Options): void {
  if (options.fetch !== undefined) {
    return;
  }
  const member =
    tls.ca_file !== null ? "tls.ca_file" : proxy !== "environment" && proxy !== "none" ? "proxy" : undefined;
  if (member !== undefined) {
    const message = "the global fetch cannot be told; open the client with a fetch of yours that does this";
    throw new SvcauthError({ code: "unsupported", message, member });
  }
}

async function compiled(given: NonNullable<Options["wasm"]>): Promise<WebAssembly.Module> {
  const module = await given;
  if (module instanceof WebAssembly.Module) {
    return module;
  }
  return WebAssembly.compile(module instanceof Response ? await module.arrayBuffer() : module);
}

function sleep(ms: number): Promise<true> {
  return new Promise((resolve) => setTimeout(() => resolve(true), ms));
}

/** What the promise gives; undefined when the time is up. Throws what the signal says. */
async function raced<T>(promise: Promise<T>, ms: number, signal: AbortSignal | null | undefined): Promise<T | undefined> {
  let stop = (): void => {};
  const end = new Promise<undefined>((resolve, reject) => {
    const timer = ms === NEVER ? undefined : setTimeout(() => resolve(undefined), ms);
    const abort = (): void => reject(signal?.reason);
    signal?.addEventListener("abort", abort);
    stop = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    };
  });
  try {
    signal?.throwIfAborted();
    return await Promise.race([promise, end]);
  } finally {
    stop();
  }
}
