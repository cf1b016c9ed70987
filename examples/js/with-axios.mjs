// axios with svcauth underneath: axios's fetch adapter sends through the client's fetch, which adds the token, makes a
// refused call once more, and follows redirects with the token only within the target.
//
//     node with-axios.mjs svcauth.json https://smd.example/hsm/v2/State/Components/x0c0s0b0n0
import process from "node:process";
import axios from "axios";
import { Client } from "svcauth";

/** An axios instance whose requests carry the token of their target. Other settings are axios's own. */
export function axiosOn(client, settings = {}) {
  // Without `Request`, the adapter gives URL and settings as they are, and a body can be sent again.
  return axios.create({ ...settings, adapter: "fetch", env: { fetch: client.fetch(), Request: null, Response: null } });
}

if (process.argv[1] === import.meta.filename) {
  const [config, url] = process.argv.slice(2);
  const client = await Client.open(config);
  const { data } = await axiosOn(client).get(url);
  console.log(data);
  await client.close();
}
