package api

import "time"

// A Status is the service at one moment.
type Status struct {
	Version       string       `json:"version"`
	Started       time.Time    `json:"started"`
	UptimeSeconds float64      `json:"uptime_seconds"`
	Ready         bool         `json:"ready"`
	Draining      bool         `json:"draining"`
	Degraded      []string     `json:"degraded"` // what does not work as configured: "disk: disk_full"; empty when all does
	Tiers         []TierStatus `json:"tiers"`    // from the fastest down
	Memory        Memory       `json:"memory"`
	Limits        Limits       `json:"limits"`

	Claims             int64   `json:"claims"`
	Pins               int64   `json:"pins"`
	EncodeSecondsSaved float64 `json:"encode_seconds_saved"` // by hits, from the cost that writers stated
}

// Memory is what the service's memory is spent on.
type Memory struct {
	BudgetBytes   int64 `json:"budget_bytes"`   // what --memory says
	ResidentBytes int64 `json:"resident_bytes"` // of the process
	ArenaBytes    int64 `json:"arena_bytes"`
	InflightBytes int64 `json:"inflight_bytes"` // bodies being received
	PinnedBytes   int64 `json:"pinned_bytes"`
}

// A TierStatus is one tier at one moment. Counters only grow until the process ends.
type TierStatus struct {
	Name   string   `json:"name"`
	Health string   `json:"health"`           // ok, degraded, read_only, off
	Reason string   `json:"reason,omitempty"` // why the health is not ok: one stable word
	Notes  []string `json:"notes,omitempty"`  // what to know though nothing is wrong

	CapacityBytes    int64 `json:"capacity_bytes"`
	UsedBytes        int64 `json:"used_bytes"`
	QuarantinedBytes int64 `json:"quarantined_bytes"`
	Entries          int64 `json:"entries"`

	Hits        uint64            `json:"hits"`
	Misses      uint64            `json:"misses"`
	Puts        uint64            `json:"puts"`
	PutBytes    uint64            `json:"put_bytes"`
	ReadBytes   uint64            `json:"read_bytes"`
	Corruptions uint64            `json:"corruptions"`
	IOErrors    uint64            `json:"io_errors"`
	Evictions   map[string]uint64 `json:"evictions,omitempty"` // by reason
	Refusals    map[string]uint64 `json:"refusals,omitempty"`  // by reason
}
