package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/keyring"
	"shoal/node/meta"
	"shoal/p2p"
	"shoal/p2p/transport"
)

// peerRulesFile keeps the rules for addresses of peers in the data directory, so that they hold right after a start.
const peerRulesFile = "peer-rules.json"

const peerRulesFormat = 1

// keptRules is peerRulesFile.
type keptRules struct {
	Format int          `json:"format"`
	Rules  []api.IPRule `json:"rules"`
}

// peerRules makes the rules for addresses of peers hold at this member's ports, and keeps them.
type peerRules struct {
	path  string
	apply func(blocked func(netip.Addr) bool)
	log   *slog.Logger

	mu    sync.Mutex // guards rules, and is held while they are applied and kept
	rules []api.IPRule
	kept  bool // rules are in the file
}

// openPeerRules applies those that were kept. A file that cannot be read is set aside: the system group tells the
// rules anew. apply is Block of a host that must not listen yet. With ignore set, rules are kept and do not hold.
func openPeerRules(dir string, apply func(blocked func(netip.Addr) bool), ignore bool, log *slog.Logger) (*peerRules, error) {
	r := &peerRules{path: filepath.Join(dir, peerRulesFile), apply: apply, log: log, kept: true}
	if ignore {
		log.Warn("rules for addresses of peers do not hold here until the next start")
		r.apply = func(func(netip.Addr) bool) {}
	}
	return r, r.load()
}

func (r *peerRules) load() error {
	text, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the rules for addresses of peers: %w", err)
	}
	var k keptRules
	if err = json.Unmarshal(text, &k); err == nil && k.Format != peerRulesFormat {
		err = fmt.Errorf("format %d, this release reads %d", k.Format, peerRulesFormat)
	}
	if err != nil {
		r.log.Warn("the rules for addresses of peers that were kept are set aside", "path", r.path, "err", err)
		return os.Rename(r.path, r.path+".damaged")
	}
	r.rules = k.Rules
	r.apply(peerFilter(r.rules))
	return nil
}

// follow makes the rules among settings hold from now on. What cannot be kept is tried again with the next settings.
func (r *peerRules) follow(settings []api.Setting) {
	rules := api.IPRules(settings, api.IPPeers)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(rules, r.rules) {
		r.rules, r.kept = rules, false
		r.apply(peerFilter(rules))
		r.log.Info("rules for addresses of peers have changed", "rules", len(rules))
	}
	if r.kept {
		return
	}
	text, err := json.Marshal(keptRules{Format: peerRulesFormat, Rules: rules})
	if err == nil {
		err = keyring.WritePrivate(r.path, append(text, '\n'))
	}
	r.kept = err == nil
	if err != nil {
		r.log.Warn("the rules for addresses of peers are not kept for the next start", "err", err)
	}
}

// FollowSettings takes what this member follows from the store's settings: its gateway tells them when they have
// changed.
func (n *Node) FollowSettings(settings []api.Setting) { n.peerRules.follow(settings) }

// FollowSettings is that of Node.
func (g *Gateway) FollowSettings(settings []api.Setting) { g.peerRules.follow(settings) }

// checkPeerRule refuses a rule for addresses of peers that cuts off members, unless it is forced, and in any case one
// that would leave the system group without its majority: nobody could take that back.
func (n *Node) checkPeerRule(ctx context.Context, c api.SettingChange) error {
	dynamic, err := n.query(ctx, &meta.Query{Q: &meta.Query_Dynamic{Dynamic: &meta.DynamicQuery{}}})
	if err != nil {
		return err
	}
	values := map[string]string{}
	maps.Copy(values, dynamic.GetDynamic().GetValues())
	before := peerFilter(peerRulesOf(values))
	values[c.Name] = c.Value
	after := peerFilter(peerRulesOf(values))
	addrs, err := n.memberAddrs(ctx)
	if err != nil {
		return err
	}
	cut := cutOff(addrs, func(a netip.Addr) bool { return after(a) && !before(a) })
	if len(cut) == 0 {
		return nil
	}
	groups, err := n.client.Groups(ctx)
	if err != nil {
		return err
	}
	voters, left := 0, 0
	out := cutOff(addrs, after)
	for i := range groups {
		if groups[i].ID != uint32(consensus.SystemGroup) {
			continue
		}
		voters = len(groups[i].Voters)
		for _, v := range groups[i].Voters {
			if _, is := out[p2p.NodeID(v)]; !is && n.net.Alive(p2p.NodeID(v)) {
				left++
			}
		}
	}
	return refuseCut(cut, c.Force, left > voters/2)
}

// refuseCut says no to what cuts members off, with the address of each.
func refuseCut(cut map[p2p.NodeID]netip.Addr, force, quorum bool) error {
	var who []string
	for id, a := range cut {
		who = append(who, fmt.Sprintf("%s at %v", id, a))
	}
	slices.Sort(who)
	list := strings.Join(who[:min(len(who), cutShown)], ", ")
	if len(who) > cutShown {
		list += fmt.Sprintf(" and %d more", len(who)-cutShown)
	}
	switch {
	case len(who) == 0:
		return nil
	case !quorum:
		return api.Invalid("node.checkPeerRule", "The rule would cut off "+list+": no majority of the system group would be left that is alive, and nobody could take the rule back. Allow the address first.")
	case !force:
		return api.Invalid("node.checkPeerRule", "The rule would cut off "+list+". Allow the address first, or give --yes (force) to do so all the same.")
	}
	return nil
}

// cutShown bounds the members that a refusal names.
const cutShown = 5

// cutOff gives the members with an address that is blocked, and which.
func cutOff(addrs map[p2p.NodeID][]netip.Addr, blocked func(netip.Addr) bool) map[p2p.NodeID]netip.Addr {
	out := make(map[p2p.NodeID]netip.Addr)
	for id, all := range addrs {
		for _, a := range all {
			if a.IsValid() && blocked(a) {
				out[id] = a
				break
			}
		}
	}
	return out
}

// peerFilter tells which addresses rules block. Loopback is never among them: what is on the machine itself gains
// nothing by it, and an operator there keeps his way in.
func peerFilter(rules []api.IPRule) func(netip.Addr) bool {
	f := api.NewIPFilter(rules)
	return func(a netip.Addr) bool { return !a.IsLoopback() && f.Blocks(a) }
}

func peerRulesOf(values map[string]string) []api.IPRule {
	var settings []api.Setting
	for name, value := range values {
		settings = append(settings, api.Setting{Name: name, Value: value})
	}
	return api.IPRules(settings, api.IPPeers)
}

// memberAddrs gives where members are: as the member table has them, as they have told, and as they are connected here.
func (n *Node) memberAddrs(ctx context.Context) (map[p2p.NodeID][]netip.Addr, error) {
	a, err := n.askMembers(ctx)
	if err != nil {
		return nil, err
	}
	remotes := n.net.Host.Remotes()
	out := make(map[p2p.NodeID][]netip.Addr)
	for _, m := range a.GetMembers() {
		id := p2p.NodeID(m.GetPeerId())
		texts := m.GetAddrs()
		if told, ok := n.net.Table.Get(id); ok {
			texts = slices.Concat(texts, told.Addrs)
		}
		if id == n.ID() {
			texts = slices.Concat(texts, n.net.Host.Addrs())
		}
		out[id] = remotes[id]
		for _, text := range texts {
			out[id] = append(out[id], transport.AddrOf(text))
		}
	}
	return out, nil
}
