package api

import (
	"net/http"
	"time"
)

// A Stat is what GET and HEAD say of an embedding beside its bytes.
type Stat struct {
	Tensor
	Sum  Sum
	Cost time.Duration // as the writer stated it
	TTL  time.Duration // as the writer stated it; 0: never expires
	Tier string        // where it was found
}

// Set writes the headers of a response that holds raw bytes. Content-Length is the caller's.
func (s Stat) Set(h http.Header) {
	set(h, "Content-Type", MediaRaw)
	set(h, "Etag", FormatETag(s.Sum))
	s.set(h)
}

// SetSafetensors writes the headers of a response that holds a safetensors file with that JSON header.
func (s Stat) SetSafetensors(h http.Header, header []byte) {
	h.Set("Content-Type", MediaSafetensors)
	h.Set("ETag", FormatSafetensorsETag(s.Sum, header))
	s.set(h)
}

func (s Stat) set(h http.Header) {
	set(h, "Accept-Ranges", "bytes")
	set(h, "Vary", "Accept")
	setTensor(h, s.DType, s.Shape, s.Meta)
	setIf(h, s.Cost > 0, HeaderEncodeCost, FormatSeconds(s.Cost))
	setIf(h, s.TTL > 0, HeaderTTL, FormatSeconds(s.TTL))
	setIf(h, s.Tier != "", HeaderTier, s.Tier)
}

// ParseStat parses the headers of a response to GET or HEAD. Size follows from dtype and shape, so it is
// that of the embedding whatever part or form of it the response holds.
func ParseStat(h http.Header) (Stat, error) {
	var s Stat
	for _, err := range []error{
		parseHeader(h, HeaderDType, asIs, &s.DType),
		parseHeader(h, HeaderShape, ParseShape, &s.Shape),
		parseHeader(h, HeaderMeta, ParseMeta, &s.Meta),
		parseHeader(h, HeaderEncodeCost, ParseSeconds, &s.Cost),
		parseHeader(h, HeaderTTL, ParseSeconds, &s.TTL),
		parseHeader(h, HeaderTier, asIs, &s.Tier),
		parseHeader(h, "Etag", ParseETag, &s.Sum),
	} {
		if err != nil {
			return Stat{}, err
		}
	}
	if s.Shape == nil || len(h["Etag"]) == 0 {
		return Stat{}, errorf(InvalidHeader, "%s, %s and ETag are required", HeaderDType, HeaderShape)
	}
	size, err := TensorSize(s.DType, s.Shape)
	if err != nil {
		return Stat{}, err
	}
	s.Size = size
	return s, nil
}
