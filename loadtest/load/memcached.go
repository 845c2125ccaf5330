package load

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// A memcachedConn speaks the text protocol of memcached.
type memcachedConn struct{ wire }

// maxMemcachedKey is the protocol's bound, in bytes.
const maxMemcachedKey = 250

// A key that the protocol cannot carry must not reach the connection: what is behind a space would be read as
// flags, and what is behind a line's end as a command.
func checkMemcachedKey(key string) error {
	if key == "" || len(key) > maxMemcachedKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("memcached takes no key such as %.40q: 1 to %d bytes without spaces", key, maxMemcachedKey)
	}
	return nil
}

func (c *memcachedConn) Get(key string, buf []byte) (Reply, error) {
	if err := checkMemcachedKey(key); err != nil {
		return Reply{}, err
	}
	c.head = fmt.Appendf(c.head[:0], "get %s\r\n", key)
	n, err := c.get(buf)
	return Reply{Size: n}, c.end(err)
}

func (c *memcachedConn) get(buf []byte) (int, error) {
	line, err := c.call()
	if err != nil {
		return 0, err
	}
	if bytes.Equal(line, []byte("END")) {
		return 0, ErrMiss
	}
	fields := bytes.Fields(line)
	if len(fields) != 4 || string(fields[0]) != "VALUE" {
		return 0, protocolErrorf("memcached answered %q", line)
	}
	n, err := strconv.Atoi(string(fields[3]))
	if err != nil {
		return 0, protocolErrorf("memcached answered %q", line)
	}
	if err := c.value(buf, n); err != nil {
		return 0, err
	}
	for _, want := range []string{"", "END"} {
		line, err := c.line()
		if err != nil {
			return 0, err
		}
		if string(line) != want {
			return 0, protocolErrorf("%q stands where a value of %d bytes ends", line, n)
		}
	}
	return n, nil
}

func (c *memcachedConn) Put(v *Value, _ string) error {
	if err := checkMemcachedKey(v.Key); err != nil {
		return err
	}
	c.head = fmt.Appendf(c.head[:0], "set %s 0 0 %d\r\n", v.Key, v.Size())
	line, err := c.call(v.tag[:], v.rest, []byte("\r\n"))
	if err == nil && string(line) != "STORED" {
		err = protocolErrorf("memcached answered %q", line)
	}
	return c.end(err)
}

func (c *memcachedConn) call(parts ...[]byte) ([]byte, error) {
	if err := c.begin(); err != nil {
		return nil, err
	}
	if err := c.send(c.head, parts...); err != nil {
		return nil, err
	}
	line, err := c.line()
	switch {
	case err != nil:
		return nil, err
	case bytes.HasPrefix(bytes.ToLower(line), []byte("server_error out of memory")):
		return nil, &Refusal{Said: string(line)}
	case bytes.HasPrefix(line, []byte("SERVER_ERROR ")): // a value that came with it has been read over
		return nil, &answerError{fmt.Sprintf("%q", line)}
	}
	return line, nil
}
