// Chromium without a window, through its DevTools protocol on a pipe.
import { startChromium } from "../../../bindings/js/places/lab.mjs";

/** Opens a page: `evaluate` gives the value of an expression in it. */
export async function open(t, url) {
  const chromium = await startChromium(t, "about:blank", "--remote-debugging-pipe");
  const [, , , commands, answers] = chromium.stdio;
  const waiting = new Map();
  let rest = "";
  answers.setEncoding("utf8").on("data", (chunk) => {
    const whole = (rest + chunk).split("\0");
    rest = whole.pop();
    for (const message of whole.map((text) => JSON.parse(text))) {
      waiting.get(message.id)?.(message);
      waiting.delete(message.id);
    }
  });
  let id = 0;
  const send = async (method, params = {}, sessionId = undefined) => {
    const answer = new Promise((resolve) => waiting.set(++id, resolve));
    commands.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    const { result, error } = await Promise.race([answer, chromium.ended.then(() => ({ error: { message: "it ended" } }))]);
    if (error !== undefined) {
      throw new Error(`${method}: ${error.message}`);
    }
    return result;
  };
  const { targetId } = await send("Target.createTarget", { url });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const evaluate = async (expression) => {
    const params = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await send("Runtime.evaluate", params, sessionId);
    if (exceptionDetails !== undefined) {
      throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    }
    return result.value;
  };
  const until = async (condition) => {
    while (!(await evaluate(condition).catch(() => false))) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  return { evaluate, until };
}
