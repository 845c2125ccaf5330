// Package http1 serves HTTP/1.1 to a handler, as net/http does, for a service whose answers are large and whose
// requests are many: one goroutine for each connection and nothing else.
//
// net/http starts a goroutine for every request to learn of a client that leaves, copies the headers of every answer,
// sorts them, and sends a large answer in two system calls. For GETs of 64 KiB that was 14 of the service's 32 µs of
// processor time. Here a handler that waits says so (see [Response.Attend]), headers are written once, and head and
// body go in one call. What is hard to get right is still net/http's: requests are parsed by [http.ReadRequest],
// bodies framed by what it returns.
//
// # Who owns what
//
// A [Server] owns the connections that its listeners accept, from the first byte to the last. A connection belongs
// to one goroutine, which reads a request, calls the handler and sends what it answers; the handler may use request
// and response until it returns, and the memory that it sends until Send returns.
//
// # Invariants
//
//   - An answer is whole, or the connection is cut before its announced end. A client of HTTP/1.0 that was told no
//     length cannot tell.
//   - What a client can make the server hold is bounded: head, time, connections. A body is held by the handler alone.
//   - The next request is read only if the whole body of the last was, else the connection ends: bytes of a body are
//     never taken for a request.
//   - The body of a request that expects 100-continue is asked for by its first Read, and before the answer, or never.
//
// # Where net/http does otherwise
//
// It refuses more: a target with a host, a Host header without one, anything but 100-continue in Expect, an empty line
// before a request, HTTP/2. It ends a connection after a request that others may see end elsewhere: one with chunks and
// a Content-Length, or one of HTTP/1.0 with chunks.
//
// It leaves more to handlers: they set Content-Type and Content-Length, write one status, of 200 or more, and call
// [Response.Attend] to hear of a client that leaves: the context of a request ends with the server only. Connection
// (but for close), Transfer-Encoding and Date are not theirs. There are no trailers, no Hijack and no Request.TLS.
package http1
