package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/internal/encoder"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/pattern"
)

// flags are the whole grammar: their tags are the reference that --help prints.
type flags struct {
	Scenario string `default:"traffic" enum:"traffic,serving,overload" help:"traffic: clients that read what is there, and encode and store what is not. serving: a simulation of engines over the real service, under three policies. overload: ten times what the server can do. (${default})"`
	Compare  bool   `help:"Send the same traffic to keepsight, Redis, memcached and nginx, as far as they are installed, and print every result as a share of a raw loopback stream."`

	Target      []string      `placeholder:"URL" help:"A server that runs already; may be repeated. ${schemes}. Without it a keepsight is started for the run."`
	AllowRemote bool          `help:"Let the load leave this machine."`
	Token       string        `env:"KEEPSIGHT_TOKEN" placeholder:"TOKEN" help:"Bearer token for keepsight."`
	Namespace   string        `default:"loadtest" placeholder:"NAME" help:"What to store under. (${default})"`
	Keepsight   string        `placeholder:"FILE" help:"The keepsight to start. (built from this module)"`
	Memory      bytesize.Size `default:"2GiB" placeholder:"SIZE" help:"Memory of each server that is started. (${default})"`
	DiskSize    bytesize.Size `default:"4GiB" placeholder:"SIZE" help:"Disk tier of a keepsight that is started; 0 for none. (${default})"`
	Congestion  string        `placeholder:"NAME" help:"TCP congestion control of both ends of every connection to servers that are started, cubic for example. (the machine's)"`

	Encoder string         `default:"qwen2.5-vl-image" placeholder:"NAME" help:"Whose outputs to store: ${encoders}. (${default})"`
	Size    *bytesize.Size `placeholder:"SIZE" help:"Bytes of every value, instead of an encoder's."`
	Pattern string         `default:"pool-80" placeholder:"NAME" help:"How often media are seen again: ${patterns}. (${default})"`
	Encode  float64        `default:"0" placeholder:"SHARE" help:"How much of the encoder's time a client waits before it stores what was missing: 0 for none, 1 for all. (${default})"`

	Clients  int           `default:"4" placeholder:"N" help:"How many send requests, each over one connection. (${default})"`
	Rate     float64       `placeholder:"N" help:"Requests that become due each second over all clients; latency counts from then. (as fast as answers come)"`
	Requests int64         `default:"1000" placeholder:"N" help:"How many in all. (${default})"`
	Duration time.Duration `placeholder:"DURATION" help:"When to stop at the latest. (30s; of each run of --scenario overload 10s, of each cell and round of --compare 1s)"`
	Verify   string        `default:"all" enum:"off,sample,all" help:"How much of what comes back to compare with what was stored: off, sample or all. (${default})"`
	Seed     uint64        `default:"1" placeholder:"N" help:"What media, arrivals and bytes follow from. (${default})"`

	Ops         []string        `default:"get,put,lookup" enum:"get,put,lookup" help:"With --compare or --scenario overload: what to do. (${default})"`
	Sizes       []bytesize.Size `default:"64KiB,1MiB,8MiB" placeholder:"SIZE" help:"With --compare: bytes of a value. (${default})"`
	Connections []int           `default:"1,4" placeholder:"N" help:"With --compare: clients. (${default})"`
	Entries     []int64         `placeholder:"N" help:"With --compare: values that are stored before reads. (256 MiB of them)"`
	Rounds      int             `default:"5" placeholder:"N" help:"With --compare: rounds, of which medians are taken. (${default})"`

	JSON   string   `name:"json" placeholder:"FILE" help:"Write everything that was measured."`
	HTML   string   `name:"html" placeholder:"FILE" help:"Write a report with plots, one page that needs no network."`
	Chart  string   `placeholder:"FILE" help:"With --scenario serving: write its picture, SVG."`
	Assert []string `sep:"none" placeholder:"CONDITION" help:"Exit 1 unless it is true of every result; may be repeated. ${conditions}."`

	ServeRaw int `hidden:"" placeholder:"PORT" help:"Be the other end of the raw loopback stream."`
}

const description = `Load tests keepsight, on a service of its own unless --target says otherwise.

Every byte that comes back is checked. Exits with 1 if one was wrong or a condition of --assert was not met.`

// exit carries a code out of kong, which wants to end the process after printing help.
type exit struct{ code int }

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) (code int) {
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case exit:
			code = cause.code
		default:
			panic(cause)
		}
	}()
	var f flags
	parser, err := kong.New(&f,
		kong.Name("loadtest"),
		kong.Description(description),
		kong.Writers(out, errs),
		kong.Exit(func(code int) { panic(exit{code}) }),
		kong.Vars{
			"schemes": load.Schemes, "conditions": load.Conditions,
			"encoders": strings.Join(encoderNames(), ", "), "patterns": strings.Join(pattern.Names(), ", "),
		},
	)
	if err == nil {
		if _, err = parser.Parse(args); err != nil {
			err = usageError{err}
		}
	}
	if err == nil {
		err = newTest(f, args, out, errs).run(ctx)
	}
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(usageError)):
		fmt.Fprintf(errs, "loadtest: %s\n", err)
		return exitUsage
	}
	fmt.Fprintf(errs, "loadtest: %s\n", err)
	return exitFailed
}

// mixed stands for media of all encoders in turn.
const mixed = "mixed"

func encoderNames() []string {
	var names []string
	for _, o := range encoder.Outputs() {
		names = append(names, o.Name)
	}
	return append(names, mixed)
}

// check refuses what flags cannot be together. It returns the conditions.
func (f *flags) check() ([]load.Condition, error) {
	for _, row := range []struct {
		wrong bool
		what  string
	}{
		{f.Compare && f.Scenario != "traffic", "--compare has traffic of its own and goes with no other --scenario"},
		{f.Compare && len(f.Target) > 0, "--compare starts its servers and takes no --target"},
		{f.Scenario != "traffic" && len(f.Target) > 1, "--scenario " + f.Scenario + " takes one --target"},
		{f.Chart != "" && f.Scenario != "serving", "--chart is the picture of --scenario serving"},
		{f.Congestion != "" && len(f.Target) > 0, "--congestion is set on both ends, and those of a --target are not ours"},
		{f.Clients <= 0 || f.Clients > maxClients, fmt.Sprintf("--clients must be 1 to %d", maxClients)},
		{f.Rounds <= 0, "--rounds must be at least 1"},
		{f.Requests <= 0, "--requests must be at least 1"},
		{f.Duration < 0 || f.Duration > maxDuration, fmt.Sprintf("--duration must be at most %s", maxDuration)},
		{f.Rate < 0 || f.Encode < 0, "--rate and --encode cannot be negative"},
	} {
		if row.wrong {
			return nil, usagef("%s", row.what)
		}
	}
	for _, n := range f.Connections {
		if n <= 0 || n > maxClients {
			return nil, usagef("--connections must be 1 to %d", maxClients)
		}
	}
	var conditions []load.Condition
	for _, text := range f.Assert {
		c, err := load.ParseCondition(text)
		if err != nil {
			return nil, usageError{err}
		}
		conditions = append(conditions, c)
	}
	return conditions, nil
}

const (
	// maxClients keeps the load test within the descriptors and memory of a small machine.
	maxClients = 1024
	// maxDuration bounds a run that somebody forgets.
	maxDuration = time.Hour
)
