// Package http1 serves HTTP/1.1 to a handler, as net/http does, for a service whose answers are large and whose
// requests are many: one goroutine for each connection and nothing else.
//
// net/http starts a goroutine for every request to learn of a client that leaves, copies the headers of every answer,
// sorts them, and sends a large answer in two system calls. For GETs of 64 KiB that was 14 of the service's 32 µs of
// processor time. Here a handler that waits says so (see [Response.Attend]), headers are written once, and head and body go in
// one call. What is hard to get right is still net/http's: requests are parsed by [http.ReadRequest], bodies framed
// by what it returns.
//
// # Who owns what
//
// A [Server] owns the connections that its listeners accept, from the first byte to the last. A connection belongs
// to one goroutine, which reads a request, calls the handler and sends what it answers; the handler may use request
// and response until it returns, and the memory that it sends until Send returns.
//
// # Invariants
//
//   - An answer is whole, or the connection is cut before its announced end.
//   - What a client can make the server hold is bounded: head, time, connections. A body is held by the handler alone.
//   - The next request is read only if the whole body of the last was, else the connection ends: bytes of a body are
//     never taken for a request.
//   - The body of a request that expects 100-continue is asked for by its first Read, or never.
package http1
