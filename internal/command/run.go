// Package command is the keepsight command line: it parses flags, calls a package, and turns what comes back
// into lines and an exit code.
//
// It owns the process while it runs, signals included, and nothing after: [Run] may be called any number of
// times in one process, which is how tests start the whole program. A command returns an error and never
// exits; what the error means to a shell is decided here alone.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// Exit codes. Scripts and container probes read them.
const (
	exitOK     = 0
	exitFailed = 1 // a miss, damage, a server that does not answer
	exitUsage  = 2 // the command line, the configuration, or an address or directory that is in use
)

// Streams are what a command reads from and writes to.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// commandLine is the whole grammar: its tags are the reference that --help prints.
type commandLine struct {
	Serve   serveCommand   `cmd:"" help:"Run the service on this machine."`
	Put     putCommand     `cmd:"" help:"Store a file as an embedding."`
	Get     getCommand     `cmd:"" help:"Read an embedding."`
	Stat    statCommand    `cmd:"" help:"Show what the service holds and does: a live table on a terminal."`
	Ls      lsCommand      `cmd:"" help:"List namespaces, or describe one."`
	Rm      rmCommand      `cmd:"" help:"Remove an embedding."`
	Key     keyCommand     `cmd:"" help:"Print the media hash of a file: the key that put uses by default."`
	Health  healthCommand  `cmd:"" help:"Exit 0 if the service is ready: for container probes."`
	Check   checkCommand   `cmd:"" help:"Verify every stored value of a stopped service's disk directory."`
	Version versionCommand `cmd:"" help:"Print the version."`
	Demo    demoCommand    `cmd:"" hidden:"" help:"Show every tier at work in a temporary directory."`
}

// usageError is a mistake of the caller, as opposed to a failure of the work.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exit carries a code out of kong, which wants to end the process after printing help.
type exit struct{ code int }

// Run executes one command line and returns its exit code. Cancelling ctx ends it as SIGTERM would.
func Run(ctx context.Context, args []string, streams Streams) (code int) {
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case exit:
			code = cause.code
		default:
			panic(cause)
		}
	}()
	var line commandLine
	parser, err := newParser(ctx, &line, streams)
	if err != nil {
		return report(streams.Err, err)
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return report(streams.Err, usageError{err})
	}
	return report(streams.Err, parsed.Run())
}

func newParser(ctx context.Context, line *commandLine, streams Streams) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("keepsight"),
		kong.Description("Keeps what the encoder saw: a cache service for the outputs of vision and audio encoders."),
		kong.Writers(streams.Out, streams.Err),
		kong.Exit(func(code int) { panic(exit{code}) }),
		kong.Configuration(loadConfig),
		kong.Vars{"listen": defaultListen},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams),
	)
}

// report writes an error as one line and returns the exit code that it stands for.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "keepsight: %s\n", strings.TrimPrefix(err.Error(), "keepsight: "))
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}
