package e2e

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// loggedAct is an act as the log of a process has it.
type loggedAct struct {
	Timestamp                                           time.Time
	Event, User, Kind, Operation, Target, Before, After string
	RemoteAddr                                          string `json:"remote_addr"`
	Failed                                              string
}

// clusterActs gives what the logs of all processes of a cluster say, in the order of time.
func clusterActs(t *testing.T, c *cluster.Cluster) (acts []loggedAct) {
	t.Helper()
	for _, p := range c.All() {
		text, err := os.ReadFile(filepath.Join(p.Dir(), "logs", "acts.jsonl"))
		must(t, err)
		for line := range strings.Lines(string(text)) {
			var a loggedAct
			if json.Unmarshal([]byte(line), &a) == nil && a.Event == "act" { // the last line may be under way
				acts = append(acts, a)
			}
		}
	}
	slices.SortStableFunc(acts, func(a, b loggedAct) int { return a.Timestamp.Compare(b.Timestamp) })
	return acts
}

// votersSaid gives the voters of each group as acts say.
func votersSaid(t *testing.T, acts ...loggedAct) map[uint32][]string {
	t.Helper()
	said := make(map[uint32][]string)
	for i := range acts {
		if acts[i].Operation != "ChangeGroups" {
			continue
		}
		var groups []struct {
			Group  uint32
			Voters []string
		}
		must(t, json.Unmarshal([]byte(acts[i].After), &groups))
		for _, g := range groups {
			said[g.Group] = slices.Sorted(slices.Values(g.Voters))
		}
	}
	return said
}

// invitationOf gives the ID of the token by which an act names an invitation.
func invitationOf(t *testing.T, a *loggedAct) string {
	t.Helper()
	var after struct{ Invitation string }
	must(t, json.Unmarshal([]byte(a.After), &after))
	if len(after.Invitation) != 16 {
		t.Errorf("the act names no invitation: %+v", a)
	}
	return after.Invitation
}

// TestNodeActs: nodes and a gateway join, groups get voters, a node is drained. All of it is on record in the chains of the nodes that
// did it, in order, and what the records say of the groups is what is.
func TestNodeActs(t *testing.T) {
	t.Parallel()
	const within = 5 * time.Minute
	c := cluster.Launch(t, cluster.Shape{Nodes: 3, Gateways: 1, First: []string{"--partitions", "4"}})
	eventually(t, within, c.Whole)
	var ids []string // of the nodes, and then of the gateway
	for _, p := range c.Nodes() {
		id, err := c.PeerID(p)
		must(t, err)
		ids = append(ids, id)
	}
	for _, m := range c.Members() {
		if !slices.Contains(ids, m.PeerID) {
			ids = append(ids, m.PeerID)
		}
	}
	leaves := ids[2]
	if out, err := c.Operator().Admin("members", "drain", leaves); err != nil {
		t.Fatalf("drain: %v: %s", err, out)
	}
	var acts []loggedAct
	eventually(t, within, func() error {
		acts = clusterActs(t, c)
		if !slices.ContainsFunc(acts, func(a loggedAct) bool { return a.Operation == "DrainMember" }) {
			return fmt.Errorf("%d acts, and none says that the node is drained", len(acts))
		}
		var groups []api.Group
		if err := c.Operator().Query(&groups, "groups"); err != nil {
			return err
		}
		said := votersSaid(t, acts...)
		for _, g := range groups {
			if have := slices.Sorted(slices.Values(g.Voters)); !slices.Equal(have, said[g.ID]) || slices.Contains(have, leaves) {
				return fmt.Errorf("group %d has the voters %v, and the acts say %v", g.ID, have, said[g.ID])
			}
		}
		return nil
	})

	// at finds an act behind others.
	at := func(from int, what string, is func(a *loggedAct) bool) int {
		for i := from; i < len(acts); i++ {
			if is(&acts[i]) {
				return i
			}
		}
		t.Fatalf("no act behind %d: %s, in\n%+v", from, what, acts)
		return 0
	}
	var invited []string
	for i := range acts {
		if acts[i].Operation == "POST /admin/v1/invites" {
			invited = append(invited, invitationOf(t, &acts[i]))
		}
	}
	for i, id := range ids[1:] {
		role := cmp.Or(map[int]string{2: "gateway"}[i], "node")
		joined := at(0, "a join of a "+role, func(a *loggedAct) bool { return a.Operation == "JoinMember" && a.Target == id })
		a := &acts[joined]
		if a.User != "node:"+ids[0] || a.Kind != "membership" || a.RemoteAddr == "" || a.Before != "" || a.Failed != "" ||
			!strings.Contains(a.After, `"roles":["`+role+`"]`) || !slices.Contains(invited, invitationOf(t, a)) {
			t.Errorf("the join is told as %+v", a)
		}
		if role == "gateway" {
			continue
		}
		learns := at(joined, "a learner on it", func(a *loggedAct) bool {
			return a.Operation == "ChangeGroups" && strings.HasPrefix(a.User, "node:") && strings.Contains(a.After, `"learners":[`) && strings.Contains(a.After, id)
		})
		at(learns, "a voter on it", func(a *loggedAct) bool {
			for _, voters := range votersSaid(t, *a) {
				if slices.Contains(voters, id) {
					return true
				}
			}
			return false
		})
		at(joined, "a placement with it", func(a *loggedAct) bool { return a.Operation == "BeginPlacement" && strings.Contains(a.After, id) })
	}
	order := at(0, "the operator's order", func(a *loggedAct) bool {
		return a.User == "root" && a.Target == leaves && strings.Contains(a.After, "draining")
	})
	at(order, "a placement without it", func(a *loggedAct) bool {
		return a.Operation == "BeginPlacement" && strings.Contains(a.Before, leaves) && !strings.Contains(a.After, leaves)
	})
	done := at(order, "its end", func(a *loggedAct) bool { return a.Operation == "DrainMember" && a.Target == leaves })
	if a := &acts[done]; !strings.Contains(a.Before, `"state":"draining"`) || !strings.Contains(a.After, `"state":"drained"`) || !strings.HasPrefix(a.User, "node:") {
		t.Errorf("the end of the drain is told as %+v", a)
	}
	if len(acts) > 200 {
		t.Errorf("%d acts of a cluster that was made a moment ago", len(acts))
	}
	for _, p := range c.All() {
		p.Stop()
		r := verifyAudit(t, p, nil)
		if !r.Whole() {
			t.Errorf("%s %s: %+v", p.Part(), p.Dir(), r)
		}
	}
}
