// Package server answers the HTTP API of keepsight on TCP and a unix socket, and wires the tiers together.
//
// # Who owns what
//
// A [Server] owns its listeners, the store, the tiers below it and the arena, and closes all of them. Each
// request is one [call], which one goroutine owns from the first byte to the last; an embedding that a call
// holds is released when the call ends.
//
// # Invariants
//
//   - Nothing but /livez and /readyz is answered before the caller is known (access.go), and a route that is
//     missing in the table of rights is denied.
//   - Every error becomes a problem+json in one function (errors.go) and never carries internal text.
//   - A body is received only into memory that was reserved before, and a peer that stalls loses its
//     connection and gives that memory back (pace.go).
//   - Resident memory follows from the budget (budget.go), not from what clients do.
package server
