package repair

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
	"shoal/p2p/placement"
)

const (
	// versionsMax bounds the versions that are remembered as affected.
	versionsMax = 100_000
	// siteVersionsMax bounds those that are remembered for the loss of a site, each.
	siteVersionsMax = 20_000
)

// tally is what a check has found.
type tally struct {
	epoch    uint64
	began    time.Time
	ended    time.Time
	homeless int64 // shards of a width for which the layout has no table
	strays   int64 // shards that lie elsewhere than at home

	stripes, bytes    int64
	tolerance         [3]map[int]*amount // of drives, nodes, sites
	promised          promise
	profiles          map[erasure.Profile]*amount
	below, unreadable affected
	lost              map[domain]*amount // what the loss of a domain would make unreadable
	sites             map[string]*siteLoss
	widths            map[int]bool
	recodable         bool                       // some stripes are not of the width that new ones get
	domains           map[peer.DriveID][3]domain // drive, node, site
}

// promise is how many nodes, and how many sites, may be lost while a stripe can be read, as far as there are places that allow it.
type promise struct{ nodes, sites int }

type amount struct{ stripes, bytes int64 }

func (a *amount) add(bytes int64) { a.stripes, a.bytes = a.stripes+1, a.bytes+bytes }

// domain is what may be lost as one.
type domain struct{ kind, name string }

// siteLoss is what would be left without a site, apart from what is so already.
type siteLoss struct{ unreadable, below affected }

type versionKey [api.VersionKeyLen]byte

// affected is a set of stripes with the versions they belong to, as far as there is room.
type affected struct {
	amount
	versions map[versionKey]bool
	more     bool
}

func newTally(l *peer.Layout, promised promise) *tally {
	t := &tally{
		epoch: l.Epoch, promised: promised, began: time.Now(), profiles: make(map[erasure.Profile]*amount), lost: make(map[domain]*amount), sites: make(map[string]*siteLoss),
		widths: make(map[int]bool), domains: make(map[peer.DriveID][3]domain),
	}
	for i := range t.tolerance {
		t.tolerance[i] = make(map[int]*amount)
	}
	var tables []*placement.Table
	for _, v := range l.Views() {
		for _, e := range slices.Backward(v.Earlier) {
			tables = append(tables, e.Tables...)
		}
	}
	for _, v := range l.Views() { // the current ones last
		tables = append(append(tables, v.Others...), v.Table)
	}
	for _, table := range tables {
		for _, d := range table.Drives() {
			t.domains[peer.DriveID(d.ID)] = [3]domain{{"drive", hex.EncodeToString(d.ID[:])}, {"node", d.Node}, {"site", d.Site}}
			if t.sites[d.Site] == nil {
				t.sites[d.Site] = new(siteLoss)
			}
		}
	}
	return t
}

func (t *tally) end() { t.ended = time.Now() }

// count adds a stripe. Promised is the loss of as many drives as it was written for, or as is promised of new ones where that is less:
// drives may have gone since. A stripe of REDUCED_REDUNDANCY was written for less. What has the class and was not recoded yet is held to
// what it was written for, which is more. The loss of nodes and sites that the operator asks to survive is promised as far as it is
// survived with all shards at home: one that was written around a node or site that was away may be below that.
func (t *tally) count(c *candidate) {
	size := int64(c.ChunkLen)
	t.stripes++
	t.bytes += size
	k, width := int(c.K), len(c.state.at)
	if good(c.state.at) < k {
		t.unreadable.add(size, c.Owners, versionsMax)
		return
	}
	left := peer.Tolerates(c.state.at, k)
	nodes, sites := peer.ToleratesOf(c.state.at, k, nodeOf), peer.ToleratesOf(c.state.at, k, t.siteOf)
	for i, n := range [...]int{left, nodes, sites} {
		grow(t.tolerance[i], n).add(size)
	}
	grow(t.profiles, erasure.Profile{K: c.K, M: c.M}).add(size)
	promised := min(width-k, int(c.l.Profile.M))
	below := left < promised ||
		nodes < t.promised.nodes && nodes < athome(c, nodeOf) || sites < t.promised.sites && sites < athome(c, t.siteOf)
	if below {
		t.below.add(size, c.Owners, versionsMax)
	}
	seen := make(map[domain]bool)
	for _, at := range c.state.at {
		for _, place := range at {
			for _, d := range t.domains[place.Drive] {
				if d.name == "" || seen[d] {
					continue
				}
				seen[d] = true
				t.without(c, d, promised, below)
			}
		}
	}
}

func nodeOf(p peer.Target) p2p.NodeID { return p.Node }

func (t *tally) siteOf(p peer.Target) string { return t.domains[p.Drive][2].name }

// athome gives how many nodes or sites may be lost when all shards of a stripe are at home.
func athome[D comparable](c *candidate, of func(peer.Target) D) int {
	at := make([][]peer.Target, len(c.state.homes))
	for i := range at {
		at[i] = c.state.homes[i : i+1]
	}
	return peer.ToleratesOf(at, int(c.K), of)
}

// without notes what the loss of a domain would do to a readable stripe that has shards in it, and is promised to survive the loss of
// so many drives. below says that it has less than that as it is.
func (t *tally) without(c *candidate, d domain, promised int, below bool) {
	at := make([][]peer.Target, len(c.state.at))
	for i, list := range c.state.at {
		for _, p := range list {
			if !slices.Contains(t.domainsOf(p), d) {
				at[i] = append(at[i], p)
			}
		}
	}
	left := peer.Tolerates(at, int(c.K))
	if left < 0 {
		grow(t.lost, d).add(int64(c.ChunkLen))
	}
	if d.kind != "site" {
		return
	}
	switch s := t.sites[d.name]; {
	case left < 0:
		s.unreadable.add(int64(c.ChunkLen), c.Owners, siteVersionsMax)
		if below {
			s.below.amount.stripes-- // it would be unreadable instead
			s.below.amount.bytes -= int64(c.ChunkLen)
		}
	case left < promised && !below:
		s.below.add(int64(c.ChunkLen), c.Owners, siteVersionsMax)
	}
}

func (t *tally) domainsOf(p peer.Target) []domain {
	d := t.domains[p.Drive]
	return d[:]
}

// good counts the indexes with a good copy.
func good(at [][]peer.Target) (n int) {
	for _, list := range at {
		if len(list) > 0 {
			n++
		}
	}
	return n
}

func grow[K comparable](m map[K]*amount, k K) *amount {
	if m[k] == nil {
		m[k] = new(amount)
	}
	return m[k]
}

func (a *affected) add(bytes int64, owners []shardstore.Owner, most int) {
	a.amount.add(bytes)
	for _, o := range owners {
		var k versionKey
		binary.BigEndian.PutUint32(k[:], o.Group)
		copy(k[4:], o.Version[:])
		switch {
		case a.versions[k]:
		case len(a.versions) >= most:
			a.more = true
		default:
			if a.versions == nil {
				a.versions = make(map[versionKey]bool)
			}
			a.versions[k] = true
		}
	}
}

// report makes what travels of one or more sets.
func report(sets ...*affected) api.Affected {
	var out api.Affected
	all := make(map[versionKey]bool)
	for _, a := range sets {
		out.Stripes += a.stripes
		out.Bytes += a.bytes
		out.AtLeast = out.AtLeast || a.more
		maps.Copy(all, a.versions)
	}
	out.Versions = int64(len(all))
	keys := slices.SortedFunc(maps.Keys(all), func(a, b versionKey) int { return bytes.Compare(a[:], b[:]) })
	for _, k := range keys[:min(len(keys), api.VersionKeysMax)] {
		out.Keys = append(out.Keys, k[:]...)
	}
	return out
}

// Durability tells what the last check that ended has found, of the stripes that this node answers
// for. whatIf may name a site that is thought to be lost.
func (r *Repair) Durability(ctx context.Context, whatIf string) (api.Durability, error) {
	t := r.check.ended()
	l, err := r.layouts.current(ctx)
	var groups []api.GroupStripes
	if err == nil {
		groups = r.verify.report(l)
	}
	if t == nil {
		return api.Durability{Nodes: 1, Walks: groups, Leaving: r.leaving(l), Unhealed: r.Healer.wanted.count()}, nil
	}
	d := api.Durability{
		Unhealed: r.Healer.wanted.count(), BeganAgo: time.Since(t.began), MovedAgo: r.Healer.movedAgo(), Walks: groups,
		Epoch: t.epoch, Complete: err == nil && l.Epoch == t.epoch && !r.move.behind(t.epoch), Nodes: 1, Checked: t.ended, Stripes: t.stripes, Bytes: t.bytes, Strays: t.strays + t.homeless, Homeless: t.homeless,
		BelowPromise: report(&t.below), Unreadable: report(&t.unreadable), Widths: slices.Sorted(maps.Keys(t.widths)), Leaving: r.leaving(l),
	}
	for i, list := range [...]*[]api.Tolerance{&d.Tolerance, &d.ToleranceNodes, &d.ToleranceSites} {
		for _, n := range slices.Sorted(maps.Keys(t.tolerance[i])) {
			a := t.tolerance[i][n]
			*list = append(*list, api.Tolerance{Tolerates: n, Stripes: a.stripes, Bytes: a.bytes})
		}
	}
	for p, a := range t.profiles {
		d.Profiles = append(d.Profiles, api.ProfileStripes{Profile: p.String(), Stripes: a.stripes, Bytes: a.bytes})
	}
	slices.SortFunc(d.Profiles, func(a, b api.ProfileStripes) int { return cmpStrings(a.Profile, b.Profile) })
	for dom, a := range t.lost {
		d.IfLost = append(d.IfLost, api.LossOf{Kind: dom.kind, Name: dom.name, Stripes: a.stripes, Bytes: a.bytes})
	}
	slices.SortFunc(d.IfLost, func(a, b api.LossOf) int { return cmpStrings(a.Kind, b.Kind, a.Name, b.Name) })
	if whatIf == "" {
		return d, nil
	}
	s := t.sites[whatIf]
	if s == nil {
		return d, api.Invalid("repair.Durability", fmt.Sprintf("No drive is at a site %q.", whatIf))
	}
	d.WhatIf = &api.WhatIf{Site: whatIf, Unreadable: report(&t.unreadable, &s.unreadable), BelowPromise: report(&t.below, &s.below)}
	return d, nil
}

func cmpStrings(pairs ...string) int {
	for i := 0; i < len(pairs); i += 2 {
		if c := bytes.Compare([]byte(pairs[i]), []byte(pairs[i+1])); c != 0 {
			return c
		}
	}
	return 0
}

// unsettled tells whether the pass met something that is to change soon: shards on their way, stripes
// that want healing, or that are coded as new ones are not.
func (t *tally) unsettled() bool {
	return t.recodable || t.strays > 0 || t.below.stripes > 0
}

// ended gives the last pass that ended; nil when there is none.
func (c *checker) ended() *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Moving tells what lies elsewhere than at home: the shards that the last check met, and the bytes
// that the mover has still to move.
func (r *Repair) Moving(context.Context) (api.Moving, error) { return r.moving(), nil }

func (r *Repair) moving() (m api.Moving) {
	if t := r.check.ended(); t != nil {
		m.Shards = t.strays
	}
	if w := r.move.worker.Show(); w.Total > w.Done {
		m.Bytes = w.Total - w.Done
	}
	return m
}
