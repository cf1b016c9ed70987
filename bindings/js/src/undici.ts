import type { ClientOn } from "./client.js";

/** What is used of an undici request. */
interface Options {
  origin?: string | URL;
  path: string;
  method: string;
  headers?: unknown;
  body?: unknown;
  signal?: unknown;
}

/** What is used of an undici handler (undici 7 and later). */
interface Handler {
  onRequestStart?(controller: unknown, context: unknown): void;
  onRequestUpgrade?(...all: unknown[]): void;
  onResponseStart?(controller: unknown, status: number, headers: Fields, message?: string): void;
  onResponseData?(controller: unknown, chunk: Uint8Array): void;
  onResponseEnd?(controller: unknown, trailers: unknown): void;
  onResponseError?(controller: unknown, error: Error): void;
}

type Fields = Record<string, string | string[] | undefined>;
type Dispatch = (options: never, handler: never) => boolean;

/** A 401 that is larger goes to the caller. */
const MOST_HELD_BYTES = 64 << 10;

/**
 * An interceptor for undici 7 and later, for `new Agent().compose(interceptor(client))`. It adds the right token to
 * each request, and makes it once more with a new one where it was refused and its body can be sent again.
 *
 * Put undici's own `redirect` interceptor before it, so that each hop is looked at anew.
 */
export function interceptor(client: ClientOn): <D extends Dispatch>(dispatch: D) => D {
  return <D extends Dispatch>(dispatch: D): D => {
    const send = dispatch as unknown as (options: Options, handler: Handler) => boolean;
    const intercepted = (options: Options, handler: Handler): boolean => {
      if (options.origin === undefined || hasAuthorization(options.headers)) {
        return send(options, handler);
      }
      const url = new URL(options.path, options.origin).href;
      const signal = options.signal instanceof AbortSignal ? options.signal : undefined;
      client.authorization(url, { signal }).then(
        (authorization) => {
          if (authorization === undefined) {
            send(options, handler);
          } else {
            send(bearing(options, authorization), new Refusable(client, url, authorization, send, options, handler));
          }
        },
        (error: Error) => handler.onResponseError?.(undefined, error),
      );
      return true;
    };
    return intercepted as unknown as D;
  };
}

/** Holds a 401 back until it is clear whether the request is made once more. */
class Refusable implements Handler {
  #start: Parameters<NonNullable<Handler["onResponseStart"]>> | undefined;
  #held: Uint8Array[] = [];
  #size = 0;

  constructor(
    private readonly client: ClientOn,
    private readonly url: string,
    private readonly authorization: string,
    private readonly send: (options: Options, handler: Handler) => boolean,
    private readonly options: Options,
    private readonly handler: Handler,
    private readonly isSecond = false,
  ) {}

  onRequestStart(controller: unknown, context: unknown): void {
    if (!this.isSecond) {
      this.handler.onRequestStart?.(controller, context);
    }
  }

  onRequestUpgrade(...all: unknown[]): void {
    this.handler.onRequestUpgrade?.(...all);
  }

  onResponseStart(controller: unknown, status: number, headers: Fields, message?: string): void {
    if (status === 401) {
      this.#start = [controller, status, headers, message];
    } else {
      this.handler.onResponseStart?.(controller, status, headers, message);
    }
  }

  onResponseData(controller: unknown, chunk: Uint8Array): void {
    if (this.#start === undefined) {
      this.handler.onResponseData?.(controller, chunk);
      return;
    }
    this.#held.push(chunk);
    this.#size += chunk.length;
    if (this.#size > MOST_HELD_BYTES) {
      void this.#another(false);
      this.#deliver(controller);
    }
  }

  onResponseEnd(controller: unknown, trailers: unknown): void {
    if (this.#start === undefined) {
      this.handler.onResponseEnd?.(controller, trailers);
      return;
    }
    const deliver = (): void => {
      this.#deliver(controller);
      this.handler.onResponseEnd?.(controller, trailers);
    };
    this.#another(!this.isSecond && isReplayable(this.options.body)).then((another) => {
      if (another === undefined) {
        deliver();
        return;
      }
      const { client, url, send, options, handler } = this;
      send(bearing(options, another), new Refusable(client, url, another, send, options, handler, true));
    }, deliver);
  }

  onResponseError(controller: unknown, error: Error): void {
    this.handler.onResponseError?.(controller, error);
  }

  async #another(replayable: boolean): Promise<string | undefined> {
    const challenge = this.#start?.[2]["www-authenticate"];
    return this.client.refused(this.url, this.authorization, {
      challenge: Array.isArray(challenge) ? challenge.join(", ") : (challenge ?? null),
      replayable,
    });
  }

  #deliver(controller: unknown): void {
    if (this.#start !== undefined) {
      this.handler.onResponseStart?.(...this.#start);
      this.#start = undefined;
      for (const chunk of this.#held) {
        this.handler.onResponseData?.(controller, chunk);
      }
      this.#held = [];
    }
  }
}

function isReplayable(body: unknown): boolean {
  return body === undefined || body === null || typeof body === "string" || body instanceof Uint8Array;
}

/** Fields come as a flat list, an object, or pairs. */
function pairs(headers: unknown): [string, unknown][] {
  if (headers === undefined || headers === null) {
    return [];
  }
  if (Array.isArray(headers) && !Array.isArray(headers[0])) {
    const list: [string, unknown][] = [];
    for (let at = 0; at + 1 < headers.length; at += 2) {
      list.push([String(headers[at]), headers[at + 1]]);
    }
    return list;
  }
  if (Symbol.iterator in Object(headers)) {
    return [...(headers as Iterable<[string, unknown]>)];
  }
  return Object.entries(headers);
}

function hasAuthorization(headers: unknown): boolean {
  return pairs(headers).some(([name, value]) => name.toLowerCase() === "authorization" && value !== undefined);
}

function bearing(options: Options, authorization: string): Options {
  return { ...options, headers: [...pairs(options.headers).flat(), "authorization", authorization] };
}
