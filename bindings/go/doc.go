// Package svcauth calls other services with the right OAuth 2.0 token: it gets the token, keeps it fresh, and
// makes a call once more where the service refuses it.
//
// A program opens one [Client] as its configuration says. [Client.HTTPClient] adds the right token to each call;
// a [Target] gives the token itself, for other HTTP stacks. [PassUser] and [RequireUser] tie outbound calls to the
// user of an inbound request.
//
// All types here are safe for concurrent use. What happens goes to log/slog. No secret is ever part of an event,
// an error, or what the fmt package prints.
package svcauth
