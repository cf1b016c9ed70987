package svcauth

// Stats are counters since the client was opened.
type Stats struct {
	// Requests of all kinds to the authorization server, and token requests among them.
	Requests, TokenRequests uint64
	// TokensReceived, and Failures to get one.
	TokensReceived, Failures uint64
	// Rejections by called services that were acted on.
	Rejections uint64
	// Asked is how often a caller found no token at hand and the core was asked; Waited how often one had to wait.
	Asked, Waited uint64
	// EventsDropped because nobody fetched them.
	EventsDropped uint64
}

// Stats gives the counters.
func (c *Client) Stats() Stats {
	core, err := c.core.Load().Stats()
	if err != nil {
		return Stats{Asked: c.asked.Load(), Waited: c.waited.Load()}
	}
	return Stats{
		Requests:       core.Requests,
		TokenRequests:  core.TokenRequests,
		TokensReceived: core.TokensReceived,
		Failures:       core.Failures,
		Rejections:     core.Rejections,
		Asked:          c.asked.Load(),
		Waited:         c.waited.Load(),
		EventsDropped:  core.EventsDropped,
	}
}
