package hosttier

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	tests := []struct {
		name string
		hash hashFunc
	}{
		{"seeded hash", seededHash()},
		{"every id collides", collide},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tiertest.Run(t, func(t *testing.T) tiertest.Fixture {
				tier := open(t, Options{Arena: tiertest.Arena(t, 64<<20)}, test.hash)
				return tiertest.Fixture{Tier: tier, Reserve: tier.Reserve}
			})
		})
	}
}

// open makes a tier that the end of the test closes.
func open(t testing.TB, o Options, hash hashFunc) *Tier {
	t.Helper()
	tier, err := newTier(o, hash)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tier.Close(); err != nil {
			t.Error(err)
		}
	})
	return tier
}

// collide gives every id one key, and no conflict half to tell them apart by.
func collide([]byte) (key, conflict uint64) { return 7, 0 }
