package peer

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// setCongestion gives the sockets that a process accepts from now on a congestion control. They inherit it from
// the listening socket, of which a parent may take a copy: so one peer is treated as the other, whether it has a
// setting of its own or not, and the machine's default stays what it is.
func setCongestion(pid int, algorithm string) error {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(pidfd)
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return err
	}
	found := false
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		set, err := setListener(pidfd, fd, algorithm)
		if err != nil {
			return fmt.Errorf("congestion control %q: %w", algorithm, err)
		}
		found = found || set
	}
	if !found {
		return errors.New("no listening TCP socket to set the congestion control of")
	}
	return nil
}

// setListener does so if the descriptor is a listening TCP socket, and reports whether it is one.
func setListener(pidfd, fd int, algorithm string) (bool, error) {
	copied, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err == unix.EBADF {
		return false, nil // the server has closed it since
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(copied)
	listening, err := unix.GetsockoptInt(copied, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || listening == 0 {
		return false, nil // no socket, or one that does not listen
	}
	protocol, err := unix.GetsockoptInt(copied, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil || protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_MPTCP { // which Go listens by
		return false, nil // a unix socket
	}
	return true, unix.SetsockoptString(copied, unix.IPPROTO_TCP, unix.TCP_CONGESTION, algorithm)
}
