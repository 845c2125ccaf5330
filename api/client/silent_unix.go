//go:build unix

package client

import (
	"errors"
	"syscall"
)

// silent reports whether an idle connection is as it should be, neither closed nor with anything to read: what
// the service says before it is asked would be taken for the answer to the next request. It looks without
// waiting, in 0.5 µs.
func (c *conn) silent() bool {
	if c.poll == nil {
		return true
	}
	var one [1]byte
	var err error
	looked := c.poll.Read(func(fd uintptr) bool {
		_, _, err = syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		return true
	})
	return looked == nil && errors.Is(err, syscall.EAGAIN)
}
