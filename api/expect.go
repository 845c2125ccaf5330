package api

import (
	"net/http"
	"slices"
	"strconv"
)

// An Expect is what a reader demands of an embedding; what it leaves out matches anything. A mismatch is
// a miss with code ContractMismatch, since bytes of another length have killed engines (vllm#55546).
type Expect struct {
	Size  int64   `json:"size,omitempty"`
	DType string  `json:"dtype,omitempty"`
	Shape []int64 `json:"shape,omitzero"` // nil matches anything, an empty one only a scalar
}

// Matches reports whether the tensor is as expected. A nil Expect matches everything.
func (e *Expect) Matches(size int64, dtype string, shape []int64) bool {
	return e == nil ||
		(e.Size == 0 || e.Size == size) &&
			(e.DType == "" || e.DType == dtype) &&
			(e.Shape == nil || slices.Equal(e.Shape, shape))
}

// validate reports an expectation that nothing can meet as an *Error with the given code.
func (e *Expect) validate(code Code) error {
	if e == nil {
		return nil
	}
	if e.Size < 0 {
		return errorf(code, "the expected size must not be negative")
	}
	if e.DType != "" && ElementSize(e.DType) == 0 {
		return errorf(code, "the expected dtype is unknown")
	}
	if _, err := TensorSize("U8", e.Shape); err != nil {
		return errorf(code, "the expected shape is not valid")
	}
	return nil
}

// ParseExpect parses the Keepsight-Expect headers of a GET or HEAD, nil if there are none.
func ParseExpect(h http.Header) (*Expect, error) {
	if err := refuseUnknown(h, HeaderExpectSize, HeaderExpectDType, HeaderExpectShape); err != nil {
		return nil, err
	}
	var e Expect
	for _, err := range []error{
		parseHeader(h, HeaderExpectSize, parsePositive, &e.Size),
		parseHeader(h, HeaderExpectDType, parseDType, &e.DType),
		parseHeader(h, HeaderExpectShape, ParseShape, &e.Shape),
		e.validate(InvalidHeader),
	} {
		if err != nil {
			return nil, err
		}
	}
	if e.Size == 0 && e.DType == "" && e.Shape == nil {
		return nil, nil
	}
	return &e, nil
}

// Set writes the Keepsight-Expect headers; it is the inverse of ParseExpect.
func (e *Expect) Set(h http.Header) {
	if e == nil {
		return
	}
	setIf(h, e.Size > 0, HeaderExpectSize, strconv.FormatInt(e.Size, 10))
	setIf(h, e.DType != "", HeaderExpectDType, e.DType)
	setIf(h, e.Shape != nil, HeaderExpectShape, FormatShape(e.Shape))
}
