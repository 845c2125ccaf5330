package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/keepsight/keepsight/internal/encoder"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/pattern"
)

const description = `Load tests keepsight, on a service of its own unless --target says otherwise.

Every byte that comes back is checked. Exits with 1 if one was wrong, nothing succeeded, or a condition of --assert was not met; with --compare also if a server failed at what it was asked.`

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
	f, err := parse(args, out, errs)
	if err == nil {
		err = newTest(f, args, out, errs).run(ctx)
	}
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(usageError)):
		fmt.Fprintf(errs, "loadtest: %s\n", err)
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(errs, "loadtest: interrupted")
		return exitFailed
	}
	fmt.Fprintf(errs, "loadtest: %s\n", err)
	return exitFailed
}

// parse reads flags. It does not return if they ask for help.
func parse(args []string, out, errs io.Writer) (f flags, err error) {
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
	if err != nil {
		return f, err
	}
	if _, err = parser.Parse(args); err != nil {
		return f, usageError{fmt.Errorf("%w (--help shows what there is)", err)}
	}
	return f, nil
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
