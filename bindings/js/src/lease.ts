import type { ToldLease } from "./engine.js";
import type { Lease } from "./types.js";

/** A lease that shows its token to nobody who does not ask for it. */
export class HeldLease implements Lease {
  readonly #told: ToldLease;
  readonly #authorization: string;
  readonly id: string;
  /** Until when it is served without asking the core, on the monotonic clock. @internal */
  readonly askAt: number;

  constructor(told: ToldLease) {
    this.#told = told;
    this.#authorization = `Bearer ${told.token}`;
    this.id = told.id;
    this.askAt = told.ask_at_ms;
  }

  get token(): string {
    return this.#told.token;
  }

  get authorization(): string {
    return this.#authorization;
  }

  get expiresAt(): Date {
    return new Date(this.#told.expires_at_wall_ms);
  }

  get scopes(): readonly string[] {
    return this.#told.scopes;
  }

  get clientId(): string | undefined {
    return this.#told.client_id ?? undefined;
  }

  get subject(): string | undefined {
    return this.#told.subject ?? undefined;
  }

  toJSON(): object {
    return { id: this.id, expiresAt: this.expiresAt };
  }
}
