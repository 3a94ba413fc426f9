package meta

import (
	"slices"
	"strings"
	"testing"
)

// namesOf asks whether streams of a version are of keys that begin with prefix.
func (r *rig) namesOf(prefix string, version []byte, streams ...uint64) []OwnerName {
	r.t.Helper()
	q := &OwnersQuery{Named: true, Prefix: []byte(prefix)}
	for _, s := range streams {
		q.Owners = append(q.Owners, &StreamOwner{Version: version, Stream: s})
	}
	return r.ask(&Query_Owners{q}).GetOwners().Names
}

// at runs a command at a level.
func (r *rig) at(level uint32, op isCommand_Op) *Result {
	r.t.Helper()
	return r.must(r.doOn(testGroup, &Command{Op: op, Level: level}))
}

func (r *rig) pendingGarbage() []*Garbage {
	r.t.Helper()
	return r.ask(&Query_Garbage{&GarbageQuery{}}).GetGarbage().Garbage
}

const (
	nameless  = OwnerName_OWNER_NAME_UNKNOWN
	below     = OwnerName_OWNER_NAME_BELOW
	elsewhere = OwnerName_OWNER_NAME_ELSEWHERE
	listed    = OwnerName_OWNER_NAME_LISTED
)

// outlive lets tombstones of what was deleted expire.
func (r *rig) outlive() {
	r.t.Helper()
	r.now += int64(retiredTTL)
	for n := range uint64(20) {
		r.at(levelNames, object("other", 1000+n))
	}
}

// TestNames: what was deleted is known by its key while it is garbage and for an hour; its shards, once only garbage tells of them, are
// known as listed there.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(r *rig)
		// is what is said of stream 5 of version 1 for the prefix "a/", where the key was "a/k", after it ended, and an hour later.
		is, later OwnerName
		keys      []string // of the garbage after it ended, and an hour later
		laterKeys []string
	}{
		{"deleted", func(r *rig) {
			r.at(1, object("a/k", 1, sharded(5)))
			r.at(1, deletion(&DeleteItem{Key: []byte("a/k")}))
		}, below, listed, []string{"a/k"}, []string{"a/k"}},
		{"replaced", func(r *rig) {
			r.at(0, object("a/k", 1, sharded(5)))
			r.at(1, object("a/k", 2, sharded(5)))
		}, below, listed, []string{"a/k"}, []string{"a/k"}},
		{"deleted by a command of an earlier release", func(r *rig) {
			r.at(1, object("a/k", 1, sharded(5)))
			r.at(0, deletion(&DeleteItem{Key: []byte("a/k")}))
		}, nameless, listed, []string{""}, []string{""}},
		{"renamed and deleted", func(r *rig) {
			r.at(1, object("a/k", 1, sharded(5)))
			r.at(1, &Command_RenameObject{&RenameObject{Bucket: 7, From: []byte("a/k"), To: []byte("b/k")}})
			r.at(1, deletion(&DeleteItem{Key: []byte("b/k")}))
		}, nameless, listed, []string{""}, []string{""}},
		{"recoded", func(r *rig) {
			r.at(1, object("a/k", 1, sharded(5)))
			r.recodeTo(6)
		}, below, below, []string{"a/k"}, []string{"a/k"}},
		{"recoded, renamed and deleted", func(r *rig) {
			r.at(1, object("a/k", 1, sharded(5)))
			r.recodeTo(6)
			r.at(1, &Command_RenameObject{&RenameObject{Bucket: 7, From: []byte("a/k"), To: []byte("b/k")}})
			r.at(1, deletion(&DeleteItem{Key: []byte("b/k")}))
		}, nameless, listed, []string{"", ""}, []string{"", ""}},
		{"recoded and deleted", func(r *rig) {
			r.at(1, object("a/k", 1, sharded(5)))
			r.recodeTo(6)
			r.at(1, deletion(&DeleteItem{Key: []byte("a/k")}))
		}, below, listed, []string{"a/k", "a/k"}, []string{"", "a/k"}},
		{"a part that was replaced", func(r *rig) {
			r.openAt("a/k")
			r.at(1, partAt("a/k", 5))
			r.at(1, partAt("a/k", 6))
		}, below, below, []string{"a/k"}, []string{"a/k"}},
		{"a part whose upload was aborted", func(r *rig) {
			r.openAt("a/k")
			r.at(1, partAt("a/k", 5))
			r.at(1, &Command_AbortUpload{&AbortUpload{Bucket: 7, Key: []byte("a/k"), Upload: vid(1)}})
		}, below, listed, []string{"a/k"}, []string{"a/k"}},
		{"a stream of an open upload", func(r *rig) { r.openAt("a/k") }, below, below, nil, nil},
		{"condemned", func(r *rig) { r.condemn(vid(1), 5) }, nameless, nameless, nil, nil},
		{"never heard of", func(*rig) {}, nameless, nameless, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			c.make(r)
			check := func(when string, is OwnerName, keys []string) {
				got := r.namesOf("a/", vid(1), 5)[0]
				if got != is {
					t.Errorf("%s: %v, want %v", when, got, is)
				}
				if is == below {
					is = elsewhere
				}
				if got := r.namesOf("a/k/", vid(1), 5)[0]; got != is {
					t.Errorf("%s, for another prefix: %v, want %v", when, got, is)
				}
				var of []string
				for _, g := range r.pendingGarbage() {
					of = append(of, string(g.Key))
				}
				if !slices.Equal(of, keys) {
					t.Errorf("%s: garbage of %q, want %q", when, of, keys)
				}
			}
			check("at first", c.is, c.keys)
			r.outlive()
			check("an hour later", c.later, c.laterKeys)
		})
	}
	r := newRig(t, Config{})
	if a := r.ask(&Query_Owners{&OwnersQuery{Owners: []*StreamOwner{{Version: vid(1)}}}}).GetOwners(); len(a.Names) != 0 {
		t.Errorf("names that were not asked for: %v", a)
	}
}

// recodeTo puts version 1 into another stream.
func (r *rig) recodeTo(stream uint64) {
	r.t.Helper()
	r.at(1, recodeBegin(1, stream))
	r.at(1, recodeDone(1, "manifest", "recoded", stream))
}

func (r *rig) openAt(key string) {
	r.t.Helper()
	r.at(1, &Command_CreateUpload{&CreateUpload{Bucket: 7, Key: []byte(key), Upload: vid(1)}})
}

// partAt is part 1 of the upload 1 of a key.
func partAt(key string, stream uint64) *Command_PutPart {
	p := partOf(1, 1, stream, 9)
	p.PutPart.Key = []byte(key)
	return p
}

// TestRecodedPartNames: the content of a part that was recoded lives on, so its former shards are of the key that it has in the end.
func TestRecodedPartNames(t *testing.T) {
	r := newRig(t, Config{})
	r.openAt("a/k")
	r.at(1, partAt("a/k", 5))
	r.at(1, partRecoded(1, "part", 6))
	if g := r.pendingGarbage(); len(g) != 1 || string(g[0].Key) != "a/k" {
		t.Fatalf("garbage %v", g)
	}
	r.at(1, &Command_CompleteUpload{&CompleteUpload{
		Bucket: 7, Key: []byte("a/k"), Upload: vid(1), Manifest: []byte("whole"), Size: 9, Parts: []*CompletePart{{Number: 1, Etag: md5Of("md5"), Stream: 6}},
	}})
	r.at(1, &Command_RenameObject{&RenameObject{Bucket: 7, From: []byte("a/k"), To: []byte("b/k")}})
	if g := r.pendingGarbage(); len(g) != 1 || len(g[0].Key) != 0 || r.namesOf("b/", vid(1), 5)[0] != nameless {
		t.Fatalf("renamed: garbage %v", g)
	}
}

// TestNamesOfEarlierReleases: what was deleted before keys were remembered, as the golden state has it, may have been of any key.
func TestNamesOfEarlierReleases(t *testing.T) {
	r := newRig(t, Config{})
	r.load(testGroup, "testdata/partition-v1.golden")
	for _, g := range r.pendingGarbage() {
		if len(g.Key) != 0 {
			t.Errorf("garbage %v", g)
		}
	}
	if n := r.namesOf("gone", vid(3), 0)[0]; n != nameless {
		t.Errorf("a tombstone: %v", n)
	}
}

// TestGoldenNames does the same as TestGoldenState for what is remembered of keys.
func TestGoldenNames(t *testing.T) {
	r := newRig(t, Config{})
	r.at(1, object("deleted", 1, sharded(5)))
	r.at(1, deletion(&DeleteItem{Key: []byte("deleted")}))
	r.at(1, object("old name", 2, sharded(5)))
	r.at(1, &Command_RenameObject{&RenameObject{Bucket: 7, From: []byte("old name"), To: []byte("renamed")}})
	r.at(1, object("recoded", 3, sharded(5)))
	r.at(1, recodeBegin(3, 6))
	r.at(1, recodeDone(3, "manifest", "recoded", 6))
	golden(t, "names-v1.golden", r.dump(testGroup))
}

// compareNames checks that no owner is said to be elsewhere which ever had a key with a prefix, and that what is only listed is so by
// entries that say as much.
func (w *walk) compareNames() {
	w.t.Helper()
	const prefix = "a/"
	entries := make(map[string][]*Garbage)
	q := &GarbageQuery{}
	for more := true; more; {
		a := w.ask(&Query_Garbage{q}).GetGarbage()
		for _, g := range a.Garbage {
			entries[string(g.Version)] = append(entries[string(g.Version)], g)
			q.After = g.Seq
		}
		more = a.Truncated
	}
	for id, streams := range w.tracked {
		for stream := range streams {
			names := w.names[id]
			if slices.ContainsFunc(entries[id], func(g *Garbage) bool { return g.Part && len(g.Key) > 0 && g.Streams[0] == stream }) {
				names = names[:1] // it was gone when the others came
			}
			was := slices.ContainsFunc(names, func(key string) bool { return strings.HasPrefix(key, prefix) })
			name := w.namesOf(prefix, []byte(id), stream)[0]
			counts := name == below || name == nameless || slices.ContainsFunc(entries[id], func(g *Garbage) bool {
				return len(g.Key) == 0 || strings.HasPrefix(string(g.Key), prefix)
			})
			switch {
			case was && !counts:
				w.t.Fatalf("stream %d of version %x, once of %q, is %v, and listed in %v", stream, id, w.names[id], name, entries[id])
			case !was && name == below:
				w.t.Fatalf("stream %d of version %x, never but of %q, is %v", stream, id, w.names[id], name)
			case name == listed && len(entries[id]) == 0:
				w.t.Fatalf("stream %d of version %x is listed nowhere", stream, id)
			}
		}
	}
}
