// A Cloudflare-like worker that calls SMD for each request, and tells the story.
import * as svcauth from "svcauth";
import { config, secrets, story } from "./story.mjs";

const NODE = "/hsm/v2/State/Components/x0c0s0b0n0";
let opened;
let shared;

export default {
  async fetch(request, { LAB: lab }) {
    try {
      switch (new URL(request.url).pathname) {
        case "/story":
          return Response.json(await story(svcauth, lab));
        case "/call": {
          opened ??= svcauth.Client.open(config(lab, { timeouts: { request_s: 2, wait_s: 600 } }), { secrets });
          const answer = await (await opened).fetch("smd")(lab.smd + NODE);
          return new Response(await answer.text(), { status: answer.status });
        }
        case "/stats":
          return Response.json((await opened)?.stats() ?? {});
        // What the place forbids: the answer of another request.
        case "/shared":
          shared ??= fetch(`${lab.smd}/hsm/v2/service/ready`);
          return new Response((await shared).status === 200 ? await (await shared).clone().text() : "no", { status: 200 });
        default:
          return new Response("no such page", { status: 404 });
      }
    } catch (error) {
      return new Response(`${error} ${error.stack}`, { status: 500 });
    }
  },
};
