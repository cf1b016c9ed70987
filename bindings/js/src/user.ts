/** The user on whose behalf calls are made. */
export interface User {
  readonly token: string | undefined;
  readonly required: boolean;
}

/** What is needed of node:async_hooks. */
export interface Storage {
  run<T>(user: User, work: () => T): T;
  getStore(): User | undefined;
}

export interface IncomingRequest {
  headers: { authorization?: string | undefined };
}

export interface Users {
  /**
   * Does work whose calls are made on behalf of the user who holds `token`, as it stood behind `Bearer` in the inbound
   * request. It checks nothing: use it behind what authenticates the request.
   *
   * What the called service gets is the target's `user_token`: this token, one it is exchanged for, or the service's
   * own. It goes to no URL outside of the targets. With `required`, calls are refused with code `user_token_missing`
   * where there is no token, instead of being made with the service's own.
   */
  withUser<T>(token: string | undefined, work: () => T, options?: { required?: boolean }): T;
  /** Middleware for Express, Connect and their kin: calls are made on behalf of the inbound request's user, if any. */
  passUser(request: IncomingRequest, response: unknown, next: (error?: unknown) => void): void;
  /** `passUser` for routes where there must be a user. */
  requireUser(request: IncomingRequest, response: unknown, next: (error?: unknown) => void): void;
}

/** @internal */
export function users(storage: Storage | undefined): Users {
  const withUser = <T>(token: string | undefined, work: () => T, options?: { required?: boolean }): T => {
    if (storage === undefined) {
      throw new Error("there is no AsyncLocalStorage here; give the user with each call: fetch(url, { user })");
    }
    return storage.run({ token, required: options?.required === true }, work);
  };
  return {
    withUser,
    passUser: (request, _, next) => withUser(bearer(request.headers.authorization), next),
    requireUser: (request, _, next) => withUser(bearer(request.headers.authorization), next, { required: true }),
  };
}

/** The token in an Authorization header (RFC 6750 section 2.1; the scheme in any case, RFC 9110 section 11.1). */
export function bearer(authorization: string | null | undefined): string | undefined {
  const found = /^bearer +(.*?) *$/i.exec(authorization ?? "");
  return found?.[1];
}
