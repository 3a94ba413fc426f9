package main

import (
	"fmt"
	"net/http"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

const settingsPath = "/admin/v1/settings"

func newSettingsCommand(a *adminCommand) *cobra.Command {
	cmd := query(a, "settings", "Show what can be changed while the store runs", http.MethodGet, settingsPath, showSettings)
	cmd.AddCommand(&cobra.Command{
		Use:   "set NAME VALUE",
		Short: "Change a setting of the cluster",
		Long:  "Change a setting of the cluster. It holds at once, on every node. The empty value \"\" goes back to the default.",
		Args:  cobra.ExactArgs(2),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.set(cmd, args[0], args[1]) },
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return settingNames(api.KnownSettings()), cobra.ShellCompDirectiveNoFileComp
		},
	})
	return cmd
}

// showSettings shows each setting with its value, or the default in parentheses.
func showSettings(w *tabwriter.Writer, list []api.Setting) {
	row(w, "SETTING", "VALUE", "MEANING")
	for _, s := range list {
		value := s.Value
		if value == "" {
			value = "(" + s.Default + ")"
		}
		row(w, s.Name, value, dash(s.Meaning))
	}
}

// change is a setting with its new value.
type change struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// set changes a setting that the node knows.
func (a *adminCommand) set(cmd *cobra.Command, name, value string) error {
	client, err := a.connect()
	if err != nil {
		return err
	}
	list, err := fetch[[]api.Setting](cmd.Context(), client, http.MethodGet, settingsPath, nil)
	if err != nil {
		return err
	}
	if names := settingNames(list); !slices.Contains(names, name) {
		return &usageError{fmt.Sprintf("there is no setting %q; did you mean %s?", name, nearest(name, names))}
	}
	if _, err := fetch[struct{}](cmd.Context(), client, http.MethodPost, settingsPath, change{name, value}); err != nil {
		return err
	}
	return show(a, change{name, value}, func(w *tabwriter.Writer, c change) {
		if c.Value == "" {
			c.Value = "its default"
		}
		row(w, c.Name+" is now "+c.Value)
	})
}

func settingNames(list []api.Setting) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	return names
}

// nearest gives the name that takes the fewest edits to reach.
func nearest(name string, names []string) string {
	return slices.MinFunc(names, func(a, b string) int { return editDistance(name, a) - editDistance(name, b) })
}
