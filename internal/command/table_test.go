package command

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keepsight/keepsight/api"
)

func TestStatusTable(t *testing.T) {
	status := api.Status{
		Version: "v1", UptimeSeconds: 3723.4, Ready: true,
		Tiers: []api.TierStatus{
			{Name: "host", Health: "ok", CapacityBytes: 4 << 30, UsedBytes: 1 << 30, Entries: 120, Hits: 900, Misses: 100,
				ReadBytes: 7 << 30, PutBytes: 2 << 30, Evictions: map[string]uint64{"capacity": 3, "expired": 1}},
			{Name: "disk", Health: "degraded", Reason: "disk_full", Notes: []string{"buffered_io"}, CapacityBytes: 50 << 30,
				UsedBytes: 50 << 30, Entries: 4000, Hits: 40, Misses: 60, Corruptions: 2},
		},
		Degraded: []string{"disk: disk_full"},
		Memory:   api.Memory{BudgetBytes: 5 << 30, ResidentBytes: 4 << 30, InflightBytes: 8 << 20},
		Limits:   api.Limits{MaxObjectBytes: 512 << 20},
		Claims:   2, EncodeSecondsSaved: 76.5,
	}
	var got strings.Builder
	writeStatus(&got, status, nil, 0)
	want := `
keepsight v1, up 1h2m3s, ready
degraded: disk: disk_full

  tier    health    used      of                   entries  hits  misses   read    put  evicted  corrupt
  host        ok   1 GiB   4 GiB  ███░░░░░░░  25%      120   900     100  7 GiB  2 GiB        4        0
  disk  degraded  50 GiB  50 GiB  ██████████ 100%     4000    40      60    0 B    0 B        0        2

memory 4 GiB resident of 5 GiB, 8 MiB in flight, 0 B pinned
2 claims, 0 pins, largest object 512 MiB, 76.5 s of encoding saved
disk: buffered_io
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), got.String()); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}

	later := status
	later.Tiers = []api.TierStatus{status.Tiers[0], status.Tiers[1]}
	later.Tiers[0].Hits += 20
	later.Tiers[0].ReadBytes += 2 << 30
	later.Tiers[1].Hits = 1 // a counter that fell: the service restarted
	got.Reset()
	writeStatus(&got, later, &status, 2*time.Second)
	lines := strings.Split(got.String(), "\n")
	for i, want := range map[int][]string{3: {"hits/s", "read/s"}, 4: {" 10 ", "1 GiB"}, 5: {" 1 "}} {
		for _, word := range want {
			if !strings.Contains(lines[i], word) {
				t.Errorf("%q lacks %q", lines[i], word)
			}
		}
	}

	got.Reset()
	writeStatus(&got, api.Status{Draining: true}, nil, 0)
	if !strings.Contains(got.String(), "draining") {
		t.Errorf("a draining service: %s", got.String())
	}
}
