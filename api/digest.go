package api

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"strings"
)

// Digests are the digests of a whole representation that a writer states in Repr-Digest; nil for an
// algorithm that is not stated.
type Digests struct {
	SHA256 *[sha256.Size]byte
	SHA512 *[sha512.Size]byte
}

// ParseDigests parses a Repr-Digest such as `sha-256=:47DEQ...=:`, a dictionary of byte sequences
// (RFC 9530, RFC 8941). Algorithms that are not supported are passed over, but one that is must be there:
// who sends a digest wants it checked. Parameters are not part of any use of the field and are refused.
func ParseDigests(s string) (Digests, error) {
	var d Digests
	for member := range strings.SplitSeq(s, ",") {
		algorithm, value, found := strings.Cut(strings.Trim(member, " \t"), "=")
		if !found || len(value) < 2 || value[0] != ':' || value[len(value)-1] != ':' || !dictionaryKey(algorithm) {
			return Digests{}, errSyntax
		}
		sum, err := base64.StdEncoding.Strict().DecodeString(value[1 : len(value)-1])
		if err != nil || strings.ContainsAny(value, "\r\n") { // DecodeString skips line ends
			return Digests{}, errSyntax
		}
		switch algorithm {
		case "sha-256":
			if len(sum) != sha256.Size || d.SHA256 != nil {
				return Digests{}, errSyntax
			}
			d.SHA256 = (*[sha256.Size]byte)(sum)
		case "sha-512":
			if len(sum) != sha512.Size || d.SHA512 != nil {
				return Digests{}, errSyntax
			}
			d.SHA512 = (*[sha512.Size]byte)(sum)
		}
	}
	if d == (Digests{}) {
		return Digests{}, errorf(InvalidHeader, "supported digests are sha-256 and sha-512")
	}
	return d, nil
}

// dictionaryKey reports whether s is a key of a structured dictionary.
func dictionaryKey(s string) bool {
	lower := func(c byte) bool { return 'a' <= c && c <= 'z' || c == '*' }
	return within(s, MaxTokenLen, func(c byte) bool {
		return lower(c) || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
	}) && lower(s[0])
}

// String formats the digests; it is the inverse of ParseDigests.
func (d Digests) String() string {
	var members []string
	add := func(algorithm string, sum []byte) {
		members = append(members, algorithm+"=:"+base64.StdEncoding.EncodeToString(sum)+":")
	}
	if d.SHA256 != nil {
		add("sha-256", d.SHA256[:])
	}
	if d.SHA512 != nil {
		add("sha-512", d.SHA512[:])
	}
	return strings.Join(members, ", ")
}
