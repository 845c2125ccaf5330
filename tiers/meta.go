package tiers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"time"
)

// MaxExtraLen bounds Meta.Extra and Meta.Safetensors in bytes: Extra travels in one HTTP header.
const MaxExtraLen = 8 << 10

// maxRank bounds the number of dimensions; encoder outputs have two or three.
const maxRank = 16

// Meta describes an embedding's tensor and how it came to be.
type Meta struct {
	DType string  // a safetensors name: "BF16", "F16", "F32", "F8_E4M3", "U8"...
	Shape []int64 // row-major; the product of the dimensions times the element size is Size
	Size  int64   // bytes of payload, at least 1

	Extra       json.RawMessage // what the client says beside the tensor (grid_thw, timestamps), ASCII JSON, or nil
	Safetensors json.RawMessage // the header of the safetensors file that the embedding arrived in, or nil

	Sum     [16]byte      // xxh3-128 of the payload, big endian
	Cost    time.Duration // what encoding took, as the client stated it
	TTL     time.Duration // as the client stated it; zero: never expires
	Expires time.Time     // when TTL ends; zero: never
}

// elementBytes holds the dtypes of the safetensors format that are whole bytes wide.
var elementBytes = map[string]int64{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
	"U16": 2, "I16": 2, "F16": 2, "BF16": 2,
	"U32": 4, "I32": 4, "F32": 4,
	"U64": 8, "I64": 8, "F64": 8, "C64": 8,
}

// TensorSize returns how many bytes a tensor of that dtype and shape takes, or an error that wraps
// ErrInvalid: an unknown dtype, a negative dimension, an empty tensor, or a size that overflows.
func TensorSize(dtype string, shape []int64) (int64, error) {
	size, ok := elementBytes[dtype]
	if !ok {
		return 0, fmt.Errorf("%w: unknown dtype %q", ErrInvalid, dtype)
	}
	if len(shape) > maxRank {
		return 0, fmt.Errorf("%w: shape has %d dimensions, allowed are %d", ErrInvalid, len(shape), maxRank)
	}
	for _, dim := range shape {
		if dim <= 0 {
			return 0, fmt.Errorf("%w: dimension %d is not positive", ErrInvalid, dim)
		}
		hi, lo := bits.Mul64(uint64(size), uint64(dim))
		if hi != 0 || lo > 1<<62 {
			return 0, fmt.Errorf("%w: shape is too large", ErrInvalid)
		}
		size = int64(lo)
	}
	return size, nil
}

// Validate reports what is wrong with the meta, wrapping ErrInvalid.
func (m Meta) Validate() error {
	size, err := TensorSize(m.DType, m.Shape)
	if err != nil {
		return err
	}
	if size != m.Size {
		return fmt.Errorf("%w: dtype and shape make %d bytes, the payload has %d", ErrInvalid, size, m.Size)
	}
	if m.Cost < 0 || m.TTL < 0 {
		return fmt.Errorf("%w: negative duration", ErrInvalid)
	}
	if err := validateJSON("meta", m.Extra); err != nil {
		return err
	}
	return validateJSON("safetensors header", m.Safetensors)
}

func validateJSON(what string, j json.RawMessage) error {
	if len(j) > MaxExtraLen {
		return fmt.Errorf("%w: %s has %d bytes, allowed are %d", ErrInvalid, what, len(j), MaxExtraLen)
	}
	if j != nil && !json.Valid(j) {
		return fmt.Errorf("%w: %s is not JSON", ErrInvalid, what)
	}
	return nil
}

// Compatible reports whether both describe tensors of the same dtype and shape.
func (m Meta) Compatible(o Meta) bool {
	return m.DType == o.DType && slices.Equal(m.Shape, o.Shape)
}

// Same reports whether both describe the same payload: dtype, shape and checksum agree.
func (m Meta) Same(o Meta) bool {
	return m.Compatible(o) && m.Size == o.Size && bytes.Equal(m.Sum[:], o.Sum[:])
}

// Expired reports whether the TTL has ended at now.
func (m Meta) Expired(now time.Time) bool {
	return !m.Expires.IsZero() && !now.Before(m.Expires)
}
