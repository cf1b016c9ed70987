package svcauth

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openchami/svcauth-go/internal/engine"
)

// The language-neutral scenarios of core/scenarios, whose README describes the format, through poll and complete.

const (
	scenarios     = "../../core/scenarios"
	wallStart     = 1_800_000_000_000
	monoStart     = 1_000_000
	mostOutputs   = 10_000
	fewestSecrets = 8 // characters of a text that must be told nowhere
)

type object = map[string]any

func TestTheClientDoesWhatEachScenarioSays(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(scenarios, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	base := readObject(t, filepath.Join(scenarios, "base.json"))
	read, cases := 0, 0
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		if name == "base" {
			continue
		}
		read++
		file := readObject(t, path)
		whole := overlay(base, file)
		delete(whole, "cases")
		each, _ := file["cases"].([]any)
		if each == nil {
			each = []any{object{}}
		}
		for _, one := range each {
			cases++
			one := one.(object)
			title := name
			if of, ok := one["case"]; ok {
				title += "/" + of.(string)
			}
			t.Run(title, func(t *testing.T) { runScenario(t, overlay(whole, one)) })
		}
	}
	t.Logf("%s: %d files, %d cases", library.Name(), read, cases)
	if read < 81 || cases < 363 {
		t.Errorf("only %d files, %d cases", read, cases)
	}
}

func readObject(t *testing.T, path string) (o object) {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return o
}

func overlay(below, above object) object {
	result := object{}
	for name, value := range below {
		result[name] = value
	}
	for name, value := range above {
		switch name {
		case "let":
			names := object{}
			for _, each := range []any{result[name], value} {
				each, _ := each.(object)
				for name, value := range each {
					names[name] = value
				}
			}
			result[name] = names
		case "config", "capabilities", "secrets", "store":
			result[name] = MergePatch(result[name], value)
		default:
			result[name] = value
		}
	}
	return result
}

// MergePatch is RFC 7396; the lab's tests, in the package svcauth_test, use it too.
func MergePatch(target, patch any) any {
	members, isObject := patch.(object)
	if !isObject {
		return patch
	}
	result := object{}
	if target, ok := target.(object); ok {
		for name, value := range target {
			result[name] = value
		}
	}
	for name, value := range members {
		if value == nil {
			delete(result, name)
		} else {
			result[name] = MergePatch(result[name], value)
		}
	}
	return result
}

// writtenOut puts values in the place of their names.
func writtenOut(value any, names object) any {
	named := func(value any) (any, bool) {
		text, _ := value.(string)
		name, is := strings.CutPrefix(text, "$")
		if !is {
			return nil, false
		}
		found, known := names[name]
		if !known {
			panic("$" + name + " is not in let")
		}
		return writtenOut(found, names), true
	}
	if found, is := named(value); is {
		return found
	}
	switch value := value.(type) {
	case []any:
		list := []any{}
		for _, item := range value {
			if found, is := named(item); is {
				if items, ok := found.([]any); ok {
					list = append(list, items...)
				} else {
					list = append(list, found)
				}
				continue
			}
			list = append(list, writtenOut(item, names))
		}
		return list
	case object:
		result := object{}
		for name, value := range value {
			result[name] = writtenOut(value, names)
		}
		return result
	}
	return value
}

var stepMembers = strings.Fields("note at asleep wall_step secrets store token user reject report target answer task secrets_changed restart mono_step record adopt clock register call expect")

// host is a host in virtual time.
type host struct {
	scenario  object
	client    engine.Client
	targets   []string // by number
	mono      uint64
	wallStep  int64
	idleUntil uint64
	secrets   map[string]string
	records   map[string]record
	locks     map[string]held
	fails     string
	fence     uint64
	version   uint64
	random    byte
	open      []*engine.Output
	names     map[string]uint64
	handedOut []uint64
	announced map[string]*engine.Lease // by their token
	recorded  map[string][]byte
	monoStep  int64
	known     map[string]string // texts by the hash under which events speak of them
	planted   []string
	ignored   uint64
	tasks     []any
	leases    []any
	events    []any
	differ    []string
}

type record struct {
	value   []byte
	version uint64
}

type held struct{ fence, until uint64 }

func runScenario(t *testing.T, o object) {
	names, _ := o["let"].(object)
	scenario := object{}
	for _, member := range []string{"config", "capabilities", "secrets", "store", "by_hand", "events", "refused", "steps"} {
		if value, ok := o[member]; ok {
			scenario[member] = writtenOut(value, names)
		}
	}
	h := &host{
		scenario: scenario, mono: monoStart, idleUntil: engine.Never,
		secrets: map[string]string{}, records: map[string]record{}, locks: map[string]held{},
		names: map[string]uint64{}, known: map[string]string{}, announced: map[string]*engine.Lease{}, recorded: map[string][]byte{},
	}
	err := h.start()
	if expected, ok := scenario["refused"]; ok {
		if err == nil {
			t.Fatal("the client was made, and should be refused")
		}
		h.compare("error", expected, h.failure(err.(*engine.Failure)))
		h.report(t, 0, nil, nil)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { h.client.Free() }()
	h.changeSecrets(scenario["secrets"])
	h.changeStore(scenario["store"])
	steps, _ := scenario["steps"].([]any)
	for number, step := range steps {
		step := step.(object)
		got := h.step(step)
		h.check(step, got)
		if h.report(t, number+1, step, got) {
			return
		}
		expect, _ := step["expect"].(object)
		tasks, _ := expect["tasks"].([]any)
		for i, task := range tasks {
			if name, ok := task.(object)["as"].(string); ok && i < len(h.handedOut) {
				h.names[name] = h.handedOut[i]
			}
		}
	}
}

func (h *host) report(t *testing.T, number int, step, got object) (failed bool) {
	if len(h.differ) == 0 {
		return false
	}
	said, _ := json.Marshal(step)
	all, _ := json.MarshalIndent(got, "  ", " ")
	t.Errorf("step %d %s\n    %s\n  got %s", number, said, strings.Join(h.differ, "\n    "), all)
	return true
}

func (h *host) wrong(format string, arguments ...any) {
	h.differ = append(h.differ, fmt.Sprintf(format, arguments...))
}

func (h *host) now() engine.Now {
	return engine.Now{Mono: h.shown(h.mono), Wall: uint64(int64(wallStart+h.mono-monoStart) + h.wallStep)}
}

// shown is what the monotonic clock of the process shows.
func (h *host) shown(mono uint64) uint64 { return uint64(int64(mono) + h.monoStep) }

// since is a time on that clock, from the scenario's start.
func (h *host) since(mono uint64) float64 {
	return float64(int64(mono) - h.monoStep - monoStart)
}

func (h *host) start() (err error) {
	config, _ := json.Marshal(h.scenario["config"])
	can, _ := h.scenario["capabilities"].(object)
	var capabilities uint32
	for name, bit := range map[string]uint32{
		"secret_files": engine.CanReadSecretFiles, "secret_env": engine.CanReadEnvironment,
		"secret_callback": engine.CanCallForSecrets, "durable_store": engine.HasDurableStore,
		"client_certificate": engine.ShowsClientCertificate,
	} {
		if can[name] != false {
			capabilities |= bit
		}
	}
	if h.client, err = library.New(config, capabilities, 1, h.now()); err != nil {
		return err
	}
	targets, _ := h.scenario["config"].(object)["targets"].(object)
	h.targets = make([]string, len(targets))
	for name := range targets {
		number, err := h.client.Target(name)
		if err != nil {
			return err
		}
		h.targets[number] = name
	}
	h.ignored = 0
	return nil
}

func (h *host) step(step object) object {
	for member := range step {
		if !slices.Contains(stepMembers, member) {
			h.wrong("%s is not known to the format", member)
		}
	}
	h.tasks, h.leases, h.events, h.handedOut = []any{}, []any{}, []any{}, nil
	if at, ok := step["at"].(float64); ok {
		h.advance(monoStart+uint64(at), step["asleep"] == true)
	}
	if by, ok := step["wall_step"].(float64); ok {
		h.wallStep += int64(by)
	}
	h.changeSecrets(step["secrets"])
	h.changeStore(step["store"])
	h.learn(step)
	result := h.act(step)
	h.poll()
	var idle any
	if h.idleUntil != engine.Never {
		idle = float64(h.idleUntil) - monoStart
	}
	return object{
		"result": result, "tasks": h.tasks, "leases": h.leases, "events": h.events, "idle_until": idle,
		"store": h.showStore(), "stats": h.stats(), "health": h.health(),
	}
}

// advance polls at each time on the way that the client asked for; nothing may come of it.
func (h *host) advance(to uint64, asleep bool) {
	for !asleep && h.idleUntil < to && len(h.differ) == 0 {
		h.mono = h.idleUntil
		h.poll()
		if len(h.tasks)+len(h.leases)+len(h.events) > 0 {
			h.wrong("something happened before the step, at %d", h.mono-monoStart)
		}
	}
	h.mono = to
}

func (h *host) act(step object) any {
	text := func(name string) string { s, _ := step[name].(string); return s }
	if target := text("token"); target != "" {
		return h.state(h.token(target, text("user")))
	}
	if token := text("reject"); token != "" {
		target := cmp.Or(text("target"), "smd")
		what, lease, err := h.reject(target, text("user"), leaseID(token), engine.ReplayPossible)
		switch {
		case err != nil:
			return object{"failed": err.Error()}
		case what == engine.RejectionRetry:
			return object{"retry": h.lease(lease)}
		case what == engine.RejectionWait:
			return "wait"
		}
		return "deliver"
	}
	if token := text("report"); token != "" {
		target := cmp.Or(text("target"), "smd")
		what, _, err := h.reject(target, text("user"), leaseID(token), engine.ReplayImpossible)
		// Here a report is about a decision, and the configuration may say that no such call carries a lease.
		const wrongKind = 4
		var f *engine.Failure
		if errors.As(err, &f) && f.Result == wrongKind {
			return nil
		}
		if err != nil || what != engine.RejectionDeliver {
			h.wrong("report: %v, %v", what, err)
		}
		return nil
	}
	if answer, ok := step["answer"].(object); ok {
		return h.answer(step, answer)
	}
	switch {
	case step["register"] == true:
		registered, err := h.client.Register(h.now())
		switch {
		case err != nil:
			return h.state(nil, err)
		case registered:
			return "registered"
		}
		return "pending"
	case step["secrets_changed"] == true:
		_ = h.client.SecretsChanged(h.now())
	case text("record") != "":
		h.recorded[text("record")] = h.announced[text("record")].Record(h.now())
	case text("adopt") != "":
		return h.adopt(cmp.Or(text("target"), "smd"), text("adopt"), text("clock"))
	case step["restart"] == true:
		h.client.Free()
		by, _ := step["mono_step"].(float64)
		h.monoStep += int64(by)
		if err := h.start(); err != nil {
			h.wrong("restart: %v", err)
		}
		h.open = nil
	}
	if made, ok := step["call"].(object); ok {
		return h.call(made)
	}
	return nil
}

func (h *host) adopt(target, token, clock string) any {
	record := h.recorded[token]
	of := map[string]engine.RecordClock{"same": engine.SameClock, "other": engine.OtherClock}[clock]
	adopted, err := h.client.Adopt(uint32(slices.Index(h.targets, target)), record, of, h.now())
	switch {
	case err != nil:
		return object{"failed": err.Error()}
	case adopted:
		return "adopted"
	}
	return "not_adopted"
}

// callFor is a call that carries a user's or the service's own lease for a target, as `token` and `reject` mean it.
func (h *host) callFor(target, user string) *engine.Call {
	config := h.scenario["config"].(object)
	urls := config["targets"].(object)[target].(object)["urls"].([]any)
	made := &engine.Call{URL: urls[0].(string)}
	if user != "" {
		made.Flags, made.UserToken = engine.HasUserToken, user
	}
	return made
}

func (h *host) token(target, user string) (*engine.Lease, error) {
	if user == "" {
		number := slices.Index(h.targets, target)
		return h.client.Token(uint32(number), h.now())
	}
	return h.client.TokenFor(h.callFor(target, user), h.now())
}

func (h *host) reject(target, user string, id uint64, replay engine.Replay) (engine.Rejection, *engine.Lease, error) {
	return h.client.Reject(h.callFor(target, user), id, replay, h.now())
}

func (h *host) state(lease *engine.Lease, err error) any {
	switch {
	case err != nil:
		f := err.(*engine.Failure)
		return object{"failed": object{"error": h.failure(f), "retry_at": h.since(uint64(f.RetryAtMS))}}
	case lease == nil:
		return "pending"
	}
	return object{"ready": h.lease(lease)}
}

func (h *host) call(made object) any {
	text := func(name string) string { s, _ := made[name].(string); return s }
	asked := &engine.Call{URL: text("url"), UserToken: text("user_token"), RedirectedFrom: text("redirected_from")}
	for name, flag := range map[string]uint32{
		"has_authorization": engine.HasAuthorization, "user_required": engine.UserRequired,
	} {
		if made[name] == true {
			asked.Flags |= flag
		}
	}
	for name, flag := range map[string]uint32{"user_token": engine.HasUserToken, "redirected_from": engine.Redirected} {
		if made[name] != nil {
			asked.Flags |= flag
		}
	}
	decision, err := h.client.Decide(asked)
	if err != nil {
		return object{"refused": h.failure(err.(*engine.Failure))}
	}
	shown := object{"carries": map[engine.DecisionKind]string{
		engine.CarriesNothing: "nothing", engine.CarriesUserToken: "user_token", engine.CarriesLease: "lease",
	}[decision.Kind]}
	if decision.HasTarget {
		shown["target"] = h.targets[decision.Target]
	}
	if token, ok := strings.CutPrefix(decision.Authorization, "Bearer "); ok {
		shown["user"] = token
	}
	if decision.Subject != "" {
		shown["user"] = h.known[fmt.Sprintf("%x", decision.Subject[:8])]
	}
	if answer, ok := made["answer"].(object); ok {
		var fields bytes.Buffer
		challenges, _ := answer["www_authenticate"].([]any)
		for _, challenge := range challenges {
			fmt.Fprintf(&fields, "WWW-Authenticate: %s\r\n", challenge)
		}
		replay := engine.ReplayImpossible
		if answer["replayable"] == true {
			replay = engine.ReplayPossible
		}
		what, err := h.client.Answered(asked, &engine.Answer{
			Status: int(answer["status"].(float64)), Fields: fields.Bytes(), Replay: replay,
		})
		if err != nil {
			h.wrong("answered: %v", err)
		}
		shown["answered"] = map[engine.Answered]string{
			engine.Deliver: "deliver", engine.Retry: "retry", engine.Report: "report",
		}[what]
	}
	return shown
}

func (h *host) answer(step, answer object) any {
	id := uint64(999_999)
	if name, ok := step["task"].(string); ok {
		if name != "unknown" {
			id = h.names[name]
		}
	} else {
		for _, task := range h.open {
			if task.Deadline > h.shown(h.mono) {
				id = task.Task
				break
			}
		}
	}
	h.open = slices.DeleteFunc(h.open, func(task *engine.Output) bool { return task.Task == id })
	if err := h.complete(id, answer); err != nil {
		h.wrong("complete: %v", err)
	}
	stats, _ := h.client.Stats()
	before := h.ignored
	h.ignored = stats.OutcomesIgnored
	if h.ignored > before {
		return "ignored"
	}
	return "accepted"
}

func (h *host) complete(id uint64, answer object) error {
	number := func(name string) uint64 { n, _ := answer[name].(float64); return uint64(n) }
	has := func(name string) bool { _, ok := answer[name]; return ok }
	switch {
	case has("bytes"):
		return h.client.CompleteBytes(id, []byte(answer["bytes"].(string)), h.now())
	case has("failed"):
		return h.client.CompleteFailed(id, answer["failed"].(string), h.now())
	case has("unsupported"):
		return h.client.CompleteUnsupported(id, h.now())
	case has("locked"):
		return h.client.CompleteStore(id, engine.StoreLocked, number("locked"), h.now())
	case has("held"):
		left := uint64(engine.Never)
		if answer["held"] != nil {
			left = number("held")
		}
		return h.client.CompleteStore(id, engine.StoreHeld, left, h.now())
	case has("stored"):
		return h.client.CompleteStore(id, engine.StoreStored, number("stored"), h.now())
	case has("conflict"):
		return h.client.CompleteStore(id, engine.StoreConflict, 0, h.now())
	case has("done"):
		return h.client.CompleteStore(id, engine.StoreDone, 0, h.now())
	case has("record"), has("version"):
		var value []byte
		if answer["record"] != nil {
			value, _ = json.Marshal(answer["record"])
		}
		return h.client.CompleteRecord(id, value, number("version"), h.now())
	case has("fails"):
		failure := map[string]engine.SendFailure{
			"refused": engine.SendRefused, "timeout": engine.SendTimeout, "tls": engine.SendTLS,
			"too_large": engine.SendTooLarge, "broken": engine.SendBroken,
		}[answer["fails"].(string)]
		return h.client.CompleteSendFailed(id, failure, "", h.now())
	}
	response := &engine.Answer{Status: 200}
	if has("status") {
		response.Status = int(number("status"))
	}
	var block bytes.Buffer
	headers, _ := answer["headers"].(object)
	for name, value := range headers {
		values, isList := value.([]any)
		if !isList {
			values = []any{value}
		}
		for _, value := range values {
			fmt.Fprintf(&block, "%s: %s\r\n", name, value)
		}
	}
	if body, ok := answer["json"]; ok {
		response.Body, _ = json.Marshal(body)
		if _, given := headers["content-type"]; !given {
			block.WriteString("content-type: application/json\r\n")
		}
	} else if text, ok := answer["text"].(string); ok {
		response.Body = []byte(text)
	}
	response.Fields = block.Bytes()
	return h.client.CompleteResponse(id, response, h.now())
}

func (h *host) poll() {
	for n := 0; n < mostOutputs; {
		var outputs engine.Outputs
		idleUntil, err := h.client.PollAll(h.now(), &outputs)
		if err != nil {
			h.wrong("poll: %v", err)
			return
		}
		if len(outputs.All) == 0 {
			if h.idleUntil = idleUntil; idleUntil != engine.Never {
				h.idleUntil = uint64(int64(idleUntil) - h.monoStep)
			}
			if h.idleUntil <= h.mono {
				h.wrong("idle until %d, which is past", int64(h.idleUntil)-monoStart)
			}
			return
		}
		n += len(outputs.All)
		for n := range outputs.All {
			switch o := &outputs.All[n]; o.Kind {
			case engine.OutputLease:
				h.change(o)
			case engine.OutputEvent:
				h.event(o)
			case engine.OutputCallsChanged:
			default:
				h.task(o)
			}
		}
	}
	h.wrong("more than %d outputs without a pause", mostOutputs)
}

func (h *host) task(o *engine.Output) {
	kind := map[engine.OutputKind]string{
		engine.OutputReadSecret: "read_secret", engine.OutputRandom: "random", engine.OutputStore: "store",
	}[o.Kind]
	byHand, _ := h.scenario["by_hand"].([]any)
	if kind == "" || slices.Contains(byHand, any(kind)) {
		shown := h.show(o)
		shown["deadline"] = h.since(o.Deadline)
		h.tasks, h.handedOut, h.open = append(h.tasks, shown), append(h.handedOut, o.Task), append(h.open, o)
		return
	}
	var err error
	switch o.Kind {
	case engine.OutputReadSecret:
		if secret, ok := h.secrets[place(o)]; ok {
			err = h.client.CompleteBytes(o.Task, []byte(secret), h.now())
		} else {
			err = h.client.CompleteFailed(o.Task, "no such file or directory", h.now())
		}
	case engine.OutputRandom:
		value := make([]byte, o.Random)
		for i := range value {
			value[i] = h.random
			h.random++
		}
		err = h.client.CompleteBytes(o.Task, value, h.now())
	case engine.OutputStore:
		err = h.useStore(o)
	}
	if err != nil {
		h.wrong("complete: %v", err)
	}
}

func place(o *engine.Output) string {
	return map[engine.SecretKind]string{
		engine.SecretFile: "file ", engine.SecretEnvironment: "env ", engine.SecretCallback: "callback ",
	}[o.SecretKind] + o.Secret
}

func (h *host) show(o *engine.Output) object {
	switch o.Kind {
	case engine.OutputReadSecret:
		return object{"read_secret": place(o)}
	case engine.OutputRandom:
		return object{"random": float64(o.Random)}
	case engine.OutputStore:
		switch o.Operation {
		case engine.StoreGet:
			return object{"store": "get", "key": o.Key}
		case engine.StorePut:
			return object{"store": "put_if", "key": o.Key, "version": float64(o.Version), "record": fromJSON(o.Value)}
		case engine.StoreLock:
			return object{"store": "lock", "key": o.Key, "ttl": float64(o.TTL)}
		}
		return object{"store": "unlock", "key": o.Key, "fence": float64(o.Fence)}
	}
	headers := object{}
	for line := range strings.SplitSeq(o.Headers, "\r\n") {
		if name, value, found := strings.Cut(line, ": "); found {
			headers[strings.ToLower(name)] = value
		}
	}
	shown := object{
		"send": o.Method + " " + o.URL, "headers": headers, "timeout": float64(o.Timeout), "max_bytes": float64(o.MaxBytes),
	}
	authorization, _ := headers["authorization"].(string)
	if encoded, ok := strings.CutPrefix(authorization, "Basic "); ok {
		pair, _ := base64.StdEncoding.DecodeString(encoded)
		shown["basic"] = string(pair)
	}
	switch headers["content-type"] {
	case "application/x-www-form-urlencoded":
		form := object{}
		values, _ := url.ParseQuery(string(o.Body))
		for name, values := range values {
			if form[name] = any(values[0]); len(values) > 1 {
				list := []any{}
				for _, value := range values {
					list = append(list, value)
				}
				form[name] = list
			}
		}
		shown["form"] = form
	case "application/json":
		shown["json"] = fromJSON(o.Body)
	default:
		if len(o.Body) > 0 {
			shown["body"] = string(o.Body)
		}
	}
	return shown
}

func fromJSON(text []byte) (value any) {
	_ = json.Unmarshal(text, &value)
	return value
}

func (h *host) change(o *engine.Output) {
	shown := object{"target": h.targets[o.Target]}
	if o.Subject != "" {
		shown["user"] = h.known[fmt.Sprintf("%x", o.Subject[:8])]
	}
	switch o.State {
	case engine.LeaseReady:
		shown["ready"] = h.lease(o.Lease)
		h.announced[o.Lease.Value] = o.Lease
	case engine.LeaseOnce:
		shown["once"] = h.lease(o.Lease)
	case engine.LeaseCleared:
		shown["cleared"] = true
	case engine.LeaseFailed:
		h.checkPlanted(o.Failure.Error())
		shown["failed"] = object{"error": h.failure(o.Failure), "retry_at": h.since(uint64(o.Failure.RetryAtMS))}
	}
	h.leases = append(h.leases, shown)
}

func (h *host) event(o *engine.Output) {
	h.checkPlanted(string(o.Event))
	shown, _ := fromJSON(o.Event).(object)
	for _, member := range []string{"lease", "subject"} {
		if id, ok := shown[member].(string); ok && h.known[id] != "" {
			shown[member] = h.known[id]
		}
	}
	h.events = append(h.events, shown)
}

func (h *host) lease(l *engine.Lease) object {
	public := new(Client).newLease(l)
	h.checkPlanted(fmt.Sprintf("%v %+v %#v %s", public, public, public, public))
	subject, _ := h.client.Subject(l.Value)
	scopes := []any{}
	for _, scope := range l.Scopes {
		scopes = append(scopes, scope)
	}
	optional := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	if l.ID() != leaseID(l.Value) || l.Authorization != "Bearer "+l.Value {
		h.wrong("the lease's id or authorization is not its token's")
	}
	return object{
		"token": l.Value, "refresh_at": h.since(l.RefreshAt), "ask_at": h.since(l.AskAt), "serve_until": h.since(l.ServeUntil),
		"expires_at": h.since(l.ExpiresAt), "expires_at_wall": float64(l.ExpiresAtWall) - wallStart, "scopes": scopes,
		"client_id": optional(l.ClientID), "subject": optional(subject),
	}
}

// failure is the JSON of an error of the core.
func (h *host) failure(f *engine.Failure) object {
	h.checkPlanted(f.Error())
	shown := object{"code": f.Code, "message": f.Message}
	switch f.Result / 100 {
	case 0, 1:
		shown["fault"] = "caller"
	case 2:
		shown["fault"] = "server"
	case 3:
		shown["fault"] = "network"
	default:
		shown["fault"] = "internal"
	}
	for name, text := range map[string]string{"member": f.Member, "challenge": f.Challenge} {
		if text != "" {
			shown[name] = text
		}
	}
	if f.Status != 0 {
		shown["status"] = float64(f.Status)
	}
	if f.Offset >= 0 {
		shown["offset"] = float64(f.Offset)
	}
	if f.RetryAfterMS >= 0 {
		shown["retry_after_ms"] = float64(f.RetryAfterMS)
	}
	if f.OAuthError != "" {
		oauth := object{"error": f.OAuthError}
		if f.OAuthDescription != "" {
			oauth["description"] = f.OAuthDescription
		}
		shown["oauth"] = oauth
	}
	return shown
}

func (h *host) stats() object {
	s, err := h.client.Stats()
	if err != nil {
		h.wrong("stats: %v", err)
	}
	return object{
		"requests": float64(s.Requests), "token_requests": float64(s.TokenRequests), "tokens_received": float64(s.TokensReceived),
		"failures": float64(s.Failures), "rejections": float64(s.Rejections), "tasks_overdue": float64(s.TasksOverdue),
		"outcomes_ignored": float64(s.OutcomesIgnored), "events_dropped": float64(s.EventsDropped),
	}
}

func (h *host) health() object {
	all := object{}
	for number, name := range h.targets {
		text, err := h.client.Health(uint32(number))
		if err != nil {
			h.wrong("health: %v", err)
		}
		health, _ := fromJSON(text).(object)
		shown := object{"ready": health["ready"], "asked_for": health["asked_for"], "error": health["error"]}
		if at, ok := health["expires_at_wall_ms"].(float64); ok {
			shown["expires_at_wall"] = at - wallStart
		}
		if at, ok := health["retry_at_ms"].(float64); ok {
			shown["retry_at"] = h.since(uint64(at))
		}
		all[name] = shown
	}
	return all
}

// Secrets, and where they must not be.

func (h *host) changeSecrets(change any) {
	secrets, _ := change.(object)
	for name, secret := range secrets {
		text, ok := secret.(string)
		if !ok {
			delete(h.secrets, name)
			continue
		}
		h.plant(strings.TrimRight(text, " \t\r\n"))
		h.secrets[name] = text
	}
}

func (h *host) learn(value any) {
	switch value := value.(type) {
	case object:
		for name, value := range value {
			text, isText := value.(string)
			switch name {
			case "access_token", "refresh_token", "client_secret", "registration_access_token", "user":
				if isText {
					h.plant(text)
					continue
				}
			}
			h.learn(value)
		}
	case []any:
		for _, item := range value {
			h.learn(item)
		}
	}
}

func leaseID(token string) (id uint64) {
	digest := sha256.Sum256([]byte(token))
	for _, b := range digest[:8] {
		id = id<<8 | uint64(b)
	}
	return id
}

func (h *host) plant(secret string) {
	h.known[fmt.Sprintf("%016x", leaseID(secret))] = secret
	if len(secret) >= fewestSecrets {
		h.planted = append(h.planted, secret)
	}
}

func (h *host) checkPlanted(text string) {
	for _, secret := range h.planted {
		if strings.Contains(text, secret) {
			h.wrong("the secret %q is told: %s", secret, text)
		}
	}
}

// The durable store, in memory.

func (h *host) changeStore(change any) {
	store, _ := change.(object)
	records, _ := store["records"].(object)
	for key, value := range records {
		if value == nil {
			delete(h.records, key)
			continue
		}
		text, _ := json.Marshal(value)
		h.write(key, text)
	}
	locks, _ := store["locks"].(object)
	for key, until := range locks {
		if until, ok := until.(float64); ok {
			h.locks[key] = held{0, monoStart + uint64(until)}
		} else {
			delete(h.locks, key)
		}
	}
	if fails, ok := store["fails"]; ok {
		h.fails, _ = fails.(string)
	}
}

func (h *host) write(key string, value []byte) {
	h.version++
	h.records[key] = record{append([]byte(nil), value...), h.version}
}

func (h *host) useStore(o *engine.Output) error {
	if h.fails != "" {
		return h.client.CompleteFailed(o.Task, h.fails, h.now())
	}
	switch o.Operation {
	case engine.StoreGet:
		found := h.records[o.Key]
		return h.client.CompleteRecord(o.Task, found.value, found.version, h.now())
	case engine.StorePut:
		if h.records[o.Key].version != o.Version {
			return h.client.CompleteStore(o.Task, engine.StoreConflict, 0, h.now())
		}
		h.write(o.Key, o.Value)
		return h.client.CompleteStore(o.Task, engine.StoreStored, h.version, h.now())
	case engine.StoreLock:
		if lock, ok := h.locks[o.Key]; ok && lock.until > h.mono {
			return h.client.CompleteStore(o.Task, engine.StoreHeld, lock.until-h.mono, h.now())
		}
		h.fence++
		h.locks[o.Key] = held{h.fence, h.mono + o.TTL}
		return h.client.CompleteStore(o.Task, engine.StoreLocked, h.fence, h.now())
	}
	if h.locks[o.Key].fence == o.Fence {
		delete(h.locks, o.Key)
	}
	return h.client.CompleteStore(o.Task, engine.StoreDone, 0, h.now())
}

func (h *host) showStore() object {
	records, locks := object{}, object{}
	for key, record := range h.records {
		records[key] = fromJSON(record.value)
	}
	for key, lock := range h.locks {
		if lock.until > h.mono {
			locks[key] = float64(lock.until) - monoStart
		}
	}
	return object{"records": records, "locks": locks}
}

// What a step expects against what happened.

func (h *host) check(step, got object) {
	expect, _ := step["expect"].(object)
	for _, member := range []string{"tasks", "leases", "events"} {
		expected, said := expect[member]
		switch {
		case expected == "any", member == "events" && !said && h.scenario["events"] == "any":
			continue
		case !said:
			expected = []any{}
		}
		h.compare(member, expected, got[member])
	}
	result, said := expect["result"]
	if _, answers := step["answer"]; answers && !said {
		result, said = "accepted", true
	}
	if said || got["result"] != nil {
		h.compare("result", result, got["result"])
	}
	for _, member := range []string{"idle_until", "store", "health", "stats"} {
		if expected, said := expect[member]; said {
			h.compare(member, expected, got[member])
		}
	}
}

func (h *host) compare(path string, expected, got any) {
	switch expected := expected.(type) {
	case object:
		present, ok := got.(object)
		if !ok {
			break
		}
		for name, expected := range expected {
			if name != "as" {
				h.compare(path+"."+name, expected, present[name])
			}
		}
		if strings.HasSuffix(path, ".form") || strings.Contains(path, ".json") {
			for name := range present {
				if _, ok := expected[name]; !ok {
					h.wrong("%s.%s: not expected", path, name)
				}
			}
		}
		return
	case []any:
		present, ok := got.([]any)
		if !ok {
			break
		}
		for i := range max(len(expected), len(present)) {
			switch {
			case i >= len(present):
				h.wrong("%s[%d]: expected %v, got nothing", path, i, expected[i])
			case i >= len(expected):
				h.wrong("%s[%d]: not expected, got %v", path, i, present[i])
			default:
				h.compare(fmt.Sprintf("%s[%d]", path, i), expected[i], present[i])
			}
		}
		return
	case string:
		if event, ok := got.(object); ok && event["event"] == expected {
			return
		}
		text, ok := got.(string)
		if part, contained := strings.CutPrefix(expected, "~"); ok && (contained && strings.Contains(text, part) || text == expected) {
			return
		}
	default:
		if expected == got {
			return
		}
	}
	h.wrong("%s: expected %v, got %v", path, expected, got)
}
