package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// MaxJSONBody bounds the JSON body of a request in bytes: MaxKeys keys of MaxKeyLen bytes, each byte
// escaped as \u00xx, and an expectation for each fit.
const MaxJSONBody = 1 << 20

// A Validator checks what the JSON grammar does not.
type Validator interface{ Validate() error }

// maxCommas bounds the commas between the values of a request: MaxKeys keys, each with an expectation of size,
// dtype and shape, and the other fields.
const maxCommas = MaxKeys*(1+1+2+maxRank) + 16

// ParseRequest decodes the one JSON value of a body into v and validates it. Unknown fields and anything behind
// the value are refused. v shares no memory with data, and holds little more than data however it is made. The
// error is an *Error: InvalidJSON, InvalidKey or NoSuchPin.
func ParseRequest(data []byte, v Validator) error {
	if s, ok := v.(scanner); ok && s.scan(data) {
		return v.Validate()
	}
	if commas(data) > maxCommas {
		return errorf(InvalidJSON, "the body holds more values than this call takes")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return errorf(InvalidJSON, "%s", jsonDetail(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errorf(InvalidJSON, "the body holds more than one JSON value")
	}
	return v.Validate()
}

// commas counts the commas outside of strings. encoding/json makes fifty bytes of each {}, in a list of any
// length, before anybody can look at it.
func commas(data []byte) (n int) {
	quoted := false
	for i := 0; i < len(data); i++ {
		switch b := data[i]; {
		case b == '"':
			quoted = !quoted
		case b == '\\' && quoted:
			i++
		case b == ',' && !quoted:
			n++
		}
	}
	return n
}

// DecodeResponse decodes a response into v and, if it is a Validator, validates it. Unknown fields are passed
// over. v may share memory with data.
func DecodeResponse(data []byte, v any) error {
	if s, ok := v.(scanner); !ok || !s.scan(data) {
		if err := json.Unmarshal(data, v); err != nil {
			return errorf(InvalidJSON, "the response is not JSON of the right form")
		}
	}
	if v, ok := v.(Validator); ok {
		return v.Validate()
	}
	return nil
}

// jsonDetail says what is wrong without repeating what was sent.
func jsonDetail(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return "the field " + e.Field + " has the wrong type"
	}
	if strings.HasPrefix(err.Error(), "json: unknown field ") {
		return "the body has a field that this call does not know"
	}
	return "the body is not JSON of the right form"
}
