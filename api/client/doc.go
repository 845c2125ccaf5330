// Package client talks to a keepsight service over HTTP, on TCP or on a unix socket.
//
// # Who owns what
//
// A Client owns its connections and may be used by any number of goroutines. Buffers belong to the caller:
// a GET is read straight into the caller's buffer, and a PUT reads the caller's bytes until it returns and
// never after. Every call ends when its context does, and none has a deadline of its own: an engine gives
// each call one, and takes whatever error comes back as a miss.
//
// # Invariants
//
//   - Bytes are returned as an embedding only if their length, dtype and shape agree and their xxh3-128 is
//     the one that the service states; a part of an embedding is only checked for its length.
//   - Whatever a server sends, a call returns: it does not panic, and allocates no more than a stated bound
//     beside the caller's buffers.
//   - What the service refused is an [*Error]; errors.Is compares it with the sentinels of this package.
//   - No error text holds a key or a token.
package client
