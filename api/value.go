package api

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// MaxMetaLen bounds a meta in bytes: it travels in one header.
const MaxMetaLen = 8 << 10

// Limits on the times that a request may ask for.
const (
	MaxWait         = time.Minute
	MaxClaimTTL     = 10 * time.Minute
	MaxPin          = 10 * time.Minute
	DefaultClaimTTL = 2 * time.Second // longer than nearly every encode takes
)

// errSyntax is wrapped into an *Error by whoever knows what the value was.
var errSyntax = errors.New("the value cannot be parsed")

// detail returns the safe text of an error of this package.
func detail(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Detail
	}
	return err.Error()
}

// parseDecimal reads digits without sign, spaces or leading zeros, so that one number has one spelling.
func parseDecimal(s string, limit uint64) (uint64, error) {
	if s == "" || len(s) > 1 && s[0] == '0' || strings.Trim(s, "0123456789") != "" {
		return 0, errSyntax
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > limit {
		return 0, errSyntax
	}
	return n, nil
}

// MaxEpoch is the largest epoch: the largest number that every JSON reader keeps exactly (RFC 8259,
// section 6).
const MaxEpoch = 1<<53 - 1

// ParseEpoch parses an epoch.
func ParseEpoch(s string) (uint64, error) { return parseDecimal(s, MaxEpoch) }

// FormatEpoch is the inverse of ParseEpoch.
func FormatEpoch(epoch uint64) string { return strconv.FormatUint(epoch, 10) }

// ParseSize parses a number of bytes.
func ParseSize(s string) (int64, error) {
	n, err := parseDecimal(s, math.MaxInt64)
	return int64(n), err
}

// parsePositive parses the size of something that is not empty.
func parsePositive(s string) (int64, error) {
	n, err := ParseSize(s)
	if n == 0 {
		err = errSyntax
	}
	return n, err
}

// ParseShape parses dimensions such as "1196,3584"; the empty string is the shape of a scalar. Whether
// the dimensions make sense is TensorSize's business.
func ParseShape(s string) ([]int64, error) {
	shape := []int64{}
	if s == "" {
		return shape, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		if len(shape) == maxRank {
			return nil, errSyntax
		}
		dim, err := ParseSize(part)
		if err != nil {
			return nil, err
		}
		shape = append(shape, dim)
	}
	return shape, nil
}

// FormatShape is the inverse of ParseShape.
func FormatShape(shape []int64) string {
	var b []byte
	for i, dim := range shape {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, dim, 10)
	}
	return string(b)
}

// parseDType accepts the dtypes that ElementSize knows.
func parseDType(s string) (string, error) {
	if ElementSize(s) == 0 {
		return "", errSyntax
	}
	return s, nil
}

// ParseSeconds parses seconds such as "0.085": digits, then perhaps a point and one to nine digits.
func ParseSeconds(s string) (time.Duration, error) {
	const maxSeconds = math.MaxInt64/int64(time.Second) - 1 // any fraction fits on top
	whole, fraction, point := strings.Cut(s, ".")
	seconds, err := parseDecimal(whole, uint64(maxSeconds))
	if err != nil {
		return 0, err
	}
	var nanos uint64
	if point {
		if fraction == "" || len(fraction) > 9 || strings.Trim(fraction, "0123456789") != "" {
			return 0, errSyntax
		}
		nanos, err = strconv.ParseUint(fraction+strings.Repeat("0", 9-len(fraction)), 10, 64)
		if err != nil {
			return 0, errSyntax
		}
	}
	return time.Duration(seconds)*time.Second + time.Duration(nanos), nil
}

// FormatSeconds is the inverse of ParseSeconds, for durations that are not negative.
func FormatSeconds(d time.Duration) string {
	s := strconv.FormatInt(int64(d/time.Second), 10)
	nanos := int64(d % time.Second)
	if nanos == 0 {
		return s
	}
	fraction := strconv.FormatInt(int64(time.Second)+nanos, 10)[1:] // nine digits
	return s + "." + strings.TrimRight(fraction, "0")
}

// ParseWait parses the query parameter wait_ms, at most MaxWait.
func ParseWait(s string) (time.Duration, error) {
	ms, err := parseDecimal(s, uint64(MaxWait/time.Millisecond))
	if err != nil {
		return 0, errorf(InvalidQuery, "wait_ms must be a whole number from 0 to %d", MaxWait/time.Millisecond)
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// A Durability says what the answer to a PUT promises.
type Durability string

const (
	DurabilityMemory Durability = "memory" // it is readable
	DurabilityDisk   Durability = "disk"   // it also survives the end of the process, however it ends
)

// ParseDurability parses a durability.
func ParseDurability(s string) (Durability, error) {
	switch d := Durability(s); d {
	case DurabilityMemory, DurabilityDisk:
		return d, nil
	}
	return "", errSyntax
}

// A Stored says what a PUT did.
type Stored string

const (
	StoredCreated  Stored = "created"
	StoredExisting Stored = "existing" // equal bytes were there; or, answered before the body was sent, the same dtype and shape
)

// ParseStored parses the Keepsight-Stored header.
func ParseStored(s string) (Stored, error) {
	switch v := Stored(s); v {
	case StoredCreated, StoredExisting:
		return v, nil
	}
	return "", errSyntax
}

// ParseMeta parses a meta: printable ASCII that is JSON, at most 8 KiB, without surrounding spaces, which
// HTTP would remove.
func ParseMeta(s string) (json.RawMessage, error) {
	ascii := func(c byte) bool { return 0x20 <= c && c <= 0x7e }
	if !within(s, MaxMetaLen, ascii) || s[0] == ' ' || s[len(s)-1] == ' ' {
		return nil, errorf(InvalidHeader, "a meta is 1 to %d bytes of ASCII without control characters", MaxMetaLen)
	}
	meta := json.RawMessage(s)
	if !json.Valid(meta) {
		return nil, errorf(InvalidHeader, "the meta is not JSON")
	}
	return meta, nil
}

func parseToken(s string) (string, error) {
	if !ValidToken(s) {
		return "", errSyntax
	}
	return s, nil
}
