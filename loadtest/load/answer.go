package load

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/keepsight/keepsight/api"
)

// An answer is the head of an HTTP response.
type answer struct {
	status     int
	length     int // of the body; -1: none was stated
	close      bool
	tier       string
	retryAfter string
}

// maxHeaderLines is more than any server sends.
const maxHeaderLines = 256

// readAnswer reads the head of a response.
func readAnswer(w *wire) (answer, error) {
	a := answer{length: -1}
	line, err := w.line()
	if err != nil {
		return a, err
	}
	if err := a.statusLine(line); err != nil {
		return a, err
	}
	for range maxHeaderLines {
		line, err := w.line()
		if err != nil || len(line) == 0 {
			return a, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if err := a.header(name, bytes.TrimSpace(value)); err != nil {
			return a, err
		}
	}
	return a, protocolErrorf("more than %d lines of header", maxHeaderLines)
}

func (a *answer) statusLine(line []byte) error {
	const prefix, digits = "HTTP/1.x ", 3
	if len(line) < len(prefix)+digits || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[len(prefix)-1] != ' ' {
		return protocolErrorf("no HTTP/1 status in %.40q", line)
	}
	status, err := strconv.ParseUint(string(line[len(prefix):len(prefix)+digits]), 10, 16)
	if err != nil || status < 100 {
		return protocolErrorf("no HTTP/1 status in %.40q", line)
	}
	a.status = int(status)
	a.close = line[len("HTTP/1.")] == '0' // an old server closes unless it says otherwise
	return nil
}

// header takes note of a header that matters here. Names may come in any case.
func (a *answer) header(name, value []byte) error {
	is := func(want string) bool { return len(name) == len(want) && strings.EqualFold(string(name), want) }
	switch {
	case is("Content-Length"):
		length, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil {
			return protocolErrorf("Content-Length is %.40q", value)
		}
		a.length = int(length)
	case is("Transfer-Encoding"):
		return protocolErrorf("a body without Content-Length")
	case is("Connection"):
		a.close = a.close && !strings.EqualFold(string(value), "keep-alive") || strings.EqualFold(string(value), "close")
	case is(api.HeaderTier):
		a.tier = tierName(value)
	case is("Retry-After"):
		a.retryAfter = string(value)
	}
	return nil
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
