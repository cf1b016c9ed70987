import type { Failure, ToldRequest } from "./engine.js";
import type { Host } from "./host.js";

export type Answer = { status: number; fields: string; body: Uint8Array } | { failure: Failure; detail: string };

/** The fields that the core reads. */
const FIELDS = new Set(["content-type", "www-authenticate", "retry-after", "date", "location"]);

/**
 * What ends requests. One whose request came to its end serves the next: to make one costs as much as to read an
 * answer. Not for ever, since fetch may leave listeners behind.
 */
interface Stopper {
  readonly controller: AbortController;
  uses: number;
}

const MOST_USES = 100;
let idle: Stopper | undefined;

/** Requests under way, to be given up together. */
export class UnderWay {
  readonly #all = new Set<Stopper>();

  begin(): Stopper {
    const stopper = idle ?? { controller: new AbortController(), uses: 0 };
    idle = undefined;
    this.#all.add(stopper);
    return stopper;
  }

  end(stopper: Stopper): void {
    this.#all.delete(stopper);
    if (!stopper.controller.signal.aborted && ++stopper.uses < MOST_USES) {
      idle = stopper;
    }
  }

  giveUp(): void {
    for (const { controller } of this.#all) {
      controller.abort();
    }
  }
}

/** Sends a request of the core's as it is. No redirect is followed, and the answer has an end in time and size. */
export async function send(
  request: ToldRequest,
  timeoutMs: number,
  maxBytes: number,
  fetch: typeof globalThis.fetch,
  host: Host,
  underWay: UnderWay,
): Promise<Answer> {
  const stopper = underWay.begin();
  const { controller } = stopper;
  const stop = host.after(timeoutMs, () => controller.abort());
  try {
    const response = await fetch(request.url, {
      method: request.method,
      headers: request.headers,
      body: request.body === "" ? null : request.body,
      redirect: "manual",
      signal: controller.signal,
      ...host.init,
    });
    const body = await read(response, maxBytes);
    if (body === undefined) {
      controller.abort();
      return { failure: "too_large", detail: "" };
    }
    let fields = "";
    for (const [name, value] of response.headers) {
      if (FIELDS.has(name)) {
        fields += `${name}:${value}\n`;
      }
    }
    // A browser hides where a redirect leads, and its status.
    return { status: response.type === "opaqueredirect" ? 302 : response.status, fields, body };
  } catch (error) {
    if (controller.signal.aborted) {
      return { failure: "timeout", detail: "" };
    }
    return { failure: host.failure?.(error) ?? "broken", detail: reason(error) };
  } finally {
    stop();
    underWay.end(stopper);
  }
}

/** Reads a body of `most` bytes at most; undefined where it is larger. */
async function read(response: Response, most: number): Promise<Uint8Array | undefined> {
  if (response.body === null) {
    return new Uint8Array(0);
  }
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let body: Uint8Array = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return body;
    }
    if (body.length + value.length > most) {
      return undefined;
    }
    body = body.length === 0 ? value : joined(body, value);
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** The innermost reason, without URLs, which the core names anyway. */
function reason(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause !== undefined) {
    inner = inner.cause;
  }
  return inner instanceof Error ? inner.message : String(inner);
}
