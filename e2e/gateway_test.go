package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/e2e/cluster"
	"shoal/node/api"
)

// invite gives a token for one gateway.
func invite(t *testing.T, p *cluster.Process) string {
	t.Helper()
	out, err := p.Admin("invite", "--role", "gateway", "--ttl", "5m")
	if err != nil {
		t.Fatalf("invite: %v: %s", err, out)
	}
	return strings.TrimSpace(out)
}

// newGateway prepares a gateway process; clients of it use the root credential of the node.
func newGateway(t *testing.T, node *cluster.Process, token string) *cluster.Process {
	t.Helper()
	g := cluster.New(t, cluster.Options{Part: "gateway", Args: []string{"--join", token}})
	must(t, os.MkdirAll(g.Dir(), 0o700))
	text, err := os.ReadFile(node.CredentialsFile())
	must(t, err)
	must(t, os.WriteFile(g.CredentialsFile(), text, 0o600))
	return g
}

// TestGateway runs a node and gateways in processes of their own: what one acknowledges,
// the other serves at once.
func TestGateway(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"server", "node"} {
		t.Run("over a "+part, func(t *testing.T) { testGateway(t, part) })
	}
}

func testGateway(t *testing.T, part string) {
	n := cluster.Start(t, cluster.Options{Part: part, Drives: 2})
	token := invite(t, n)
	a, b := newGateway(t, n, token), newGateway(t, n, invite(t, n))
	a.Start()
	a.WaitReady()
	t.Run("a token serves once", func(t *testing.T) {
		fails(t, newGateway(t, n, token), "join")
	})
	b.Start()
	b.WaitReady()
	ca, cb := sdkClient{a.S3()}, sdkClient{b.S3()}
	must(t, ca.mkBucket(t.Context(), "shared"))
	for i, size := range []int64{0, 100, 16 * kib, 20 * kib, 300 * kib, 5*mib + 1, 12 * mib} {
		key, content := fmt.Sprint(i), pattern{seed: uint64(i), size: size}
		must(t, ca.put(t.Context(), "shared", key, content))
		must(t, cb.get(t.Context(), "shared", key, content))
		testRanges(t, cb, "shared", key, content)
		must(t, cb.remove(t.Context(), "shared", key))
		if _, err := ca.size(t.Context(), "shared", key); !absent(err) {
			t.Errorf("after a deletion through the other gateway: %v", err)
		}
	}
	t.Run("membership", func(t *testing.T) {
		var members []api.Member
		n.AdminJSON(&members, "members")
		if len(members) != 3 {
			t.Errorf("%d members, want the node and two gateways: %+v", len(members), members)
		}
	})
	content := pattern{seed: 9, size: 100 * kib}
	must(t, ca.put(t.Context(), "shared", "kept", content))
	t.Run("later starts need no token", func(t *testing.T) {
		a.Kill()
		a.SetArgs()
		a.Start()
		a.WaitReady()
		must(t, sdkClient{a.S3()}.get(t.Context(), "shared", "kept", content))
	})
	t.Run("the node restarts", func(t *testing.T) {
		n.Kill()
		n.Start()
		n.WaitReady()
		a.WaitReady()
		must(t, sdkClient{a.S3()}.get(t.Context(), "shared", "kept", content))
	})
	t.Run("no token and no membership", func(t *testing.T) {
		g := newGateway(t, n, "")
		g.SetArgs()
		fails(t, g, "shoal admin invite")
	})
	t.Run("two gateways race", func(t *testing.T) { raceGateways(t, sdkClient{a.S3()}, sdkClient{b.S3()}) })
	if entries, err := os.ReadDir(filepath.Join(a.Dir(), "drives")); err == nil {
		t.Errorf("a gateway made drives: %v", entries)
	}
}

// raceGateways creates one key through two gateways at once.
func raceGateways(t *testing.T, a, b sdkClient) {
	for round := range 5 {
		key := fmt.Sprintf("race-%d", round)
		content := func(i int) pattern { return pattern{seed: uint64(i), size: 50 * kib} }
		n, winner := winners(t, race(20, func(i int) error {
			c := a
			if i%2 == 1 {
				c = b
			}
			return c.create(t.Context(), "shared", key, content(i))
		}))
		if n != 1 {
			t.Fatalf("%d creations of one key succeeded", n)
		}
		must(t, a.get(t.Context(), "shared", key, content(winner)))
		must(t, b.get(t.Context(), "shared", key, content(winner)))
	}
}
