package main

import (
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// invitation asks for a token.
type invitation struct {
	Role string `json:"role"`
	Site string `json:"site"`
	TTL  string `json:"ttl"` // a duration as Go writes it
}

// invited is the answer to an invitation.
type invited struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

func newInviteCommand(a *adminCommand) *cobra.Command {
	var role, site string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "invite",
		Short: "Print a one-time token with which a peer joins",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkInvitation(role, ttl); err != nil {
				return err
			}
			body := invitation{Role: role, Site: site, TTL: ttl.String()}
			return ask(cmd.Context(), a, http.MethodPost, "/admin/v1/invites", body,
				func(w *tabwriter.Writer, answer invited) { row(w, answer.Token) })
		},
	}
	bindInvitation(cmd, &role, &site, &ttl, "gateway")
	return cmd
}

// bindInvitation adds the flags that say what a newcomer may be.
func bindInvitation(cmd *cobra.Command, role, site *string, ttl *time.Duration, usual string) {
	cmd.Flags().StringVar(role, "role", usual, "what the peer may be: node or gateway")
	cmd.Flags().StringVar(site, "site", "default", "site the peer stands in")
	cmd.Flags().DurationVar(ttl, "ttl", time.Hour, "time in which it can join, 1m to 168h")
}

func checkInvitation(role string, ttl time.Duration) error {
	if role != "node" && role != "gateway" {
		return &usageError{"--role is node or gateway"}
	}
	if ttl < time.Minute || ttl > 7*24*time.Hour {
		return &usageError{"--ttl is 1m to 168h"}
	}
	return nil
}
