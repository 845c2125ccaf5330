package load

import (
	"fmt"
	"io"
	"net/http"
	"net/url"

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

const (
	// maxSmallBody bounds what is read over to keep a connection: more than any message.
	maxSmallBody = 1 << 20
	// saidLen is how much of a message is worth repeating, in bytes.
	saidLen = 200
)

func (c *httpConn) Get(key string, buf []byte) (Reply, error) {
	c.head = append(c.request(http.MethodGet, c.prefix+url.PathEscape(key)), "\r\n"...)
	a, err := c.exchange()
	if err == nil {
		switch a.status {
		case http.StatusOK:
			err = c.value(buf, a.length)
		case http.StatusNotFound:
			if _, err = c.readOver(a); err == nil {
				err = ErrMiss
			}
		default:
			err = c.unwanted(a)
		}
	}
	if c.settle(a, err) != nil {
		return Reply{}, err
	}
	return Reply{Size: a.length, Tier: a.tier}, nil
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
	if err == nil {
		switch a.status {
		case http.StatusOK, http.StatusCreated, http.StatusNoContent:
			_, err = c.readOver(a)
		default:
			err = c.unwanted(a)
		}
	}
	return c.settle(a, err)
}

// putAsked sends the body once the server asks for it.
func (c *httpConn) putAsked(v *Value) (answer, error) {
	c.head = append(c.head, "Expect: 100-continue\r\n\r\n"...)
	a, err := c.exchange()
	if err != nil || a.status != http.StatusContinue {
		a.close = true // whether the server still waits for the body, nobody can know
		return a, err
	}
	return c.deliver(v.tag[:], v.rest)
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
	return c.deliver(c.head, parts...)
}

// deliver sends and reads the head of the answer.
func (c *httpConn) deliver(first []byte, parts ...[]byte) (answer, error) {
	if err := c.send(first, parts...); err != nil {
		// A server that refuses a body need not read it: its answer may be there already.
		a, readErr := readAnswer(&c.wire)
		if readErr != nil {
			return answer{}, err
		}
		a.close = true
		return a, nil
	}
	return readAnswer(&c.wire)
}

// unwanted makes an error of an answer that is neither success nor failure of the connection.
func (c *httpConn) unwanted(a answer) error {
	message, err := c.readOver(a)
	if err != nil {
		return err
	}
	said := fmt.Sprintf("with status %d", a.status)
	if message != "" {
		said += ": " + message
	}
	if a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable {
		return &Refusal{Said: said, RetryAfter: a.retryAfter}
	}
	return &answerError{said}
}

// readOver reads a small body and returns the beginning of it.
func (c *httpConn) readOver(a answer) (string, error) {
	if a.status == http.StatusNoContent {
		return "", nil
	}
	if a.length < 0 || a.length > maxSmallBody {
		return "", protocolErrorf("status %d with a body of %d bytes", a.status, a.length)
	}
	said := make([]byte, min(a.length, saidLen))
	if _, err := io.ReadFull(c.r, said); err != nil {
		return "", err
	}
	if _, err := io.CopyN(io.Discard, c.r, int64(a.length-len(said))); err != nil {
		return "", err
	}
	return string(said), nil
}

// settle ends an exchange: it closes a connection that cannot carry another one.
func (c *httpConn) settle(a answer, err error) error {
	if a.close {
		_ = c.Close() // the exchange is over
	}
	return c.end(err)
}
