// The language-neutral scenarios of core/scenarios, whose README describes the format, through the turns of the engine.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { inspect } from "node:util";
import { dist, load, root } from "./package.mjs";

const { Engine } = await load("engine.js");
const { HeldLease } = await load("lease.js");
const { SvcauthError } = await load("errors.js");

const WALL_START = 1_800_000_000_000;
const MONO_START = 1_000_000;
const MOST_TURNS = 10_000;
const FEWEST_SECRET = 8; // characters of a text that must be told nowhere
const FILES = 83;
const CASES = 373;

const folder = path.join(root, "core/scenarios");
const everyday = process.env.SVCAUTH_SCENARIOS;
const module = await WebAssembly.compile(readFileSync(path.join(dist, everyday ? "svcauth.wasm" : "whole.wasm")));
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const read = (name) => JSON.parse(readFileSync(path.join(folder, name), "utf8"));

const base = read("base.json");
// Those of everyday life are run with the module for that.
const only = new RegExp(everyday ?? "");
const names = readdirSync(folder).filter((name) => name.endsWith(".json") && name !== "base.json");
let cases = 0;
for (const name of names) {
  const file = read(name);
  const whole = overlay(base, file);
  delete whole.cases;
  for (const one of file.cases ?? [{}]) {
    cases++;
    const title = [name.slice(0, -".json".length), one.case].filter(Boolean).join("/");
    if (only.test(title)) {
      test(title, () => run(overlay(whole, one)));
    }
  }
}

test("all scenarios were found", () => {
  assert.ok(names.length >= FILES && cases >= CASES, `${names.length} files, ${cases} cases`);
});

function overlay(below, above) {
  const result = { ...below };
  for (const [name, value] of Object.entries(above)) {
    if (name === "let") {
      result.let = { ...result.let, ...value };
    } else if (["config", "capabilities", "secrets", "store"].includes(name)) {
      result[name] = mergePatch(result[name], value);
    } else {
      result[name] = value;
    }
  }
  return result;
}

/** RFC 7396. */
function mergePatch(target, patch) {
  if (!isObject(patch)) {
    return patch;
  }
  const result = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) {
      delete result[name];
    } else {
      result[name] = mergePatch(result[name], value);
    }
  }
  return result;
}

/** Puts values in the place of their names. */
function writtenOut(value, names) {
  if (typeof value === "string" && value.startsWith("$")) {
    assert.ok(value.slice(1) in names, `${value} is not in let`);
    return writtenOut(names[value.slice(1)], names);
  }
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const written = writtenOut(item, names);
      return typeof item === "string" && Array.isArray(written) ? written : [written];
    });
  }
  if (isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, writtenOut(item, names)]));
  }
  return value;
}

function run(whole) {
  const scenario = {};
  for (const member of ["config", "capabilities", "secrets", "store", "by_hand", "events", "refused", "steps"]) {
    if (member in whole) {
      scenario[member] = writtenOut(whole[member], whole.let ?? {});
    }
  }
  const host = new Host(scenario);
  if (scenario.refused !== undefined) {
    assert.throws(
      () => host.start(),
      ({ error }) => {
        host.compare("error", scenario.refused, host.error(error));
        return true;
      },
    );
    host.report(0, {}, {});
    return;
  }
  host.start();
  host.changeSecrets(scenario.secrets);
  host.changeStore(scenario.store);
  for (const [number, step] of (scenario.steps ?? []).entries()) {
    const got = host.step(step);
    host.check(step, got);
    host.report(number + 1, step, got);
    const tasks = step.expect?.tasks;
    for (const [at, task] of (Array.isArray(tasks) ? tasks : []).entries()) {
      if (task.as !== undefined && at < host.handedOut.length) {
        host.names.set(task.as, host.handedOut[at]);
      }
    }
  }
}

const MEMBERS = new Set(
  ("note at asleep wall_step secrets store token user reject report target answer task secrets_changed restart " +
    "mono_step record adopt clock register call expect").split(" "),
);
const CAPABILITIES = {
  secret_files: 1, secret_env: 2, secret_callback: 4, durable_store: 8, client_certificate: 16,
};

/** A host in virtual time. */
class Host {
  mono = MONO_START;
  monoStep = 0;
  wallStep = 0;
  idleUntil = null;
  secrets = new Map();
  records = new Map();
  locks = new Map();
  fails = null;
  fence = 0;
  version = 0;
  random = 0;
  open = [];
  names = new Map();
  handedOut = [];
  announced = new Map();
  recorded = new Map();
  known = new Map();
  planted = [];
  tasks = [];
  leases = [];
  events = [];
  differ = [];

  constructor(scenario) {
    this.scenario = scenario;
  }

  start() {
    const can = this.scenario.capabilities ?? {};
    const bits = Object.entries(CAPABILITIES).filter(([name]) => can[name] !== false);
    const capabilities = bits.reduce((sum, [, bit]) => sum | bit, 0);
    this.engine = new Engine(module, JSON.stringify(this.scenario.config), capabilities, 1, this.now());
    this.engine.listen("info");
    this.targets = this.engine.settings.targets;
    assert.deepEqual(this.targets, Object.keys(this.scenario.config.targets).sort());
  }

  now() {
    return { mono: this.mono + this.monoStep, wall: WALL_START + this.mono - MONO_START + this.wallStep };
  }

  /** A time of the engine's, from the scenario's start. */
  since(mono) {
    return mono - this.monoStep - MONO_START;
  }

  wrong(text) {
    this.differ.push(text);
  }

  report(number, step, got) {
    if (this.differ.length > 0) {
      const said = JSON.stringify(step);
      assert.fail(`step ${number} ${said}\n    ${this.differ.join("\n    ")}\n  got ${JSON.stringify(got, null, 1)}`);
    }
  }

  step(step) {
    for (const member of Object.keys(step)) {
      if (!MEMBERS.has(member)) {
        this.wrong(`${member} is not known to the format`);
      }
    }
    this.tasks = [];
    this.leases = [];
    this.events = [];
    this.handedOut = [];
    if (step.at !== undefined) {
      this.advance(MONO_START + step.at, step.asleep === true);
    }
    this.wallStep += step.wall_step ?? 0;
    this.changeSecrets(step.secrets);
    this.changeStore(step.store);
    this.learn(step);
    const result = this.act(step);
    this.heed(this.engine.wake(this.now()));
    return {
      result,
      tasks: this.tasks,
      leases: this.leases,
      events: this.events,
      idle_until: this.idleUntil === null ? null : this.idleUntil - MONO_START,
      store: this.showStore(),
      stats: this.engine.stats(),
      health: this.health(),
    };
  }

  /** Polls at each time on the way that the client asked for; nothing may come of it. */
  advance(to, asleep) {
    while (!asleep && this.idleUntil !== null && this.idleUntil < to && this.differ.length === 0) {
      this.mono = this.idleUntil;
      this.heed(this.engine.wake(this.now()));
      if (this.tasks.length + this.leases.length + this.events.length > 0) {
        this.wrong(`something happened before the step, at ${this.mono - MONO_START}`);
      }
    }
    this.mono = to;
  }

  /** Takes what came out of a turn; gives the turn's result. */
  heed(turn) {
    const queue = [turn];
    for (let turns = 0; queue.length > 0; turns++) {
      if (turns > MOST_TURNS) {
        this.wrong(`more than ${MOST_TURNS} turns without a pause`);
        break;
      }
      const { outputs, idle } = queue.shift();
      for (const output of outputs) {
        const next = this.output(output);
        if (next !== undefined) {
          queue.push(next);
        }
      }
      if (queue.length === 0) {
        this.idleUntil = idle === null ? null : idle - this.monoStep;
        if (idle !== null && this.idleUntil <= this.mono) {
          this.wrong(`idle until ${this.idleUntil - MONO_START}, which is past`);
        }
      }
    }
    return turn.result;
  }

  output(output) {
    if (output.task !== undefined) {
      return this.task(output);
    }
    if (output.event !== undefined) {
      this.checkPlanted(JSON.stringify(output));
      const shown = { ...output.event };
      for (const member of ["lease", "subject"]) {
        if (this.known.has(shown[member])) {
          shown[member] = this.known.get(shown[member]);
        }
      }
      this.events.push(shown);
    } else if (output.target !== undefined) {
      this.change(output);
    }
    return undefined;
  }

  act(step) {
    if (step.token !== undefined) {
      return this.state(this.heed(this.ask(step.token, step.user)));
    }
    const target = step.target ?? "smd";
    if (step.reject !== undefined) {
      const call = this.callFor(target, step.user);
      const result = this.heed(this.engine.reject(call, leaseId(step.reject), true, this.now()));
      return isObject(result) ? { retry: this.lease(result.retry) } : result;
    }
    if (step.report !== undefined) {
      const call = this.callFor(target, step.user);
      const result = this.heed(this.engine.reject(call, leaseId(step.report), false, this.now()));
      if (result !== "deliver") {
        this.wrong(`report: ${result}`);
      }
      return undefined;
    }
    if (step.answer !== undefined) {
      return this.answer(step);
    }
    if (step.register === true) {
      const result = this.heed(this.engine.register(this.now()));
      return result === true ? "registered" : this.state(result);
    }
    if (step.secrets_changed === true) {
      this.heed(this.engine.secretsChanged(this.now()));
    }
    if (step.record !== undefined) {
      this.record(step.record);
    }
    if (step.adopt !== undefined) {
      const record = this.recorded.get(step.adopt);
      const turn = this.engine.adopt(this.targets.indexOf(target), record, step.clock === "same", this.now());
      return this.heed(turn) ? "adopted" : "not_adopted";
    }
    if (step.restart === true) {
      this.monoStep += step.mono_step ?? 0;
      this.start();
      this.open = [];
    }
    return step.call === undefined ? undefined : this.call(step.call);
  }

  /** Notes down now the lease that was noted down when it was announced: for how long it is good still. */
  record(token) {
    const record = { ...this.announced.get(token) };
    const now = this.now();
    for (const name of ["refresh_in_ms", "serve_for_ms", "expires_in_ms"]) {
      record[name] = Math.max(record[name] - (now.mono - record.recorded_at_mono_ms), 0);
    }
    record.recorded_at_mono_ms = now.mono;
    record.recorded_at_wall_ms = now.wall;
    this.recorded.set(token, record);
  }

  /** A call that carries a user's or the service's own lease for a target, as `token` and `reject` mean it. */
  callFor(target, user) {
    return { url: this.scenario.config.targets[target].urls[0], userToken: user };
  }

  ask(target, user) {
    return user === undefined
      ? this.engine.token(this.targets.indexOf(target), this.now())
      : this.engine.tokenFor(this.callFor(target, user), this.now());
  }

  state(result) {
    if (result === null) {
      return "pending";
    }
    return "ready" in result ? { ready: this.lease(result.ready) } : { failed: this.failure(result.failed) };
  }

  call(made) {
    const call = {
      url: made.url,
      hasAuthorization: made.has_authorization,
      userToken: made.user_token ?? undefined,
      userRequired: made.user_required,
      redirectedFrom: made.redirected_from ?? undefined,
    };
    const decision = this.engine.decide(call);
    if (decision.refused !== undefined) {
      return { refused: this.error(decision.refused) };
    }
    const shown = { carries: decision.carries };
    if (decision.target !== undefined) {
      shown.target = this.targets[decision.target];
    }
    if (decision.authorization !== undefined) {
      shown.user = decision.authorization.slice("Bearer ".length);
    }
    if (decision.subject !== undefined) {
      shown.user = this.known.get(decision.subject.slice(0, 16));
    }
    if (made.answer !== undefined) {
      const challenge = (made.answer.www_authenticate ?? []).join(", ");
      const what = this.engine.answered(call, made.answer.status, challenge, made.answer.replayable === true);
      shown.answered = what === "none" ? "deliver" : what;
    }
    return shown;
  }

  answer({ task, answer }) {
    let id = 999_999;
    if (task !== undefined) {
      id = task === "unknown" ? id : this.names.get(task);
    } else {
      id = this.open.find((open) => open.deadline_ms > this.mono + this.monoStep)?.task ?? id;
    }
    this.open = this.open.filter((open) => open.task !== id);
    return this.heed(this.complete(id, answer)) ? "accepted" : "ignored";
  }

  complete(id, answer) {
    const now = this.now();
    if ("bytes" in answer) {
      return this.engine.completeBytes(id, bytesOf(answer.bytes), now);
    }
    if ("failed" in answer) {
      return this.engine.completeFailed(id, "failed", answer.failed, now);
    }
    if ("unsupported" in answer) {
      return this.engine.completeFailed(id, "unsupported", "", now);
    }
    if ("fails" in answer) {
      return this.engine.completeFailed(id, answer.fails, "", now);
    }
    for (const [name, kind] of [["stored", 2], ["conflict", 3], ["locked", 4], ["held", 5], ["done", 6]]) {
      if (name in answer) {
        const number = kind === 5 ? (answer.held ?? -1) : Number(answer[name]);
        return this.engine.completeStore(id, kind, number, undefined, now);
      }
    }
    if ("record" in answer || "version" in answer) {
      const value = answer.record == null ? undefined : bytesOf(JSON.stringify(answer.record));
      return this.engine.completeStore(id, value === undefined ? 0 : 1, answer.version ?? 0, value, now);
    }
    const fields = Object.entries(answer.headers ?? {}).flatMap(([name, value]) =>
      [value].flat().map((one) => `${name}:${one}\n`),
    );
    let body = answer.text ?? "";
    if ("json" in answer) {
      body = JSON.stringify(answer.json);
      if (answer.headers?.["content-type"] === undefined) {
        fields.push("content-type:application/json\n");
      }
    }
    return this.engine.completeResponse(id, answer.status ?? 200, fields.join(""), bytesOf(body), now);
  }

  task(task) {
    const kind = ["read_secret", "random", "store"].find((kind) => kind in task);
    if (kind === undefined || this.scenario.by_hand?.includes(kind)) {
      this.tasks.push({ ...this.show(task), deadline: this.since(task.deadline_ms) });
      this.handedOut.push(task.task);
      this.open.push(task);
      return undefined;
    }
    if (kind === "read_secret") {
      const secret = this.secrets.get(`${task.from} ${task.read_secret}`);
      return secret === undefined
        ? this.engine.completeFailed(task.task, "failed", "no such file or directory", this.now())
        : this.engine.completeBytes(task.task, bytesOf(secret), this.now());
    }
    if (kind === "random") {
      const value = Uint8Array.from({ length: task.random }, () => this.random++ % 256);
      return this.engine.completeBytes(task.task, value, this.now());
    }
    return this.useStore(task);
  }

  show(task) {
    if (task.read_secret !== undefined) {
      return { read_secret: `${task.from} ${task.read_secret}` };
    }
    if (task.random !== undefined) {
      return { random: task.random };
    }
    if (task.store !== undefined) {
      const { store, key, number } = task;
      const member = { put_if: "version", lock: "ttl", unlock: "fence" }[store];
      const shown = { store, key, ...(member && { [member]: number }) };
      return store === "put_if" ? { ...shown, record: JSON.parse(task.value) } : shown;
    }
    const { method, url, headers, body } = task.send;
    const shown = { send: `${method} ${url}`, headers, timeout: task.timeout_ms, max_bytes: task.max_bytes };
    if (headers.authorization?.startsWith("Basic ")) {
      shown.basic = Buffer.from(headers.authorization.slice("Basic ".length), "base64").toString();
    }
    if (headers["content-type"] === "application/x-www-form-urlencoded") {
      const form = new URLSearchParams(body);
      shown.form = {};
      for (const name of new Set(form.keys())) {
        const values = form.getAll(name);
        shown.form[name] = values.length > 1 ? values : values[0];
      }
    } else if (headers["content-type"] === "application/json") {
      shown.json = JSON.parse(body);
    } else if (body !== "") {
      shown.body = body;
    }
    return shown;
  }

  change(output) {
    const shown = { target: this.targets[output.target] };
    if (output.subject !== undefined) {
      shown.user = this.known.get(output.subject.slice(0, 16));
    }
    if (output.ready !== undefined) {
      shown.ready = this.lease(output.ready);
      this.announced.set(output.ready.token, output.record);
    } else if (output.once !== undefined) {
      shown.once = this.lease(output.once);
    } else if (output.failed !== undefined) {
      shown.failed = this.failure(output.failed);
    } else {
      shown.cleared = output.cleared;
    }
    this.leases.push(shown);
  }

  lease(told) {
    const held = new HeldLease(told);
    this.checkPlanted(inspect(held, { showHidden: true, depth: 9 }) + JSON.stringify(held) + String(held));
    if (held.id !== leaseId(told.token) || held.authorization !== `Bearer ${told.token}`) {
      this.wrong("the lease's id or authorization is not its token's");
    }
    return {
      token: held.token,
      refresh_at: this.since(told.refresh_at_ms),
      ask_at: this.since(told.ask_at_ms),
      serve_until: this.since(told.serve_until_ms),
      expires_at: this.since(told.expires_at_ms),
      expires_at_wall: told.expires_at_wall_ms - WALL_START,
      scopes: told.scopes,
      client_id: told.client_id,
      subject: told.subject,
    };
  }

  failure({ error, retry_at_ms }) {
    return { error: this.error(error), retry_at: this.since(retry_at_ms) };
  }

  error(told) {
    const error = new SvcauthError(told);
    this.checkPlanted(inspect(error, { showHidden: true, depth: 9 }) + JSON.stringify(error) + String(error));
    return told;
  }

  health() {
    const all = {};
    for (const [number, name] of this.targets.entries()) {
      const { ready, asked_for, error, expires_at_wall_ms, retry_at_ms } = this.engine.health(number);
      all[name] = { ready, asked_for, error };
      if (expires_at_wall_ms !== null) {
        all[name].expires_at_wall = expires_at_wall_ms - WALL_START;
      }
      if (retry_at_ms !== null) {
        all[name].retry_at = this.since(retry_at_ms);
      }
    }
    return all;
  }

  // Secrets, and where they must not be.

  changeSecrets(change = {}) {
    for (const [name, secret] of Object.entries(change)) {
      if (typeof secret === "string") {
        this.plant(secret.trimEnd());
        this.secrets.set(name, secret);
      } else {
        this.secrets.delete(name);
      }
    }
  }

  learn(value) {
    const secrets = ["access_token", "refresh_token", "client_secret", "registration_access_token", "user"];
    if (Array.isArray(value)) {
      value.forEach((item) => this.learn(item));
    } else if (isObject(value)) {
      for (const [name, item] of Object.entries(value)) {
        if (secrets.includes(name) && typeof item === "string") {
          this.plant(item);
        } else {
          this.learn(item);
        }
      }
    }
  }

  plant(secret) {
    this.known.set(leaseId(secret), secret);
    if (secret.length >= FEWEST_SECRET) {
      this.planted.push(secret);
    }
  }

  checkPlanted(text) {
    for (const secret of this.planted) {
      if (text.includes(secret)) {
        this.wrong(`the secret ${JSON.stringify(secret)} is told: ${text}`);
      }
    }
  }

  // The durable store, in memory.

  changeStore(change = {}) {
    for (const [key, value] of Object.entries(change.records ?? {})) {
      if (value === null) {
        this.records.delete(key);
      } else {
        this.write(key, JSON.stringify(value));
      }
    }
    for (const [key, until] of Object.entries(change.locks ?? {})) {
      if (until === null) {
        this.locks.delete(key);
      } else {
        this.locks.set(key, { fence: 0, until: MONO_START + until });
      }
    }
    if ("fails" in change) {
      this.fails = change.fails;
    }
  }

  write(key, value) {
    this.records.set(key, { value, version: ++this.version });
  }

  useStore({ task, store, key, number, value }) {
    const done = (kind, count = 0, record = undefined) =>
      this.engine.completeStore(task, kind, count, record, this.now());
    if (typeof this.fails === "string") {
      return this.engine.completeFailed(task, "failed", this.fails, this.now());
    }
    const record = this.records.get(key);
    const lock = this.locks.get(key);
    switch (store) {
      case "get":
        return record === undefined ? done(0) : done(1, record.version, bytesOf(record.value));
      case "put_if":
        if ((record?.version ?? 0) !== number) {
          return done(3);
        }
        this.write(key, value);
        return done(2, this.version);
      case "lock":
        if (lock !== undefined && lock.until > this.mono) {
          return done(5, lock.until - this.mono);
        }
        this.locks.set(key, { fence: ++this.fence, until: this.mono + number });
        return done(4, this.fence);
      default:
        if (lock?.fence === number) {
          this.locks.delete(key);
        }
        return done(6);
    }
  }

  showStore() {
    const records = {};
    for (const [key, { value }] of this.records) {
      records[key] = JSON.parse(value);
    }
    const locks = {};
    for (const [key, { until }] of this.locks) {
      if (until > this.mono) {
        locks[key] = until - MONO_START;
      }
    }
    return { records, locks };
  }

  // What a step expects against what happened.

  check(step, got) {
    const expect = step.expect ?? {};
    for (const member of ["tasks", "leases", "events"]) {
      const unsaid = !(member in expect);
      if (expect[member] === "any" || (member === "events" && unsaid && this.scenario.events === "any")) {
        continue;
      }
      this.compare(member, expect[member] ?? [], got[member]);
    }
    const result = expect.result ?? (step.answer === undefined ? undefined : "accepted");
    if (result !== undefined || got.result !== undefined) {
      this.compare("result", result, got.result);
    }
    for (const member of ["idle_until", "store", "health", "stats"]) {
      if (member in expect) {
        this.compare(member, expect[member], got[member]);
      }
    }
  }

  compare(path, expected, got) {
    if (isObject(expected) && isObject(got)) {
      for (const [name, item] of Object.entries(expected)) {
        if (name !== "as") {
          this.compare(`${path}.${name}`, item, got[name]);
        }
      }
      if (path.endsWith(".form") || path.includes(".json")) {
        for (const name of Object.keys(got).filter((name) => !(name in expected))) {
          this.wrong(`${path}.${name}: not expected`);
        }
      }
      return;
    }
    if (Array.isArray(expected) && Array.isArray(got)) {
      for (let at = 0; at < Math.max(expected.length, got.length); at++) {
        if (at >= got.length) {
          this.wrong(`${path}[${at}]: expected ${JSON.stringify(expected[at])}, got nothing`);
        } else if (at >= expected.length) {
          this.wrong(`${path}[${at}]: not expected, got ${JSON.stringify(got[at])}`);
        } else {
          this.compare(`${path}[${at}]`, expected[at], got[at]);
        }
      }
      return;
    }
    if (typeof expected === "string") {
      if (isObject(got) && got.event === expected) {
        return;
      }
      if (typeof got === "string" && expected.startsWith("~") && got.includes(expected.slice(1))) {
        return;
      }
    }
    // Null also stands for a member that is absent.
    if (expected === got || (expected === null && got === undefined)) {
      return;
    }
    this.wrong(`${path}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
  }
}

function bytesOf(text) {
  return new TextEncoder().encode(text);
}

function leaseId(token) {
  return createHash("sha256").update(token).digest("hex").slice(0, 16);
}
