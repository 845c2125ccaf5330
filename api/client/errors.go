package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/keepsight/keepsight/api"
)

// A refusal is a sentinel that the errors of one code match.
type refusal api.Code

func (r refusal) Error() string { return "keepsight: " + api.Code(r).Title() }

// Sentinels for errors.Is. For codes without one, use errors.As with *Error.
const (
	// ErrNotFound matches every miss: not_found and contract_mismatch.
	ErrNotFound = refusal(api.NotFound)
	// ErrUnavailable matches everything that may succeed later: the service has no memory to spare, is
	// stopping, or the tenant is over its limits. Error.RetryAfter says when.
	ErrUnavailable = refusal(api.Unavailable)

	ErrExistsDifferent    = refusal(api.ExistsDifferent)    // take it as done
	ErrAlreadyExists      = refusal(api.AlreadyExists)      // take it as done
	ErrExistsIncompatible = refusal(api.ExistsIncompatible) // somebody should look: two encoders share a key
	ErrContractMismatch   = refusal(api.ContractMismatch)
	ErrStaleEpoch         = refusal(api.StaleEpoch)
	ErrEpochLower         = refusal(api.EpochLower)
	ErrNoSuchClaim        = refusal(api.NoSuchClaim)
	ErrNoSuchPin          = refusal(api.NoSuchPin)
	ErrUnauthenticated    = refusal(api.Unauthenticated)
	ErrForbidden          = refusal(api.Forbidden)
	ErrTooLarge           = refusal(api.TooLarge)
)

var (
	// ErrProtocol means that the answer does not keep the contract: another program listens there, or
	// something on the way damaged it.
	ErrProtocol = errors.New("keepsight: the answer does not keep the contract")
	// ErrCorrupt means that bytes came whole and do not have the checksum that came with them.
	ErrCorrupt = errors.New("keepsight: checksum mismatch")
	// ErrShortBuffer means that the caller's buffer is too small; see ShortBufferError.
	ErrShortBuffer = errors.New("keepsight: buffer too small")
)

// A ShortBufferError says how large the buffer must be. It matches ErrShortBuffer.
type ShortBufferError struct {
	Need int64 // bytes
	Have int64 // bytes
}

func (e *ShortBufferError) Error() string {
	return fmt.Sprintf("%s: the embedding has %d bytes, the buffer %d", ErrShortBuffer, e.Need, e.Have)
}

// Is makes errors.Is(err, ErrShortBuffer) true.
func (e *ShortBufferError) Is(target error) bool { return target == ErrShortBuffer }

// An Error is what the service refused.
type Error struct {
	Status     int      // HTTP status
	Code       api.Code // empty if the answer is not one of keepsight's
	Detail     string   // the service's own words, may be empty
	RequestID  string   // finds the request in the service's log
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("keepsight: status %d without a code: is this keepsight?", e.Status)
	}
	s := fmt.Sprintf("keepsight: %s (%s)", e.Code.Title(), e.Code)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.RequestID != "" {
		s += " [request " + e.RequestID + "]"
	}
	return s
}

// Is compares with the sentinels of this package.
func (e *Error) Is(target error) bool {
	switch r, ok := target.(refusal); {
	case !ok || e.Code == "":
		return false
	case r == ErrNotFound:
		return e.Code.Outcome() == api.Miss
	case r == ErrUnavailable:
		return e.Code.Outcome() == api.Retry
	default:
		return e.Code == api.Code(r)
	}
}

const (
	maxProblem    = 16 << 10
	maxDetail     = 512
	maxRetryAfter = time.Hour
)

// readError makes an Error of a response, of which it believes nothing that it has not checked.
func readError(resp *response) error {
	e := &Error{Status: resp.status}
	code := api.Code(resp.header.Get(api.HeaderError))
	if code.Known() && code.Status() == resp.status {
		e.Code = code
	}
	if id := resp.header.Get(api.HeaderRequestID); api.ValidRequestID(id) {
		e.RequestID = id
	}
	if seconds, err := strconv.ParseUint(resp.header.Get("Retry-After"), 10, 16); err == nil {
		e.RetryAfter = min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	var problem api.Problem
	if json.NewDecoder(io.LimitReader(resp, maxProblem)).Decode(&problem) == nil && len(problem.Detail) <= maxDetail {
		e.Detail = printableASCII(problem.Detail)
	}
	return e
}

// printableASCII replaces what could forge a line of a log or drive a terminal.
func printableASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrProtocol, fmt.Errorf(format, args...))
}
