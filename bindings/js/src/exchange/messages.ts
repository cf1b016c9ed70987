import { Messages, type ToldFailure, type ToldRequest } from "../engine.js";
import { SvcauthError } from "../errors.js";
import type { Host } from "../host.js";
import { send, UnderWay } from "../send.js";

const TIMEOUT_MS = 30_000;
const MOST_BYTES = 1 << 20;

/** How a message is sent. */
export interface Sending {
  /** The global `fetch` unless given. No redirect is followed. */
  fetch?: typeof globalThis.fetch;
  signal?: AbortSignal;
  /** In milliseconds: 30,000 unless given. */
  timeout?: number;
}

/** What is known of how a client is registered (RFC 7591 section 3.2.1), to be saved whole. It holds secrets. */
export interface Registration {
  client_id: string;
  client_secret?: string;
  /** Seconds since 1970; 0 where it does not expire. */
  client_secret_expires_at?: number;
  registration_access_token?: string;
  registration_client_uri?: string;
  [member: string]: unknown;
}

/** An error as OAuth has it (RFC 6749 section 4.1.2.1). */
export interface OauthError {
  error: string;
  description?: string;
  uri?: string;
}

interface Insecure {
  /** Origins that may be spoken to without TLS besides this machine. */
  insecure_http?: string[];
}

interface Managed extends Insecure {
  /** Origins where the client may be managed, besides the endpoint's own. */
  allowed_origins?: string[];
}

export interface RegistrationRequest extends Managed {
  /** The registration endpoint: https, or http of this machine. */
  endpoint: string;
  /** The client metadata (RFC 7591 section 2). */
  metadata?: Record<string, unknown>;
  /** The token that allows it, where the server asks for one. A secret. */
  initial_access_token?: string;
}

export interface ReadRegistrationRequest extends Managed {
  registration: Registration;
}

export interface UpdateRegistrationRequest extends Managed {
  registration: Registration;
  /** The members to change. */
  metadata?: Record<string, unknown>;
}

export interface DeleteRegistrationRequest extends Insecure {
  registration: Registration;
}

export interface RegistrationAnswer {
  registration: Registration;
  /** Why the URI that the server gave is left out. */
  refused_uri?: { code: string; message: string };
}

export interface AuthorizationRequest extends Insecure {
  endpoint: string;
  /** A fresh random text, made unless given. */
  state?: string;
  /** Gives what is not given by itself below. */
  registration?: Registration;
  registration_access_token?: string;
  client_id?: string;
  client_secret?: string;
  redirect_uri?: string;
  scopes?: string[];
  /** `token` unless given. */
  response_type?: string;
}

/** Where the authorization endpoint led. */
export type AuthorizationAnswer =
  | { kind: "login_page"; location: string }
  | { kind: "callback"; has_code: boolean; error?: OauthError }
  | { kind: "error_page"; error?: OauthError }
  | { kind: "answered"; status: number };

/** What a token is requested with. */
export type Grant =
  | "client_credentials"
  | "bare"
  | { type: "bare"; method?: "GET" | "POST" }
  | { type: "refresh_token"; refresh_token: string }
  | { type: "token_exchange"; subject_token: string; subject_token_type: string; requested_token_type?: string };

export interface TokenRequest extends Insecure {
  /** The token endpoint: https, or http of this machine. */
  endpoint: string;
  /** `client_secret_basic` unless given. */
  auth?: "client_secret_basic" | "client_secret_post" | "none";
  /** `form` unless given (RFC 6749 section 2.3.1). */
  basic_encoding?: "form" | "raw";
  client_id?: string;
  client_secret?: string;
  /** `client_credentials` unless given. */
  grant?: Grant;
  scopes?: string[];
  audience?: string[];
  /** RFC 8707. */
  resource?: string[];
  /** Further parameters of the request. */
  parameters?: Record<string, string>;
  allow_missing_token_type?: boolean;
  allow_form_answer?: boolean;
}

/** What a token endpoint answers, and what it says besides. Its tokens are secrets. */
export interface TokenAnswer {
  access_token: string;
  token_type: string;
  /** Seconds. More than ten years are a point in time, in seconds since 1970 (OPAAL). */
  expires_in?: number;
  refresh_token?: string;
  refresh_expires_in?: number;
  /** The granted scopes with a space between them; missing where what was asked for is granted. */
  scope?: string;
  issued_token_type?: string;
  /** Whether the answer was JSON and did not say so. */
  content_type_mismatch: boolean;
  [member: string]: unknown;
}

export interface MetadataRequest extends Insecure {
  issuer: string;
  /** `openid` unless given. */
  document?: "openid" | "oauth";
}

/** What an issuer says of itself (RFC 8414 section 2). */
export interface Metadata {
  issuer: string;
  token_endpoint?: string;
  authorization_endpoint?: string;
  registration_endpoint?: string;
  jwks_uri?: string;
  revocation_endpoint?: string;
  introspection_endpoint?: string;
  token_endpoint_auth_methods_supported?: string[];
  [member: string]: unknown;
}

/** Single messages: each function sends one request. Errors are of class `SvcauthError`. */
export interface Exchanges {
  /** Registers a client (RFC 7591 section 3). */
  register(request: RegistrationRequest, sending?: Sending): Promise<RegistrationAnswer>;
  /** Reads how a client is registered (RFC 7592 section 2.1). What the server leaves out is kept as it was. */
  readRegistration(request: ReadRegistrationRequest, sending?: Sending): Promise<RegistrationAnswer>;
  /** Changes how a client is registered (RFC 7592 section 2.2). What the server leaves out is kept as it was. */
  updateRegistration(request: UpdateRegistrationRequest, sending?: Sending): Promise<RegistrationAnswer>;
  /** Ends a registration (RFC 7592 section 2.3). */
  deleteRegistration(request: DeleteRegistrationRequest, sending?: Sending): Promise<void>;
  /** Shows the authorization endpoint the registration's token: the flow's second step. No access token comes of it. */
  authorize(request: AuthorizationRequest, sending?: Sending): Promise<AuthorizationAnswer>;
  /** Requests an access token (RFC 6749 section 5, RFC 8693). */
  requestToken(request: TokenRequest, sending?: Sending): Promise<TokenAnswer>;
  /** Fetches what an issuer says of itself (RFC 8414 section 3, OpenID Connect Discovery 1.0 section 4). */
  fetchMetadata(request: MetadataRequest, sending?: Sending): Promise<Metadata>;
}

/** @internal */
export function exchanges(host: Host): Exchanges {
  let loading: Promise<Messages> | undefined;
  let loaded: Messages | undefined;
  const load = async (): Promise<Messages> => {
    loading ??= host.module("exchange").then((module) => (loaded = new Messages(module)));
    return loading;
  };
  const exchange = async <T>(name: string, parameters: object, sending: Sending = {}): Promise<T> => {
    sending.signal?.throwIfAborted();
    const messages = loaded ?? (await load());
    const made = messages.make(name, JSON.stringify(parameters));
    if ("error" in made) {
      throw new SvcauthError(made.error);
    }
    return parsed<T>(messages, made, sending);
  };
  const parsed = async <T>(
    messages: Messages,
    { message, request }: { message: number; request: ToldRequest },
    { fetch = globalThis.fetch, signal, timeout = TIMEOUT_MS }: Sending,
  ): Promise<T> => {
    const underWay = new UnderWay();
    const giveUp = (): void => underWay.giveUp();
    signal?.addEventListener("abort", giveUp);
    const answer = await send(request, timeout, MOST_BYTES, fetch, host, underWay);
    signal?.removeEventListener("abort", giveUp);
    const told: { answer: T } | ToldFailure =
      "failure" in answer
        ? messages.failed(message, answer.failure, answer.detail)
        : messages.answer<T>(message, answer.status, answer.fields, answer.body);
    signal?.throwIfAborted();
    if ("error" in told) {
      throw new SvcauthError(told.error);
    }
    return told.answer;
  };
  return {
    register: (request, sending) => exchange("register", request, sending),
    readRegistration: (request, sending) => exchange("read_registration", request, sending),
    updateRegistration: (request, sending) => exchange("update_registration", request, sending),
    deleteRegistration: async (request, sending) => {
      await exchange("delete_registration", request, sending);
    },
    authorize: (request, sending) => exchange("authorize", { state: random(), ...request }, sending),
    requestToken: (request, sending) => exchange("token", request, sending),
    fetchMetadata: (request, sending) => exchange("metadata", request, sending),
  };
}

function random(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
