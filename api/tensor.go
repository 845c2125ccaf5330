package api

import (
	"encoding/json"
	"math/bits"
)

// A Tensor describes an embedding beside its bytes.
type Tensor struct {
	Size  int64           `json:"size,omitempty"`  // bytes
	DType string          `json:"dtype,omitempty"` // a safetensors name such as "BF16"
	Shape []int64         `json:"shape,omitzero"`  // row-major; empty for a scalar
	Meta  json.RawMessage `json:"meta,omitempty"`  // ASCII JSON as the writer gave it, or nil
}

// Validate reports whether size, dtype and shape agree. Meta is not looked at: encoding/json has found it
// to be JSON, and a proxy or an encoder may have reformatted it.
func (t Tensor) Validate() error {
	size, err := TensorSize(t.DType, t.Shape)
	if err != nil {
		return err
	}
	if size != t.Size {
		return errorf(InvalidTensor, "dtype and shape make %d bytes, the size is %d", size, t.Size)
	}
	return nil
}

// maxRank bounds the number of dimensions; encoder outputs have two or three.
const maxRank = 16

// ElementSize returns the width of the dtype in bytes, 0 for an unknown one. The names are those of the
// safetensors format that are whole bytes wide.
func ElementSize(dtype string) int64 {
	switch dtype {
	case "BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0":
		return 1
	case "U16", "I16", "F16", "BF16":
		return 2
	case "U32", "I32", "F32":
		return 4
	case "U64", "I64", "F64", "C64":
		return 8
	}
	return 0
}

// TensorSize returns how many bytes a tensor of that dtype and shape takes. Its error is an *Error with
// InvalidTensor: an unknown dtype, a dimension that is not positive, too many dimensions or an overflow.
func TensorSize(dtype string, shape []int64) (int64, error) {
	size := ElementSize(dtype)
	if size == 0 {
		return 0, errorf(InvalidTensor, "the dtype is unknown")
	}
	if len(shape) > maxRank {
		return 0, errorf(InvalidTensor, "the shape has %d dimensions, allowed are %d", len(shape), maxRank)
	}
	for _, dim := range shape {
		if dim <= 0 {
			return 0, errorf(InvalidTensor, "dimension %d is not positive", dim)
		}
		hi, lo := bits.Mul64(uint64(size), uint64(dim))
		if hi != 0 || lo > 1<<62 {
			return 0, errorf(InvalidTensor, "the shape is too large")
		}
		size = int64(lo)
	}
	return size, nil
}
