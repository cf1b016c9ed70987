// Package engine says what the two ways to the core have in common: everything goes in and comes out as
// plain Go values, and no handle of the library outlives a call.
package engine

import "fmt"

// Now is the time that goes into a call, in milliseconds.
type Now struct {
	Mono uint64 // never goes back, from any fixed point
	Wall uint64 // since 1970
}

// Library is one engine.
type Library interface {
	// Name is wasm or cgo.
	Name() string
	// Versions gives the library's version, and that of its interface.
	Versions() (version string, abi uint32)
	// New makes a client. Nothing is sent or read before a token is asked for.
	New(config []byte, capabilities uint32, seed uint64, now Now) (Client, error)
	// NewExchange makes a single message of its name and its parameters, a JSON object.
	NewExchange(name string, parameters []byte) (Exchange, error)
	// Subject is the sub claim of a token, unverified, where it is a JWT that has one.
	Subject(token string) string
}

// Exchange is a message to be sent, and what reads its answer.
type Exchange interface {
	Request() Request
	// Parse gives what the answer says, as JSON. It may hold secrets.
	Parse(answer *Answer) ([]byte, error)
	// Free wipes and frees. It may be called more than once.
	Free()
}

// Request is to be sent as it is. Headers are lines of `Name: value\r\n`.
type Request struct {
	Method, URL, Headers string
	Body                 []byte
}

// Client is one identity and the targets it calls. Safe for concurrent use, until it is freed.
//
// After each call that takes a time, it is to be polled until there is no output. All errors are of type
// *Failure.
type Client interface {
	Target(name string) (uint32, error)
	// Token gives nil where the token is being got.
	Token(target uint32, now Now) (*Lease, error)
	Decide(call *Call) (Decision, error)
	// TokenFor is Token for a call whose decision is to carry a lease.
	TokenFor(call *Call, now Now) (*Lease, error)
	// Answered says what the answer to a call asks for.
	Answered(call *Call, answer *Answer) (Answered, error)
	// Reject reports the lease that a called service refused.
	Reject(call *Call, lease uint64, replay Replay, now Now) (Rejection, *Lease, error)
	// Adopt takes over the lease of another client of the same configuration, the service's own for a target, as
	// Lease.Record noted it down. It says whether the lease is served.
	Adopt(target uint32, record []byte, clock RecordClock, now Now) (bool, error)
	SecretsChanged(now Now) error
	// Register says whether there are credentials; otherwise the registration is under way.
	Register(now Now) (bool, error)
	// Registration is what the server answered then, as JSON: a secret. It is empty where there was none.
	Registration() ([]byte, error)
	// Settings are what of the configuration the program itself has to heed, as JSON.
	Settings() ([]byte, error)
	// Health is how a target's token is doing, as JSON.
	Health(target uint32) ([]byte, error)
	Stats() (Stats, error)
	// Subject is the sub claim of a token, unverified, where it is a JWT that has one.
	Subject(token string) (string, error)
	// Hear says which events are of interest: those below the level least do not come from now on.
	Hear(least Level) error
	// PollAll adds all outputs there are to those given, and says when to poll again.
	PollAll(now Now, outputs *Outputs) (idleUntil uint64, err error)

	CompleteResponse(task uint64, answer *Answer, now Now) error
	CompleteSendFailed(task uint64, failure SendFailure, detail string, now Now) error
	CompleteBytes(task uint64, value []byte, now Now) error
	CompleteRecord(task uint64, value []byte, version uint64, now Now) error
	CompleteStore(task uint64, outcome StoreOutcome, number uint64, now Now) error
	CompleteFailed(task uint64, detail string, now Now) error
	CompleteUnsupported(task uint64, now Now) error

	// Free wipes and frees. It may be called more than once.
	Free()
}

// The numbers of the C interface.
const (
	ABI = 0

	CanReadSecretFiles     = 1
	CanReadEnvironment     = 2
	CanCallForSecrets      = 4
	HasDurableStore        = 8
	ShowsClientCertificate = 16

	HasAuthorization = 1
	HasUserToken     = 2
	UserRequired     = 4
	Redirected       = 8
)

// ResultPanic is the result of a call in which the library panicked.
const ResultPanic = 6

// Failure is what the library says about a call that failed. It holds no secret.
type Failure struct {
	Result           uint32
	Code             string
	Display          string
	Message          string
	Member           string
	OAuthError       string
	OAuthDescription string
	Challenge        string
	Status           int
	Offset           int64 // -1: none
	RetryAfterMS     int64 // -1: none
	RetryAtMS        int64 // -1: none
}

func (f *Failure) Error() string { return f.Display }

// Panicked says whether the client can only be freed.
func (f *Failure) Panicked() bool { return f.Result == ResultPanic }

// Panic is the failure of a call in which the library panicked at a place.
func Panic(place string) *Failure {
	message := "svcauth panicked; this is a bug, please report it"
	if place != "" {
		message = fmt.Sprintf("svcauth panicked at %s; this is a bug, please report it", place)
	}
	return &Failure{
		Result: ResultPanic, Code: "internal", Display: "internal: " + message, Message: message,
		Offset: -1, RetryAfterMS: -1, RetryAtMS: -1,
	}
}

// Unnamed is the failure of a call that gave a result and no error object.
func Unnamed(result uint32) *Failure {
	message := fmt.Sprintf("the library answered %d", result)
	return &Failure{
		Result: result, Code: "internal", Display: message, Message: message,
		Offset: -1, RetryAfterMS: -1, RetryAtMS: -1,
	}
}

// Call is one outgoing call.
type Call struct {
	URL            string
	Flags          uint32
	UserToken      string
	RedirectedFrom string
}

// DecisionKind is what a call carries.
type DecisionKind uint32

const (
	CarriesNothing   DecisionKind = 1
	CarriesUserToken DecisionKind = 2
	CarriesLease     DecisionKind = 3
)

// Decision is what the library says about one call.
type Decision struct {
	Kind          DecisionKind
	HasTarget     bool
	Target        uint32
	Authorization string // of kind user token
	Subject       string // of kind lease: whose, 32 bytes; empty for the service's own
	Event         []byte // what the log is told about such calls, whatever becomes of them; JSON
}

// Answer is what came back. Fields are lines of `Name: value\r\n`.
type Answer struct {
	Status int
	Fields []byte
	Body   []byte
	Replay Replay
}

type (
	Answered     uint32
	Rejection    uint32
	Replay       uint32
	SendFailure  uint32
	StoreOutcome uint32
	StoreOp      uint32
	SecretKind   uint32
	Level        uint32
	RecordClock  uint32
	LeaseState   uint32
	OutputKind   uint32
)

const (
	Deliver Answered = 1
	Retry   Answered = 2
	Report  Answered = 3

	RejectionRetry   Rejection = 1
	RejectionWait    Rejection = 2
	RejectionDeliver Rejection = 3

	ReplayImpossible Replay = 1
	ReplayPossible   Replay = 2

	SendRefused  SendFailure = 1
	SendTimeout  SendFailure = 2
	SendTLS      SendFailure = 3
	SendTooLarge SendFailure = 4
	SendBroken   SendFailure = 5

	StoreStored   StoreOutcome = 1
	StoreConflict StoreOutcome = 2
	StoreLocked   StoreOutcome = 3
	StoreHeld     StoreOutcome = 4
	StoreDone     StoreOutcome = 5

	StoreGet    StoreOp = 1
	StorePut    StoreOp = 2
	StoreLock   StoreOp = 3
	StoreUnlock StoreOp = 4

	SecretFile        SecretKind = 1
	SecretEnvironment SecretKind = 2
	SecretCallback    SecretKind = 3

	LevelInfo  Level = 1
	LevelWarn  Level = 2
	LevelError Level = 3

	SameClock  RecordClock = 1
	OtherClock RecordClock = 2

	LeaseReady   LeaseState = 1
	LeaseOnce    LeaseState = 2
	LeaseCleared LeaseState = 3
	LeaseFailed  LeaseState = 4

	OutputLease        OutputKind = 1
	OutputEvent        OutputKind = 2
	OutputSend         OutputKind = 3
	OutputReadSecret   OutputKind = 4
	OutputRandom       OutputKind = 5
	OutputStore        OutputKind = 6
	OutputOther        OutputKind = 7
	OutputCallsChanged OutputKind = 8
)

// Never is an idle time: only another call brings something new.
const Never = ^uint64(0)

// Output is something that the client wants of the program. Which members are set follows from the kind.
type Output struct {
	Kind   OutputKind
	object uint64 // the library's, to be read

	Task, Deadline uint64

	Target  uint32
	State   LeaseState
	Subject string
	Lease   *Lease
	Failure *Failure

	Level Level
	Event []byte

	Method, URL       string
	Headers           string // lines of `Name: value\r\n`
	Body              []byte
	Timeout, MaxBytes uint64

	SecretKind SecretKind
	Secret     string

	Random uint64

	Operation StoreOp
	Key       string
	Value     []byte
	Version   uint64
	TTL       uint64
	Fence     uint64
}

// Stats are the library's counters.
type Stats struct {
	Requests, TokenRequests, TokensReceived, Failures, Rejections, TasksOverdue, OutcomesIgnored, EventsDropped uint64
}
