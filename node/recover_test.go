package node

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"shoal/node/api"
)

// A store of one node has nothing to recover, and a node that runs is left alone.
func TestRecoverGroupsRefuses(t *testing.T) {
	dir := t.TempDir()
	r := start(t, Config{DataDir: dir, Partitions: 2})
	if _, err := ReadHoldings(dir); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("beside a node that runs: %v", err)
	}
	r.stop()
	h, err := ReadHoldings(dir)
	if err != nil || len(h.Groups) != 3 || h.PeerID != string(r.ID()) || h.LogLost != "" {
		t.Fatalf("%+v, %v", h, err)
	}
	for _, g := range h.Groups {
		if !g.Alone || g.Role != "voter" || g.LastIndex == 0 {
			t.Errorf("%+v", g)
		}
	}
	for says, groups := range map[string][]uint32{"nothing to recover": {1}, "no replica of group 7": {7}, "no group here": nil} {
		if _, err := RecoverGroups(dir, groups); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("groups %v: %v, want %q", groups, err, says)
		}
	}
	start(t, Config{DataDir: dir, Partitions: 2})
}

// TestRecoveriesAreActs: what was recovered on a stopped node is on record once it runs again, and once; what was noted and did not
// happen is not.
func TestRecoveriesAreActs(t *testing.T) {
	dir := t.TempDir()
	n := start(t, Config{DataDir: dir, Partitions: 2})
	self := string(n.ID())
	n.stop()
	always := func(*Holding) bool { return true } // a node that is alone has nothing to recover, and can
	for range 2 {
		if _, err := recoverGroups(dir, []uint32{1, 2}, always); err != nil {
			t.Fatal(err)
		}
	}
	n = start(t, Config{DataDir: dir})
	acts := n.acts.of("RecoverGroups")
	if len(acts) != 1 || acts[0].Kind != api.ActOnMembership || acts[0].Target != "groups:1,2" {
		t.Fatalf("acts %+v", acts)
	}
	before, after := acts[0].Before.([]recoveredGroup), acts[0].After.([]recoveredGroup)
	for i, g := range []uint32{1, 2} {
		if b := before[i]; b.Group != g || !slices.Equal(b.Voters, []string{self}) || !b.Recovered.IsZero() || b.LastIndex == 0 || b.LastTerm == 0 {
			t.Errorf("before: %+v", b)
		}
		if a := after[i]; a.Group != g || !slices.Equal(a.Voters, []string{self}) || a.Recovered.IsZero() {
			t.Errorf("after: %+v", a)
		}
	}
	n.stop()
	held, err := ReadHoldings(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := noteRecoveries(filepath.Join(dir, groupRecovery), held.Groups, []uint32{0}); err != nil { // and then the command is killed
		t.Fatal(err)
	}
	for range 2 {
		n = start(t, Config{DataDir: dir})
		if acts := n.acts.of("RecoverGroups"); len(acts) != 0 {
			t.Errorf("acts %+v", acts)
		}
		n.stop()
	}
}
