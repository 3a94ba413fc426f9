package meta

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"shoal/node/api"
)

// aging is one lifecycle rule as the worker that carries it out sees it.
type aging struct {
	prefix string
	tags   string // "" is for any
	before int64  // what was made, or became noncurrent, no later than this is due
	newer  int    // noncurrent versions that are kept
}

func (r *aging) fits(key, tags string) bool {
	return strings.HasPrefix(key, r.prefix) && (r.tags == "" || r.tags == tags)
}

// lifecycle expires what a random rule is for, as the worker does: it lists, and what it then deletes must still be what was listed. Now and
// then something happens in between.
func (w *walk) lifecycle() {
	r := &aging{prefix: string(w.pick([]string{"", "a", "b/", "zz"})), before: w.now - int64(w.rnd.IntN(int(5*time.Minute))), newer: w.rnd.IntN(3)}
	if w.chance(30) {
		r.tags = fmt.Sprintf("tags%d", w.rnd.IntN(5))
	}
	id := w.bucketID()
	b := w.bucket(id)
	if b.fenced {
		return
	}
	items, want := w.aged(id, r), b.aged(r)
	if w.chance(50) {
		items, want = w.outdated(id, r), b.outdated(r)
	}
	var got []string
	for _, item := range items {
		got = append(got, fmt.Sprintf("%q %x", item.Key, item.Version))
	}
	if !slices.Equal(got, want) {
		w.t.Fatalf("%+v expires %v, want %v", r, got, want)
	}
	for len(items) > 0 {
		if w.chance(30) {
			w.step()
		}
		w.tick()
		n := min(len(items), 1+w.rnd.IntN(5))
		w.deleteAll(&DeleteObjects{Bucket: id, Items: items[:n]})
		items = items[n:]
	}
}

// aged finds current versions that are due.
func (w *walk) aged(id uint64, r *aging) (items []*DeleteItem) {
	q := &ListQuery{Bucket: id, Prefix: []byte(r.prefix), Max: 3, Tags: true}
	for {
		p, err := w.m.List(w.db, testGroup, q)
		if err != nil {
			w.t.Fatal(err)
		}
		for i := range p.Entries {
			e := &p.Entries[i]
			if e.Mtime <= r.before && r.fits(string(e.Key), string(e.Tags)) {
				at := e.Mtime / 1e9
				items = append(items, &DeleteItem{Key: e.Key, IfMatch: e.ETag, IfSize: &e.Size, IfModified: &at})
			}
		}
		if !p.Truncated {
			return items
		}
		q.After = p.Next
	}
}

func (b *modelBucket) aged(r *aging) (out []string) {
	for _, key := range slices.Sorted(maps.Keys(b.keys)) {
		if v := b.keys[key][0]; !v.marker && v.mtime <= r.before && r.fits(key, v.tags) {
			out = append(out, fmt.Sprintf("%q ", key))
		}
	}
	return out
}

// outdated finds noncurrent versions that are due, and delete markers with nothing below them.
func (w *walk) outdated(id uint64, r *aging) (items []*DeleteItem) {
	a := w.ask(&Query_Versions{&VersionsQuery{Bucket: id, Prefix: []byte(r.prefix), Max: 1000, Tags: true, History: true}}).GetVersions()
	var above int64
	below := 0
	for i, e := range a.Versions {
		h := e.Head
		item := &DeleteItem{Key: e.Key, Version: h.Version, Seq: h.Seq}
		switch {
		case e.Latest:
			below = 0
			if h.DeleteMarker() && (i+1 == len(a.Versions) || a.Versions[i+1].Latest) {
				items = append(items, item)
			}
		case above <= r.before && below >= r.newer && r.fits(string(e.Key), string(h.Tags)):
			item.Noncurrent = true
			items = append(items, item)
			below++
		default:
			below++
		}
		above = h.Mtime
	}
	return items
}

func (b *modelBucket) outdated(r *aging) (out []string) {
	for _, key := range slices.Sorted(maps.Keys(b.keys)) {
		vs := b.keys[key]
		if !strings.HasPrefix(key, r.prefix) {
			continue
		}
		if len(vs) == 1 && vs[0].marker {
			out = append(out, fmt.Sprintf("%q %x", key, vs[0].id))
		}
		for i := 1 + r.newer; i < len(vs); i++ {
			if vs[i-1].mtime <= r.before && r.fits(key, vs[i].tags) {
				out = append(out, fmt.Sprintf("%q %x", key, vs[i].id))
			}
		}
	}
	return out
}

// transition gives some versions a storage class.
func (w *walk) transition() {
	id := w.bucketID()
	b := w.bucket(id)
	c := &Transition{Bucket: id, StorageClass: uint32(w.rnd.IntN(2))}
	for range 1 + w.rnd.IntN(3) {
		d := w.deleteItem(id)
		item := &TransitionItem{Key: d.Key, Version: d.Version, NullVersion: d.NullVersion, Seq: d.Seq, Noncurrent: d.Noncurrent}
		if vs := b.keys[string(d.Key)]; len(vs) > 0 {
			item.Mtime = vs[0].mtime
			for _, v := range vs {
				if w.chance(90) && (v.id == string(item.Version) || item.NullVersion && v.null) {
					item.Mtime = v.mtime
				}
			}
		}
		c.Items = append(c.Items, item)
	}
	if b.fenced {
		w.run(&Command_Transition{c}, api.NoSuchBucket)
		return
	}
	res := w.run(&Command_Transition{c}, ok)
	for i, code := range res.GetTransitioned().GetCodes() {
		w.expect(c.Items[i], code, w.model.transition(b, c.Items[i], c.StorageClass))
	}
}

// recode announces other streams for a version's content, or moves it there.
func (w *walk) recode() {
	c := &Recode{Version: w.oldID(), Begin: w.chance(50)}
	if vs := w.bucket(w.bucketID()).keys[string(w.pick(walkKeys))]; len(vs) > 0 && w.chance(90) {
		c.Version = []byte(vs[w.rnd.IntN(len(vs))].id)
	}
	v := w.owns(string(c.Version))
	if v != nil && len(v.recoding) > 0 {
		c.Begin = w.chance(20)
	}
	w.nextID++
	switch {
	case v != nil && !c.Begin && len(v.recoding) > 0 && w.chance(90):
		c.Streams = v.recoding
	case v != nil && w.chance(5):
		c.Streams = v.streams
	case c.Begin && w.chance(10): // nobody is to finish it
	default:
		c.Streams = []uint64{1000 + w.nextID}
	}
	c.Manifest = fmt.Appendf(nil, "recoded %x %d", c.Version, w.nextID)
	if v != nil && w.chance(95) {
		sum := sha256.Sum256([]byte(v.body))
		c.OldDigest = sum[:]
	} else {
		c.OldDigest = make([]byte, sha256.Size)
	}
	w.run(&Command_Recode{c}, w.model.recode(c))
}
