package node

import (
	"strings"
	"testing"
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
