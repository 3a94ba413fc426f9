package node

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shoal/node/api"
	"shoal/p2p"
)

// memberPort is where rules are applied.
type memberPort struct{ blocked func(netip.Addr) bool }

func (m *memberPort) apply(blocked func(netip.Addr) bool) { m.blocked = blocked }

func (m *memberPort) blocks(text string) bool {
	return m.blocked != nil && m.blocked(netip.MustParseAddr(text))
}

// rulesIn reads what a directory keeps, as at a start.
func rulesIn(t *testing.T, dir string) (*peerRules, *memberPort) {
	t.Helper()
	m := new(memberPort)
	r, err := openPeerRules(dir, m.apply, false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return r, m
}

// Rules hold at once and after a start, also of a release that kept them before; those for clients are none for peers,
// and loopback is never blocked.
func TestPeerRulesAreKept(t *testing.T) {
	dir := t.TempDir()
	r, m := rulesIn(t, dir)
	if m.blocked != nil {
		t.Error("there are rules in an empty directory")
	}
	r.follow([]api.Setting{
		{Name: "voters", Value: "3"}, {Name: "ip/198.51.100.0/24", Value: "block"},
		{Name: "peer-ip/192.0.2.0/24", Value: "block"}, {Name: "peer-ip/192.0.2.7/32", Value: "allow"},
	})
	check := func(what string, m *memberPort) {
		t.Helper()
		for text, want := range map[string]bool{"192.0.2.1": true, "192.0.2.7": false, "198.51.100.1": false} {
			if m.blocks(text) != want {
				t.Errorf("%s: %s is blocked: %v", what, text, !want)
			}
		}
	}
	check("followed", m)
	_, m = rulesIn(t, dir)
	check("started again", m)
	golden, err := os.ReadFile("testdata/" + peerRulesFile)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(r.path); err != nil || string(kept) != string(golden) {
		t.Errorf("%s is kept, %v", kept, err)
	}

	r.follow([]api.Setting{{Name: "peer-ip/0.0.0.0/0", Value: "block"}, {Name: "peer-ip/::/0", Value: "block"}, {Name: "peer-ip/127.0.0.0/8", Value: "block"}})
	_, m = rulesIn(t, dir)
	for text, want := range map[string]bool{"192.0.2.7": true, "2001:db8::1": true, "127.0.0.1": false, "::1": false} {
		if m.blocks(text) != want {
			t.Errorf("all are blocked, and %s: %v", text, !want)
		}
	}
	r.follow(nil)
	if _, m = rulesIn(t, dir); m.blocks("192.0.2.1") {
		t.Error("a rule that was removed holds after a start")
	}
}

// What cannot be read is set aside, and stops no start.
func TestPeerRulesDamaged(t *testing.T) {
	for _, text := range []string{"{", `{"format":2}`, `{"format":1,"rules":[{"prefix":"x"}]}`, ""} {
		dir := t.TempDir()
		path := filepath.Join(dir, peerRulesFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, m := rulesIn(t, dir)
		if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != text || m.blocked != nil {
			t.Errorf("%q: %q, %v", text, kept, err)
		}
		r.follow([]api.Setting{{Name: "peer-ip/192.0.2.0/24", Value: "block"}})
		if _, m = rulesIn(t, dir); !m.blocks("192.0.2.1") {
			t.Errorf("%q: later rules are not kept", text)
		}
	}
}

// What cannot be kept holds all the same, and is kept when it can be.
func TestPeerRulesNotKept(t *testing.T) {
	dir := t.TempDir()
	r, m := rulesIn(t, dir)
	r.path = filepath.Join(dir, "none", peerRulesFile)
	settings := []api.Setting{{Name: "peer-ip/192.0.2.0/24", Value: "block"}}
	r.follow(settings)
	if !m.blocks("192.0.2.1") {
		t.Error("a rule that is not kept does not hold")
	}
	r.path = filepath.Join(dir, peerRulesFile)
	r.follow(append(settings, api.Setting{Name: "voters", Value: "3"}))
	if _, m = rulesIn(t, dir); !m.blocks("192.0.2.1") {
		t.Error("what could not be kept at first is not kept later")
	}
}

// A node that ignores the rules keeps them, also those that it is told meanwhile, for the starts to come.
func TestPeerRulesIgnored(t *testing.T) {
	dir := t.TempDir()
	r, _ := rulesIn(t, dir)
	r.follow([]api.Setting{{Name: "peer-ip/192.0.2.0/24", Value: "block"}})
	var m memberPort
	r, err := openPeerRules(dir, m.apply, true, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r.follow([]api.Setting{{Name: "peer-ip/192.0.2.0/24", Value: "block"}, {Name: "peer-ip/198.51.100.0/24", Value: "block"}})
	if m.blocks("192.0.2.1") || m.blocks("198.51.100.1") {
		t.Error("a rule that is to be ignored holds")
	}
	if _, m := rulesIn(t, dir); !m.blocks("192.0.2.1") || !m.blocks("198.51.100.1") {
		t.Error("rules that were ignored are forgotten")
	}
}

func TestRefuseCut(t *testing.T) {
	addrs := map[p2p.NodeID][]netip.Addr{
		"a": {netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.1")}, "b": {netip.MustParseAddr("10.0.1.1"), {}}, "c": {netip.MustParseAddr("2001:db8::1")},
	}
	for _, tc := range []struct {
		rule          string
		force, quorum bool
		refused       []string // what the refusal names
	}{
		{"192.0.2.0/24", false, true, nil},
		{"127.0.0.0/8", false, true, nil},
		{"10.0.0.0/24", false, true, []string{"a at 10.0.0.1", "--yes"}},
		{"10.0.0.0/24", true, true, nil},
		{"10.0.0.0/8", false, false, []string{"a at 10.0.0.1, b at 10.0.1.1", "majority"}},
		{"10.0.0.0/8", true, false, []string{"a at 10.0.0.1, b at 10.0.1.1", "majority"}},
		{"2001:db8::/32", false, true, []string{"c at 2001:db8::1"}},
	} {
		f := peerFilter([]api.IPRule{{Scope: api.IPPeers, Prefix: netip.MustParsePrefix(tc.rule), Verdict: api.IPBlock}})
		err := refuseCut(cutOff(addrs, f), tc.force, tc.quorum)
		if (err != nil) != (tc.refused != nil) {
			t.Errorf("%+v: %v", tc, err)
		}
		for _, want := range tc.refused {
			if api.KindOf(err) != api.InvalidArgument || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v", tc, err)
			}
		}
	}
}

// The store asks before it cuts off a member, and lets nobody cut off so many that the rule could not be removed.
func TestPeerRuleAgainstMembers(t *testing.T) {
	n := start(t, Config{DataDir: filepath.Join(t.TempDir(), "data"), Announce: []string{"/ip4/192.0.2.7/tcp/4001"}})
	set := func(name, value string, force bool) error {
		return n.Store().SetSetting(t.Context(), api.SettingChange{Name: name, Value: value, Force: force})
	}
	for _, force := range []bool{false, true} {
		err := set("peer-ip/192.0.2.0/24", api.IPBlock, force)
		if api.KindOf(err) != api.InvalidArgument || !strings.Contains(err.Error(), string(n.ID())+" at 192.0.2.7") {
			t.Errorf("force %v: %v", force, err)
		}
	}
	for _, step := range [][2]string{
		{"ip/192.0.2.0/24", api.IPBlock}, {"peer-ip/198.51.100.0/24", api.IPBlock}, {"peer-ip/127.0.0.0/8", api.IPBlock},
		{"peer-ip/192.0.2.7/32", api.IPAllow}, {"peer-ip/192.0.2.0/24", api.IPBlock},
	} {
		if err := set(step[0], step[1], false); err != nil {
			t.Errorf("%v: %v", step, err)
		}
	}
	if err := set("peer-ip/192.0.2.7/32", "", true); api.KindOf(err) != api.InvalidArgument {
		t.Errorf("what spares a member was removed: %v", err)
	}
	if err := set("peer-ip/192.0.2.0/24", "", false); err != nil {
		t.Errorf("a rule cannot be removed: %v", err)
	}
	for what, name := range map[string]string{"set-setting": "peer-ip/203.0.113.0/24", "set-peer-rule": "ip/203.0.113.0/24"} {
		arg := []byte(`{"name":"` + name + `","value":"block"}`)
		if _, err := (&operator{n.Node}).Answer(t.Context(), what, arg); api.KindOf(err) != api.InvalidArgument {
			t.Errorf("%s by %s: %v", name, what, err)
		}
	}
}
