import { Client } from "svcauth";

const NODE = `${location.origin}/smd/hsm/v2/State/Components/x0c0s0b0n0`;
const EVENTS_SHOWN = 30;

// A secret in a page is in the hands of whoever looks at it: this one is the lab's.
const client = await Client.open({
  endpoints: { token: `${location.origin}/issuer/oauth2/token` },
  client: { credentials: [{ client_id: "page", client_secret: { value: "for the page" } }] },
  targets: { smd: { urls: [`${location.origin}/smd/hsm/v2`], scopes: ["read"] } },
});
const smd = client.fetch("smd");
const element = (id) => document.getElementById(id);
const counts = { good: 0, refused: 0, bad: 0 };

client.events.addEventListener("event", ({ detail }) => {
  const { event, level, ...fields } = detail;
  if (event === "call") {
    counts.refused += detail.retried ? 1 : 0;
    return;
  }
  const line = document.createElement("li");
  line.className = level;
  line.textContent = `${new Date().toLocaleTimeString()} ${event} ${JSON.stringify(fields)}`;
  element("events").prepend(line);
  while (element("events").childElementCount > EVENTS_SHOWN) {
    element("events").lastElementChild.remove();
  }
});

async function call() {
  try {
    const answer = await smd(NODE);
    counts[answer.ok ? "good" : "bad"]++;
    await answer.body?.cancel();
  } catch {
    counts.bad++; // the events say why
  }
}

const lab = (place, body = {}) =>
  fetch(`/admin/lab/${place}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

element("call").onclick = call;
element("many").onclick = () => Promise.all(Array.from({ length: 64 }, call));
element("key").onclick = () => lab("keys/rotate");
element("away").onclick = () => lab("away", { service: "issuer" });
element("back").onclick = () => lab("back", { service: "issuer" });
setInterval(() => element("always").checked && call(), 100);

function show() {
  const lease = client.lease("smd");
  const left = lease === undefined ? 0 : Math.max(0, (lease.expiresAt - Date.now()) / 1000);
  element("lease").textContent = lease === undefined ? "none" : `${lease.id} for ${lease.scopes.join(" ")}`;
  element("left").value = left;
  element("seconds").textContent = lease === undefined ? "" : `${left.toFixed(1)} s`;
  const { tokenRequests, waited } = client.stats();
  element("tokens").textContent = tokenRequests;
  element("waited").textContent = waited;
  for (const [name, count] of Object.entries(counts)) {
    element(name).textContent = count;
  }
}
setInterval(show, 100);
document.documentElement.dataset.ready = "";
