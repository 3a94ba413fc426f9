// Command shoal is a peer-to-peer object store with an S3 gateway.
//
// One binary plays every part: a server (node and gateway in one process), a node, a
// gateway, and the operator's tool. This package reads flags, environment and
// configuration file, joins the parts and handles signals; nothing else happens here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of the process.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	if len(os.Args) > 1 && slices.Contains(partCommands, os.Args[1]) {
		slackenTimers()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// After the first signal the default action is back: a second one ends the process.
	context.AfterFunc(ctx, stop)
	env := environment{vars: os.Environ(), in: os.Stdin, out: os.Stdout, err: os.Stderr}
	code := execute(ctx, env, os.Args[1:])
	stop()
	os.Exit(code)
}

// environment is what the commands see of the process around them.
type environment struct {
	vars []string  // NAME=value, as os.Environ gives them
	in   io.Reader // nil is empty
	out  io.Writer
	err  io.Writer
}

// lookup finds a variable. Unset and empty are the same.
func (e environment) lookup(name string) string {
	for _, v := range e.vars {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// execute runs the command line and gives the exit code. An error is one line on err.
func execute(ctx context.Context, env environment, args []string) int {
	var began bool // an error before a command began is one of usage
	root := newRoot(env, &began)
	root.SetArgs(args)
	root.SetOut(env.out)
	root.SetErr(env.err)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage) || !began:
		fmt.Fprintf(env.err, "shoal: %s (see shoal --help)\n", oneLine(err))
		return exitUsage
	default:
		fmt.Fprintf(env.err, "shoal: %s\n", oneLine(err))
		return exitFailure
	}
}

// newRoot is the tree of commands. It sets began when the chosen command starts.
func newRoot(env environment, began *bool) *cobra.Command {
	root := &cobra.Command{
		Use:           "shoal",
		Short:         "A peer-to-peer object store with an S3 gateway",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			*began = true
		},
	}
	root.AddCommand(newVersionCommand(env), newAdminCommand(env), newAuditCommand(env))
	root.AddCommand(newPartCommands(env)...)
	return root
}

// usageError is a mistake in the command line that is found after the command began.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// oneLine writes an error in one line: joined errors are separated by semicolons.
func oneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}
