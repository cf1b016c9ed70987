// undici with svcauth as an interceptor.
//
//     node with-undici.mjs svcauth.json https://smd.example/hsm/v2/State/Components/x0c0s0b0n0
import process from "node:process";
import { Client } from "svcauth";
import { interceptor } from "svcauth/undici";
import { Agent, interceptors, request } from "undici";

/** A dispatcher whose requests carry the token of their target. */
export function agentOn(client) {
  // The last one sees a request first: each hop of a redirect goes through svcauth's anew.
  return new Agent().compose(interceptor(client), interceptors.redirect({ maxRedirections: 5 }));
}

if (process.argv[1] === import.meta.filename) {
  const [config, url] = process.argv.slice(2);
  const client = await Client.open(config);
  const { body } = await request(url, { dispatcher: agentOn(client) });
  console.log(await body.json());
  await client.close();
}
