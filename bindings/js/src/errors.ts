/** Where an error comes from, and so who can mend it. */
export type Fault = "caller" | "server" | "network" | "internal";

/** What went wrong, for programs. Codes are never renamed. */
export type Code =
  // the program or its operator
  | "invalid_configuration"
  | "invalid_argument"
  | "unknown_target"
  | "unsupported"
  | "secret_unavailable"
  | "store_unavailable"
  | "store_corrupt"
  | "user_token_missing"
  | "too_many_subjects"
  | "closed"
  // an authorization server's answer
  | "oauth_error"
  | "malformed_answer"
  | "invalid_expires_in"
  | "invalid_access_token"
  | "missing_token_type"
  | "unexpected_token_type"
  | "scope_not_granted"
  | "unexpected_redirect"
  | "unexpected_status"
  | "server_error"
  | "rate_limited"
  | "issuer_mismatch"
  | "answer_too_large"
  | "missing_endpoint"
  | "untrusted_endpoint"
  // the network
  | "connection_failed"
  | "timeout"
  | "tls_failed"
  | "connection_broken"
  // svcauth itself: please report it
  | "internal";

/** An error as the core tells it. */
export interface Told {
  code: Code;
  fault?: Fault;
  message: string;
  member?: string;
  offset?: number;
  status?: number;
  oauth?: { error: string; description?: string; uri?: string };
  retry_after_ms?: number;
  challenge?: string;
}

/** Why a token could not be had, or a call not be made. It holds no secret. */
export class SvcauthError extends Error {
  override readonly name = "SvcauthError";
  /** What went wrong, for programs. */
  readonly code: Code;
  readonly fault: Fault;
  /** The configuration member (`targets.smd.scopes`), argument, header or URL that is wrong. */
  readonly member: string | undefined;
  /** What the server said (RFC 6749 section 5.2). */
  readonly oauthError: string | undefined;
  readonly description: string | undefined;
  /** The WWW-Authenticate header that came with it. */
  readonly challenge: string | undefined;
  /** The HTTP status of the answer that is wrong. */
  readonly status: number | undefined;
  /** How long the server asks to wait, in milliseconds. */
  readonly retryAfter: number | undefined;
  /** When the client tries again by itself. */
  readonly retryAt: Date | undefined;

  /** @internal */
  constructor(told: Told, retryAt?: Date) {
    super(sentence(told));
    this.code = told.code;
    this.fault = told.fault ?? "caller";
    this.member = told.member;
    this.oauthError = told.oauth?.error;
    this.description = told.oauth?.description;
    this.challenge = told.challenge;
    this.status = told.status;
    this.retryAfter = told.retry_after_ms;
    this.retryAt = retryAt;
  }
}

function sentence({ code, message, member, offset, status, oauth }: Told): string {
  const where = [member, offset === undefined ? undefined : `byte ${offset}`].filter((part) => part !== undefined);
  const what = [code, oauth?.error, status === undefined ? undefined : `HTTP ${status}`].filter((part) => part);
  const said = oauth?.description ? `; the server says: ${oauth.description}` : "";
  return `${[...where, message].join(": ")} (${what.join(", ")})${said}`;
}

export function closed(): SvcauthError {
  return new SvcauthError({ code: "closed", message: "the client was closed; open another one" });
}
