// Package client talks to a keepsight service over HTTP, on TCP or on a unix socket.
//
// # Who owns what
//
// A Client owns its connections and may be used by any number of goroutines. Buffers belong to the caller:
// a GET is read straight into the caller's buffer, and a PUT reads the caller's bytes until it returns and
// never after. Every call ends when its context does, and none has a deadline of its own: an engine gives
// each call one, and takes whatever error comes back as a miss.
//
// # Transport
//
// It speaks HTTP/1.1 itself, because net/http hands each exchange to two more goroutines: a lookup of 64 keys
// takes three quarters of the time without them (measured). An exchange has a connection of its own and runs on its
// caller's goroutine. Header fields, chunks and TLS are parsed by the standard library. Redirects, proxies and
// compression do not exist: an embedding comes from the service that was named, as it was stored.
//
// # Invariants
//
//   - Bytes are returned as an embedding only if their length, dtype and shape agree and their xxh3-128 is
//     the one that the service states; a part of an embedding is only checked for its length.
//   - Whatever a server sends, a call returns: it does not panic, and allocates no more than a stated bound
//     beside the caller's buffers.
//   - A response is that of the request before it on its connection: a connection is used again only after a
//     request that was sent whole and a response that was read whole, if nothing came behind it.
//   - Nothing that a caller passes ends a header or begins one.
//   - What the service refused is an [*Error]; errors.Is compares it with the sentinels of this package.
//   - No error text holds a key or a token.
package client
