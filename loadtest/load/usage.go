package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what processes have used.
type usage struct {
	processor time.Duration
	resident  int64 // bytes
}

// clockTick is the unit of processor times in /proc: USER_HZ, which is 100 on every Linux there is.
const clockTick = 10 * time.Millisecond

// A family is a process and those that it has started: a server may let workers do its work.
type family []int

// familyOf returns a process and its descendants as they are now; nobody for a process that is not known.
func familyOf(pid int) (f family) {
	if pid == 0 {
		return nil
	}
	all := make(map[int]process)
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if id, err := strconv.Atoi(entry.Name()); err == nil {
			if p, ok := readProcess(id); ok {
				all[id] = p
			}
		}
	}
	for id := range all {
		for ancestor := id; ancestor > 1; ancestor = all[ancestor].parent {
			if ancestor == pid {
				f = append(f, id)
				break
			}
		}
	}
	return f
}

// usage reads what the family has used until now, without those that have ended.
func (f family) usage() (u usage) {
	for _, id := range f {
		if p, ok := readProcess(id); ok {
			u.processor += p.processor
			u.resident += p.resident
		}
	}
	return u
}

// A process is one line of /proc.
type process struct {
	usage
	parent int
}

func readProcess(pid int) (p process, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, false // it has ended
	}
	// The command's name in parentheses may hold anything; what is behind it is numbers, the state first.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const parent, user, system, pages = 1, 11, 12, 21
	if len(fields) <= pages {
		return p, false
	}
	p.parent = int(number(fields[parent]))
	p.processor = time.Duration(number(fields[user])+number(fields[system])) * clockTick
	p.resident = number(fields[pages]) * int64(os.Getpagesize())
	return p, true
}

func number(word string) int64 {
	n, _ := strconv.ParseInt(word, 10, 64)
	return n
}

// ownProcessorTime returns what this process has used.
func ownProcessorTime() time.Duration {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return 0
	}
	return time.Duration(own.Utime.Nano() + own.Stime.Nano())
}
