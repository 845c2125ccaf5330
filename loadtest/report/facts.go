package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/keepsight/keepsight/loadtest/chart"
)

// A fact is one thing about where the report was made.
type fact struct{ Name, Value string }

// facts say when, where and with what the report was made, as far as it is known.
func (r Report) facts() []fact {
	m := r.Machine
	facts := []fact{
		{"made", r.when()}, {"processor", m.CPU}, {"cores", m.cores()}, {"memory", m.memory()}, {"kernel", m.Kernel},
		{"congestion control", m.Congestion},
	}
	for _, name := range slices.Sorted(maps.Keys(m.Versions)) {
		facts = append(facts, fact{name, m.Versions[name]})
	}
	return slices.DeleteFunc(facts, func(f fact) bool { return f.Value == "" })
}

// where is the facts in one line.
func (r Report) where() string {
	parts := []string{r.when(), r.Machine.CPU}
	if cores := r.Machine.cores(); cores != "" {
		parts = append(parts, cores+" cores")
	}
	parts = append(parts, r.Machine.memory(), r.Machine.Kernel)
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " · ")
}

func (r Report) when() string {
	if r.Made.IsZero() {
		return ""
	}
	return r.Made.UTC().Format("2006-01-02 15:04 UTC")
}

func (m Machine) cores() string {
	if m.Cores <= 0 {
		return ""
	}
	return fmt.Sprint(m.Cores)
}

func (m Machine) memory() string {
	if m.MemoryBytes <= 0 {
		return ""
	}
	return chart.BinaryBytes.Format(float64(m.MemoryBytes))
}
