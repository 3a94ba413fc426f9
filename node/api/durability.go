package api

import (
	"bytes"
	"slices"
	"sort"
	"strings"
	"time"
)

// Durability says how many more losses the stored stripes survive, as the last passes of the nodes
// that report found them. Objects that lie in the metadata alone are not counted here.
type Durability struct {
	Epoch    uint64    `json:"epoch"`    // of the layout; 0 when no pass has ended yet
	Complete bool      `json:"complete"` // every reporting node has ended a pass for this epoch
	Nodes    int       `json:"nodes"`    // that report
	Checked  time.Time `json:"checked"`  // when the oldest of the passes ended

	// Without are dead nodes that were drained or given up, and therefore need not report.
	Without []string `json:"without,omitempty"`

	// Counting says that stripes have moved since, or are yet to move, so that some may be counted twice
	// or not at all. What is written or deleted meanwhile shows in the next passes.
	Counting bool `json:"counting"`

	Stripes int64 `json:"stripes"`
	Bytes   int64 `json:"bytes"` // sealed, of those stripes

	// Strays are shards that lie elsewhere than at their homes in this epoch.
	Strays int64 `json:"strays"`

	// Homeless are those of them for which the placement knows no home, so that nobody counts their stripes.
	Homeless int64 `json:"homeless,omitempty"`

	// Readable stripes by what they survive, each list ascending.

	Tolerance      []Tolerance `json:"tolerance"`       // by drives
	ToleranceNodes []Tolerance `json:"tolerance_nodes"` // by nodes
	ToleranceSites []Tolerance `json:"tolerance_sites"` // by sites

	Profiles []ProfileStripes `json:"profiles,omitempty"` // readable stripes, as they are coded, by profile
	// BelowPromise are readable stripes that survive the loss of fewer drives than they were written for, and than new ones, or the loss of
	// fewer nodes or sites than the operator asks for and they would survive with all shards at home.
	BelowPromise Affected `json:"below_promise"`
	// Unhealed are stripes that could not be made whole when somebody asked for it, and were not looked at since.
	Unhealed   int64    `json:"unhealed,omitempty"`
	Unreadable Affected `json:"unreadable"` // stripes with too few reachable shards
	// Gone are those of the unreadable ones of which no shard is left on any drive, and all were asked.
	Gone Affected `json:"gone"`
	// Lost names versions and open uploads that have unreadable stripes, LostMax at most.
	Lost []LostVersion `json:"lost,omitempty"`
	// Groups is how many metadata groups keep buckets, and Compared how many of them were compared with
	// what is on the drives since drives or nodes last came or went.
	Groups   int `json:"groups"`
	Compared int `json:"compared"`

	IfLost []LossOf `json:"if_lost"` // drives, nodes and sites whose loss would make stripes unreadable
	WhatIf *WhatIf  `json:"what_if,omitempty"`

	// Leaving are the drives that have no part in the placement any more and still hold shards.
	Leaving []Leaving `json:"leaving,omitempty"`

	// Widths are the numbers of shards that stripes are found to have, ascending.
	Widths []int `json:"widths"`

	// What follows is for merging only.

	BeganAgo time.Duration  `json:"began_ago,omitempty"` // when the oldest of the passes began
	MovedAgo time.Duration  `json:"moved_ago,omitempty"` // when a shard last moved; 0 is never
	Walks    []GroupStripes `json:"walks,omitempty"`     // by group
}

// LostMax bounds Durability.Lost.
const LostMax = 100

// LostVersion names a version of an object, or an open upload, some of whose stripes cannot be read.
type LostVersion struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version"` // in hexadecimal digits; of an upload: its ID
	// Upload says that it is an open upload: parts of it are to be uploaded again.
	Upload bool `json:"upload,omitempty"`
}

// GroupStripes says of which stripes nothing was found that the versions of a metadata group name.
type GroupStripes struct {
	Group   uint32        `json:"group"`
	Age     time.Duration `json:"age"`     // since the walk over the group ended
	Current bool          `json:"current"` // nothing has changed since
	Gone    Affected      `json:"gone"`
	Away    Affected      `json:"away"` // the same, but drives did not answer
}

// Leaving is what lies on a drive that has no part in the placement any more: its node is being drained.
type Leaving struct {
	Node    string `json:"node"` // peer ID
	DriveID string `json:"drive_id"`
	Shards  int64  `json:"shards"`
}

// Tolerance counts the stripes that survive the loss of just so many more drives, nodes or sites, whichever they are.
type Tolerance struct {
	Tolerates int   `json:"tolerates"`
	Stripes   int64 `json:"stripes"`
	Bytes     int64 `json:"bytes"`
}

// ProfileStripes counts the stripes that are coded alike. Those of REDUCED_REDUNDANCY have less parity, and are
// promised no more.
type ProfileStripes struct {
	Profile string `json:"profile"` // k+m
	Stripes int64  `json:"stripes"`
	Bytes   int64  `json:"bytes"`
}

// Affected counts what is in a state.
type Affected struct {
	Stripes  int64 `json:"stripes"`
	Bytes    int64 `json:"bytes"`
	Versions int64 `json:"versions"` // of objects, those that share a stripe each counted
	// AtLeast says that there are more versions than were counted.
	AtLeast bool `json:"at_least,omitempty"`
	// Keys are the versions, VersionKeyLen bytes each, ascending: reports of several nodes count a
	// version once. Strip removes them from what is shown.
	Keys []byte `json:"keys,omitempty"`
}

// VersionKeyLen is the length of a version's key in Affected: 4 bytes of its group, big endian, and
// 16 of its ID.
const VersionKeyLen = 20

// VersionKeysMax bounds each list of keys of a report, so that the report fits into one message.
const VersionKeysMax = 8000

// LossOf says what the loss of a drive, a node or a site would make unreadable that is readable now.
type LossOf struct {
	Kind    string `json:"kind"` // drive, node, site
	Name    string `json:"name"`
	Stripes int64  `json:"stripes"`
	Bytes   int64  `json:"bytes"`
}

// WhatIf answers what would be left if a site were lost.
type WhatIf struct {
	Site         string   `json:"site"`
	Unreadable   Affected `json:"unreadable"`    // those that are so now included
	BelowPromise Affected `json:"below_promise"` // as now, and those that would be
}

// Merge adds another node's report, or that of several.
func (d *Durability) Merge(o *Durability) {
	if d.Nodes == 0 {
		*d = *o
		d.Tolerance, d.IfLost, d.Widths, d.Leaving = slices.Clone(o.Tolerance), slices.Clone(o.IfLost), slices.Clone(o.Widths), slices.Clone(o.Leaving)
		d.ToleranceNodes, d.ToleranceSites = slices.Clone(o.ToleranceNodes), slices.Clone(o.ToleranceSites)
		d.Walks, d.Profiles = slices.Clone(o.Walks), slices.Clone(o.Profiles)
		if o.WhatIf != nil {
			w := *o.WhatIf
			d.WhatIf = &w
		}
		return
	}
	d.Complete = d.Complete && o.Complete && d.Epoch == o.Epoch
	d.Epoch = min(d.Epoch, o.Epoch)
	d.Nodes += o.Nodes
	if o.Checked.Before(d.Checked) {
		d.Checked = o.Checked
	}
	d.Stripes += o.Stripes
	d.Bytes += o.Bytes
	d.Strays += o.Strays
	d.Homeless += o.Homeless
	d.Unhealed += o.Unhealed
	d.Leaving = append(d.Leaving, o.Leaving...)
	d.mergeWalks(o)
	mergeTolerance(&d.Tolerance, o.Tolerance)
	mergeTolerance(&d.ToleranceNodes, o.ToleranceNodes)
	mergeTolerance(&d.ToleranceSites, o.ToleranceSites)
	d.mergeProfiles(o.Profiles)
	d.mergeLosses(o.IfLost)
	d.BelowPromise.merge(&o.BelowPromise)
	d.Unreadable.merge(&o.Unreadable)
	d.Widths = append(d.Widths, o.Widths...)
	slices.Sort(d.Widths)
	d.Widths = slices.Compact(d.Widths)
	if d.WhatIf != nil && o.WhatIf != nil {
		d.WhatIf.Unreadable.merge(&o.WhatIf.Unreadable)
		d.WhatIf.BelowPromise.merge(&o.WhatIf.BelowPromise)
	}
}

// mergeWalks takes the better of two walks over each group, and the times between which stripes may
// have been counted twice.
func (d *Durability) mergeWalks(o *Durability) {
	d.BeganAgo = max(d.BeganAgo, o.BeganAgo)
	if d.MovedAgo == 0 || o.MovedAgo != 0 && o.MovedAgo < d.MovedAgo {
		d.MovedAgo = o.MovedAgo
	}
	for _, w := range o.Walks {
		i := slices.IndexFunc(d.Walks, func(x GroupStripes) bool { return x.Group == w.Group })
		switch {
		case i < 0:
			d.Walks = append(d.Walks, w)
		case w.Current && !d.Walks[i].Current || w.Current == d.Walks[i].Current && w.Age < d.Walks[i].Age:
			d.Walks[i] = w
		}
	}
}

// Conclude ends the merging of what all nodes report: it adds what the walks over so many groups have
// found, and says whether the counts are exact.
func (d *Durability) Conclude(groups int) {
	d.Groups, d.Compared = groups, 0
	for i := range d.Walks {
		w := &d.Walks[i]
		if w.Current {
			d.Compared++
		}
		d.Gone.merge(&w.Gone)
		d.Unreadable.merge(&w.Gone)
		d.Unreadable.merge(&w.Away)
		if d.WhatIf != nil {
			d.WhatIf.Unreadable.merge(&w.Gone)
			d.WhatIf.Unreadable.merge(&w.Away)
		}
	}
	d.Counting = !d.Complete || d.Strays > 0 || d.Moved()
}

// Moved says that a shard has moved since the oldest pass began, before Strip.
func (d *Durability) Moved() bool { return d.MovedAgo != 0 && d.MovedAgo <= d.BeganAgo }

// Strip removes what is there for merging only.
func (d *Durability) Strip() {
	d.BeganAgo, d.MovedAgo, d.Walks = 0, 0, nil
	d.BelowPromise.Keys, d.Unreadable.Keys, d.Gone.Keys = nil, nil, nil
	if d.WhatIf != nil {
		d.WhatIf.Unreadable.Keys, d.WhatIf.BelowPromise.Keys = nil, nil
	}
}

func mergeTolerance(sum *[]Tolerance, list []Tolerance) {
	for _, t := range list {
		i, found := slices.BinarySearchFunc(*sum, t.Tolerates, func(x Tolerance, n int) int { return x.Tolerates - n })
		if !found {
			*sum = slices.Insert(*sum, i, Tolerance{Tolerates: t.Tolerates})
		}
		(*sum)[i].Stripes += t.Stripes
		(*sum)[i].Bytes += t.Bytes
	}
}

func (d *Durability) mergeProfiles(list []ProfileStripes) {
	for _, p := range list {
		i, found := slices.BinarySearchFunc(d.Profiles, p.Profile, func(x ProfileStripes, name string) int { return strings.Compare(x.Profile, name) })
		if !found {
			d.Profiles = slices.Insert(d.Profiles, i, ProfileStripes{Profile: p.Profile})
		}
		d.Profiles[i].Stripes += p.Stripes
		d.Profiles[i].Bytes += p.Bytes
	}
}

func (d *Durability) mergeLosses(list []LossOf) {
	for _, l := range list {
		i := slices.IndexFunc(d.IfLost, func(x LossOf) bool { return x.Kind == l.Kind && x.Name == l.Name })
		if i < 0 {
			d.IfLost = append(d.IfLost, l)
			continue
		}
		d.IfLost[i].Stripes += l.Stripes
		d.IfLost[i].Bytes += l.Bytes
	}
}

func (a *Affected) merge(o *Affected) {
	a.Stripes += o.Stripes
	a.Bytes += o.Bytes
	most := max(a.Versions, o.Versions)
	a.AtLeast = a.AtLeast || o.AtLeast || a.keysMissing() || o.keysMissing()
	a.Keys = unite(a.Keys, o.Keys)
	if len(a.Keys) > VersionKeysMax*VersionKeyLen {
		a.Keys, a.AtLeast = a.Keys[:VersionKeysMax*VersionKeyLen], true
	}
	a.Versions = max(most, int64(len(a.Keys)/VersionKeyLen))
}

// keysMissing says that more versions were counted than are listed.
func (a *Affected) keysMissing() bool { return a.Versions > int64(len(a.Keys)/VersionKeyLen) }

// unite merges two ascending lists of keys.
func unite(a, b []byte) []byte {
	var keys [][]byte
	for _, list := range [][]byte{a, b} {
		for ; len(list) >= VersionKeyLen; list = list[VersionKeyLen:] {
			keys = append(keys, list[:VersionKeyLen])
		}
	}
	if len(keys) == 0 {
		return nil
	}
	sort.Slice(keys, func(i, j int) bool { return bytes.Compare(keys[i], keys[j]) < 0 })
	return bytes.Join(slices.CompactFunc(keys, bytes.Equal), nil)
}
