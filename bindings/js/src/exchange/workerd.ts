import module from "../exchange.wasm";
import { host } from "../hosts/workerd.js";
import { exchanges } from "./messages.js";

export { SvcauthError, type Code, type Fault } from "../errors.js";
export type * from "./messages.js";

export const {
  register,
  readRegistration,
  updateRegistration,
  deleteRegistration,
  authorize,
  requestToken,
  fetchMetadata,
} = /* @__PURE__ */ exchanges({ ...host, module: async () => module });
