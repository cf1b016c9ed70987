import { ClientOn } from "./client.js";
import { host, storage } from "./hosts/node.js";
import type { Config, Options } from "./types.js";
import { users } from "./user.js";

export { SvcauthError, type Code, type Fault } from "./errors.js";
export { bearer } from "./user.js";
export type { Events } from "./events.js";
export type { IncomingRequest, Users } from "./user.js";
export type * from "./types.js";

/** One identity, the targets that it calls, and their tokens. */
export class Client extends ClientOn {
  /**
   * Opens a client as a configuration says: the document itself, or where it is. Touches the network for nothing but
   * a configuration at a URL.
   */
  static async open(config: Config | string | URL, options: Options = {}): Promise<Client> {
    return new Client(host, await ClientOn.making(host, config, options), options);
  }
}

export const { withUser, passUser, requireUser } = /* @__PURE__ */ users(storage);
