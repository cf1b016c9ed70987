export { Client } from "./client.js";
export { SvcauthError, type Code, type Fault } from "./errors.js";
export { bearer, passUser, requireUser, withUser } from "./user.js";
export type { Events } from "./events.js";
export type * from "./types.js";
