package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// answerMax bounds a line that an operator types, in bytes.
const answerMax = 4096

// confirm asks a question whose answer must be yes. It goes to err, so that the output stays what
// was asked for.
func (e environment) confirm(ctx context.Context, question string) error {
	answer, err := e.prompt(ctx, question+" [y/N] ")
	if err != nil {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("nothing was changed: answer y, or give --yes where nobody can answer")
	}
	return nil
}

// asking has a command ask before it runs, unless --yes is given. question gives "" where there is nothing to ask.
func (a *adminCommand) asking(cmd *cobra.Command, question func(cmd *cobra.Command, args []string) (string, error)) *cobra.Command {
	var yes bool
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !yes {
			q, err := question(cmd, args)
			if err != nil {
				return err
			}
			if q != "" {
				if err := a.env.confirm(cmd.Context(), q); err != nil {
					return err
				}
			}
		}
		return run(cmd, args)
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// aboutFirst is a question about the first argument of a command.
func aboutFirst(format string) func(*cobra.Command, []string) (string, error) {
	return func(_ *cobra.Command, args []string) (string, error) { return fmt.Sprintf(format, args[0]), nil }
}

// prompt writes text and reads a line. The end of the input is an empty line.
func (e environment) prompt(ctx context.Context, text string) (string, error) {
	if _, err := fmt.Fprint(e.err, text); err != nil {
		return "", err
	}
	if e.in == nil {
		return "", nil
	}
	type read struct {
		line string
		err  error
	}
	got := make(chan read, 1)
	go func() { // ends with the process when the operator types nothing
		line, err := bufio.NewReader(io.LimitReader(e.in, answerMax)).ReadString('\n')
		got <- read{line, err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.New("nothing was changed: interrupted")
	case r := <-got:
		if r.err != nil && r.err != io.EOF {
			return "", fmt.Errorf("read the answer: %w", r.err)
		}
		return r.line, nil
	}
}
