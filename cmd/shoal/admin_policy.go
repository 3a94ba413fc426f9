package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

// policyTextMax bounds what is read of a policy's file: more than the store takes.
const policyTextMax = 64 << 10

func newPolicyCommand(a *adminCommand) *cobra.Command {
	cmd := identityQuery(a, "policy", "Show the policies; create, change and delete them below it", func(l *api.IdentityList) []api.NamedPolicy { return l.Policies }, showPolicies)
	cmd.AddCommand(
		newPolicyShowCommand(a),
		newPolicyFileCommand(a, "create NAME FILE", "Create a policy from a document; - reads it from standard input", api.DoCreate),
		a.asking(newPolicyFileCommand(a, "set NAME FILE", "Give a policy another document", api.DoSet), a.attachedQuestion),
		identityDelete(a, "Delete a policy that is attached to nobody", api.KindPolicy),
		newSimulateCommand(a),
	)
	return cmd
}

func showPolicies(w *tabwriter.Writer, policies []api.NamedPolicy) {
	row(w, "POLICY", "KIND", "BYTES", "CREATED")
	for i := range policies {
		p := &policies[i]
		kind, created := "own", when(p.Created)
		if p.Canned {
			kind, created = "built in", "-"
		}
		row(w, p.Name, kind, len(p.Document), created)
	}
}

func newPolicyShowCommand(a *adminCommand) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Print the document of a policy",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.connect()
			if err != nil {
				return err
			}
			list, err := fetch[api.IdentityList](cmd.Context(), client, http.MethodGet, identitiesPath, nil)
			if err != nil {
				return err
			}
			for _, p := range list.Policies {
				if p.Name == args[0] {
					return show(a, p, func(w *tabwriter.Writer, p api.NamedPolicy) { row(w, p.Document) })
				}
			}
			return &usageError{fmt.Sprintf("there is no policy %q", args[0])}
		},
	}
}

func newPolicyFileCommand(a *adminCommand, use, short, do string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readPolicy(cmd.InOrStdin(), args[1])
			if err != nil {
				return err
			}
			return a.changeIdentity(cmd.Context(), api.IdentityChange{Kind: api.KindPolicy, Name: args[0], Do: do, Document: text})
		},
	}
}

// attachedQuestion asks before a policy is changed for those who have it.
func (a *adminCommand) attachedQuestion(cmd *cobra.Command, args []string) (string, error) {
	client, err := a.connect()
	if err != nil {
		return "", err
	}
	list, err := fetch[api.IdentityList](cmd.Context(), client, http.MethodGet, identitiesPath, nil)
	if err != nil {
		return "", err
	}
	var of []string
	for _, u := range list.Users {
		if slices.Contains(u.Policies, args[0]) {
			of = append(of, "user "+u.Name)
		}
	}
	for _, g := range list.Groups {
		if slices.Contains(g.Policies, args[0]) {
			of = append(of, "group "+g.Name)
		}
	}
	switch {
	case len(of) == 0:
		return "", nil
	case args[1] == "-":
		return "", &usageError{"policy " + args[0] + " is attached: give --yes, since the answer cannot come from where its document is read"}
	}
	more := ""
	if n := len(of); n > attachedShown {
		of, more = of[:attachedShown], fmt.Sprintf(" and %d more", n-attachedShown)
	}
	return "Change the policy " + args[0] + " for " + strings.Join(of, ", ") + more + ", within a second?", nil
}

// attachedShown is how many users and groups a question names.
const attachedShown = 5

// readPolicy reads a document from a file, or standard input for "-".
func readPolicy(in io.Reader, path string) (string, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, policyTextMax))
	return string(text), err
}

// question and outcome are those of the management port.
type question struct {
	Principal string              `json:"principal"`
	Action    string              `json:"action"`
	Resource  string              `json:"resource"`
	Keys      map[string][]string `json:"keys,omitempty"`
}

type outcome struct {
	Allowed   bool   `json:"allowed"`
	Explicit  bool   `json:"explicit,omitempty"`
	Reason    string `json:"reason"`
	Policy    string `json:"policy,omitempty"`
	Statement string `json:"statement,omitempty"`
	Words     string `json:"words"`
}

func newSimulateCommand(a *adminCommand) *cobra.Command {
	var keys []string
	cmd := &cobra.Command{
		Use:   "simulate WHO ACTION RESOURCE",
		Short: "Say what would be decided of a request, and by which statement",
		Long:  "Say what would be decided of a request, and by which statement. WHO is root, anonymous or the name of a user; RESOURCE is arn:aws:s3:::BUCKET/KEY, BUCKET/KEY, BUCKET or *.",
		Args:  cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := question{Principal: principalOf(args[0]), Action: args[1], Resource: args[2], Keys: map[string][]string{}}
			if q.Resource != "*" && !strings.HasPrefix(q.Resource, "arn:") {
				q.Resource = "arn:aws:s3:::" + q.Resource
			}
			for _, k := range keys {
				name, value, ok := strings.Cut(k, "=")
				if !ok {
					return &usageError{"--key is NAME=VALUE"}
				}
				q.Keys[name] = append(q.Keys[name], value)
			}
			return ask(cmd.Context(), a, http.MethodPost, "/admin/v1/simulate", q, func(w *tabwriter.Writer, o outcome) { row(w, o.Words) })
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "condition key of the request, `NAME=VALUE`; may be repeated")
	return cmd
}

// principalOf is the principal ID of a user's name, or root or anonymous.
func principalOf(who string) string {
	if who == api.RootPrincipal || who == "anonymous" {
		return who
	}
	return api.UserPrincipal + who
}
