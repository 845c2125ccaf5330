package load

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/keepsight/keepsight/api"
)

// An httpConn speaks as much HTTP/1.1 as reading and writing whole values takes, to any server that answers GET
// and PUT on a path.
type httpConn struct {
	wire
	host   string
	prefix string // of the paths of values
	token  string
	asks   bool // a PUT waits to be asked for its body
}

// answer is the head of a response.
type answer struct {
	status     int
	length     int // -1: none was stated
	close      bool
	tier       string
	retryAfter string
}

func (c *httpConn) Get(key string, buf []byte) (Reply, error) {
	c.head = c.request(http.MethodGet, c.prefix+url.PathEscape(key))
	c.head = append(c.head, "\r\n"...)
	a, err := c.exchange()
	if err != nil {
		return Reply{}, c.end(err)
	}
	if a.status != http.StatusOK {
		return Reply{}, c.unwanted(a)
	}
	if err := c.value(buf, a.length); err != nil {
		return Reply{}, c.end(err)
	}
	return Reply{Size: a.length, Tier: a.tier}, c.finish(a)
}

func (c *httpConn) Put(v *Value, claim string) error {
	c.head = c.request(http.MethodPut, c.prefix+url.PathEscape(v.Key))
	c.head = fmt.Appendf(c.head, "Content-Length: %d\r\n", v.Size())
	if v.DType != "" {
		c.head = fmt.Appendf(c.head, "%s: %s\r\n%s: %s\r\n",
			api.HeaderDType, v.DType, api.HeaderShape, api.FormatShape(v.Shape))
	}
	if claim != "" {
		c.head = fmt.Appendf(c.head, "%s: %s\r\n", api.HeaderClaim, claim)
	}
	var a answer
	var err error
	if c.asks {
		a, err = c.putAsked(v)
	} else {
		c.head = append(c.head, "\r\n"...)
		a, err = c.exchange(v.tag[:], v.rest)
	}
	if err != nil {
		return c.end(err)
	}
	switch a.status {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent, http.StatusConflict: // 409: another client's is there
		return c.discard(a)
	}
	return c.unwanted(a)
}

// putAsked sends the body once the server asks for it.
func (c *httpConn) putAsked(v *Value) (answer, error) {
	c.head = append(c.head, "Expect: 100-continue\r\n\r\n"...)
	a, err := c.exchange()
	if err != nil || a.status != http.StatusContinue {
		a.close = true // whether the server still waits for the body, nobody can know
		return a, err
	}
	if err := c.send(v.tag[:], v.rest); err != nil {
		return a, err
	}
	return c.readAnswer()
}

// request begins the head of a request.
func (c *httpConn) request(method, path string) []byte {
	b := fmt.Appendf(c.head[:0], "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, c.host)
	if c.token != "" {
		b = fmt.Appendf(b, "Authorization: Bearer %s\r\n", c.token)
	}
	return b
}

// exchange sends a request and reads the head of its answer.
func (c *httpConn) exchange(parts ...[]byte) (answer, error) {
	if err := c.begin(); err != nil {
		return answer{}, err
	}
	if err := c.send(c.head, parts...); err != nil {
		// A server that refuses a body need not read it: its answer may be there already.
		if a, readErr := c.readAnswer(); readErr == nil {
			a.close = true
			return a, nil
		}
		return answer{}, err
	}
	return c.readAnswer()
}

func (c *httpConn) readAnswer() (answer, error) {
	a := answer{length: -1}
	line, err := c.line()
	if err != nil {
		return a, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return a, fmt.Errorf("%w: no HTTP status in %q", errProtocol, line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return a, fmt.Errorf("%w: no HTTP status in %q", errProtocol, line)
	}
	for {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return a, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if err := a.header(name, bytes.TrimSpace(value)); err != nil {
			return a, err
		}
	}
}

// header takes note of a header that matters here. Names may come in any case.
func (a *answer) header(name, value []byte) (err error) {
	is := func(want string) bool { return len(name) == len(want) && strings.EqualFold(string(name), want) }
	switch {
	case is("Content-Length"):
		a.length, err = strconv.Atoi(string(value))
	case is("Transfer-Encoding"):
		err = fmt.Errorf("%w: a body of unknown length", errProtocol)
	case is("Connection"):
		a.close = strings.EqualFold(string(value), "close")
	case is(api.HeaderTier):
		a.tier = tierName(value)
	case is("Retry-After"):
		a.retryAfter = string(value)
	}
	return err
}

// tierName saves an allocation for the names there are.
func tierName(value []byte) string {
	for _, known := range []string{"host", "disk", "gpu"} {
		if string(value) == known {
			return known
		}
	}
	return string(value)
}

// unwanted makes an error of an answer that is neither success nor failure of the connection.
func (c *httpConn) unwanted(a answer) error {
	if err := c.discard(a); err != nil {
		return err
	}
	switch a.status {
	case http.StatusNotFound:
		return ErrMiss
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &Refusal{Status: a.status, RetryAfter: a.retryAfter}
	}
	return fmt.Errorf("%w: status %d", errProtocol, a.status)
}

// discard reads over a small body.
func (c *httpConn) discard(a answer) error {
	const most = 1 << 20
	if a.status != http.StatusNoContent {
		if a.length < 0 || a.length > most {
			return c.end(fmt.Errorf("%w: status %d with a body of %d bytes", errProtocol, a.status, a.length))
		}
		if _, err := io.CopyN(io.Discard, c.r, int64(a.length)); err != nil {
			return c.end(err)
		}
	}
	return c.finish(a)
}

// finish closes a connection that the server is closing.
func (c *httpConn) finish(a answer) error {
	if a.close {
		return c.Close()
	}
	return nil
}
