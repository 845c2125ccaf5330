package tiers

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"unicode/utf8"
)

// Limits on the fields of a name, in bytes.
const (
	MaxNamespaceLen = 128
	MaxKeyLen       = 512
)

// A Scope is what an epoch of a namespace of a tenant contains: raising the epoch makes a new, empty scope.
type Scope struct {
	Tenant    string
	Namespace string
	Epoch     uint64
}

// A Name is what an embedding is called: everything that determines its content, and who owns it.
type Name struct {
	Scope
	Key string
}

// An ID is the SHA-256 of a name's length-framed fields: identity everywhere below the HTTP API.
// It is never truncated, because 64-bit and 16-bit keys have served users the wrong image
// (sglang#32404, LMCache#3301).
type ID [sha256.Size]byte

// String returns the first eight hex digits, enough to follow one id through a debug log.
func (id ID) String() string { return hex.EncodeToString(id[:4]) }

// ID hashes the fields, each framed by its length so that no two names share an encoding.
func (n Name) ID() ID {
	var stack [1024]byte // the longest valid name fits, so the hash costs no allocation
	return sha256.Sum256(appendFramed(n.Scope.appendTo(stack[:0]), n.Key))
}

// appendIDs appends the ids of many keys of the scope, whose own fields are framed once for all of them.
func (s Scope) appendIDs(ids []ID, keys []string) []ID {
	framed := s.appendTo(make([]byte, 0, 1024))
	for _, key := range keys {
		ids = append(ids, sha256.Sum256(appendFramed(framed, key)))
	}
	return ids
}

func (s Scope) appendTo(b []byte) []byte {
	b = appendFramed(b, s.Tenant)
	b = appendFramed(b, s.Namespace)
	return binary.LittleEndian.AppendUint64(b, s.Epoch)
}

func appendFramed(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// Validate reports what is wrong with the name, wrapping ErrInvalid.
func (n Name) Validate() error {
	if err := ValidateNamespace(n.Namespace); err != nil {
		return err
	}
	return ValidateKey(n.Key)
}

// ValidateNamespace accepts [a-z0-9][a-z0-9._-]{0,127}.
func ValidateNamespace(ns string) error {
	if ns == "" || len(ns) > MaxNamespaceLen {
		return fmt.Errorf("%w: namespace has %d bytes, allowed are 1 to %d", ErrInvalid, len(ns), MaxNamespaceLen)
	}
	for i := range len(ns) {
		c := ns[i]
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return fmt.Errorf("%w: namespace must match [a-z0-9][a-z0-9._-]*", ErrInvalid)
		}
	}
	return nil
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i]-' ' > '~'-' ' {
			return false
		}
	}
	return true
}

// ValidateKey accepts 1 to 512 bytes of UTF-8 without control characters.
func ValidateKey(key string) error {
	if key == "" || len(key) > MaxKeyLen {
		return fmt.Errorf("%w: key has %d bytes, allowed are 1 to %d", ErrInvalid, len(key), MaxKeyLen)
	}
	if printableASCII(key) { // nearly every key is, and a lookup checks 256 of them
		return nil
	}
	if !utf8.ValidString(key) {
		return fmt.Errorf("%w: key is not UTF-8", ErrInvalid)
	}
	for _, r := range key {
		if r < 0x20 || 0x7f <= r && r < 0xa0 {
			return fmt.Errorf("%w: key contains a control character", ErrInvalid)
		}
	}
	return nil
}
