import type { SvcauthEvent } from "./types.js";

/**
 * What happens, as `CustomEvent`s: each by its name, and all of them as `event`. `detail` is the event, which holds no
 * secret. While nobody listens nothing is made.
 */
export class Events extends EventTarget {
  readonly #heard: () => void;
  #listening = false;

  /** @internal */
  constructor(heard: () => void) {
    super();
    this.#heard = heard;
  }

  override addEventListener(
    type: string,
    listener: (event: CustomEvent<SvcauthEvent>) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(type: string, listener: unknown, options?: boolean | AddEventListenerOptions): void {
    super.addEventListener(type, listener as EventListener | null, options);
    if (!this.#listening) {
      this.#listening = true;
      this.#heard();
    }
  }

  /** Whether anybody ever listened. @internal */
  get listening(): boolean {
    return this.#listening;
  }

  /** @internal */
  tell(detail: SvcauthEvent): void {
    this.dispatchEvent(new CustomEvent(detail.event, { detail }));
    this.dispatchEvent(new CustomEvent("event", { detail }));
  }
}
