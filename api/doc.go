// Package api is the HTTP contract of keepsight in Go: paths, headers, error codes, JSON bodies, the fetch
// stream, event streams, safetensors headers and the OpenAPI document, shared by the server and its clients.
//
// # Who owns what
//
// Each kind of value has one parser and one formatter, and both sides use them. The server owns the
// decision what a request means; this package only says whether it is well formed. Everything here is a
// value: nothing holds a connection, a clock or a lock, and the package imports the standard library only.
//
// # Invariants
//
//   - Parsing what was formatted returns the same value.
//   - What a request says wrong is an [*Error] with a [Code] and a text written here: it never repeats the
//     request, so it can be sent back and logged.
//   - Requests are decoded strictly and responses tolerantly: a typing error in a request is refused, and a
//     newer server may say more than an older client understands.
//   - No parser allocates more than a small multiple of what it was given, and each has a stated bound.
package api

import _ "embed"

// OpenAPI is the OpenAPI 3.1 document of the service, as it is served at /openapi.yaml. Do not modify it.
//
//go:embed openapi.yaml
var OpenAPI []byte
