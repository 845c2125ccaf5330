package api

import (
	"fmt"
	"net/http"
	"slices"
)

// A Code names one way for a call to fail. Codes are stable: programs compare them, people read the title.
type Code string

const (
	InvalidNamespace Code = "invalid_namespace" // the namespace does not match [a-z0-9][a-z0-9._-]{0,127}
	InvalidKey       Code = "invalid_key"       // the key is not 1 to 512 bytes of UTF-8 without control characters
	InvalidHeader    Code = "invalid_header"    // a header's value cannot be parsed, or headers contradict each other
	InvalidQuery     Code = "invalid_query"     // a query parameter cannot be parsed
	InvalidJSON      Code = "invalid_json"      // the body is not the JSON that the call asks for
	TruncatedBody    Code = "truncated_body"    // the body ended before its Content-Length; nothing was stored

	Unauthenticated Code = "unauthenticated" // no bearer token, or an unknown one
	Forbidden       Code = "forbidden"       // the token does not reach this namespace or verb, whatever is stored there

	NotFound         Code = "not_found"         // a miss
	ContractMismatch Code = "contract_mismatch" // another size, dtype or shape is stored than the request expects: a miss
	NoSuchClaim      Code = "no_such_claim"     // the claim has ended or never existed
	NoSuchPin        Code = "no_such_pin"       // the pin has ended or never existed
	NoSuchRoute      Code = "no_such_route"     // the path names no call
	MethodNotAllowed Code = "method_not_allowed"

	BodyTooSlow Code = "body_too_slow" // the body came in below the minimum rate

	ExistsDifferent    Code = "exists_different"    // equal dtype and shape with other bytes are stored: encoders are not bit-deterministic
	ExistsIncompatible Code = "exists_incompatible" // another dtype or shape is stored: two encoders share a key
	StaleEpoch         Code = "stale_epoch"         // the namespace moved on while the embedding was made
	EpochLower         Code = "epoch_lower"         // epochs only grow

	LengthRequired       Code = "length_required"        // a body needs a Content-Length
	AlreadyExists        Code = "already_exists"         // If-None-Match: * and the key is taken
	TooLarge             Code = "too_large"              // the body is larger than the service or this call accepts
	UnsupportedEncoding  Code = "unsupported_encoding"   // a Content-Encoding other than identity
	UnsupportedMediaType Code = "unsupported_media_type" // a Content-Type that the call does not take
	RangeNotSatisfiable  Code = "range_not_satisfiable"
	MisdirectedRequest   Code = "misdirected_request" // the Host header is not one of ours

	InvalidTensor  Code = "invalid_tensor"  // dtype, shape and length disagree, or the safetensors header is not valid
	DigestMismatch Code = "digest_mismatch" // the body does not have the Repr-Digest that was sent

	TenantOverLimit Code = "tenant_over_limit" // the tenant used up its own share
	Internal        Code = "internal"          // a fault of ours; its request id finds it in the log
	NoMemory        Code = "no_memory"         // no host memory could be freed in time
	NotDurable      Code = "not_durable"       // the disk tier could not make it durable
	Draining        Code = "draining"          // the service is stopping
	Unavailable     Code = "unavailable"       // a part that the call needs is degraded or still loading
)

// An Outcome says what a client does about a code.
type Outcome string

const (
	// Miss means that the embedding is not to be had: encode it.
	Miss Outcome = "miss"
	// Done means that the service holds an embedding under the key already: nothing is left to do.
	Done Outcome = "done"
	// Retry means that the same call may succeed later; Retry-After says when. An engine does not wait for
	// that: it takes a read as a miss and drops a write.
	Retry Outcome = "retry"
	// Fail means that repeating the call changes nothing: the request or the configuration is wrong, or
	// what it is about has ended.
	Fail Outcome = "fail"
)

type codeRow struct {
	code    Code
	status  int
	outcome Outcome
	title   string
}

// codeTable is the one place that joins codes, HTTP statuses, outcomes and titles.
var codeTable = [...]codeRow{
	{InvalidNamespace, http.StatusBadRequest, Fail, "The namespace is not valid"},
	{InvalidKey, http.StatusBadRequest, Fail, "The key is not valid"},
	{InvalidHeader, http.StatusBadRequest, Fail, "A header is not valid"},
	{InvalidQuery, http.StatusBadRequest, Fail, "A query parameter is not valid"},
	{InvalidJSON, http.StatusBadRequest, Fail, "The JSON body is not valid"},
	{TruncatedBody, http.StatusBadRequest, Retry, "The body ended early"},
	{Unauthenticated, http.StatusUnauthorized, Fail, "A valid bearer token is required"},
	{Forbidden, http.StatusForbidden, Fail, "The token does not allow this"},
	{NotFound, http.StatusNotFound, Miss, "No such embedding"},
	{ContractMismatch, http.StatusNotFound, Miss, "The stored embedding is not the expected one"},
	{NoSuchClaim, http.StatusNotFound, Fail, "No such claim"},
	{NoSuchPin, http.StatusNotFound, Fail, "No such pin"},
	{NoSuchRoute, http.StatusNotFound, Fail, "No such path"},
	{MethodNotAllowed, http.StatusMethodNotAllowed, Fail, "The method is not allowed here"},
	{BodyTooSlow, http.StatusRequestTimeout, Retry, "The body came too slowly"},
	{ExistsDifferent, http.StatusConflict, Done, "Other bytes are stored under this key"},
	{ExistsIncompatible, http.StatusConflict, Fail, "Another dtype or shape is stored under this key"},
	{StaleEpoch, http.StatusConflict, Fail, "The namespace has a newer epoch"},
	{EpochLower, http.StatusConflict, Fail, "The namespace already has a higher epoch"},
	{LengthRequired, http.StatusLengthRequired, Fail, "A Content-Length is required"},
	{AlreadyExists, http.StatusPreconditionFailed, Done, "The key is already stored"},
	{TooLarge, http.StatusRequestEntityTooLarge, Fail, "The body is too large"},
	{UnsupportedEncoding, http.StatusUnsupportedMediaType, Fail, "The content encoding is not supported"},
	{UnsupportedMediaType, http.StatusUnsupportedMediaType, Fail, "The content type is not supported"},
	{RangeNotSatisfiable, http.StatusRequestedRangeNotSatisfiable, Fail, "The range lies outside the embedding"},
	{MisdirectedRequest, http.StatusMisdirectedRequest, Fail, "The Host header names another service"},
	{InvalidTensor, http.StatusUnprocessableEntity, Fail, "Dtype, shape and length do not agree"},
	{DigestMismatch, http.StatusUnprocessableEntity, Retry, "The body does not match its digest"},
	{TenantOverLimit, http.StatusTooManyRequests, Retry, "The tenant is over its limits"},
	{Internal, http.StatusInternalServerError, Fail, "Internal error"},
	{NoMemory, http.StatusServiceUnavailable, Retry, "No memory is free"},
	{NotDurable, http.StatusServiceUnavailable, Retry, "It could not be made durable"},
	{Draining, http.StatusServiceUnavailable, Retry, "The service is stopping"},
	{Unavailable, http.StatusServiceUnavailable, Retry, "The service is not available"},
}

// index returns the code's place in the table, -1 for a code that only another version of the service knows.
func (c Code) index() int {
	return slices.IndexFunc(codeTable[:], func(r codeRow) bool { return r.code == c })
}

// row returns the code's row; one that is not in the table reads as Internal.
func (c Code) row() codeRow {
	if i := c.index(); i >= 0 {
		return codeTable[i]
	}
	return codeTable[Internal.index()]
}

// Known reports whether the code is one of this package.
func (c Code) Known() bool { return c.index() >= 0 }

// Codes returns every code.
func Codes() []Code {
	codes := make([]Code, len(codeTable))
	for i, r := range codeTable {
		codes[i] = r.code
	}
	return codes
}

// Status returns the HTTP status that the code is sent with.
func (c Code) Status() int { return c.row().status }

// Title returns the code in words.
func (c Code) Title() string { return c.row().title }

// Outcome returns what a client does about the code.
func (c Code) Outcome() Outcome { return c.row().outcome }

// An Error is what is wrong with a request, as this package's parsers report it.
type Error struct {
	Code   Code
	Detail string // safe to send and to log: it never repeats the request
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Code.Title()
	}
	return e.Code.Title() + ": " + e.Detail
}

func errorf(code Code, format string, args ...any) error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// A Problem is the body of every error response (RFC 9457).
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      Code   `json:"code"`
	RequestID string `json:"request_id"`
	Detail    string `json:"detail,omitempty"` // text written by the service, never that of an internal error
}

// NewProblem fills in what the code says. detail may be empty.
func NewProblem(code Code, requestID, detail string) Problem {
	return Problem{
		Type:      "urn:keepsight:" + string(code),
		Title:     code.Title(),
		Status:    code.Status(),
		Code:      code,
		RequestID: requestID,
		Detail:    detail,
	}
}
