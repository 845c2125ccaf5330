// Package tiers keeps embeddings findable by name across a hierarchy of tiers: it defines what an
// embedding is, what a tier promises, and the Store that joins a host tier and the tiers below it.
//
// # Who owns what
//
// An [Embedding] is immutable and reference counted; whoever holds a reference may read its bytes, and
// the last Release returns its extent to the arena. References live inside this process and cannot be
// lost. Claims and pins belong to clients, who can die, so each of them expires.
//
// A tier owns what it stores and nothing else: it never calls another tier. The Store alone moves
// embeddings between tiers, so the order of steps that concern one id is written in one place (order.go).
//
// # Invariants
//
//   - A get returns the bytes and metadata of one successful put of that name, or a miss.
//   - The first writer of a name wins until the name is deleted, evicted everywhere or expired.
//   - An embedding is visible when it is complete and not before.
//   - Every error that leaves this package wraps one of the sentinels of errors.go.
package tiers
