// Command freshet runs change-data-capture connectors. This package has flags, wiring, signals and exit codes, nothing else.
//
// Goroutines: watchSignals turns the first SIGINT or SIGTERM into a graceful stop and ends the process at the second; it
// lives as long as the process. "rest" and "herder" are the two halves of a worker of a cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake in the command line.
type usageError struct{ error }

// exitError ends the program with a code without printing anything more.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go watchSignals(signals, stop)

	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitError
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return code.code
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "freshet: %v\nTry 'freshet --help'.\n", err)
		return exitUsage
	}
	fmt.Fprintf(os.Stderr, "freshet: %v\n", err)
	return exitFailed
}

func watchSignals(signals <-chan os.Signal, stop func()) {
	<-signals
	stop()
	<-signals
	os.Exit(exitFailed)
}
