package server

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// live tells that the process answers.
func (s *Server) live(c *call) error {
	return c.send(http.StatusOK, mediaText, []byte("ok\n"))
}

// ready tells whether traffic should come here. A tier that is lost is no reason against it: what is left works.
func (s *Server) ready(c *call) error {
	if s.draining.Load() {
		return errDraining
	}
	return c.send(http.StatusOK, mediaText, []byte("ready\n"))
}

const mediaText = "text/plain; charset=utf-8"

// openAPI answers with the contract.
func (s *Server) openAPI(c *call) error {
	return c.send(http.StatusOK, "application/yaml", api.OpenAPI)
}

// status tells what state the service is in.
func (s *Server) status(c *call) error {
	st := s.store.Stats()
	body := api.Status{
		Version:            s.config.Version,
		Started:            s.started.UTC(),
		UptimeSeconds:      time.Since(s.started).Seconds(),
		Ready:              !s.draining.Load(),
		Draining:           s.draining.Load(),
		Degraded:           degraded(st.Tiers),
		Limits:             s.limits(c.who.tenant),
		Claims:             int64(st.ClaimedKeys),
		Pins:               int64(st.Pins),
		EncodeSecondsSaved: s.metrics.secondsSaved(),
		Memory: api.Memory{
			BudgetBytes:   s.config.MemoryBytes,
			ResidentBytes: residentBytes(),
			ArenaBytes:    s.budget.ArenaBytes,
			InflightBytes: st.InFlightBytes,
			PinnedBytes:   st.PinnedBytes,
		},
	}
	for _, t := range st.Tiers {
		body.Tiers = append(body.Tiers, describeTier(t))
	}
	return c.json(body)
}

// degraded lists what does not work as configured.
func degraded(list []tiers.Stats) []string {
	words := []string{}
	for _, t := range list {
		if t.Health != tiers.HealthOK {
			words = append(words, t.Tier+": "+t.Reason)
		}
	}
	return words
}

func describeTier(t tiers.Stats) api.TierStatus {
	return api.TierStatus{
		Name:             t.Tier,
		Health:           string(t.Health),
		Reason:           t.Reason,
		Notes:            t.Notes,
		CapacityBytes:    t.CapacityBytes,
		UsedBytes:        t.UsedBytes,
		QuarantinedBytes: t.QuarantinedBytes,
		Entries:          t.Entries,
		Hits:             t.Hits,
		Misses:           t.Misses,
		Puts:             t.Puts,
		PutBytes:         t.PutBytes,
		ReadBytes:        t.ReadBytes,
		Corruptions:      t.Corruptions,
		IOErrors:         t.IOErrors,
		Evictions:        t.Evictions,
		Refusals:         t.Refusals,
	}
}

// residentBytes returns what the process occupies in memory, 0 where the kernel does not tell.
func residentBytes() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
