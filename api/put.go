package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// A PutHeader is what a PUT says of an embedding beside its bytes.
type PutHeader struct {
	Safetensors bool   // the body is a safetensors file, which says dtype and shape itself
	DType       string // with a nil Shape, empty: U8 and [length]
	Shape       []int64
	Meta        json.RawMessage // or nil
	Cost        time.Duration   // what encoding took; 0: not stated
	TTL         time.Duration   // 0: never expires
	Claim       string          // or empty
	Epoch       *uint64         // nil: whatever is current
	Durability  Durability      // empty: memory
	Digests     Digests
	IfAbsent    bool // If-None-Match: *
}

// ParsePutHeader parses the headers of a PUT. Its error is an *Error: InvalidHeader, UnsupportedEncoding,
// UnsupportedMediaType, or InvalidTensor for a dtype that is unknown.
func ParsePutHeader(h http.Header) (PutHeader, error) {
	var p PutHeader
	if err := p.parseFraming(h); err != nil {
		return PutHeader{}, err
	}
	for _, err := range []error{
		refuseUnknown(h, HeaderDType, HeaderShape, HeaderMeta, HeaderEncodeCost, HeaderTTL, HeaderClaim,
			HeaderEpoch, HeaderDurability),
		parseHeader(h, HeaderDType, asIs, &p.DType),
		parseHeader(h, HeaderShape, ParseShape, &p.Shape),
		parseHeader(h, HeaderMeta, ParseMeta, &p.Meta),
		parseHeader(h, HeaderEncodeCost, ParseSeconds, &p.Cost),
		parseHeader(h, HeaderTTL, ParseSeconds, &p.TTL),
		parseHeader(h, HeaderClaim, parseToken, &p.Claim),
		parseHeader(h, HeaderEpoch, parseEpochPointer, &p.Epoch),
		parseHeader(h, HeaderDurability, ParseDurability, &p.Durability),
	} {
		if err != nil {
			return PutHeader{}, err
		}
	}
	if err := p.checkTensor(h); err != nil {
		return PutHeader{}, err
	}
	return p, nil
}

// parseFraming parses the standard headers, those that say what the body is.
func (p *PutHeader) parseFraming(h http.Header) error {
	for _, encoding := range h["Content-Encoding"] {
		if !strings.EqualFold(encoding, "identity") {
			return errorf(UnsupportedEncoding, "the body must not be compressed")
		}
	}
	contentType, sent, err := single(h, "Content-Type")
	if err != nil {
		return err
	}
	switch media := mediaType(contentType); {
	case media == MediaSafetensors:
		p.Safetensors = true
	case sent && media != MediaRaw:
		return errorf(UnsupportedMediaType, "the body must be %s or %s", MediaRaw, MediaSafetensors)
	}
	match, sent, err := single(h, "If-None-Match")
	if err != nil {
		return err
	}
	if p.IfAbsent = sent; sent && match != "*" {
		return errorf(InvalidHeader, "If-None-Match must be * in a PUT")
	}
	if digests := h[HeaderReprDigest]; len(digests) > 0 { // a list may be sent in several lines
		p.Digests, err = ParseDigests(strings.Join(digests, ","))
		if err != nil {
			return errorf(InvalidHeader, "%s: %s", HeaderReprDigest, detail(err))
		}
	}
	return nil
}

func (p *PutHeader) checkTensor(h http.Header) error {
	_, dtype := h[HeaderDType]
	_, shape := h[HeaderShape]
	switch {
	case p.Safetensors && (dtype || shape):
		return errorf(InvalidHeader, "a safetensors file says dtype and shape itself")
	case dtype != shape:
		return errorf(InvalidHeader, "%s and %s belong together", HeaderDType, HeaderShape)
	case dtype:
		_, err := TensorSize(p.DType, p.Shape)
		return err
	}
	return nil
}

// Set writes the headers of a PUT; it is the inverse of ParsePutHeader.
func (p PutHeader) Set(h http.Header) {
	contentType := MediaRaw
	if p.Safetensors {
		contentType = MediaSafetensors
	}
	h.Set("Content-Type", contentType)
	setTensor(h, p.DType, p.Shape, p.Meta)
	setIf(h, p.Cost > 0, HeaderEncodeCost, FormatSeconds(p.Cost))
	setIf(h, p.TTL > 0, HeaderTTL, FormatSeconds(p.TTL))
	setIf(h, p.Claim != "", HeaderClaim, p.Claim)
	setIf(h, p.Durability != "", HeaderDurability, string(p.Durability))
	setIf(h, p.Digests != Digests{}, HeaderReprDigest, p.Digests.String())
	setIf(h, p.IfAbsent, "If-None-Match", "*")
	if p.Epoch != nil {
		h.Set(HeaderEpoch, FormatEpoch(*p.Epoch))
	}
}

func parseEpochPointer(s string) (*uint64, error) {
	epoch, err := ParseEpoch(s)
	return &epoch, err
}
