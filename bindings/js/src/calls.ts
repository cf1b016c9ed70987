import type { Cell } from "./client.js";
import type { Call, CallEvent, Decision, Deed, EventOutput } from "./engine.js";
import { SvcauthError } from "./errors.js";
import type { Host } from "./host.js";
import type { HeldLease } from "./lease.js";
import type { UserOptions, WaitOptions } from "./types.js";

type Signal = AbortSignal | null | undefined;

/** What calls need of the client. */
export interface Core {
  decide(call: Call): Promise<Decision>;
  answered(call: Call, status: number, challenge: string, replayable: boolean): Promise<Deed>;
  cell(target: number, subject: string | undefined): Cell;
  lease(cell: Cell, call: Call, signal: Signal): Promise<HeldLease>;
  report(call: Call, lease: HeldLease): Promise<void>;
  reject(cell: Cell, call: Call, lease: HeldLease, signal: Signal): Promise<HeldLease | undefined>;
  tell(event: EventOutput): void;
  listening(): boolean;
}

/** What the core says about calls to a URL. */
interface Route {
  readonly target: number | undefined;
  /** A user's own token. */
  readonly authorization: string | undefined;
  /** Where the lease is that it carries. */
  readonly cell: Cell | undefined;
  readonly event: CallEvent;
}

/** One request of a call: a redirect makes another one. */
interface Hop {
  input: string | URL | Request;
  init: RequestInit;
  call: Call;
  route: Route;
}

const MOST_ROUTES = 512;
const MOST_REDIRECTS = 20;

/** Sends calls with what the core says that they carry. */
export class CallSender {
  readonly #core: Core;
  readonly #host: Host;
  readonly #fetch: typeof globalThis.fetch;
  /** What the core said about calls without a user, by what its answer depends on. */
  readonly #routes = new Map<string, Route>();

  constructor(core: Core, host: Host, fetch: typeof globalThis.fetch) {
    this.#core = core;
    this.#host = host;
    this.#fetch = fetch;
  }

  /** Forgets what the core said. */
  forget(): void {
    this.#routes.clear();
  }

  async send(
    only: number | undefined,
    input: string | URL | Request,
    given: (RequestInit & UserOptions) | undefined,
  ): Promise<Response> {
    const request = input instanceof Request ? input : undefined;
    const headers = new Headers(given?.headers ?? request?.headers);
    const call = this.#call(request?.url ?? String(input), headers.has("authorization"), given);
    const route = this.#known(call) ?? (await this.#route(call));
    if (carriesNothing(route) || (only !== undefined && route.target !== only)) {
      return this.#once(input, given ?? {}, route, undefined, false);
    }
    const init: RequestInit = { ...given, headers, redirect: "manual" };
    const mode = given?.redirect ?? request?.redirect ?? "follow";
    return this.#follow({ input, init, call, route }, mode);
  }

  async authorization(url: string, options: (WaitOptions & UserOptions) | undefined): Promise<string | undefined> {
    const call = this.#call(url, false, options);
    const { authorization, cell } = this.#known(call) ?? (await this.#route(call));
    if (cell === undefined) {
      return authorization;
    }
    return (await this.#lease(cell, call, options?.signal)).authorization;
  }

  async refused(
    url: string,
    authorization: string,
    answer: ({ challenge?: string | null; replayable?: boolean } & WaitOptions & UserOptions) | undefined,
  ): Promise<string | undefined> {
    const call = this.#call(url, false, answer);
    const { cell } = this.#known(call) ?? (await this.#route(call));
    const lease = cell?.lease;
    if (cell === undefined || lease === undefined) {
      return undefined;
    }
    if (lease.authorization !== authorization) {
      // It was replaced meanwhile.
      return lease.authorization;
    }
    const again = await this.#another(cell, call, lease, answer?.challenge ?? "", answer?.replayable !== false, answer?.signal);
    return again?.authorization;
  }

  #call(url: string, hasAuthorization: boolean, by: UserOptions | undefined): Call {
    const user = this.#host.user();
    return {
      url,
      hasAuthorization,
      userToken: by?.user ?? user?.token,
      userRequired: by?.userRequired ?? user?.required ?? false,
    };
  }

  /** What the core said about calls like this one. */
  #known(call: Call): Route | undefined {
    return isAsAnyOther(call) ? this.#routes.get(placeOf(call)) : undefined;
  }

  async #route(call: Call): Promise<Route> {
    const { refused, carries, target, subject, authorization, event } = await this.#core.decide({
      ...call,
      url: connected(call.url),
    });
    if (refused !== undefined) {
      if (refused.code === "user_token_missing") {
        this.#core.tell({ level: "error", event: { event: refused.code, target: refused.member } as EventOutput["event"] });
      }
      throw new SvcauthError(refused);
    }
    const cell = carries === "lease" && target !== undefined ? this.#core.cell(target, subject) : undefined;
    const route: Route = { target, authorization, cell, event };
    if (isAsAnyOther(call)) {
      if (this.#routes.size >= MOST_ROUTES) {
        this.#routes.clear();
      }
      this.#routes.set(placeOf(call), route);
    }
    return route;
  }

  async #follow(hop: Hop, mode: RequestRedirect): Promise<Response> {
    const first = connected(hop.call.url);
    for (let redirects = 0; ; redirects++) {
      const response = await this.#withToken(hop);
      if (response.type === "opaqueredirect" && mode !== "manual") {
        const message = "a call with a token was redirected, and a browser does not tell where to";
        throw new SvcauthError({ code: "unexpected_redirect", fault: "server", message, member: first });
      }
      const location = response.headers.get("location");
      if (mode === "manual" || location === null || ![301, 302, 303, 307, 308].includes(response.status)) {
        if (redirects > 0) {
          Object.defineProperty(response, "redirected", { value: true });
        }
        return response;
      }
      if (mode === "error" || redirects === MOST_REDIRECTS) {
        throw new TypeError(mode === "error" ? "unexpected redirect" : "redirected too often");
      }
      await response.body?.cancel();
      hop = await this.#next(hop, response.status, new URL(location, connected(hop.call.url)).href, first);
    }
  }

  /** The request that a redirect asks for, as fetch makes it. */
  async #next({ input, init, call }: Hop, status: number, url: string, first: string): Promise<Hop> {
    const request = input instanceof Request ? input : undefined;
    const method = (init.method ?? request?.method ?? "GET").toUpperCase();
    const headers = new Headers(init.headers ?? request?.headers);
    headers.delete("authorization");
    if (new URL(url).origin !== new URL(connected(call.url)).origin) {
      headers.delete("cookie");
      headers.delete("proxy-authorization");
    }
    const becomesGet =
      ((status === 301 || status === 302) && method === "POST") ||
      (status === 303 && method !== "GET" && method !== "HEAD");
    const next: RequestInit = { ...init, method: becomesGet ? "GET" : method, headers };
    if (request?.signal !== undefined && init.signal === undefined) {
      next.signal = request.signal;
    }
    if (becomesGet) {
      next.body = null;
      for (const name of ["content-encoding", "content-language", "content-location", "content-type", "content-length"]) {
        headers.delete(name);
      }
    } else if (request?.body && init.body === undefined || isStream(init.body)) {
      throw new TypeError("the call was redirected, and its body cannot be sent again");
    }
    const redirected: Call = { ...call, url, redirectedFrom: first };
    return { input: url, init: next, call: redirected, route: await this.#route(redirected) };
  }

  /** One request with its token, and once more where that was refused. */
  async #withToken({ input, init, call, route }: Hop): Promise<Response> {
    const { authorization, cell } = route;
    if (cell === undefined) {
      return this.#once(input, bearing(init, authorization), route, undefined, false);
    }
    const signal = init.signal ?? (input instanceof Request ? input.signal : undefined);
    const lease = await this.#lease(cell, call, signal);
    const replayable = !isStream(init.body);
    // The body of a request is gone once it was sent.
    const again = input instanceof Request && input.body !== null && replayable ? input.clone() : input;
    const response = await this.#once(input, bearing(init, lease.authorization), route, lease, false);
    if (response.status !== 401) {
      return response;
    }
    const challenge = response.headers.get("www-authenticate") ?? "";
    const another = await this.#another(cell, call, lease, challenge, replayable, signal);
    if (another === undefined) {
      return response;
    }
    await response.body?.cancel();
    const second = await this.#once(again, bearing(init, another.authorization), route, another, true);
    if (second.status === 401) {
      await this.#another(cell, call, another, second.headers.get("www-authenticate") ?? "", false, signal);
    }
    return second;
  }

  #lease(cell: Cell, call: Call, signal: Signal): HeldLease | Promise<HeldLease> {
    if (cell.lease !== undefined && performance.now() < cell.askAt && !this.#host.isolated) {
      return cell.lease;
    }
    return this.#core.lease(cell, { ...call, url: connected(call.url) }, signal);
  }

  /** The lease to make a refused call once more with; undefined to deliver the answer. */
  async #another(
    cell: Cell,
    made: Call,
    lease: HeldLease,
    challenge: string,
    replayable: boolean,
    signal: Signal,
  ): Promise<HeldLease | undefined> {
    const call = { ...made, url: connected(made.url) };
    switch (await this.#core.answered(call, 401, challenge, replayable)) {
      case "retry":
        return this.#core.reject(cell, call, lease, signal);
      case "report":
        await this.#core.report(call, lease);
        return undefined;
      default:
        return undefined;
    }
  }

  async #once(
    input: string | URL | Request,
    init: RequestInit,
    { event }: Route,
    lease: HeldLease | undefined,
    retried: boolean,
  ): Promise<Response> {
    let status: number | null = null;
    try {
      const response = await this.#fetch(input, init);
      status = response.status;
      return response;
    } finally {
      if (this.#core.listening()) {
        const method = (init.method ?? (input instanceof Request ? input.method : "GET")).toUpperCase();
        const subject = event.subject ?? lease?.subject ?? null;
        const client = event.client_id ?? lease?.clientId ?? null;
        const { target, url, kind } = event;
        const told = { event: "call", target, method, url, status, kind, subject, client_id: client, retried };
        this.#core.tell({ level: "info", event: told });
      }
    }
  }
}

/** Whether what the core says about a call depends on nothing but its place and its flags. */
function isAsAnyOther(call: Call): boolean {
  return call.userToken === undefined && call.redirectedFrom === undefined;
}

/** Neither query nor fragment matters. */
function placeOf({ url, hasAuthorization, userRequired }: Call): string {
  const end = url.search(/[?#]/);
  return `${hasAuthorization ? 1 : 0}${userRequired ? 1 : 0}${end < 0 ? url : url.slice(0, end)}`;
}

function carriesNothing(route: Route): boolean {
  return route.cell === undefined && route.authorization === undefined;
}

function bearing(init: RequestInit, authorization: string | undefined): RequestInit {
  if (authorization === undefined) {
    return init;
  }
  const headers = new Headers(init.headers);
  headers.set("authorization", authorization);
  return { ...init, headers };
}

function isStream(body: unknown): boolean {
  return (
    body instanceof ReadableStream || (typeof body === "object" && body !== null && Symbol.asyncIterator in body)
  );
}

/** The URL that is connected to: as fetch reads it. */
function connected(url: string): string {
  const base = (globalThis as { document?: { baseURI: string } }).document?.baseURI ?? globalThis.location?.href;
  try {
    return new URL(url, base).href;
  } catch {
    return url; // fetch says it better
  }
}
