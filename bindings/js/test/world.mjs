// An authorization server and services, as a fetch: what they answer is decided by the test, and all is written down.

/** The answer of a token endpoint. */
export function tokenAnswer(token, more = {}) {
  return Response.json({ access_token: token, token_type: "Bearer", expires_in: 3600, ...more });
}

export const ISSUER = "https://hydra.example";
export const SMD = "https://smd.example/hsm/v2";

export function config(change = {}) {
  return {
    endpoints: { token: `${ISSUER}/token` },
    client: { credentials: [{ client_id: "bss", client_secret: { value: "s3cr3t-of-bss" } }] },
    targets: {
      smd: { urls: [SMD], scopes: ["read"] },
      boot: { urls: ["https://boot.example"], scopes: ["boot"] },
      swapped: { urls: ["https://swapped.example"], user_token: "exchange" },
    },
    ...change,
  };
}

export class World {
  /** Requests to the token endpoint, and calls, in order. */
  tokenRequests = [];
  calls = [];
  /** What they are answered. */
  token = (_, number) => tokenAnswer(`token-${number}`);
  service = () => new Response("ok");

  fetch = async (input, init) => {
    const request = new Request(input, init);
    if (request.url === `${ISSUER}/token`) {
      this.tokenRequests.push(await request.clone().text());
      return abortable(this.token(request, this.tokenRequests.length), init?.signal);
    }
    const call = {
      url: request.url,
      method: request.method,
      authorization: request.headers.get("authorization"),
      body: await request.clone().text(),
      redirect: init?.redirect,
    };
    this.calls.push(call);
    return abortable(this.service(call, this.calls.length), init?.signal);
  };
}

async function abortable(answer, signal) {
  if (!signal) {
    return answer;
  }
  signal.throwIfAborted();
  return Promise.race([
    answer,
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  ]);
}

/** A promise, and what keeps it. */
export function gate() {
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  return { opened, open };
}
