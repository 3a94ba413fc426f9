package main

import "github.com/spf13/cobra"

// newPartCommands are the commands that start a part of the store.
func newPartCommands(env environment) []*cobra.Command { return nil }
