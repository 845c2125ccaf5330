package disktier

import (
	"testing"

	"github.com/keepsight/keepsight/tiers/tiertest"
)

func TestConformance(t *testing.T) {
	tiertest.Run(t, func(t *testing.T) tiertest.Fixture {
		a := tiertest.Arena(t, 32<<20)
		o := testOptions(a)
		o.CapacityBytes = 24 << 20
		return tiertest.Fixture{Tier: open(t, t.TempDir(), o), Reserve: o.Reserve}
	})
}
