package main

import (
	"context"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

const identitiesPath = "/admin/v1/identities"

// identityQuery asks for all identities and prints those of one kind.
func identityQuery[T any](a *adminCommand, use, short string, of func(*api.IdentityList) []T, print func(*tabwriter.Writer, []T)) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.connect()
			if err != nil {
				return err
			}
			list, err := fetch[api.IdentityList](cmd.Context(), client, http.MethodGet, identitiesPath, nil)
			if err != nil {
				return err
			}
			return show(a, of(&list), print)
		},
	}
}

func newUserCommand(a *adminCommand) *cobra.Command {
	cmd := identityQuery(a, "user", "Show the users; create, change and delete them below it", func(l *api.IdentityList) []api.User { return l.Users }, showUsers)
	cmd.AddCommand(
		identityChange(a, "create NAME", "Create a user, who may do nothing yet", api.KindUser, api.DoCreate),
		identityDelete(a, "Delete a user with its access keys", api.KindUser),
		identityChange(a, "enable NAME", "Let a user in again", api.KindUser, api.DoEnable),
		a.asking(identityChange(a, "disable NAME", "Let a user do nothing, until it is enabled", api.KindUser, api.DoDisable),
			aboutFirst("Disable user %s? All its access keys and sessions are refused within a second.")),
		identityChange(a, "attach NAME POLICY", "Give a user what a policy allows and denies", api.KindUser, api.DoAttach),
		identityChange(a, "detach NAME POLICY", "Take a policy from a user", api.KindUser, api.DoDetach),
		identityChange(a, "join NAME GROUP", "Put a user into a group", api.KindUser, api.DoJoin),
		identityChange(a, "leave NAME GROUP", "Take a user out of a group", api.KindUser, api.DoLeave),
	)
	return cmd
}

func showUsers(w *tabwriter.Writer, users []api.User) {
	row(w, "USER", "STATE", "GROUPS", "POLICIES", "CREATED", "CANONICAL ID")
	for i := range users {
		u := &users[i]
		state := "enabled"
		if u.Disabled {
			state = "disabled"
		}
		row(w, u.Name, state, dash(strings.Join(u.Groups, ",")), dash(strings.Join(u.Policies, ",")), when(u.Created), u.CanonicalID)
	}
}

func newGroupCommand(a *adminCommand) *cobra.Command {
	cmd := identityQuery(a, "group", "Show the groups of users; create, change and delete them below it", func(l *api.IdentityList) []api.UserGroup { return l.Groups }, showUserGroups)
	cmd.AddCommand(
		identityChange(a, "create NAME", "Create a group", api.KindGroup, api.DoCreate),
		identityDelete(a, "Delete a group that has no members", api.KindGroup),
		identityChange(a, "attach NAME POLICY", "Give the members of a group what a policy allows and denies", api.KindGroup, api.DoAttach),
		identityChange(a, "detach NAME POLICY", "Take a policy from a group", api.KindGroup, api.DoDetach),
	)
	return cmd
}

func showUserGroups(w *tabwriter.Writer, groups []api.UserGroup) {
	row(w, "GROUP", "POLICIES", "MEMBERS", "CREATED")
	for i := range groups {
		g := &groups[i]
		row(w, g.Name, dash(strings.Join(g.Policies, ",")), dash(strings.Join(g.Members, ",")), when(g.Created))
	}
}

// identityChange is a command that changes what its first argument names.
func identityChange(a *adminCommand, use, short, kind, do string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(len(strings.Fields(use)) - 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := api.IdentityChange{Kind: kind, Name: args[0], Do: do}
			if len(args) > 1 {
				c.Policy = args[1]
				if do == api.DoJoin || do == api.DoLeave {
					c.Policy, c.Group = "", args[1]
				}
			}
			return a.changeIdentity(cmd.Context(), c)
		},
	}
}

// identityDelete is a command that asks before it deletes.
func identityDelete(a *adminCommand, short, kind string) *cobra.Command {
	return a.asking(identityChange(a, "delete NAME", short, kind, api.DoDelete), aboutFirst("Delete "+kind+" %s?"))
}

func (a *adminCommand) changeIdentity(ctx context.Context, c api.IdentityChange) error {
	client, err := a.connect()
	if err != nil {
		return err
	}
	if _, err := fetch[struct{}](ctx, client, http.MethodPost, identitiesPath+"/change", c); err != nil {
		return err
	}
	return show(a, c, func(w *tabwriter.Writer, c api.IdentityChange) {
		words := map[string]string{
			api.DoCreate: "is there", api.DoDelete: "is gone", api.DoSet: "is changed", api.DoAttach: "has policy " + c.Policy, api.DoDetach: "is without policy " + c.Policy,
			api.DoJoin: "is in group " + c.Group, api.DoLeave: "is not in group " + c.Group, api.DoEnable: "is enabled", api.DoDisable: "is disabled",
		}
		row(w, c.Kind+" "+c.Name+" "+words[c.Do])
	})
}
