package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
)

// Lease is an access token. Times but ExpiresAtWall and Lifetime are on the monotonic clock.
type Lease struct {
	Value, Authorization, ClientID                         string
	Scopes                                                 []string
	RefreshAt, AskAt, ServeUntil, ExpiresAt, ExpiresAtWall uint64
	Lifetime                                               uint64 // of a lease that was announced
}

const scheme = "Bearer "

// Authorized sets the token by what stands in the header.
func (l *Lease) Authorized(authorization string) {
	l.Authorization, l.Value = authorization, authorization[min(len(scheme), len(authorization)):]
}

// ID is the number under which the library knows the token.
func (l *Lease) ID() uint64 {
	sum := sha256.Sum256([]byte(l.Value))
	return binary.BigEndian.Uint64(sum[:])
}

// Record notes down a lease that was announced, for Adopt, as svcauth_lease_record does. A secret.
func (l *Lease) Record(now Now) []byte {
	at := max(now.Mono, l.ExpiresAt-min(l.Lifetime, l.ExpiresAt))
	left := func(until uint64) uint64 { return max(until, at) - at }
	var clientID *string
	if l.ClientID != "" {
		clientID = &l.ClientID
	}
	record, _ := json.Marshal(map[string]any{
		"format":              1,
		"access_token":        l.Value,
		"recorded_at_mono_ms": at,
		"recorded_at_wall_ms": now.Wall,
		"refresh_in_ms":       left(l.RefreshAt),
		"serve_for_ms":        left(l.ServeUntil),
		"expires_in_ms":       left(l.ExpiresAt),
		"expires_at_wall_ms":  l.ExpiresAtWall,
		"lifetime_ms":         l.Lifetime,
		"scopes":              append([]string{}, l.Scopes...),
		"client_id":           clientID,
		"subject":             nil,
	})
	return record
}
