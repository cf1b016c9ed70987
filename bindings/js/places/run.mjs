// Tells the story where a program is given a command line: Node, Deno, Bun.
import process from "node:process";
import * as svcauth from "svcauth";
import { requestToken } from "svcauth/exchange";
import { story } from "./story.mjs";

const lab = JSON.parse(process.argv[2]);
const seen = await story(svcauth, lab);
const answer = await requestToken({
  endpoint: `${lab.issuer}/oauth2/token`, client_id: "bss", client_secret: "a secret: 100%", scopes: ["read"],
});
if (answer.token_type !== "Bearer") {
  throw new Error("no token by requestToken");
}
console.log(JSON.stringify([...seen, "one message by itself"]));
