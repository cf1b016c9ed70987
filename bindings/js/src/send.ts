import type { Failure, ToldRequest } from "./engine.js";
import type { Host } from "./host.js";

export type Answer = { status: number; fields: string; body: Uint8Array } | { failure: Failure; detail: string };

/** The fields that the core reads. */
const FIELDS = ["content-type", "www-authenticate", "retry-after", "date", "location"];

/** Sends a request of the core's as it is. No redirect is followed, and the answer has an end in time and size. */
export async function send(
  request: ToldRequest,
  timeoutMs: number,
  maxBytes: number,
  fetch: typeof globalThis.fetch,
  host: Host,
  ended: AbortSignal,
): Promise<Answer> {
  const giveUp = new AbortController();
  const end = (): void => giveUp.abort();
  const stop = host.after(timeoutMs, end);
  ended.addEventListener("abort", end);
  try {
    const response = await fetch(request.url, {
      method: request.method,
      headers: request.headers,
      body: request.body === "" ? null : request.body,
      redirect: "manual",
      credentials: "omit",
      cache: "no-store",
      signal: giveUp.signal,
    } as RequestInit);
    const body = await read(response, maxBytes);
    if (body === undefined) {
      giveUp.abort();
      return { failure: "too_large", detail: "" };
    }
    let fields = "";
    for (const name of FIELDS) {
      const value = response.headers.get(name);
      if (value !== null) {
        fields += `${name}:${value}\n`;
      }
    }
    // A browser hides where a redirect leads, and its status.
    return { status: response.type === "opaqueredirect" ? 302 : response.status, fields, body };
  } catch (error) {
    if (giveUp.signal.aborted) {
      return { failure: "timeout", detail: "" };
    }
    return { failure: host.failure?.(error) ?? "broken", detail: reason(error) };
  } finally {
    stop();
    ended.removeEventListener("abort", end);
  }
}

/** Reads a body of `most` bytes at most; undefined where it is larger. */
async function read(response: Response, most: number): Promise<Uint8Array | undefined> {
  if (response.body === null) {
    return new Uint8Array(0);
  }
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let body = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      return body;
    }
    if (body.length + value.length > most) {
      return undefined;
    }
    body = body.length === 0 ? value as Uint8Array<ArrayBuffer> : joined(body, value);
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
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
