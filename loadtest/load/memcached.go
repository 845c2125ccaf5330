package load

import (
	"bytes"
	"fmt"
	"strconv"
)

// A memcachedConn speaks the text protocol of memcached.
type memcachedConn struct{ wire }

func (c *memcachedConn) Get(key string, buf []byte) (Reply, error) {
	c.head = fmt.Appendf(c.head[:0], "get %s\r\n", key)
	n, err := c.get(buf)
	if err == ErrMiss {
		return Reply{}, err
	}
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
		return 0, fmt.Errorf("%w: memcached answered %q", errProtocol, line)
	}
	n, err := strconv.Atoi(string(fields[3]))
	if err != nil {
		return 0, err
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
			return 0, fmt.Errorf("%w: %q stands where a value of %d bytes ends", errProtocol, line, n)
		}
	}
	return n, nil
}

func (c *memcachedConn) Put(v *Value, _ string) error {
	c.head = fmt.Appendf(c.head[:0], "set %s 0 0 %d\r\n", v.Key, v.Size())
	line, err := c.call(v.tag[:], v.rest, []byte("\r\n"))
	if err == nil && string(line) != "STORED" {
		err = fmt.Errorf("%w: memcached answered %q", errProtocol, line)
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
	return c.line()
}
