package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// Headers of keepsight's own, in the form that http.Header holds them.
const (
	HeaderDType       = "Keepsight-Dtype"       // a safetensors name, e.g. BF16
	HeaderShape       = "Keepsight-Shape"       // dimensions, comma separated; empty for a scalar
	HeaderMeta        = "Keepsight-Meta"        // ASCII JSON, at most 8 KiB
	HeaderEncodeCost  = "Keepsight-Encode-Cost" // seconds
	HeaderTTL         = "Keepsight-Ttl"         // seconds; 0: never expires
	HeaderClaim       = "Keepsight-Claim"       // the token of the lookup that allowed the encode
	HeaderEpoch       = "Keepsight-Epoch"       // the epoch that the embedding belongs to
	HeaderDurability  = "Keepsight-Durability"  // what the answer to a PUT promises
	HeaderStored      = "Keepsight-Stored"      // what a PUT did
	HeaderTier        = "Keepsight-Tier"        // where a GET found it
	HeaderError       = "Keepsight-Error"       // the Code of an error, for HEAD has no body
	HeaderExpectSize  = "Keepsight-Expect-Size" // bytes; these three make another tensor a miss
	HeaderExpectDType = "Keepsight-Expect-Dtype"
	HeaderExpectShape = "Keepsight-Expect-Shape"
)

// Standard headers that the contract gives a meaning of its own.
const (
	HeaderReprDigest  = "Repr-Digest" // RFC 9530: sha-256, sha-512
	HeaderRequestID   = "X-Request-Id"
	HeaderLastEventID = "Last-Event-Id"
)

// HeaderPrefix is what keepsight's own headers start with. A request header that has it and is not known
// is refused: a typing error in Keepsight-Dtype must not store a tensor as bytes.
const HeaderPrefix = "Keepsight-"

// Media types.
const (
	MediaRaw         = "application/octet-stream"
	MediaSafetensors = "application/vnd.safetensors"
	MediaJSON        = "application/json"
	MediaProblem     = "application/problem+json"
	MediaEvents      = "text/event-stream"
	MediaFetch       = "application/vnd.keepsight.fetch"
)

// Headers returns the names of all headers that keepsight defines.
func Headers() []string {
	return []string{
		HeaderDType, HeaderShape, HeaderMeta, HeaderEncodeCost, HeaderTTL, HeaderClaim, HeaderEpoch,
		HeaderDurability, HeaderStored, HeaderTier, HeaderError,
		HeaderExpectSize, HeaderExpectDType, HeaderExpectShape,
	}
}

// single returns the header's value and whether it was sent. A header sent twice is an error: two readers
// could disagree on which one counts.
func single(h http.Header, name string) (value string, sent bool, err error) {
	switch values := h[name]; len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	default:
		return "", false, errorf(InvalidHeader, "%s was sent more than once", name)
	}
}

// parseHeader parses the header if it was sent.
func parseHeader[T any](h http.Header, name string, parse func(string) (T, error), into *T) error {
	value, sent, err := single(h, name)
	if err != nil || !sent {
		return err
	}
	parsed, err := parse(value)
	if err != nil {
		return errorf(InvalidHeader, "%s: %s", name, detail(err))
	}
	*into = parsed
	return nil
}

// asIs is for values that the caller checks.
func asIs(s string) (string, error) { return s, nil }

func setTensor(h http.Header, dtype string, shape []int64, meta json.RawMessage) {
	if dtype != "" {
		set(h, HeaderDType, dtype)
		set(h, HeaderShape, FormatShape(shape))
	}
	setIf(h, meta != nil, HeaderMeta, string(meta))
}

// set is h.Set for a name in canonical form, which all constants here are.
func set(h http.Header, name, value string) { h[name] = []string{value} }

func setIf(h http.Header, cond bool, name, value string) {
	if cond {
		set(h, name, value)
	}
}

// refuseUnknown reports a header of ours by name that is not among the known ones.
func refuseUnknown(h http.Header, known ...string) error {
	for name := range h {
		if strings.HasPrefix(name, HeaderPrefix) && !slices.Contains(known, name) {
			return errorf(InvalidHeader, "a %s* header is not known for this call", HeaderPrefix)
		}
	}
	return nil
}

// mediaType returns a Content-Type without its parameters, in lower case.
func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// CheckJSON refuses a request whose body is not declared as JSON: a browser can send any other type to
// another site without asking that site first.
func CheckJSON(h http.Header) error {
	if mediaType(h.Get("Content-Type")) != MediaJSON {
		return errorf(UnsupportedMediaType, "the body must be %s", MediaJSON)
	}
	return nil
}

// AcceptsSafetensors reports whether the Accept header asks for a safetensors file. Raw bytes are what
// everything else gets.
func AcceptsSafetensors(h http.Header) bool {
	for _, line := range h.Values("Accept") {
		for part := range strings.SplitSeq(line, ",") {
			if mediaType(part) == MediaSafetensors {
				return true
			}
		}
	}
	return false
}
