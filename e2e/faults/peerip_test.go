package faults

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/e2e/cluster"
	"shoal/e2e/netns"
	"shoal/node/api"
)

const (
	// blockedWithin is how long after the acknowledgement of a rule its address may still be connected, anywhere: a
	// second, and an election when it is that of the system group's leader, by whom the last to ask were led.
	blockedWithin = 2 * time.Second
	blockedLook   = 10 * time.Millisecond
	cutFollows    = time.Minute // in which the rest follows
)

// TestPeerBlocked blocks the address of a node for peers: every other member cuts it off and refuses it, also after a
// start; it comes back when the rule is removed.
func TestPeerBlocked(t *testing.T) {
	cluster.Need(t, netns.Available())
	atLength(t)
	c := cluster.Launch(t, cluster.Shape{Nodes: 4, Gateways: 1, Network: true})
	waitRedundant(t, c)
	victim := c.Nodes()[3]
	id, addr := peerID(t, c, victim), victim.Host().Addr()
	others := append(c.Nodes()[:3:3], c.Gateways()...)
	connected := 0
	for _, p := range others {
		connected += connections(t, p, addr)
	}
	if connected == 0 {
		t.Fatal("nobody is connected to the node")
	}

	operator := c.Operator()
	if out, err := operator.Admin("ip", "block", "--peers", addr); err == nil || !strings.Contains(out+err.Error(), id) {
		t.Fatalf("a member is cut off unasked: %v: %s", err, out)
	}
	if out, err := operator.Admin("ip", "block", "--peers", "10.77.0.0/24", "--yes"); err == nil || !strings.Contains(out+err.Error(), "majority") {
		t.Fatalf("all are cut off: %v: %s", err, out)
	}
	led := leadsSystem(t, c, id)
	out, err := operator.Admin("ip", "block", "--peers", addr, "--yes")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	began := time.Now()
	for _, p := range others {
		for connections(t, p, addr) > 0 {
			if time.Since(began) > cutFollows {
				t.Fatalf("%s is connected to %s still", p.P2PAddr(), addr)
			}
			pause(t, blockedLook)
		}
	}
	took := time.Since(began)
	t.Logf("all %d have cut it off after %v; it led the system group: %v", len(others), took.Round(time.Millisecond), led)
	if took > blockedWithin {
		t.Errorf("it took %v, at most %v may pass", took, blockedWithin)
	}
	for _, p := range others[:3] {
		eventually(t, cutFollows, func() error { return refusesBlocked(p) })
	}
	eventually(t, cutFollows, func() error { return lives(c, id, api.LivenessDead) })

	again := others[1]
	again.Restart()
	again.WaitReady()
	eventually(t, cutFollows, func() error { return refusesBlocked(again) })

	if out, err := operator.Admin("ip", "remove", "--peers", addr); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, cutFollows, func() error { return lives(c, id, api.LivenessAlive) })
	waitRedundant(t, c)
}

// leadsSystem says whether a member leads the system group.
func leadsSystem(t *testing.T, c *cluster.Cluster, id string) bool {
	t.Helper()
	var groups []api.Group
	must(t, c.Operator().Query(&groups, "groups"))
	return slices.ContainsFunc(groups, func(g api.Group) bool { return g.ID == 0 && g.Leader == id })
}

// connections counts the established connections of IPv4 between the host of a process and an address.
func connections(t *testing.T, p *cluster.Process, addr string) (n int) {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/net/tcp", p.PID()))
	must(t, err)
	defer f.Close()
	a := netip.MustParseAddr(addr).As4()
	remote := fmt.Sprintf("%08X:", binary.LittleEndian.Uint32(a[:]))
	const established = "01"
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if field := strings.Fields(lines.Text()); len(field) > 3 && strings.HasPrefix(field[2], remote) && field[3] == established {
			n++
		}
	}
	must(t, lines.Err())
	return n
}

// refusesBlocked is nil once a process has refused a connection since its address is blocked.
func refusesBlocked(p *cluster.Process) error {
	_, text, err := p.Page("/metrics")
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(name, "shoal_transport_refused_total{") && strings.Contains(name, `reason="blocked"`) {
			if n, err := strconv.ParseFloat(value, 64); err == nil && n > 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("%s has refused no blocked address", p.P2PAddr())
}

// lives is nil when a member is as alive as is wanted.
func lives(c *cluster.Cluster, id, want string) error {
	var members []api.Member
	if err := c.Operator().Query(&members, "members"); err != nil {
		return err
	}
	for i := range members {
		if members[i].PeerID == id && members[i].Liveness == want {
			return nil
		}
	}
	return fmt.Errorf("%s is not %s: %+v", id, want, members)
}
