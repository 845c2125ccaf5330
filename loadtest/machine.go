package main

import (
	"os"
	"runtime"
	"strings"

	"github.com/keepsight/keepsight/internal/machine"
	"github.com/keepsight/keepsight/loadtest/report"
)

// machineNow says where this runs, as far as Linux tells.
func machineNow(congestion string) report.Machine {
	m := report.Machine{
		CPU:        fieldOf("/proc/cpuinfo", "model name"),
		Cores:      runtime.NumCPU(),
		Kernel:     firstLine("/proc/sys/kernel/osrelease"),
		Congestion: congestion,
		Versions:   map[string]string{"Go": runtime.Version()},
	}
	if m.Congestion == "" {
		m.Congestion = firstLine("/proc/sys/net/ipv4/tcp_congestion_control")
	}
	if memory, err := machine.ReadMemory(os.DirFS("/")); err == nil {
		m.MemoryBytes = memory.Limit
	}
	return m
}

func firstLine(file string) string {
	content, _ := os.ReadFile(file)
	line, _, _ := strings.Cut(string(content), "\n")
	return line
}

// fieldOf returns the value of the first "name : value" line.
func fieldOf(file, name string) string {
	content, _ := os.ReadFile(file)
	for line := range strings.Lines(string(content)) {
		if field, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(field) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
