// Compiles where the types say what the README says.
import { bearer, Client, SvcauthError, withUser, type Code, type Config, type Fetch, type Health, type Lease } from "svcauth";
import { fetchMetadata, requestToken } from "svcauth/exchange";
import { interceptor } from "svcauth/undici";

const config: Config = {
  issuer: "https://hydra.example",
  client: { credentials: [{ client_id: "bss", client_secret: { callback: "bss" } }] },
  targets: { smd: { urls: ["https://smd.example/hsm/v2"], scopes: ["read"] } },
};

export async function program(header: string | undefined, signal: AbortSignal): Promise<string> {
  const client: Client = await Client.open(config, {
    secrets: async (name, within) => (within.aborted ? "" : name),
  });
  client.events.addEventListener("event", ({ detail }) => console.log(detail.event, detail.level, detail["target"]));
  const lease: Lease | undefined = client.lease("smd");
  const smd: Fetch = client.fetch("smd");
  const compatible: typeof globalThis.fetch = client.fetch();
  const user: string | undefined = bearer(header);
  try {
    const answer: Response = await withUser(user, () => smd("https://smd.example/hsm/v2/State", { signal }));
    await compatible(new URL("https://smd.example"), { method: "POST", body: "x" });
    await smd("https://smd.example", { user, userRequired: true });
    const health: readonly Health[] = client.health();
    return `${answer.status} ${health[0]?.target} ${lease?.token ?? (await client.token("smd", { signal }))}`;
  } catch (error) {
    if (error instanceof SvcauthError) {
      const code: Code = error.code;
      return code;
    }
    throw error;
  } finally {
    await client.close();
  }
}

export async function message(): Promise<string> {
  const metadata = await fetchMetadata({ issuer: "https://hydra.example" });
  const answer = await requestToken({ endpoint: String(metadata.token_endpoint), client_id: "bss", client_secret: "x" });
  return answer.access_token;
}

export const composed = (client: Client) => interceptor(client);

// @ts-expect-error a target's name is text
export const wrongTarget = (client: Client) => client.token(7);
// @ts-expect-error the client is missing
export const wrongConfig: Config = { targets: {} };
// @ts-expect-error no such code
export const wrongCode: Code = "no_such_code";
