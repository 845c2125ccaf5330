package load

import (
	"bytes"
	"fmt"
	"strconv"
)

// A redisConn speaks RESP2 to Redis and what is compatible with it.
type redisConn struct {
	wire
	asked questions
}

func (c *redisConn) Get(key string, buf []byte) (Reply, error) {
	c.head = appendCommand(c.head[:0], "GET", key)
	n, err := c.call(buf)
	if err == nil && n < 0 {
		return Reply{}, ErrMiss
	}
	return Reply{Size: n}, c.end(err)
}

func (c *redisConn) Put(v *Value, _ string) error {
	c.head = fmt.Appendf(c.head[:0], "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n", len(v.Key), v.Key, v.Size())
	_, err := c.call(nil, v.tag[:], v.rest, []byte("\r\n"))
	return c.end(err)
}

// Lookup implements Looker by one EXISTS of all keys.
func (c *redisConn) Lookup(q *Question) (int, error) {
	command, err := c.asked.encoded(q, func() ([]byte, error) {
		return appendCommand(nil, append([]string{"EXISTS"}, q.Keys...)...), nil
	})
	if err != nil {
		return 0, err
	}
	c.head = append(c.head[:0], command...)
	n, err := c.call(nil)
	return n, c.end(err)
}

// call sends a command and returns the number or the length that is answered, -1 for nil.
func (c *redisConn) call(buf []byte, parts ...[]byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	if err := c.send(c.head, parts...); err != nil {
		return 0, err
	}
	line, err := c.line()
	if err != nil {
		return 0, err
	}
	switch {
	case bytes.Equal(line, []byte("+OK")):
		return 0, nil
	case len(line) > 1 && line[0] == ':':
		return strconv.Atoi(string(line[1:]))
	case len(line) > 1 && line[0] == '$':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil || n < 0 {
			return -1, err
		}
		if err := c.value(buf, n); err != nil {
			return 0, err
		}
		end, err := c.line()
		if err == nil && len(end) != 0 {
			err = fmt.Errorf("%w: a value longer than it was announced", errProtocol)
		}
		return n, err
	}
	return 0, fmt.Errorf("%w: redis answered %q", errProtocol, line)
}

func appendCommand(b []byte, words ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, word := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b
}
