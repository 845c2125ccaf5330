// Package machine reads what the machine offers: memory under its cgroup, disk space, and the directories
// that are ours by convention.
//
// It owns nothing and changes nothing except where a function says that it makes a directory. Memory is
// read through an fs.FS rooted at "/", so that tests describe machines as file trees.
package machine

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Memory is the memory of the machine as this process may use it, in bytes.
type Memory struct {
	Limit     int64  // the smaller of physical memory and the tightest cgroup limit above this process
	Available int64  // what the kernel says can be taken without swapping, at most Limit
	Bound     string // what sets Limit, for messages: "physical memory" or "the cgroup limit"
}

// ReadMemory reads /proc/meminfo and the cgroup files, v1 and v2, below root.
func ReadMemory(root fs.FS) (Memory, error) {
	info, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return Memory{}, fmt.Errorf("read memory size: %w", err)
	}
	total, okTotal := meminfo(info, "MemTotal:")
	available, okAvailable := meminfo(info, "MemAvailable:")
	if !okTotal || !okAvailable {
		return Memory{}, errors.New("read memory size: /proc/meminfo lacks MemTotal or MemAvailable")
	}
	m := Memory{Limit: total, Available: available, Bound: "physical memory"}
	if limit := cgroupLimit(root); limit < total {
		m.Limit, m.Bound = limit, "the cgroup limit"
	}
	m.Available = min(m.Available, m.Limit)
	return m, nil
}

// meminfo finds a line such as "MemTotal:  24684092 kB" and returns bytes.
func meminfo(info []byte, field string) (int64, bool) {
	for line := range bytes.Lines(info) {
		fields := strings.Fields(string(line))
		if len(fields) == 3 && fields[0] == field && fields[2] == "kB" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err == nil && kib >= 0 && kib < 1<<53
		}
	}
	return 0, false
}

// unlimited is what cgroupLimit returns when nothing limits the process. cgroup v1 says "no limit" by a
// number near it.
const unlimited = 1<<63 - 1

// cgroupLimit returns the tightest limit of this process's memory cgroup and all above it: a child may
// name a larger limit than its parent, and the parent's holds. A file that cannot be read limits nothing:
// in a container the path may be the host's and not be mounted.
func cgroupLimit(root fs.FS) int64 {
	membership, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return unlimited
	}
	limit := int64(unlimited)
	lines := bufio.NewScanner(bytes.NewReader(membership))
	for lines.Scan() {
		// "4:memory:/path" in v1, "0::/path" in v2.
		_, rest, _ := strings.Cut(lines.Text(), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case controllers == "":
			limit = min(limit, tightest(root, "sys/fs/cgroup", group, "memory.max"))
		case hasController(controllers, "memory"):
			limit = min(limit, tightest(root, "sys/fs/cgroup/memory", group, "memory.limit_in_bytes"))
		}
	}
	return limit
}

func hasController(list, name string) bool {
	for c := range strings.SplitSeq(list, ",") {
		if c == name {
			return true
		}
	}
	return false
}

// tightest reads file in mount+group and in every directory above it up to mount.
func tightest(root fs.FS, mount, group, file string) int64 {
	limit := int64(unlimited)
	for dir := path.Join("/", group); ; dir = path.Dir(dir) {
		if content, err := fs.ReadFile(root, path.Join(mount, dir, file)); err == nil {
			// "max" does not parse and limits nothing.
			if n, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64); err == nil && n >= 0 {
				limit = min(limit, n)
			}
		}
		if dir == "/" {
			return limit
		}
	}
}
