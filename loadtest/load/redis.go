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
	n, err := c.get(buf)
	return Reply{Size: n}, c.end(err)
}

func (c *redisConn) get(buf []byte) (int, error) {
	n, err := c.call('$')
	switch {
	case err != nil:
		return 0, err
	case n == -1:
		return 0, ErrMiss
	}
	if err := c.value(buf, n); err != nil {
		return 0, err
	}
	end, err := c.line()
	if err != nil {
		return 0, err
	}
	if len(end) != 0 {
		return 0, protocolErrorf("a value is longer than its %d bytes", n)
	}
	return n, nil
}

func (c *redisConn) Put(v *Value, _ string) error {
	c.head = fmt.Appendf(c.head[:0], "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n", len(v.Key), v.Key, v.Size())
	_, err := c.call('+', v.tag[:], v.rest, []byte("\r\n"))
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
	n, err := c.call(':')
	return n, c.end(err)
}

// call sends a command and returns the number behind the wanted type of answer: of '$' a length, -1 for nil.
func (c *redisConn) call(want byte, parts ...[]byte) (int, error) {
	if err := c.begin(); err != nil {
		return 0, err
	}
	if err := c.send(c.head, parts...); err != nil {
		return 0, err
	}
	line, err := c.line()
	switch {
	case err != nil:
		return 0, err
	case bytes.HasPrefix(line, []byte("-OOM ")):
		return 0, &Refusal{Said: string(line)}
	case bytes.HasPrefix(line, []byte("-")):
		return 0, &answerError{fmt.Sprintf("%q", line)}
	case len(line) < 2 || line[0] != want:
		return 0, protocolErrorf("redis answered %q", line)
	case want == '+':
		return 0, nil
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < -1 {
		return 0, protocolErrorf("redis answered %q", line)
	}
	return n, nil
}

func appendCommand(b []byte, words ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, word := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(word), word)
	}
	return b
}
