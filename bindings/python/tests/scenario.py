"""A host in virtual time for the language-neutral scenarios of core/scenarios, whose README describes the format."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable
from urllib.parse import parse_qs

from svcauth import Error, _native
from svcauth._core import IDLE, WRONG_KIND, Core, Decision, Now, Output
from svcauth._lease import Lease

SCENARIOS = Path(__file__).parents[3] / "core" / "scenarios"
WALL_START = 1_800_000_000_000
MONO_START = 1_000_000
MOST_OUTPUTS = 10_000
FEWEST_OF_A_SECRET = 8  # characters of a text that must be told nowhere

Object = dict[str, Any]

MEMBERS = ("config", "capabilities", "secrets", "store", "by_hand", "events", "refused", "steps")
STEP_MEMBERS = set(
    "note at asleep wall_step secrets store token user reject report target answer task secrets_changed restart "
    "mono_step record adopt clock register call expect".split()
)
SECRET_MEMBERS = ("access_token", "refresh_token", "client_secret", "registration_access_token", "user")
CAPABILITIES = {
    "secret_files": _native.CAPABILITY_SECRET_FILES,
    "secret_env": _native.CAPABILITY_SECRET_ENVIRONMENT,
    "secret_callback": _native.CAPABILITY_SECRET_CALLBACK,
    "durable_store": _native.CAPABILITY_DURABLE_STORE,
    "client_certificate": _native.CAPABILITY_CLIENT_CERTIFICATE,
}
FAULTS = {0: "caller", 1: "caller", 2: "server", 3: "network"}
SEND_FAILURES = {
    "refused": _native.SEND_FAILURE_REFUSED,
    "timeout": _native.SEND_FAILURE_TIMEOUT,
    "tls": _native.SEND_FAILURE_TLS,
    "too_large": _native.SEND_FAILURE_TOO_LARGE,
    "broken": _native.SEND_FAILURE_BROKEN,
}
BY_HAND = {
    _native.OUTPUT_KIND_READ_SECRET: "read_secret",
    _native.OUTPUT_KIND_RANDOM: "random",
    _native.OUTPUT_KIND_STORE: "store",
}
PLACES = {
    _native.SECRET_KIND_FILE: "file ",
    _native.SECRET_KIND_ENVIRONMENT: "env ",
    _native.SECRET_KIND_CALLBACK: "callback ",
}
CARRIES = {
    _native.DECISION_KIND_NOTHING: "nothing",
    _native.DECISION_KIND_USER_TOKEN: "user_token",
    _native.DECISION_KIND_LEASE: "lease",
}
ANSWERED = {
    _native.ANSWERED_DELIVER: "deliver",
    _native.ANSWERED_RETRY: "retry",
    _native.ANSWERED_REPORT: "report",
}


def files() -> list[str]:
    return sorted(path.stem for path in SCENARIOS.glob("*.json") if path.stem != "base")


def cases() -> Iterator[tuple[str, Object]]:
    """Each scenario by its name, laid over what stands below it."""
    base = json.loads((SCENARIOS / "base.json").read_bytes())
    for name in files():
        file = json.loads((SCENARIOS / f"{name}.json").read_bytes())
        whole = _overlay(base, file)
        whole.pop("cases", None)
        for case in file.get("cases", [{}]):
            title = f"{name}/{case['case']}" if "case" in case else name
            yield title, _overlay(whole, case)


def run(scenario: Object) -> None:
    """Fails with the step, each member that differs, and all that came out."""
    names = scenario.get("let", {})
    scenario = {name: _written_out(scenario[name], names) for name in MEMBERS if name in scenario}
    host = Host(scenario)
    try:
        host.start()
    except Error as error:
        if "refused" not in scenario:
            raise
        host.compare("error", scenario["refused"], host.error(error))
        host.report(0, {}, {})
        return
    assert "refused" not in scenario, "the client was made, and should be refused"
    host.change_secrets(scenario.get("secrets") or {})
    host.change_store(scenario.get("store") or {})
    for number, step in enumerate(scenario.get("steps", []), 1):
        got = host.step(step)
        host.check(step, got)
        host.report(number, step, got)
        host.note(step)
    host.core.free()


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def _overlay(below: Object, above: Object) -> Object:
    result = dict(below)
    for name, value in above.items():
        if name == "let":
            result[name] = {**result.get(name, {}), **value}
        elif name in ("config", "capabilities", "secrets", "store"):
            result[name] = merge_patch(result.get(name), value)
        else:
            result[name] = value
    return result


def _written_out(value: Any, names: Object) -> Any:
    """Puts values in the place of their names."""
    if isinstance(value, str) and value.startswith("$"):
        return _written_out(names[value[1:]], names)
    if isinstance(value, list):
        result: list[Any] = []
        for item in value:
            written = _written_out(item, names)
            if isinstance(item, str) and item.startswith("$") and isinstance(written, list):
                result += written
            else:
                result.append(written)
        return result
    if isinstance(value, dict):
        return {name: _written_out(member, names) for name, member in value.items()}
    return value


def _id(token: str) -> int:
    return int.from_bytes(hashlib.sha256(token.encode()).digest()[:8], "big")


@dataclass
class Host:
    scenario: Object
    mono: int = MONO_START
    wall_step: int = 0
    mono_step: int = 0
    idle_until: int | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    records: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    locks: dict[str, tuple[int, int]] = field(default_factory=dict)
    fails: str | None = None
    fence: int = 0
    version: int = 0
    random: int = 0
    open: list[Output] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    announced: dict[str, Object] = field(default_factory=dict)
    recorded: dict[str, bytes] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    planted: list[str] = field(default_factory=list)
    ignored: int = 0
    differ: list[str] = field(default_factory=list)

    def start(self) -> None:
        config = self.scenario["config"]
        can = self.scenario.get("capabilities") or {}
        capabilities = sum(bit for name, bit in CAPABILITIES.items() if can.get(name) is not False)
        self.core = Core(json.dumps(config).encode(), capabilities, 1, self.now())
        by_number = {self.core.target(name): name for name in config.get("targets", {})}
        self.targets = [by_number[number] for number in range(len(by_number))]
        self.ignored = 0

    # Time.

    def now(self) -> Now:
        return Now(self.shown(self.mono), WALL_START + self.mono - MONO_START + self.wall_step)

    def shown(self, mono: int) -> int:
        """What the monotonic clock of the process shows."""
        return mono + self.mono_step

    def since(self, mono: int) -> int:
        """A time on that clock, from the scenario's start."""
        return mono - self.mono_step - MONO_START

    def advance(self, to: int, asleep: bool) -> None:
        """Polls at each time on the way that the client asked for; nothing may come of it."""
        while not asleep and self.idle_until is not None and self.idle_until < to and not self.differ:
            self.mono = self.idle_until
            self.poll()
            if self.tasks or self.leases or self.events:
                self.wrong(f"something happened before the step, at {self.mono - MONO_START}")
        self.mono = to

    # Steps.

    def step(self, step: Object) -> Object:
        for member in step.keys() - STEP_MEMBERS:
            self.wrong(f"{member} is not known to the format")
        self.tasks: list[Object] = []
        self.leases: list[Object] = []
        self.events: list[Object] = []
        self.handed_out: list[int] = []
        if "at" in step:
            self.advance(MONO_START + step["at"], step.get("asleep") is True)
        self.wall_step += step.get("wall_step", 0)
        self.change_secrets(step.get("secrets") or {})
        self.change_store(step.get("store") or {})
        self.learn(step)
        result = self.act(step)
        self.poll()
        return {
            "result": result,
            "tasks": self.tasks,
            "leases": self.leases,
            "events": self.events,
            "idle_until": None if self.idle_until is None else self.idle_until - MONO_START,
            "store": self.show_store(),
            "stats": self.stats(),
            "health": self.health(),
        }

    def note(self, step: Object) -> None:
        expected = step.get("expect", {}).get("tasks", [])
        for task, id in zip(expected if isinstance(expected, list) else [], self.handed_out):
            if isinstance(task, dict) and "as" in task:
                self.names[task["as"]] = id

    def act(self, step: Object) -> Any:
        target = step.get("target", "smd")
        user = step.get("user")
        if "token" in step:
            return self.state(lambda: self.token(step["token"], user))
        if "reject" in step:
            return self.rejected(lambda: self.reject(target, user, step["reject"], _native.REPLAY_POSSIBLE))
        if "report" in step:
            return self.reported(target, user, step["report"])
        if "answer" in step:
            return self.answer(step.get("task"), step["answer"])
        if step.get("register"):
            return self.registered()
        if step.get("secrets_changed"):
            self.core.secrets_changed(self.now())
        if "record" in step:
            self.record(step["record"])
        if "adopt" in step:
            return self.adopt(target, step["adopt"], step["clock"])
        if step.get("restart"):
            self.core.free()
            self.mono_step += step.get("mono_step", 0)
            self.open = []
            self.start()
        if "call" in step:
            return self.call(step["call"])
        return None

    def call_for(self, target: str, user: str | None) -> Decision:
        """A call that carries a user's or the service's own lease for a target."""
        url = self.scenario["config"]["targets"][target]["urls"][0]
        flags = _native.CALL_HAS_USER_TOKEN if user else 0
        return Decision(self.core.decide(url.encode(), flags, (user or "").encode()))

    def token(self, target: str, user: str | None) -> Lease | None:
        if user:
            decision = self.call_for(target, user)
            return self.core.token_for(decision.handle, self.now())
        return self.core.token(self.targets.index(target), self.now())

    def reject(self, target: str, user: str | None, token: str, replay: int) -> tuple[int, Lease | None]:
        decision = self.call_for(target, user)
        return self.core.reject(decision.handle, _id(token), replay, self.now())

    def rejected(self, reject: Callable[[], tuple[int, Lease | None]]) -> Any:
        try:
            what, lease = reject()
        except Error as error:
            return {"failed": str(error)}
        if what == _native.REJECTION_RETRY:
            assert lease is not None
            return {"retry": self.lease(lease)}
        return "wait" if what == _native.REJECTION_WAIT else "deliver"

    def reported(self, target: str, user: str | None, token: str) -> None:
        try:
            what, _ = self.reject(target, user, token, _native.REPLAY_IMPOSSIBLE)
        except Error as error:
            # Here a report is about a decision, and the configuration may say that no such call carries a lease.
            if error.result != WRONG_KIND:
                self.wrong(f"report: {error}")
        else:
            if what != _native.REJECTION_DELIVER:
                self.wrong(f"report: {what}")

    def registered(self) -> Any:
        try:
            return "registered" if self.core.register(self.now()) else "pending"
        except Error as error:
            return self.failed(error)

    def record(self, token: str) -> None:
        """Notes down now the lease that was noted down when it was announced: for how long it is good still."""
        record, now = dict(self.announced[token]), self.now()
        for name in ("refresh_in_ms", "serve_for_ms", "expires_in_ms"):
            record[name] = max(record[name] - (now.mono - record["recorded_at_mono_ms"]), 0)
        record["recorded_at_mono_ms"], record["recorded_at_wall_ms"] = now
        self.recorded[token] = json.dumps(record).encode()

    def adopt(self, target: str, token: str, clock: str) -> str:
        of = {"same": _native.RECORD_CLOCK_SAME, "other": _native.RECORD_CLOCK_OTHER}[clock]
        adopted = self.core.adopt(self.targets.index(target), self.recorded[token], of, self.now())
        return "adopted" if adopted else "not_adopted"

    def state(self, ask: Callable[[], Lease | None]) -> Any:
        try:
            lease = ask()
        except Error as error:
            return self.failed(error)
        return "pending" if lease is None else {"ready": self.lease(lease)}

    def call(self, made: Object) -> Object:
        flags = 0
        if made.get("has_authorization"):
            flags |= _native.CALL_HAS_AUTHORIZATION
        if made.get("user_required"):
            flags |= _native.CALL_USER_REQUIRED
        if made.get("user_token") is not None:
            flags |= _native.CALL_HAS_USER_TOKEN
        if made.get("redirected_from") is not None:
            flags |= _native.CALL_REDIRECTED
        texts = [(made.get(name) or "").encode() for name in ("user_token", "redirected_from")]
        try:
            decision = Decision(self.core.decide(made["url"].encode(), flags, *texts))
        except Error as error:
            return {"refused": self.error(error)}
        shown: Object = {"carries": CARRIES[decision.kind]}
        if decision.target is not None:
            shown["target"] = self.targets[decision.target]
        if decision.authorization:
            shown["user"] = decision.authorization[len("Bearer ") :]
        if decision.subject:
            shown["user"] = self.known[decision.subject[:8].hex()]
        if "answer" in made:
            answer = made["answer"]
            fields = "".join(f"WWW-Authenticate: {each}\r\n" for each in answer.get("www_authenticate", []))
            replay = _native.REPLAY_POSSIBLE if answer.get("replayable") else _native.REPLAY_IMPOSSIBLE
            what = self.core.answered(decision.handle, answer["status"], fields.encode(), replay)
            shown["answered"] = ANSWERED[what]
        return shown

    def answer(self, task: str | None, answer: Object) -> str:
        id = 999_999
        if task is None:
            id = next((each.task for each in self.open if each.deadline > self.shown(self.mono)), id)
        elif task != "unknown":
            id = self.names[task]
        self.open = [each for each in self.open if each.task != id]
        self.complete(id, answer)
        before, self.ignored = self.ignored, self.core.stats().outcomes_ignored
        return "ignored" if self.ignored > before else "accepted"

    def complete(self, id: int, answer: Object) -> None:
        core, now = self.core, self.now()
        if "bytes" in answer:
            core.complete_bytes(id, answer["bytes"].encode(), now)
        elif "failed" in answer:
            core.complete_failed(id, answer["failed"], now)
        elif "unsupported" in answer:
            core.complete_unsupported(id, now)
        elif "locked" in answer:
            core.complete_store(id, _native.STORE_OUTCOME_LOCKED, answer["locked"], now)
        elif "held" in answer:
            left = _native.NEVER if answer["held"] is None else answer["held"]
            core.complete_store(id, _native.STORE_OUTCOME_HELD, left, now)
        elif "stored" in answer:
            core.complete_store(id, _native.STORE_OUTCOME_STORED, answer["stored"], now)
        elif "conflict" in answer:
            core.complete_store(id, _native.STORE_OUTCOME_CONFLICT, 0, now)
        elif "done" in answer:
            core.complete_store(id, _native.STORE_OUTCOME_DONE, 0, now)
        elif "record" in answer or "version" in answer:
            record = answer.get("record")
            value = b"" if record is None else json.dumps(record).encode()
            core.complete_record(id, value, answer.get("version", 0), now)
        elif "fails" in answer:
            core.complete_send_failed(id, SEND_FAILURES[answer["fails"]], "", now)
        else:
            self.respond(id, answer)

    def respond(self, id: int, answer: Object) -> None:
        headers = answer.get("headers", {})
        lines = []
        for name, values in headers.items():
            lines += [f"{name}: {value}\r\n" for value in (values if isinstance(values, list) else [values])]
        body = answer.get("text", "")
        if "json" in answer:
            body = json.dumps(answer["json"])
            if "content-type" not in headers:
                lines.append("content-type: application/json\r\n")
        fields = "".join(lines).encode()
        self.core.complete_response(id, answer.get("status", 200), fields, body.encode(), self.now())

    # What the client wants.

    def poll(self) -> None:
        for _ in range(MOST_OUTPUTS):
            output = self.core.poll(self.now())
            if output.kind == IDLE:
                self.idle_until = None if output.idle_until == _native.NEVER else output.idle_until - self.mono_step
                if self.idle_until is not None and self.idle_until <= self.mono:
                    self.wrong(f"idle until {self.idle_until - MONO_START}, which is past")
                return
            if output.kind == _native.OUTPUT_KIND_LEASE:
                self.change(output)
            elif output.kind == _native.OUTPUT_KIND_EVENT:
                self.event(output)
            elif output.kind != _native.OUTPUT_KIND_CALLS_CHANGED:
                self.task(output)
        self.wrong(f"more than {MOST_OUTPUTS} outputs without a pause")

    def task(self, output: Output) -> None:
        kind = BY_HAND.get(output.kind)
        if kind is None or kind in self.scenario.get("by_hand", []):
            self.tasks.append({**self.show(output), "deadline": self.since(output.deadline)})
            self.handed_out.append(output.task)
            self.open.append(output)
        elif kind == "read_secret":
            secret = self.secrets.get(PLACES[output.secret_kind] + output.secret)
            if secret is None:
                self.core.complete_failed(output.task, "no such file or directory", self.now())
            else:
                self.core.complete_bytes(output.task, secret.encode(), self.now())
        elif kind == "random":
            value = bytes((self.random + each) % 256 for each in range(output.random))
            self.random += output.random
            self.core.complete_bytes(output.task, value, self.now())
        else:
            self.use_store(output)

    def show(self, output: Output) -> Object:
        if output.kind == _native.OUTPUT_KIND_READ_SECRET:
            return {"read_secret": PLACES[output.secret_kind] + output.secret}
        if output.kind == _native.OUTPUT_KIND_RANDOM:
            return {"random": output.random}
        if output.kind == _native.OUTPUT_KIND_STORE:
            return self.show_operation(output)
        headers = {name.lower(): value for name, value in output.headers}
        shown: Object = {
            "send": f"{output.method} {output.url}",
            "headers": headers,
            "timeout": output.timeout,
            "max_bytes": output.most,
        }
        scheme, _, pair = headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            shown["basic"] = base64.b64decode(pair).decode()
        kind = headers.get("content-type")
        if kind == "application/x-www-form-urlencoded":
            values = parse_qs(output.body.decode(), keep_blank_values=True, strict_parsing=bool(output.body))
            shown["form"] = {name: all[0] if len(all) == 1 else all for name, all in values.items()}
        elif kind == "application/json":
            shown["json"] = json.loads(output.body)
        elif output.body:
            shown["body"] = output.body.decode()
        return shown

    def show_operation(self, output: Output) -> Object:
        if output.operation == _native.STORE_OPERATION_GET:
            return {"store": "get", "key": output.key}
        if output.operation == _native.STORE_OPERATION_PUT:
            record = json.loads(output.value)
            return {"store": "put_if", "key": output.key, "version": output.version, "record": record}
        if output.operation == _native.STORE_OPERATION_LOCK:
            return {"store": "lock", "key": output.key, "ttl": output.ttl}
        return {"store": "unlock", "key": output.key, "fence": output.fence}

    def change(self, output: Output) -> None:
        shown: Object = {"target": self.targets[output.target]}
        if output.subject:
            shown["user"] = self.known[output.subject[:8].hex()]
        if output.state == _native.LEASE_STATE_READY:
            assert output.lease is not None
            shown["ready"] = self.lease(output.lease)
            if output.record:
                self.announced[output.lease.token] = json.loads(output.record)
        elif output.state == _native.LEASE_STATE_ONCE:
            assert output.lease is not None
            shown["once"] = self.lease(output.lease)
        elif output.state == _native.LEASE_STATE_CLEARED:
            shown["cleared"] = True
        else:
            assert output.failure is not None
            shown.update(self.failed(output.failure))
        self.leases.append(shown)

    def event(self, output: Output) -> None:
        self.search(output.event.decode())
        shown = json.loads(output.event)
        for member in ("lease", "subject"):
            shown[member] = self.known.get(shown.get(member), shown.get(member))
        self.events.append(shown)

    def lease(self, lease: Lease) -> Object:
        self.search(f"{lease} {lease!r}")
        info = lease._info
        if info.id != _id(lease.token) or lease.authorization != "Bearer " + lease.token:
            self.wrong("the lease's id or authorization is not its token's")
        return {
            "token": str(lease.token),
            "refresh_at": self.since(info.refresh_at_ms),
            "ask_at": self.since(info.ask_at_ms),
            "serve_until": self.since(info.serve_until_ms),
            "expires_at": self.since(info.expires_at_ms),
            "expires_at_wall": info.expires_at_wall_ms - WALL_START,
            "scopes": list(lease.scopes),
            "client_id": lease.client_id,
            "subject": lease.subject,
        }

    def failed(self, error: Error) -> Object:
        at = error._retry_at_ms
        return {"failed": {"error": self.error(error), "retry_at": None if at is None else self.since(at)}}

    def error(self, error: Error) -> Object:
        """The JSON of an error of the core."""
        self.search(f"{error} {error!r}")
        shown: Object = {
            "code": error.code,
            "message": error.message,
            "fault": FAULTS.get(error.result // 100, "internal"),
            "member": error.member,
            "challenge": error.challenge,
            "status": error.status,
            "offset": error.offset,
        }
        if error.retry_after is not None:
            shown["retry_after_ms"] = round(error.retry_after * 1000)
        if error.oauth_error:
            shown["oauth"] = {"error": error.oauth_error, "description": error.description}
        return {name: value for name, value in shown.items() if value is not None}

    def stats(self) -> Object:
        stats = self.core.stats()
        return {name: getattr(stats, name) for name, _ in stats._fields_}

    def health(self) -> Object:
        all: Object = {}
        for number, name in enumerate(self.targets):
            health = json.loads(self.core.health(number))
            shown = {"ready": health["ready"], "asked_for": health["asked_for"], "error": health["error"]}
            if health["expires_at_wall_ms"] is not None:
                shown["expires_at_wall"] = health["expires_at_wall_ms"] - WALL_START
            if health["retry_at_ms"] is not None:
                shown["retry_at"] = self.since(health["retry_at_ms"])
            all[name] = shown
        return all

    # Secrets, and where they must not be.

    def change_secrets(self, change: Object) -> None:
        for name, secret in change.items():
            if secret is None:
                self.secrets.pop(name, None)
            else:
                self.plant(secret.rstrip(" \t\r\n"))
                self.secrets[name] = secret

    def learn(self, value: Any) -> None:
        if isinstance(value, dict):
            for name, member in value.items():
                if name in SECRET_MEMBERS and isinstance(member, str):
                    self.plant(member)
                else:
                    self.learn(member)
        elif isinstance(value, list):
            for item in value:
                self.learn(item)

    def plant(self, secret: str) -> None:
        self.known[f"{_id(secret):016x}"] = secret
        if len(secret) >= FEWEST_OF_A_SECRET:
            self.planted.append(secret)

    def search(self, text: str) -> None:
        for secret in self.planted:
            if secret in text:
                self.wrong(f"the secret {secret!r} is told: {text}")

    # The durable store, in memory.

    def change_store(self, change: Object) -> None:
        for key, value in (change.get("records") or {}).items():
            if value is None:
                self.records.pop(key, None)
            else:
                self.write(key, json.dumps(value).encode())
        for key, until in (change.get("locks") or {}).items():
            if until is None:
                self.locks.pop(key, None)
            else:
                self.locks[key] = (0, MONO_START + until)
        if "fails" in change:
            self.fails = change["fails"]

    def write(self, key: str, value: bytes) -> None:
        self.version += 1
        self.records[key] = (value, self.version)

    def use_store(self, output: Output) -> None:
        core, task, now = self.core, output.task, self.now()
        value, version = self.records.get(output.key, (b"", 0))
        fence, until = self.locks.get(output.key, (0, 0))
        if self.fails is not None:
            core.complete_failed(task, self.fails, now)
        elif output.operation == _native.STORE_OPERATION_GET:
            core.complete_record(task, value, version, now)
        elif output.operation == _native.STORE_OPERATION_PUT:
            if version == output.version:
                self.write(output.key, output.value)
                core.complete_store(task, _native.STORE_OUTCOME_STORED, self.version, now)
            else:
                core.complete_store(task, _native.STORE_OUTCOME_CONFLICT, 0, now)
        elif output.operation == _native.STORE_OPERATION_LOCK:
            if until > self.mono:
                core.complete_store(task, _native.STORE_OUTCOME_HELD, until - self.mono, now)
            else:
                self.fence += 1
                self.locks[output.key] = (self.fence, self.mono + output.ttl)
                core.complete_store(task, _native.STORE_OUTCOME_LOCKED, self.fence, now)
        else:
            if fence == output.fence:
                self.locks.pop(output.key, None)
            core.complete_store(task, _native.STORE_OUTCOME_DONE, 0, now)

    def show_store(self) -> Object:
        return {
            "records": {key: json.loads(value) for key, (value, _) in self.records.items()},
            "locks": {key: until - MONO_START for key, (_, until) in self.locks.items() if until > self.mono},
        }

    # What a step expects against what happened.

    def check(self, step: Object, got: Object) -> None:
        expect = step.get("expect", {})
        for member in ("tasks", "leases", "events"):
            expected = expect.get(member, [])
            if member == "events" and member not in expect:
                expected = self.scenario.get("events", [])
            if expected != "any":
                self.compare(member, expected, got[member])
        result = expect.get("result", "accepted" if "answer" in step else None)
        self.compare("result", result, got["result"])
        for member in ("idle_until", "store", "health", "stats"):
            if member in expect:
                self.compare(member, expect[member], got[member])

    def compare(self, path: str, expected: Any, got: Any) -> None:
        if isinstance(expected, dict) and isinstance(got, dict):
            for name in expected.keys() - {"as"}:
                self.compare(f"{path}.{name}", expected[name], got.get(name))
            if path.endswith(".form") or ".json" in path:
                for name in got.keys() - expected.keys():
                    self.wrong(f"{path}.{name}: not expected")
        elif isinstance(expected, list) and isinstance(got, list):
            for index in range(max(len(expected), len(got))):
                if index >= len(got):
                    self.wrong(f"{path}[{index}]: expected {expected[index]}, got nothing")
                elif index >= len(expected):
                    self.wrong(f"{path}[{index}]: not expected, got {got[index]}")
                else:
                    self.compare(f"{path}[{index}]", expected[index], got[index])
        elif isinstance(expected, str) and isinstance(got, dict) and got.get("event") == expected:
            pass
        elif isinstance(expected, str) and isinstance(got, str) and expected.startswith("~") and expected[1:] in got:
            pass
        elif isinstance(expected, bool) is not isinstance(got, bool) or expected != got:
            self.wrong(f"{path}: expected {expected!r}, got {got!r}")

    def wrong(self, what: str) -> None:
        self.differ.append(what)

    def report(self, number: int, step: Object, got: Object) -> None:
        if self.differ:
            differ = "\n    ".join(self.differ)
            came = json.dumps(got, indent=1, default=str)
            raise AssertionError(f"step {number} {json.dumps(step)}\n    {differ}\n  got {came}")
