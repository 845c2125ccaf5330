package client

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// expectContinueBytes is the size from which a PUT asks before it sends the body: below it, sending costs
// less than the round trip.
const expectContinueBytes = 64 << 10

// A request is what an exchange sends.
type request struct {
	method string
	target string // path and query, escaped
	header http.Header
	body   source
}

// A source is the body of a request: bytes in memory, or a stream that can be read once.
type source struct {
	size   int64
	memory []byte
	stream io.Reader // nil if memory is the body
	spent  bool      // the stream was read from, so the request cannot be sent again
}

func inMemory(body []byte) source { return source{size: int64(len(body)), memory: body} }

// load brings a small stream to memory, so that it can be sent again like any other small body. A large one
// need not be: when it is first read, the service has asked for it on that very connection.
func (s *source) load() error {
	if s.stream == nil || s.size >= expectContinueBytes {
		return nil
	}
	s.memory = make([]byte, s.size)
	if err := fill(s.memory, s.stream); err != nil {
		return fmt.Errorf("keepsight: PUT: %w", err)
	}
	s.stream = nil
	return nil
}

// asks reports whether the body waits until the service wants it.
func (r *request) asks() bool {
	return r.method == http.MethodPut && r.body.size >= expectContinueBytes
}

// validate refuses a head that would be read as anything but this request.
func (r *request) validate() error {
	if !visible(r.target) {
		return fmt.Errorf("keepsight: %s: the path is not escaped", r.method)
	}
	for name, values := range r.header {
		if !fieldName(name) {
			return fmt.Errorf("keepsight: %s: the name of a header is not a token", r.method)
		}
		for _, value := range values {
			if !fieldValue(value) {
				return fmt.Errorf("keepsight: %s: a control character in %s", r.method, name)
			}
		}
	}
	return nil
}

// appendHead appends the head of a valid request to b.
func (r *request) appendHead(b []byte, host string) []byte {
	b = append(b, r.method...)
	b = append(b, ' ')
	b = append(b, r.target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	for name, values := range r.header {
		for _, value := range values {
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, value...)
			b = append(b, "\r\n"...)
		}
	}
	if r.body.size > 0 {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, r.body.size, 10)
		b = append(b, "\r\n"...)
	}
	if r.asks() {
		b = append(b, "Expect: 100-continue\r\n"...)
	}
	return append(b, "\r\n"...)
}

// visible reports whether s consists of visible ASCII.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// fieldName reports whether s can be the name of a header of ours: letters, digits and dashes.
func fieldName(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && s[i] != '-' {
			return false
		}
	}
	return s != ""
}

// fieldValue reports whether s has none of the characters that end or split a header (RFC 9110, 5.5).
func fieldValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
