package main

import (
	"time"

	"github.com/keepsight/keepsight/internal/bytesize"
)

// flags are the whole grammar: their tags are the reference that --help prints.
type flags struct {
	Scenario string `default:"traffic" enum:"traffic,serving,overload" help:"traffic: clients that read what is there, and encode and store what is not. serving: a simulation of engines over the real service, under three policies. overload: ten times what the server can do. (${default})"`
	Compare  bool   `help:"Send the same traffic to keepsight, Redis, memcached and nginx, as far as they are installed, and print every result as a share of a raw loopback stream."`

	Target      []string      `placeholder:"URL" help:"A server that runs already; may be repeated. ${schemes}. Without it a keepsight is started for the run."`
	AllowRemote bool          `help:"Let the load leave this machine."`
	TokenFile   string        `env:"KEEPSIGHT_TOKEN_FILE" placeholder:"FILE" help:"File with the bearer token of a keepsight that is a --target."`
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
	Duration time.Duration `placeholder:"DURATION" help:"When to stop at the latest. (30s; --scenario serving 5m; each of the two runs of --scenario overload 10s; each cell and round of --compare 1s)"`
	Verify   string        `default:"auto" enum:"auto,off,sample,all" help:"How much of what comes back to compare with what was stored: off, sample or all. (all; with --compare, whose rounds share the processors with the servers, all of it once before them and a sample in them)"`
	Seed     uint64        `default:"1" placeholder:"N" help:"What media, arrivals and bytes follow from. (${default})"`

	Ops         []string        `default:"get,put,lookup" enum:"get,put,lookup" help:"With --compare or --scenario overload: what to do. (${default})"`
	Sizes       []bytesize.Size `default:"64KiB,1MiB,8MiB" placeholder:"SIZE" help:"With --compare: bytes of a value. (${default})"`
	Connections []int           `default:"1,4" placeholder:"N" help:"With --compare: clients. (${default})"`
	Entries     []int64         `placeholder:"N" help:"With --compare: values that are stored before reads. (256 MiB of them, or a quarter of --memory if that is less)"`
	Peers       []string        `default:"redis,memcached,nginx" enum:"redis,memcached,nginx,none" placeholder:"NAME" help:"With --compare: with whom, if they are installed, or none. (${default})"`
	Rounds      int             `default:"5" placeholder:"N" help:"With --compare: rounds, of which medians are taken. (${default})"`

	JSON   string   `name:"json" placeholder:"FILE" help:"Write everything that was measured."`
	HTML   string   `name:"html" placeholder:"FILE" help:"Write a report with plots, one page that needs no network."`
	Chart  string   `placeholder:"FILE" help:"With --scenario serving: write its picture, SVG."`
	Assert []string `sep:"none" placeholder:"CONDITION" help:"With traffic and overload: exit 1 unless it is true of every result; may be repeated. ${conditions}."`

	ServeRaw int `hidden:"" placeholder:"PORT" help:"Be the other end of the raw loopback stream."`
}
