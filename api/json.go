package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
)

// MaxJSONBody bounds the JSON body of a request in bytes: MaxKeys keys of MaxKeyLen bytes, each byte
// escaped as \u00xx, and an expectation for each fit.
const MaxJSONBody = 1 << 20

// A Validator checks what the JSON grammar does not.
type Validator interface{ Validate() error }

// DecodeRequest reads one JSON value into v and validates it. Unknown fields and anything behind the value
// are refused. Its error is an *Error: InvalidJSON, InvalidKey, NoSuchPin, TooLarge, TruncatedBody or, when the
// body's read deadline ends, BodyTooSlow.
func DecodeRequest(body io.Reader, v Validator) error {
	data, err := io.ReadAll(io.LimitReader(body, MaxJSONBody+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errorf(BodyTooSlow, "the body did not come in time")
	case err != nil:
		return errorf(TruncatedBody, "the body ended early")
	case len(data) > MaxJSONBody:
		return errorf(TooLarge, "the body has more than %d bytes", MaxJSONBody)
	}
	return ParseRequest(data, v)
}

// ParseRequest does what DecodeRequest does with a body that has been read. v shares no memory with data.
func ParseRequest(data []byte, v Validator) error {
	if s, ok := v.(scanner); ok && s.scan(data) {
		return v.Validate()
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
