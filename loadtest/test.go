package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/peer"
	"github.com/keepsight/keepsight/loadtest/report"
)

// A test is one run of the command.
type test struct {
	flags
	args       []string
	out        io.Writer
	line       *progress
	conditions []load.Condition
	dir        string // for what is built; removed at the end
	peers      []*peer.Peer
	notes      []string // sentences above the tables
	report     report.Report
}

// maxLife bounds a test and the servers that it starts, whatever hangs.
const maxLife = 6 * time.Hour

func newTest(f flags, args []string, out, errs io.Writer) *test {
	return &test{flags: f, args: args, out: out, line: newProgress(errs)}
}

// run does what the flags say and shows what came of it.
func (t *test) run(ctx context.Context) (err error) {
	if t.ServeRaw != 0 {
		return serveRaw(ctx, t.ServeRaw)
	}
	if t.conditions, err = t.check(); err != nil {
		return err
	}
	if t.dir, err = os.MkdirTemp("", "keepsight-loadtest-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	t.report = report.Report{
		Title:   "keepsight load test",
		Command: commandLine(t.args),
		Made:    time.Now(),
		Machine: machineNow(t.Congestion),
	}
	ctx, cancel := context.WithTimeout(ctx, maxLife)
	defer cancel()
	err = t.scenario()(ctx)
	t.line.clear()
	if err != nil && len(t.report.Results) == 0 {
		return err
	}
	// What was measured before an interrupt is shown, too.
	return errors.Join(err, t.write(), t.judge())
}

func (t *test) scenario() func(context.Context) error {
	switch {
	case t.Compare:
		return t.compare
	case t.Scenario == "serving":
		return t.serving
	case t.Scenario == "overload":
		return t.overload
	}
	return t.traffic
}

// close ends what was started.
func (t *test) close() error {
	return errors.Join(os.RemoveAll(t.dir), t.closePeers(0))
}

// closePeers ends the servers that were started after the first few.
func (t *test) closePeers(first int) error {
	var errs []error
	for _, p := range t.peers[first:] {
		errs = append(errs, p.Close())
	}
	t.peers = t.peers[:first]
	return errors.Join(errs...)
}

// notef remembers a sentence for the terminal.
func (t *test) notef(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// write shows the report in every form that was asked for.
func (t *test) write() error {
	for _, note := range t.notes {
		fmt.Fprintln(t.out, note)
	}
	if err := report.WriteTable(t.out, t.report); err != nil {
		return err
	}
	for _, form := range []struct {
		file  string
		write func(io.Writer) error
	}{
		{t.JSON, func(w io.Writer) error { return report.WriteJSON(w, t.report) }},
		{t.HTML, func(w io.Writer) error { return report.WriteHTML(w, t.report) }},
		{t.Chart, func(w io.Writer) error {
			_, err := w.Write(report.ServingChart(t.report.Serving))
			return err
		}},
	} {
		if form.file == "" {
			continue
		}
		if err := writeFile(form.file, form.write); err != nil {
			return err
		}
		fmt.Fprintf(t.out, "wrote %s\n", form.file)
	}
	return nil
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// judge returns an error if a byte was wrong, nothing succeeded, or a condition is not met.
func (t *test) judge() error {
	var errs []error
	for _, r := range t.report.Results {
		if r.Wrong > 0 {
			errs = append(errs, fmt.Errorf("%s, %s: %d values with wrong bytes: %s", r.Target, r.Traffic, r.Wrong, r.FirstError))
		}
		if r.Operations() == 0 {
			errs = append(errs, fmt.Errorf("%s, %s: nothing succeeded: %d errors, %d refused, %d unanswered: %s",
				r.Target, r.Traffic, r.Errors, r.Refused, r.Unanswered, r.FirstError))
		}
		for _, c := range t.conditions {
			errs = append(errs, c.Check(r))
		}
	}
	if t.report.Compare != nil {
		errs = append(errs, t.report.Compare.Check())
	}
	return errors.Join(errs...)
}

// duration is what was asked for or the usual.
func (t *test) duration(usual time.Duration) time.Duration {
	if t.Duration == 0 {
		return usual
	}
	return t.Duration
}

// verify is what was asked for or the usual.
func (t *test) verify(usual load.Verify) load.Verify {
	if t.Verify == "auto" {
		return usual
	}
	return load.Verify(t.Verify)
}

// commandLine is what makes a report again, as one writes it in a shell.
func commandLine(args []string) string {
	words := []string{"go run ./loadtest"}
	for _, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " \t\n\"'\\$`<>|&;()*?[]#~!{}") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
