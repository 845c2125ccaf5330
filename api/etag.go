package api

import (
	"encoding/hex"
	"hash/fnv"
	"strings"
)

// A Sum is the xxh3-128 of an embedding's bytes, big endian; in JSON, 32 hex digits.
type Sum [16]byte

func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// MarshalText implements encoding.TextMarshaler.
func (s Sum) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Sum) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(s)) || strings.Trim(string(text), "0123456789abcdef") != "" {
		return errSyntax
	}
	_, err := hex.Decode(s[:], text)
	return err
}

// FormatETag returns the ETag of an embedding's raw bytes: the quoted hex of their sum.
func FormatETag(sum Sum) string { return `"` + sum.String() + `"` }

// FormatSafetensorsETag returns the ETag of an embedding as a safetensors file with that JSON header.
// It differs from the raw ETag, since the bytes do, and with the header, since equal tensors can come in
// files that differ.
func FormatSafetensorsETag(sum Sum, header []byte) string {
	h := fnv.New64a()
	h.Write(header)
	return `"` + sum.String() + "-" + hex.EncodeToString(h.Sum(nil)) + `"`
}

// ParseETag returns the sum of the embedding's raw bytes that an ETag of ours holds, of either kind.
func ParseETag(etag string) (Sum, error) {
	var sum Sum
	rawLen := 2 + hex.EncodedLen(len(sum))
	fileLen := rawLen + 1 + 16
	quoted := len(etag) >= 2 && etag[0] == '"' && etag[len(etag)-1] == '"'
	switch {
	case quoted && len(etag) == rawLen:
	case quoted && len(etag) == fileLen && etag[rawLen-1] == '-' &&
		strings.Trim(etag[rawLen:fileLen-1], "0123456789abcdef") == "":
	default:
		return Sum{}, errSyntax
	}
	err := sum.UnmarshalText([]byte(etag[1 : rawLen-1]))
	return sum, err
}

// MatchETag reports whether an If-None-Match header names the etag: "*" names every one, and weak tags
// compare like strong ones (RFC 9110, 13.1.2). What cannot be parsed matches nothing.
func MatchETag(header, etag string) bool {
	rest := strings.Trim(header, " \t")
	if rest == "*" {
		return true
	}
	for rest != "" {
		rest = strings.TrimPrefix(rest, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return false
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return false
		}
		if rest[:end+2] == etag {
			return true
		}
		rest = strings.TrimLeft(rest[end+2:], " \t,")
	}
	return false
}
