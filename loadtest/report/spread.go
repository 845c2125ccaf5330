package report

import (
	"fmt"

	"github.com/keepsight/keepsight/loadtest/chart"
)

// A spread is the range of one number over the targets, and whose its ends are. The zero spread has none.
type spread struct {
	count         int
	lowest        float64
	highest       float64
	lowestTarget  string
	highestTarget string
}

func (s *spread) add(target string, v float64) {
	if s.count == 0 || v < s.lowest {
		s.lowest, s.lowestTarget = v, target
	}
	if s.count == 0 || v > s.highest {
		s.highest, s.highestTarget = v, target
	}
	s.count++
}

// sentence says what the spread is, behind what it is of.
func (s *spread) sentence(of string, unit chart.Unit) string {
	switch s.count {
	case 0:
		return ""
	case 1:
		return of + " " + unit.Format(s.lowest)
	}
	return fmt.Sprintf("%s %s (%s) to %s (%s)", of, unit.Format(s.lowest), s.lowestTarget, unit.Format(s.highest), s.highestTarget)
}
