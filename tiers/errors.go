package tiers

import "errors"

// The sentinels below are the whole vocabulary of failure: the server turns them into HTTP, clients of
// the package compare with errors.Is.
var (
	// ErrNotFound is a miss, whatever its reason. A miss is always a legal answer.
	ErrNotFound = errors.New("not found")
	// ErrNoRoom means that no host memory could be freed in time.
	ErrNoRoom = errors.New("no room in host memory")
	// ErrTooLarge means that the embedding can never fit.
	ErrTooLarge = errors.New("embedding too large")
	// ErrOverLimit means that a tenant used up its own share; others are not affected.
	ErrOverLimit = errors.New("tenant over its limit")
	// ErrExistsDifferent means that other bytes of the same dtype and shape are stored under the name.
	// Encoders are often not bit-deterministic, so clients take it as done.
	ErrExistsDifferent = errors.New("other bytes exist under this name")
	// ErrExistsIncompatible means that another dtype or shape is stored under the name.
	ErrExistsIncompatible = errors.New("another dtype or shape exists under this name")
	// ErrStaleEpoch means that the namespace has moved to a newer epoch.
	ErrStaleEpoch = errors.New("stale epoch")
	// ErrNotDurable means that the disk tier could not make the embedding or the epoch durable.
	ErrNotDurable = errors.New("not durable")
	// ErrUnavailable means that a tier refuses work for now: it is degraded, read-only or off.
	ErrUnavailable = errors.New("tier unavailable")
	// ErrNoClaim means that the claim has ended or never existed.
	ErrNoClaim = errors.New("no such claim")
	// ErrNoPin means that the pin has ended or never existed.
	ErrNoPin = errors.New("no such pin")
	// ErrInvalid means that a name, a meta or a length breaks the rules written at its type.
	ErrInvalid = errors.New("invalid")
	// ErrClosed means that the store or tier is closed or closing.
	ErrClosed = errors.New("closed")
)
