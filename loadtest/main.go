// Command loadtest sends the traffic of inference engines to keepsight and to servers that it is compared with,
// checks every byte that comes back, and shows what it found: go run ./loadtest --help.
//
// The package is flags and their wiring; package load is the library. A test owns what it starts, servers and
// directories, and leaves none of it behind.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who interrupts twice does not want to wait for anything
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // a byte was wrong, a condition was not met, or there could be no run
	exitUsage  = 2
)

// usageError is a mistake of the caller, as opposed to a failure of the work.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }
