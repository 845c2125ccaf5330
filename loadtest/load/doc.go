// Package load makes the traffic of inference engines against a server, checks every byte that comes back, and
// says how long everything took.
//
// # Who owns what
//
// A [Target] is a server that somebody else runs. [Run] opens the connections that its [Traffic] asks for, one for
// each client, and closes them before it returns. One goroutine drives one [Conn], and counts in a tally of its own
// until the end.
//
// # Invariants
//
//   - All servers get the same bytes from the same code: a connection writes a request with one vectored write and
//     reads a value straight into a buffer that was touched before, whatever the protocol.
//   - A value is a function of (seed, key), so every byte can be checked without being kept: see [Payloads].
//   - With a rate, latency counts from when a request was due, not from when a client was free to send it: a server
//     that stalls is charged for everybody who had to wait.
//   - A run ends: it is bounded in time, which closes its connections under a server that hangs, and each operation
//     by a deadline. It aims at loopback only unless told otherwise, and its buffers are bounded by [MaxBuffers].
//   - Connections are opened before the clock starts, and what the end of a run cuts off is no error.
package load
