package meta

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"shoal/node/api"
)

// compare checks everything that can be asked against the model.
func (w *walk) compare() {
	w.t.Helper()
	var total counters
	for id := range w.buckets {
		b := w.bucket(id)
		c := w.model.counters(b)
		total.objects += c.objects
		total.bytes += c.bytes
		total.versions += c.versions
		total.uploads += c.uploads
		a := w.query(testGroup, &Query_Counters{&CountersQuery{Bucket: id, Parts: true}})
		if b.fenced {
			w.expect("counters", a.Code, api.NoSuchBucket)
			continue
		}
		w.sameCounters(a.GetCounters().Bucket, c)
		w.sameParts(b, a.GetCounters().Bucket.PartBytes)
		w.compareKeys(id, b)
		w.compareLists(id, b)
		w.compareUploads(id, b)
		w.compareVersions(id, b)
		w.compareConfig(id, b)
	}
	w.sameCounters(w.ask(&Query_Counters{&CountersQuery{}}).GetCounters().Group, total)
	w.compareOwners()
	w.compareManifests()
	w.compareParts()
	w.compareGarbage()
	w.compareNames()
	w.compareFeed()
}

// compareFeed reads the events that were not compared before.
func (w *walk) compareFeed() {
	w.t.Helper()
	for w.fed < len(w.events) {
		a := w.ask(&Query_Feed{&FeedQuery{After: w.events[w.fed].seq - 1, Max: 50}}).GetFeed()
		if len(a.Events) == 0 || a.Last != w.model.seq-1 {
			w.t.Fatalf("the feed ends at %d with %d events, the model has %+v of %d", a.Last, len(a.Events), w.events[w.fed], w.model.seq)
		}
		for _, e := range a.Events {
			if got := (modelEvent{e.Seq, e.Kind, e.Bucket, string(e.Key), string(e.Version), e.Size, string(e.Etag)}); w.fed >= len(w.events) || got != w.events[w.fed] {
				w.t.Fatalf("event %+v, model %+v", got, w.events[w.fed:])
			}
			w.fed++
		}
	}
}

func (w *walk) sameCounters(got *Counters, want counters) {
	w.t.Helper()
	if c := (counters{got.Objects, got.Bytes, got.Versions, got.Uploads}); c != want {
		w.t.Fatalf("counters %+v, model %+v", c, want)
	}
}

// sameParts compares what the parts of open uploads take with the model: what is told, and what the machine has kept up to date.
func (w *walk) sameParts(b *modelBucket, told uint64) {
	w.t.Helper()
	var want uint64
	for _, u := range b.uploads {
		for _, p := range u.parts {
			want += p.size
		}
	}
	known := w.m.open.groups[testGroup]
	if kept, ok := known.byBucket[b.id]; told != want || ok && kept != want {
		w.t.Fatalf("parts of bucket %d take %d, by what was kept %d (%v); model %d", b.id, told, kept, ok, want)
	}
}

// compareKeys looks every version up.
func (w *walk) compareKeys(id uint64, b *modelBucket) {
	for _, key := range walkKeys {
		vs := b.keys[key]
		a, err := w.m.Lookup(w.db, testGroup, &LookupQuery{Bucket: id, Key: []byte(key), Body: true, Versioning: true})
		if len(vs) == 0 || vs[0].marker {
			if api.KindOf(err) != api.NoSuchKey || (a != nil) != (len(vs) > 0) {
				w.t.Fatalf("lookup %q: %v, %v", key, a, err)
			}
		} else {
			w.sameVersion(a, err, vs[0])
			if a.Versioning != b.versioning() {
				w.t.Fatalf("lookup %v, model %+v", a, b)
			}
		}
		for _, v := range vs {
			q := &LookupQuery{Bucket: id, Key: []byte(key), Version: []byte(v.id), Body: true, Parts: true}
			a, err := w.m.Lookup(w.db, testGroup, q)
			w.sameVersion(a, err, v)
			if v.null {
				a, err := w.m.Lookup(w.db, testGroup, &LookupQuery{Bucket: id, Key: []byte(key), NullVersion: true, Body: true})
				w.sameVersion(a, err, v)
			}
		}
		if !slices.ContainsFunc(vs, func(v *modelVersion) bool { return v.null }) {
			_, err := w.m.Lookup(w.db, testGroup, &LookupQuery{Bucket: id, Key: []byte(key), NullVersion: true})
			if api.KindOf(err) != api.NoSuchVersion {
				w.t.Fatalf("null version of %q: %v", key, err)
			}
		}
	}
}

func (w *walk) sameVersion(a *LookupAnswer, err error, v *modelVersion) {
	w.t.Helper()
	if v.marker {
		if api.KindOf(err) != api.DeleteMarker || !a.Head.DeleteMarker() {
			w.t.Fatalf("delete marker: %v, %v", a, err)
		}
		return
	}
	if err != nil {
		w.t.Fatalf("version %x: %v", v.id, err)
	}
	h := a.Head
	body := a.Manifest
	if v.inline {
		body = a.Inline
	}
	numbers := ""
	for _, p := range a.Parts {
		numbers += fmt.Sprintf(" %d:%d", p.Number, p.Size)
	}
	if !sameBytes(h.Version, v.id) || h.Mtime != v.mtime || h.Seq != v.seq || !sameBytes(h.Metadata, v.meta) || h.HoldSet() != v.holdSet ||
		sumName(h.ChecksumAlgorithm, h.ChecksumType, h.ChecksumValue) != v.sum || numbers != "" && numbers != v.numbers || h.Size != v.size || !sameBytes(h.Etag, v.etag) || h.NullVersion() != v.null ||
		h.Inline() != v.inline || !sameBytes(body, v.body) || int(h.Parts) != v.parts || !sameBytes(h.Tags, v.tags) || uint32(h.StorageClass()) != v.class || !sameBytes(h.Acl, v.acl) ||
		h.LegalHold() != v.lock.LegalHold || h.LockMode != uint32(v.lock.Mode) || h.RetainUntil != v.lock.Until {
		w.t.Fatalf("lookup %v, model %+v", a, v)
	}
}

func (w *walk) compareLists(id uint64, b *modelBucket) {
	for range 4 {
		q := &ListQuery{Bucket: id, Max: uint32(1 + w.rnd.IntN(5))}
		if w.chance(50) {
			q.Prefix = w.pick([]string{"a", "a/", "b", "\x00", "zz/", "q"})
		}
		if w.chance(70) {
			q.Delimiter = w.pick([]string{"/", "b", "zz", "\x00"})
		}
		if w.chance(50) {
			q.After = w.pick(append([]string{"a/", "b/", "zz/"}, walkKeys...))
		}
		w.compareList(b, q)
	}
}

func (w *walk) compareList(b *modelBucket, q *ListQuery) {
	w.t.Helper()
	w.compareListOf(w.db, b, q)
}

// compareListOf reads a whole listing page by page.
func (w *walk) compareListOf(r pebble.Reader, b *modelBucket, q *ListQuery) {
	w.t.Helper()
	for page := 0; page < 60; page++ {
		p, err := w.m.List(r, testGroup, q)
		if err != nil {
			w.t.Fatal(err)
		}
		entries, prefixes, truncated := w.model.list(b, q)
		var keys []string
		for _, e := range p.Entries {
			keys = append(keys, string(e.Key))
		}
		var folded []string
		for _, f := range p.Prefixes {
			folded = append(folded, string(f))
		}
		if !slices.Equal(keys, entries) || !slices.Equal(folded, prefixes) || p.Truncated != truncated {
			w.t.Fatalf("list %v: %q %q %v, want %q %q %v", q, keys, folded, p.Truncated, entries, prefixes, truncated)
		}
		if !p.Truncated {
			return
		}
		q.After = p.Next
	}
	w.t.Fatalf("list %v does not end", q)
}

func (b *modelBucket) versioning() Versioning {
	return map[string]Versioning{"enabled": Versioning_VERSIONING_ENABLED, "suspended": Versioning_VERSIONING_SUSPENDED}[b.mode]
}

func (w *walk) compareConfig(id uint64, b *modelBucket) {
	a := w.ask(&Query_BucketConfig{&BucketConfigQuery{Bucket: id}}).GetBucketConfig()
	l := a.ObjectLock
	if a.Versioning != b.versioning() || (l != nil) != b.locks || l.GetMode() != uint32(b.def.Mode) || l.GetDays() != b.def.Days || l.GetYears() != b.def.Years {
		w.t.Fatalf("configuration %v, model %+v", a, b)
	}
}

// someFold gives prefix and delimiter of a listing, mostly none.
func (w *walk) someFold() (prefix, delimiter string) {
	if w.chance(30) {
		prefix = string(w.pick([]string{"a", "a/", "b", "\x00", "zz/", "q"}))
	}
	if w.chance(30) {
		delimiter = string(w.pick([]string{"/", "b", "zz", "\x00"}))
	}
	return prefix, delimiter
}

func (w *walk) compareUploads(id uint64, b *modelBucket) {
	prefix, delimiter := w.someFold()
	want, wantFolded := b.uploadNames(prefix, delimiter)
	var got, folded []string
	q := &UploadsQuery{Bucket: id, Prefix: []byte(prefix), Delimiter: []byte(delimiter), Max: uint32(1 + w.rnd.IntN(3))}
	for len(got)+len(folded) <= len(want)+len(wantFolded) {
		a := w.ask(&Query_Uploads{q}).GetUploads()
		for _, u := range a.Uploads {
			got = append(got, fmt.Sprintf("%q %x", u.Key, u.Upload))
		}
		for _, p := range a.Prefixes {
			folded = append(folded, string(p))
		}
		if !a.Truncated {
			break
		}
		q.AfterKey, q.AfterUpload = a.NextKey, a.NextUpload
	}
	if !slices.Equal(got, want) || !slices.Equal(folded, wantFolded) {
		w.t.Fatalf("uploads below %q folded at %q: %v, %q, want %v, %q", prefix, delimiter, got, folded, want, wantFolded)
	}
	for _, u := range b.uploads {
		ref := &UploadQuery{Bucket: id, Key: []byte(u.key), Upload: []byte(u.id)}
		parts := w.ask(&Query_Parts{&PartsQuery{Upload: ref, Max: 1000}}).GetParts()
		if len(parts.Parts) != len(u.parts) {
			w.t.Fatalf("upload %x has parts %v, model %v", u.id, parts.Parts, u.parts)
		}
		for _, p := range parts.Parts {
			m := w.ask(&Query_PartManifests{&PartManifestsQuery{Upload: ref, Numbers: []uint32{p.Number}}}).GetPartManifests()
			if want := u.parts[p.Number]; want == nil || want.stream != p.Stream || want.mtime != p.Mtime || want.size != p.Size || !sameBytes(p.Etag, want.etag) || !sameBytes(m.Parts[0].Manifest, want.body) {
				w.t.Fatalf("part %v, model %v", p, want)
			}
		}
	}
}

func (w *walk) compareVersions(id uint64, b *modelBucket) {
	prefix, delimiter := w.someFold()
	want, wantFolded := b.versionNames(prefix, delimiter)
	history := delimiter == "" && w.chance(40)
	if history {
		want = b.histories(prefix)
	}
	got, folded := w.listVersions(&VersionsQuery{Bucket: id, Prefix: []byte(prefix), Delimiter: []byte(delimiter), Max: uint32(1 + w.rnd.IntN(4)), History: history})
	if !slices.Equal(got, want) || !slices.Equal(folded, wantFolded) {
		w.t.Fatalf("versions below %q folded at %q: %v, %q, want %v, %q", prefix, delimiter, got, folded, want, wantFolded)
	}
	key := string(w.pick(walkKeys))
	if vs := b.keys[key]; len(vs) > 0 {
		null := slices.IndexFunc(vs, func(v *modelVersion) bool { return v.null }) // without one the key is listed from its beginning
		before, _ := b.versionNames(key, "")
		got, _ := w.listVersions(&VersionsQuery{Bucket: id, Prefix: []byte(key), AfterKey: []byte(key), AfterNull: true, Max: 1000})
		if want := before[null+1:]; !slices.Equal(got, want) {
			w.t.Fatalf("versions of %q behind the null version: %v, want %v", key, got, want)
		}
	}
}

// listVersions reads a whole listing page by page.
func (w *walk) listVersions(q *VersionsQuery) (names, folded []string) {
	w.t.Helper()
	for range 1000 {
		a := w.ask(&Query_Versions{q}).GetVersions()
		for _, e := range a.Versions {
			h := e.Head
			if len(h.Metadata) > 0 || len(h.Acl) > 0 || !q.Tags && len(h.Tags) > 0 {
				w.t.Fatalf("listed as %v", h)
			}
			v := modelVersion{id: string(h.Version), seq: h.Seq, size: h.Size, etag: string(h.Etag), null: h.NullVersion(), marker: h.DeleteMarker()}
			names = append(names, v.name(string(e.Key), e.Latest))
		}
		for _, p := range a.Prefixes {
			folded = append(folded, string(p))
		}
		if !a.Truncated {
			return names, folded
		}
		if len(a.Versions)+len(a.Prefixes) != int(q.Max) {
			w.t.Fatalf("a page of %d versions and %d prefixes is not full", len(a.Versions), len(a.Prefixes))
		}
		q.AfterKey, q.AfterSeq, q.AfterNull = a.NextKey, a.NextSeq, false
	}
	w.t.Fatalf("versions %v do not end", q)
	return nil, nil
}

// compareOwners asks for every owner that ever was.
func (w *walk) compareOwners() {
	for id, streams := range w.tracked {
		q := new(OwnersQuery)
		for s := range streams {
			q.Owners = append(q.Owners, &StreamOwner{Version: []byte(id), Stream: s})
		}
		for i, got := range w.ask(&Query_Owners{q}).GetOwners().States {
			s := q.Owners[i].Stream
			live, closed := w.live[id][s], w.closed[ownerName(id, s)]
			if live != (got == OwnerState_OWNER_LIVE) || closed && got != OwnerState_OWNER_DEAD {
				w.t.Fatalf("owner %x/%d is %v; live %v, closed %v", id, s, got, live, closed)
			}
		}
	}
}

// compareManifests lists all live versions in shards, as those who recode them see them.
func (w *walk) compareManifests() {
	w.t.Helper()
	var got, want []string
	for q := (&ManifestsQuery{Max: 5}); ; {
		a := w.ask(&Query_Manifests{q}).GetManifests()
		for _, m := range a.Manifests {
			got = append(got, fmt.Sprintf("%x %d %q %s %v %d", m.Version, m.Bucket, m.Key, m.Manifest, m.Recoding, m.Class()))
			q.After = m.Version
		}
		if !a.Truncated {
			break
		}
	}
	for id, b := range w.buckets {
		for key, vs := range b.keys {
			for _, v := range vs {
				if !v.inline && !v.marker {
					want = append(want, fmt.Sprintf("%x %d %q %s %v %d", v.id, id, key, v.body, len(v.recoding) > 0, v.class))
				}
			}
		}
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		w.t.Fatalf("manifests %q, want %q", got, want)
	}
}

// compareParts lists the parts of all open uploads, as those who recode them see them.
func (w *walk) compareParts() {
	w.t.Helper()
	var got, want []string
	for q := (&ManifestsQuery{Max: 3, Parts: true}); ; {
		a := w.ask(&Query_Manifests{q}).GetManifests()
		for _, m := range a.Manifests {
			got = append(got, fmt.Sprintf("%x %05d %d %q %s %v %d", m.Version, m.Part, m.Bucket, m.Key, m.Manifest, m.Held, m.Class()))
			q.After, q.AfterPart = m.Version, m.Part
		}
		if !a.Truncated {
			break
		}
	}
	now := w.ask(&Query_Counters{&CountersQuery{}}).GetCounters().Clock
	for id, b := range w.buckets {
		for _, u := range b.uploads {
			for n, p := range u.parts {
				want = append(want, fmt.Sprintf("%x %05d %d %q %s %v %d", u.id, n, id, u.key, p.body, u.held > now, u.class))
			}
		}
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		w.t.Fatalf("parts %q, want %q", got, want)
	}
}

// compareGarbage checks that what died became garbage exactly once, and nothing else did.
func (w *walk) compareGarbage() {
	all := maps.Clone(w.done)
	q := &GarbageQuery{Max: 7}
	n := uint64(0)
	for {
		a := w.ask(&Query_Garbage{q}).GetGarbage()
		for _, g := range a.Garbage {
			w.noteGarbage(all, g)
			if names := w.names[string(g.Version)]; len(g.Key) > 0 && (len(names) != 1 && !g.Part || names[0] != string(g.Key)) { // a part that went was of the first key
				w.t.Fatalf("garbage %v, the keys of its version were %q", g, names)
			}
			for i, state := range w.owners(g.Version, g.Streams...) {
				if state != OwnerState_OWNER_DEAD {
					w.t.Fatalf("stream %d of garbage %v is %v", g.Streams[i], g, state)
				}
			}
			q.After = g.Seq
			n++
		}
		if !a.Truncated {
			if a.Pending != n {
				w.t.Fatalf("%d garbage entries pending, %d listed", a.Pending, n)
			}
			break
		}
	}
	if !maps.Equal(all, w.garbage) {
		for name := range w.garbage {
			if all[name] != w.garbage[name] {
				w.t.Errorf("garbage of %s: %d times, want %d", name, all[name], w.garbage[name])
			}
		}
		w.t.Fatalf("garbage %v, model %v", all, w.garbage)
	}
}
