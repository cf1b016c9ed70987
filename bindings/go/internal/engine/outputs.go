package engine

import "encoding/binary"

// Outputs are all that a client wants of the program at one time.
type Outputs struct {
	All []Output
	// Texts that come again and again.
	url, clientID string
}

// Reset forgets them.
func (out *Outputs) Reset() {
	clear(out.All)
	out.All = out.All[:0]
}

// Read appends what svcauth_client_poll_all wrote. Objects are read, and freed, by the functions given; the block
// may be gone by then.
func (out *Outputs) Read(block []byte, failure func(uint64) *Failure, other func(OutputKind, uint64) Output) {
	first := len(out.All)
	for b := (reader{block}); len(b.rest) > 0; {
		o := Output{Kind: OutputKind(b.number())}
		switch o.Kind {
		case OutputLease:
			o.Target, o.State, o.Subject = uint32(b.number()), LeaseState(b.number()), string(b.text())
			switch o.State {
			case LeaseReady, LeaseOnce:
				o.Lease = b.lease(&out.clientID)
			case LeaseFailed:
				o.object = b.number()
			}
		case OutputEvent:
			o.Level, o.Event = Level(b.number()), b.bytes()
		case OutputSend:
			o.Task, o.Deadline, o.Timeout, o.MaxBytes = b.number(), b.number(), b.number(), b.number()
			o.Method, o.URL, o.Headers, o.Body = method(b.text()), again(&out.url, b.text()), string(b.text()), b.bytes()
		case OutputCallsChanged:
		default:
			o.object = b.number()
		}
		out.All = append(out.All, o)
	}
	for n := first; n < len(out.All); n++ {
		switch o := &out.All[n]; {
		case o.object == 0:
		case o.Kind == OutputLease:
			o.Failure = failure(o.object)
		default:
			*o = other(o.Kind, o.object)
		}
	}
}

// reader reads numbers and texts one after the other. What the library wrote is whole.
type reader struct{ rest []byte }

func (r *reader) number() uint64 {
	number := binary.LittleEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return number
}

// text is a part of the block, and not a copy.
func (r *reader) text() []byte {
	size := r.number()
	text := r.rest[:size]
	r.rest = r.rest[size:]
	return text
}

func (r *reader) bytes() []byte { return append([]byte(nil), r.text()...) }

func (r *reader) lease(clientID *string) *Lease {
	l := &Lease{
		RefreshAt: r.number(), AskAt: r.number(), ServeUntil: r.number(), ExpiresAt: r.number(),
		ExpiresAtWall: r.number(), Lifetime: r.number(),
	}
	l.Authorized(string(r.text()))
	l.ClientID = again(clientID, r.text())
	if scopes := r.number(); scopes > 0 {
		l.Scopes = make([]string, scopes)
		for n := range l.Scopes {
			l.Scopes[n] = string(r.text())
		}
	}
	return l
}

// again is the text, and no copy where it is the last one.
func again(last *string, text []byte) string {
	if string(text) != *last {
		*last = string(text)
	}
	return *last
}

// method is a string without a copy for the two that are usual.
func method(name []byte) string {
	switch string(name) {
	case "POST":
		return "POST"
	case "GET":
		return "GET"
	}
	return string(name)
}
