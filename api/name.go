package api

import "unicode/utf8"

// Limits on names, in bytes.
const (
	MaxNamespaceLen = 128
	MaxKeyLen       = 512
	MaxOwnerLen     = 256
	MaxTokenLen     = 128
)

// ValidateNamespace accepts [a-z0-9][a-z0-9._-]{0,127}.
func ValidateNamespace(ns string) error {
	if ns == "" || len(ns) > MaxNamespaceLen {
		return errorf(InvalidNamespace, "the namespace has %d bytes, allowed are 1 to %d", len(ns), MaxNamespaceLen)
	}
	for i := range len(ns) {
		c := ns[i]
		alnum := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		if !alnum && (i == 0 || c != '.' && c != '_' && c != '-') {
			return errorf(InvalidNamespace, "the namespace must match [a-z0-9][a-z0-9._-]*")
		}
	}
	return nil
}

// ValidateKey accepts 1 to 512 bytes of UTF-8 without control characters.
func ValidateKey(key string) error {
	if key == "" || len(key) > MaxKeyLen {
		return errorf(InvalidKey, "the key has %d bytes, allowed are 1 to %d", len(key), MaxKeyLen)
	}
	if !printable(key) {
		return errorf(InvalidKey, "the key must be UTF-8 without control characters")
	}
	return nil
}

// ValidToken reports whether s can be a claim or a pin: 1 to 128 letters, digits, '-' and '_'.
func ValidToken(s string) bool {
	return within(s, MaxTokenLen, func(c byte) bool { return alphanumeric(c) || c == '-' || c == '_' })
}

// ValidRequestID reports whether s is fit for logs and headers: 1 to 128 unreserved characters.
func ValidRequestID(s string) bool { return within(s, MaxTokenLen, unreserved) }

// within reports whether s has 1 to limit bytes, all of them allowed.
func within(s string, limit int, allowed func(byte) bool) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return true
}

// printable reports whether s is UTF-8 without C0, DEL and C1 control characters.
func printable(s string) bool {
	if printableASCII(s) { // nearly every key is, and a lookup checks 256 of them
		return true
	}
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if r < 0x20 || 0x7f <= r && r < 0xa0 {
			return false
		}
	}
	return true
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i]-' ' > '~'-' ' {
			return false
		}
	}
	return true
}
