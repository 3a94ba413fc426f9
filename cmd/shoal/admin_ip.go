package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"shoal/node/api"
)

func newIPCommand(a *adminCommand) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ip",
		Short: "Say which addresses are served",
		Long: "Say which addresses are served by S3 and management or, with --peers, may connect to the ports of peers. Of all blocks that hold an address the smallest decides; " +
			"one that no block holds is served. To serve a few alone, block 0.0.0.0/0 and ::/0 and allow them. It holds everywhere within a second. Management always answers loopback, and so do peers. " +
			"A rule for peers that cuts off a member is refused without --yes, and one that leaves the store without a majority always.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		a.asking(newIPRuleCommand(a, "block", "Serve nothing to a block of addresses, such as 192.0.2.0/24", api.IPBlock), a.blockQuestion),
		mayCutOff(newIPRuleCommand(a, "allow", "Serve a block of addresses within one that is blocked", api.IPAllow)),
		mayCutOff(newIPRuleCommand(a, "remove", "Forget the rule for a block of addresses", "")),
		newIPListCommand(a),
	)
	return cmd
}

func newIPListCommand(a *adminCommand) *cobra.Command {
	var peers bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the rules, those for clients first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if peers {
				return a.listIP(cmd, api.IPPeers)
			}
			return a.listIP(cmd, api.IPClients, api.IPPeers)
		},
	}
	cmd.Flags().BoolVar(&peers, "peers", false, "those for the ports of peers alone")
	cmd.Flags().Bool("all", false, "all, as without")
	cmd.MarkFlagsMutuallyExclusive("peers", "all")
	return cmd
}

func newIPRuleCommand(a *adminCommand, use, short, verdict string) *cobra.Command {
	var peers, all bool
	cmd := &cobra.Command{
		Use: use + " BLOCK", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := api.ParsePrefix(args[0])
			if err != nil {
				return &usageError{err.Error()}
			}
			scopes := []api.IPScope{api.IPClients}
			switch {
			case all:
				scopes = []api.IPScope{api.IPPeers, api.IPClients} // the first may be refused
			case peers:
				scopes = []api.IPScope{api.IPPeers}
			}
			yes, err := cmd.Flags().GetBool("yes")
			if err != nil {
				return err
			}
			return a.setIP(cmd, scopes, p, verdict, yes)
		},
	}
	cmd.Flags().BoolVar(&peers, "peers", false, "the rule is for the ports of peers, not for S3 and management")
	cmd.Flags().BoolVar(&all, "all", false, "the rule is for both")
	cmd.MarkFlagsMutuallyExclusive("peers", "all")
	return cmd
}

// mayCutOff adds the flag for rules that a member is cut off by.
func mayCutOff(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().Bool("yes", false, "also where it cuts off a member")
	return cmd
}

// blockQuestion asks before everybody, this machine or members are no longer served. What cuts members off from each other the store
// itself refuses without --yes.
func (a *adminCommand) blockQuestion(cmd *cobra.Command, args []string) (string, error) {
	if peers, err := cmd.Flags().GetBool("peers"); err != nil || peers {
		return "", err
	}
	p, err := api.ParsePrefix(args[0])
	if err != nil {
		return "", &usageError{err.Error()}
	}
	if p.Bits() == 0 {
		return "Serve nobody from " + p.String() + ", which is every address, but for blocks that are allowed?", nil
	}
	if own, err := net.InterfaceAddrs(); err == nil {
		for _, o := range own {
			if n, err := netip.ParsePrefix(o.String()); err == nil && p.Contains(n.Addr().Unmap()) {
				return "Serve nobody from " + p.String() + ", which holds an address of this machine, " + n.Addr().String() + "?", nil
			}
		}
	}
	client, err := a.connect()
	if err != nil {
		return "", err
	}
	members, err := fetch[[]api.Member](cmd.Context(), client, http.MethodGet, membersPath, nil)
	if err != nil {
		return "Serve nobody from " + p.String() + "? Whether it holds members is not known: " + err.Error(), nil
	}
	for i := range members {
		for _, addr := range members[i].Addrs {
			if ip, ok := memberIP(addr); ok && p.Contains(ip) {
				return "Serve nobody from " + p.String() + ", which holds the member " + shortPeer(members[i].PeerID) + " at " + ip.String() + "?", nil
			}
		}
	}
	return "", nil
}

// memberIP is the address in /ip4/192.0.2.1/tcp/4001 and the like.
func memberIP(multiaddr string) (netip.Addr, bool) {
	parts := strings.Split(multiaddr, "/")
	if len(parts) < 3 || parts[1] != "ip4" && parts[1] != "ip6" {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(parts[2])
	return ip.Unmap(), err == nil
}

// setIP changes the rules for a block of addresses.
func (a *adminCommand) setIP(cmd *cobra.Command, scopes []api.IPScope, p netip.Prefix, verdict string, force bool) error {
	client, err := a.connect()
	if err != nil {
		return err
	}
	var rules []api.IPRule
	for _, scope := range scopes {
		c := api.SettingChange{Name: api.IPSetting(scope, p), Value: verdict, Force: force && scope == api.IPPeers}
		if _, err := fetch[struct{}](cmd.Context(), client, http.MethodPost, settingsPath, c); err != nil {
			return err
		}
		rules = append(rules, api.IPRule{Scope: scope, Prefix: p, Verdict: verdict})
	}
	return show(a, rules, func(w *tabwriter.Writer, rules []api.IPRule) {
		for _, r := range rules {
			if r.Verdict == "" {
				r.Verdict = "as larger blocks say"
			}
			row(w, r.Prefix.String()+": "+r.Verdict+" ("+string(r.Scope)+")")
		}
	})
}

func (a *adminCommand) listIP(cmd *cobra.Command, scopes ...api.IPScope) error {
	client, err := a.connect()
	if err != nil {
		return err
	}
	settings, err := fetch[[]api.Setting](cmd.Context(), client, http.MethodGet, settingsPath, nil)
	if err != nil {
		return err
	}
	rules := []api.IPRule{}
	for _, scope := range scopes {
		rules = append(rules, api.IPRules(settings, scope)...)
	}
	return show(a, rules, func(w *tabwriter.Writer, rules []api.IPRule) {
		row(w, "FOR", "BLOCK", "VERDICT")
		for _, r := range rules {
			row(w, r.Scope, r.Prefix, r.Verdict)
		}
	})
}
