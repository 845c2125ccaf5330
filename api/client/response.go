package client

import (
	"net/http"
	"strconv"
	"strings"
)

// maxInterim bounds the 1xx responses before the final one; two are common, 100 and 103.
const maxInterim = 8

// A head is a response without its body.
type head struct {
	status  int
	header  http.Header
	length  int64 // of the body in bytes; negative if it shows only at its end
	chunked bool
	persist bool // whether the connection stays open behind the body
}

// readFinal reads the head of a final response.
func (c *conn) readFinal(method string) (head, error) {
	for range maxInterim {
		h, err := c.readHead(method)
		if err != nil || h.status >= 200 {
			return h, err
		}
	}
	return head{}, protocolError("more than %d interim responses", maxInterim)
}

// readHead reads the head of the next response, a final one or not.
func (c *conn) readHead(method string) (head, error) {
	line, err := c.lines.ReadLine()
	status, minor, ok := parseStatusLine(line)
	if err != nil || !ok {
		return head{}, c.fault("status line")
	}
	fields, err := c.lines.ReadMIMEHeader()
	if err != nil {
		return head{}, c.fault("header")
	}
	h := head{status: status, header: http.Header(fields)}
	return h, h.frame(method, minor)
}

// parseStatusLine reads a line such as "HTTP/1.1 404 Not Found". The version is HTTP/1.minor.
func parseStatusLine(line string) (status int, minor byte, ok bool) {
	const form = "HTTP/1.1 200"
	if len(line) < len(form) || line[:7] != form[:7] || line[8] != ' ' || len(line) > len(form) && line[len(form)] != ' ' {
		return 0, 0, false
	}
	minor = line[7]
	code, err := strconv.ParseUint(line[9:len(form)], 10, 16)
	return int(code), minor, err == nil && code >= 100 && '0' <= minor && minor <= '9'
}

// frame finds out where the body ends (RFC 9112, 6.3). Whatever two readers could understand differently is an
// error, also where the RFC tells which of them is right.
func (h *head) frame(method string, minor byte) error {
	for name := range h.header {
		if strings.Contains(name, " ") {
			return protocolError("a space in the name of a header")
		}
	}
	if h.status == http.StatusSwitchingProtocols {
		return protocolError("another protocol was not asked for")
	}
	h.persist = minor >= '1' && !listed(h.header["Connection"], "close")
	lengths, codings := h.header["Content-Length"], h.header["Transfer-Encoding"]
	h.length = -1
	switch {
	case len(codings) > 0:
		h.chunked = len(codings) == 1 && strings.EqualFold(codings[0], "chunked")
		if !h.chunked || len(lengths) > 0 || minor < '1' {
			return protocolError("Transfer-Encoding is not chunked alone")
		}
	case len(lengths) > 0:
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if err != nil || len(lengths) > 1 {
			return protocolError("Content-Length is not one number")
		}
		h.length = int64(n)
	}
	switch {
	case method == http.MethodHead, h.status < 200, h.status == http.StatusNoContent, h.status == http.StatusNotModified:
		h.length, h.chunked = 0, false
	case h.length < 0 && !h.chunked: // the end of the connection ends the body
		h.persist = false
	}
	return nil
}

// listed reports whether a header that holds a list names the option.
func listed(values []string, option string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), option) {
				return true
			}
		}
	}
	return false
}
