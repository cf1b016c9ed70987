/** The configuration document, the same for every host; core/svcauth.schema.json describes it. */
export interface Config {
  $schema?: string;
  /** The issuer; its metadata names the endpoints that `endpoints` leaves out. */
  issuer?: string;
  /** Endpoints given explicitly; they win over metadata. */
  endpoints?: { token?: string; authorization?: string; registration?: string };
  /** Which metadata document is asked for: `auto` unless given. */
  discovery?: "auto" | "openid" | "oauth";
  client: ClientConfig;
  /** Whom the program calls, by name. */
  targets: Record<string, TargetConfig>;
  /** Where state that outlives the process is kept. */
  store?: { file: string };
  [member: string]: unknown;
}

/** Who the program is. */
export interface ClientConfig {
  /** `client_secret_basic` unless given (RFC 7591 section 2). */
  auth?: "client_secret_basic" | "client_secret_post" | "none";
  /** Up to two active pairs, the preferred one first. */
  credentials?: { client_id: string; client_secret?: SecretReference }[];
  /** A ready access token, for development. */
  static_token?: SecretReference;
  /** How the client registers when it has no credentials (RFC 7591). */
  registration?: { initial_access_token?: SecretReference; metadata?: Record<string, unknown>; authorize?: boolean };
  [member: string]: unknown;
}

/** A service that is called. */
export interface TargetConfig {
  /** Origin and path prefix of what belongs to the target. */
  urls: string[];
  scopes?: string[];
  audience?: string[];
  /** RFC 8707. */
  resource?: string[];
  /** What a call on behalf of a user carries: `pass` unless given. */
  user_token?: "pass" | "exchange" | "never";
  [member: string]: unknown;
}

/** Where a secret is: read again whenever a server refuses it. */
export type SecretReference = { file: string } | { env: string } | { callback: string } | { value: string };

/** How a client is opened. */
export interface Options {
  /**
   * Knows the secrets that the configuration names with `callback`. The text of what it throws is logged, so keep
   * the secret out of it. `signal` ends at its time limit, `timeouts.secret_s`, or when the client is closed.
   */
  secrets?: (name: string, signal: AbortSignal) => string | Promise<string>;
  /** Sends all requests, the client's own and the calls; the global `fetch` unless given. */
  fetch?: typeof globalThis.fetch;
  /** The module `whole.wasm`, where it is not found by itself. */
  wasm?: WebAssembly.Module | BufferSource | Response | PromiseLike<Response | BufferSource | WebAssembly.Module>;
  /** Makes the spread of points in time the same in each run, for tests. */
  seed?: number;
}

/** An access token that may be used now. Keep it for one call, and ask again for the next. */
export interface Lease {
  /** The access token. A secret. */
  readonly token: string;
  /** The header that carries it, `Bearer …` (RFC 6750 section 2.1). A secret. */
  readonly authorization: string;
  /** Names the token without telling it; the same in every process, and in events. */
  readonly id: string;
  readonly expiresAt: Date;
  /** The scopes that were granted. */
  readonly scopes: readonly string[];
  /** The client it was issued to, as far as known. */
  readonly clientId: string | undefined;
  /** Its `sub` claim, unverified, where the token is a JWT. */
  readonly subject: string | undefined;
}

/** What one caller waits with. */
export interface WaitOptions {
  /** Ends this caller's waiting, and not the request that others may wait for. */
  signal?: AbortSignal | null | undefined;
}

/** On whose behalf a call is made, where it does not say so itself through `withUser`. */
export interface UserOptions {
  /** The token of the user, as it stood behind `Bearer` in the inbound request. */
  user?: string | undefined;
  /** Whether the call belongs to a user's request: without a user's token it is refused. */
  userRequired?: boolean | undefined;
}

/** `fetch`, with the user on whose behalf a call is made. */
export type Fetch = (input: string | URL | Request, init?: RequestInit & UserOptions) => Promise<Response>;

/** How one target's token is doing. */
export interface Health {
  readonly target: string;
  /** Whether a token can be served now. */
  readonly ready: boolean;
  /** Whether anybody has asked for one yet. */
  readonly askedFor: boolean;
  readonly expiresAt: Date | undefined;
  /** Why the last attempt failed. */
  readonly error: Error | undefined;
  /** When it is tried again. */
  readonly retryAt: Date | undefined;
}

/** Counters since the client was opened. */
export interface Stats {
  /** Requests of all kinds to the authorization server, and token requests among them. */
  readonly requests: number;
  readonly tokenRequests: number;
  readonly tokensReceived: number;
  readonly failures: number;
  /** Rejections by called services that were acted on. */
  readonly rejections: number;
  /** How often a caller found no token at hand and the core was asked, and how often one had to wait. */
  readonly asked: number;
  readonly waited: number;
  readonly eventsDropped: number;
}

/** Something that happened: the name in `event`, and its fields. No field holds a secret. */
export interface SvcauthEvent {
  readonly event: string;
  /** How much it matters. */
  readonly level: "info" | "warn" | "error";
  readonly [field: string]: unknown;
}
