package demo

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/keepsight/keepsight/api"
)

// A stepper says what is going on and how long it took.
type stepper struct{ out io.Writer }

func (s stepper) run(name string, do func() error) error {
	fmt.Fprintf(s.out, "  %-26s", name)
	began := time.Now()
	err := do()
	if err != nil {
		fmt.Fprintln(s.out, "failed")
		return err
	}
	fmt.Fprintf(s.out, "%6.2f s\n", time.Since(began).Seconds())
	return nil
}

func writeTable(w io.Writer, outcomes []outcome) {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "model\tmedia\ttensor\t    size\tPUT, durable\tGET\tGET after kill -9")
	for _, o := range outcomes {
		size := o.tensor.Size
		fmt.Fprintf(table, "%s\t%s\t%s %s\t%5.1f MB\t%s\t%s %s\t%s %s\n",
			o.Model, o.Media, o.tensor.DType, shape(o.tensor.Shape), float64(size)/1e6,
			speed(size, o.put), o.before.tier, speed(size, o.before.took), o.after.tier, speed(size, o.after.took))
	}
	table.Flush()
}

func writeSummary(w io.Writer, outcomes []outcome, status api.Status) {
	var size int64
	for _, o := range outcomes {
		size += o.tensor.Size
	}
	reads := len(outcomes) * (hostReads + 1)
	fmt.Fprintf(w, "\nEvery byte of %d reads was compared with what was stored: %d embeddings, %.0f MB.\n"+
		"Times are those of a client in Go on this machine, checksum included; memory is the median of %d reads, disk is one.\n",
		reads, len(outcomes), float64(size)/1e6, hostReads)
	for _, tier := range status.Tiers {
		for _, note := range tier.Notes {
			fmt.Fprintf(w, "The %s tier notes: %s.\n", tier.Name, note)
		}
	}
}

func shape(dims []int64) string {
	return strings.ReplaceAll(api.FormatShape(dims), ",", "x")
}

func speed(size int64, took time.Duration) string {
	return fmt.Sprintf("%6.1f ms %5.2f GB/s", took.Seconds()*1e3, float64(size)/took.Seconds()/1e9)
}
