package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// adminCommand is the shared part of the commands that ask a running node.
type adminCommand struct {
	env    environment
	loader *loader
	json   bool
}

func newAdminCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Look at and run a store",
		Long:  "Look at and run a store. These commands ask the node at --admin, signed with the root credential or, by --credentials, an access key of a user who has the rights.",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a := &adminCommand{env: env, loader: newLoader(env, cmd, partAdmin)}
	cmd.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON instead of a table")
	cmd.AddCommand(
		newMembersCommand(a), newInviteCommand(a), newGroupsCommand(a), newWorkersCommand(a), newSpaceCommand(a),
		newPlacementCommand(a), newDurabilityCommand(a), newHealthCommand(a), newSettingsCommand(a), newScrubCommand(a), newDriveCommand(a), newBucketCommand(a),
		newBackupCommand(a), newRestoreCommand(a), newRecoverCommand(a),
		newUserCommand(a), newGroupCommand(a), newPolicyCommand(a), newKeyCommand(a), newRootCommand(a), newIPCommand(a), newReadOnlyCommand(a), newGCCommand(a),
		newAdminAuditCommand(a),
	)
	return cmd
}

// query is a command without arguments that asks for one document and prints it.
func query[T any](a *adminCommand, use, short, method, path string, print func(*tabwriter.Writer, T)) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd.Context(), a, method, path, nil, print)
		},
	}
}

// ask sends one request and prints the answer as JSON or by print.
func ask[T any](ctx context.Context, a *adminCommand, method, path string, body any, print func(*tabwriter.Writer, T)) error {
	client, err := a.connect()
	if err != nil {
		return err
	}
	value, err := fetch[T](ctx, client, method, path, body)
	if err != nil {
		return err
	}
	return show(a, value, print)
}

// connect reads the settings and makes the client of the node that they name.
func (a *adminCommand) connect() (*adminClient, error) {
	s, err := a.loader.load()
	if err != nil {
		return nil, err
	}
	return newAdminClient(a.env, s)
}

// fetch sends one request and decodes the answer.
func fetch[T any](ctx context.Context, client *adminClient, method, path string, body any) (value T, err error) {
	answer, err := client.call(ctx, method, path, body)
	if err != nil {
		return value, err
	}
	if err := json.Unmarshal(answer, &value); err != nil {
		return value, fmt.Errorf("the answer of %s cannot be read: %w", client.base, err)
	}
	return value, nil
}

// show prints a value as JSON or by print.
func show[T any](a *adminCommand, value T, print func(*tabwriter.Writer, T)) error {
	if a.json {
		return printJSON(a.env.out, value)
	}
	w := tabwriter.NewWriter(a.env.out, 0, 0, 2, ' ', 0)
	print(w, value)
	return w.Flush()
}

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// row writes one line of a table.
func row(w *tabwriter.Writer, cells ...any) {
	text := make([]string, len(cells))
	for i, c := range cells {
		text[i] = fmt.Sprint(c)
	}
	fmt.Fprintln(w, strings.Join(text, "\t"))
}
