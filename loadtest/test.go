package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/keepsight/keepsight/internal/encoder"
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
	report     report.Report
}

func newTest(f flags, args []string, out, errs io.Writer) *test {
	return &test{flags: f, args: args, out: out, line: newProgress(errs)}
}

// run does what the flags say and shows what came of it.
func (t *test) run(ctx context.Context) (err error) {
	if t.ServeRaw != 0 {
		return serveRaw(t.ServeRaw)
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
		Command: strings.Join(append([]string{"go run ./loadtest"}, t.args...), " "),
		Made:    time.Now(),
		Machine: machineNow(t.Congestion),
	}
	switch {
	case t.Compare:
		err = t.compare(ctx)
	case t.Scenario == "serving":
		err = t.serving(ctx)
	case t.Scenario == "overload":
		err = t.overload(ctx)
	default:
		err = t.traffic(ctx)
	}
	t.line.clear()
	if err != nil {
		return err
	}
	if err := t.write(); err != nil {
		return err
	}
	return t.judge()
}

// close ends what was started.
func (t *test) close() error {
	errs := []error{os.RemoveAll(t.dir)}
	for _, p := range t.peers {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// write shows the report in every form that was asked for.
func (t *test) write() error {
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
		return usageError{err}
	}
	return errors.Join(write(f), f.Close())
}

// judge returns an error if a byte was wrong or a condition is not met.
func (t *test) judge() error {
	var errs []error
	for _, r := range t.report.Results {
		if r.Wrong > 0 {
			errs = append(errs, fmt.Errorf("%s, %s: %d values with wrong bytes: %s", r.Target, r.Traffic, r.Wrong, r.FirstError))
		}
		for _, c := range t.conditions {
			errs = append(errs, c.Check(r))
		}
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

// targets are those that run already, or a keepsight started for this run.
func (t *test) targets(ctx context.Context) ([]load.Target, error) {
	if len(t.Target) == 0 {
		p, err := t.start(ctx, func(program string, o peer.Options) (*peer.Peer, error) {
			return peer.Keepsight(ctx, program, t.DiskSize.Of(0), o)
		})
		if err != nil {
			return nil, err
		}
		return p.Targets, nil
	}
	var targets []load.Target
	for _, url := range t.Target {
		target := load.Target{Name: url, URL: url, Namespace: t.Namespace, Token: t.Token}
		if err := target.Validate(t.AllowRemote); err != nil {
			return nil, usageError{err}
		}
		targets = append(targets, target)
	}
	return targets, nil
}

// start runs a keepsight and remembers to end it.
func (t *test) start(ctx context.Context, start func(program string, o peer.Options) (*peer.Peer, error)) (*peer.Peer, error) {
	program, err := t.program(ctx)
	if err != nil {
		return nil, err
	}
	p, err := start(program, t.peerOptions())
	if err != nil {
		return nil, err
	}
	t.keep(p)
	return p, nil
}

func (t *test) keep(p *peer.Peer) {
	t.peers = append(t.peers, p)
	if p.Version != "" {
		t.report.Machine.Versions[p.Name] = p.Version
	}
	for i := range p.Targets {
		p.Targets[i].Namespace = t.Namespace
	}
}

func (t *test) peerOptions() peer.Options {
	return peer.Options{MemoryBytes: t.Memory.Of(0), Congestion: t.Congestion}
}

// program returns the keepsight to start.
func (t *test) program(ctx context.Context) (string, error) {
	if t.Keepsight != "" {
		return t.Keepsight, nil
	}
	t.line.show("building keepsight")
	program := filepath.Join(t.dir, "keepsight")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/keepsight/keepsight")
	if printed, err := build.CombinedOutput(); err != nil {
		return "", usagef("keepsight cannot be built here (%w), give --keepsight FILE:\n%s", err, printed)
	}
	t.Keepsight = program
	return program, nil
}

// outputs returns whose outputs are stored, and the size of the largest.
func (t *test) outputs() (outputs []encoder.Output, largest int64, err error) {
	switch {
	case t.Size != nil:
		bytes := t.Size.Of(0)
		if bytes < load.MinValue {
			return nil, 0, usagef("--size must be at least %d bytes", load.MinValue)
		}
		return nil, bytes, nil
	case t.Encoder == mixed:
		outputs = encoder.Outputs()
	default:
		o, err := encoder.ByName(t.Encoder)
		if err != nil {
			return nil, 0, usageError{err}
		}
		outputs = []encoder.Output{o}
	}
	return outputs, outputs[len(outputs)-1].Size(), nil
}

// machineNow says where this runs.
func machineNow(congestion string) report.Machine {
	m := report.Machine{Cores: runtime.NumCPU(), Congestion: congestion, Versions: map[string]string{"Go": runtime.Version()}}
	if m.Congestion == "" {
		m.Congestion = firstLine("/proc/sys/net/ipv4/tcp_congestion_control")
	}
	m.Kernel = firstLine("/proc/sys/kernel/osrelease")
	m.CPU = fieldOf("/proc/cpuinfo", "model name")
	var kilobytes int64
	if _, err := fmt.Sscan(fieldOf("/proc/meminfo", "MemTotal"), &kilobytes); err == nil {
		m.MemoryBytes = kilobytes << 10
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
