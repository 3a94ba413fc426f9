package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

const membersPath = "/admin/v1/members"

func newMembersCommand(a *adminCommand) *cobra.Command {
	cmd := query(a, "members", "Show the members of the cluster", http.MethodGet, membersPath, showMembers)
	cmd.Long = "Show the members of the cluster. PEERID in the commands below is a peer ID, or 6 or more characters that only one begins or ends with."
	cmd.AddCommand(newAllowCommand(a), newRevokeCommand(a), newMemberSetCommand(a),
		memberStateCommand(a, "drain", "Move everything off a member that serves on, so that it can be revoked", api.MemberDraining),
		memberStateCommand(a, "undrain", "Make a draining member a full one again", api.MemberActive))
	return cmd
}

func showMembers(w *tabwriter.Writer, members []api.Member) {
	row(w, "PEER", "ROLES", "SITE", "STATE", "LIVENESS", "DRIVES", "USED", "OF", "WEIGHT", "RELEASE", "LAST SEEN", "EPOCH", "ADDRESSES")
	for i := range members {
		m := &members[i]
		drives, used, capacity, weight := "-", "-", "-", "-"
		if m.Drives > 0 {
			drives, used, capacity = fmt.Sprint(m.Drives), formatSize(m.UsedBytes), formatSize(m.CapacityBytes)
			weight = "100%"
			if m.Weight != 0 {
				weight = fmt.Sprintf("%d%%", m.Weight)
			}
		}
		row(w, shortPeer(m.PeerID), strings.Join(m.Roles, ","), m.Site, dash(m.State), dash(m.Liveness), drives, used, capacity, weight,
			dash(m.Release), when(m.LastSeen), m.Epoch, dash(strings.Join(m.Addrs, ",")))
	}
}

// allowance asks that a peer may join without a token.
type allowance struct {
	PeerID string `json:"peer_id"`
	invitation
}

func newAllowCommand(a *adminCommand) *cobra.Command {
	var role, site string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "allow PEERID",
		Short: "Let a peer join that has no token, by its peer ID",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkInvitation(role, ttl); err != nil {
				return err
			}
			body := allowance{args[0], invitation{Role: role, Site: site, TTL: ttl.String()}}
			return ask(cmd.Context(), a, http.MethodPost, membersPath+"/allow", body, func(w *tabwriter.Writer, answer api.Allowed) {
				row(w, fmt.Sprintf("%s may join within %v, at any of:", args[0], ttl))
				for _, at := range answer.Join {
					row(w, "  --join "+at)
				}
			})
		},
	}
	bindInvitation(cmd, &role, &site, &ttl, "node")
	return cmd
}

func newRevokeCommand(a *adminCommand) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke PEERID",
		Short: "Take a member out of the cluster for good",
		Long:  "Take a member out of the cluster for good: every member refuses it from then on. Drain a node first: what only its drives hold is lost.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, m, err := a.findMember(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if !yes {
				if err := a.env.confirm(cmd.Context(), revokeQuestion(m)); err != nil {
					return err
				}
			}
			done, err := fetch[api.Revoked](cmd.Context(), client, http.MethodPost, membersPath+"/revoke", peerName{m.PeerID})
			if err != nil {
				return err
			}
			return show(a, done, showRevoked)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// peerName names the member that a request is about.
type peerName struct {
	PeerID string `json:"peer_id"`
}

func revokeQuestion(m *api.Member) string {
	q := fmt.Sprintf("Revoke %s (%s, site %s)? It can come back only as a new peer.", m.PeerID, strings.Join(m.Roles, ","), m.Site)
	if m.UsedBytes > 0 {
		q += fmt.Sprintf(" Its drives hold %s", formatSize(m.UsedBytes))
		switch m.State {
		case api.MemberDrained:
			q += " that nothing needs any more"
		case api.MemberDraining:
			q += " and have not been drained to the end: shoal admin health tells what still waits"
		default:
			q += " and are not being drained"
		}
		q += "."
	}
	return q
}

func showRevoked(w *tabwriter.Writer, r api.Revoked) {
	row(w, fmt.Sprintf("%s is revoked; %d of %d members acknowledged it within a second", r.PeerID, r.Acknowledged, r.Members))
	if len(r.Waiting) > 0 {
		row(w, "the others refuse it once they are reached: "+shortPeers(r.Waiting))
	}
}

func memberStateCommand(a *adminCommand, use, short, state string) *cobra.Command {
	return &cobra.Command{
		Use:   use + " PEERID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeMember(cmd.Context(), args[0], api.MemberChange{State: state})
		},
	}
}

func newMemberSetCommand(a *adminCommand) *cobra.Command {
	var site string
	var weight uint32
	cmd := &cobra.Command{
		Use:   "set PEERID",
		Short: "Change the site of a member, or how much of the data its drives get",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var c api.MemberChange
			if cmd.Flags().Changed("site") {
				c.Site = &site
			}
			if cmd.Flags().Changed("weight") {
				c.Weight = &weight
			}
			switch {
			case c.Site == nil && c.Weight == nil:
				return &usageError{"give --site or --weight"}
			case c.Site != nil && site == "":
				return &usageError{"--site must not be empty"}
			case c.Weight != nil && (weight < 1 || weight > 1000):
				return &usageError{"--weight is 1 to 1000 percent"}
			}
			return a.changeMember(cmd.Context(), args[0], c)
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "`name` of the site it stands in")
	cmd.Flags().Uint32Var(&weight, "weight", 100, "`percent` of what the sizes of its drives give it, 1 to 1000")
	return cmd
}

// changeMember finds the member, changes it and says so.
func (a *adminCommand) changeMember(ctx context.Context, name string, c api.MemberChange) error {
	client, m, err := a.findMember(ctx, name)
	if err != nil {
		return err
	}
	c.PeerID = m.PeerID
	if _, err := fetch[struct{}](ctx, client, http.MethodPost, membersPath+"/set", c); err != nil {
		return err
	}
	return show(a, c, func(w *tabwriter.Writer, c api.MemberChange) {
		now := []string{}
		if c.State != "" {
			now = append(now, c.State)
		}
		if c.Site != nil {
			now = append(now, "in site "+*c.Site)
		}
		if c.Weight != nil {
			now = append(now, fmt.Sprintf("of weight %d%%", *c.Weight))
		}
		row(w, c.PeerID+" is now "+strings.Join(now, ", "))
	})
}
