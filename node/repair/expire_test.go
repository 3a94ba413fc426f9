package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"shoal/node/api"
	"shoal/node/apitest"
	"shoal/node/consensus"
)

// expiring is a store in memory with a clock, and the worker over it.
type expiring struct {
	*apitest.Memory
	*expirer
	t              *testing.T
	clock          time.Time
	at             uint64                                         // applied index of group 1
	listed         int                                            // pages of keys
	refuse         error                                          // of every listing
	recoded        []consensus.GroupID                            // told to recode
	between        func()                                         // runs between a listing and what follows
	versionsListed func(*api.VersionPage)                         // runs after a listing of versions
	readOnly       bool                                           // removals are refused
	removals       []int                                          // items of each
	places         func() (map[consensus.GroupID][]string, error) // default: b in group 1, c in group 2
}

func (e *expiring) Places(context.Context) (map[consensus.GroupID][]string, error) {
	if e.places != nil {
		return e.places()
	}
	return map[consensus.GroupID][]string{1: {"b"}, 2: {"c"}}, nil
}

func (e *expiring) List(ctx context.Context, req *api.ListObjects) (*api.ListPage, error) {
	e.listed++
	if e.refuse != nil {
		return nil, e.refuse
	}
	page, err := e.Memory.List(ctx, req)
	if e.between != nil {
		e.between()
	}
	return page, err
}

func (e *expiring) ListVersions(ctx context.Context, req *api.ListVersions) (*api.VersionPage, error) {
	page, err := e.Memory.ListVersions(ctx, req)
	if err == nil && e.versionsListed != nil {
		e.versionsListed(page)
	}
	return page, err
}

func (e *expiring) DeleteMany(ctx context.Context, bucket string, items []api.DeleteItem) ([]api.Deleted, error) {
	if e.readOnly {
		return nil, &api.Error{Kind: api.ReadOnly}
	}
	e.removals = append(e.removals, len(items))
	return e.Memory.DeleteMany(ctx, bucket, items)
}

func newExpiring(t *testing.T) *expiring {
	t.Helper()
	e := &expiring{Memory: apitest.NewMemory(), t: t, clock: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), at: 1}
	e.Clock = func() time.Time { return e.clock }
	e.expirer = &expirer{
		c: e, leads: func() []consensus.GroupID { return []consensus.GroupID{consensus.SystemGroup, 1} }, applied: func(consensus.GroupID) uint64 { return e.at },
		now: func() time.Time { return e.clock }, log: quiet, worker: newWorker("lifecycle"), met: newMetrics(nil),
		recode: func(g consensus.GroupID) { e.recoded = append(e.recoded, g) },
	}
	for _, name := range []string{"b", "c"} {
		if _, err := e.CreateBucket(t.Context(), api.CreateBucket{Name: name, Owner: "root"}); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

func (e *expiring) put(bucket string, keys ...string) {
	e.t.Helper()
	for _, k := range keys {
		_, err := e.Put(e.t.Context(), &api.PutObject{Bucket: bucket, Key: k, Size: int64(len(k)), Body: strings.NewReader(k)})
		if err != nil {
			e.t.Fatal(err)
		}
	}
}

func (e *expiring) rules(bucket string, rules ...api.LifecycleRule) {
	e.t.Helper()
	doc, err := api.AppendLifecycle(nil, rules)
	if err == nil {
		err = e.SetConfiguration(e.t.Context(), &api.SetConfiguration{Bucket: bucket, Name: api.ConfigLifecycle, Document: doc})
	}
	if err != nil {
		e.t.Fatal(err)
	}
	e.at++
}

// run runs a cycle and gives the keys that are left.
func (e *expiring) run(bucket string) []string {
	e.t.Helper()
	if err := e.cycle(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
	page, err := e.Memory.List(e.t.Context(), &api.ListObjects{Bucket: bucket, Max: 1000})
	if err != nil {
		e.t.Fatal(err)
	}
	var keys []string
	for _, o := range page.Objects {
		keys = append(keys, o.Key)
	}
	return keys
}

func (e *expiring) want(got []string, keys ...string) {
	e.t.Helper()
	if !slices.Equal(got, keys) {
		e.t.Errorf("%v are left, want %v", got, keys)
	}
}

func TestExpireObjects(t *testing.T) {
	e := newExpiring(t)
	e.put("b", "a", "logs/1", "logs/2", "tmp/1")
	e.put("c", "logs/1")
	e.rules("b", api.LifecycleRule{ID: "1", Prefix: "logs/", ExpireDays: 2}, api.LifecycleRule{ID: "2", Prefix: "tmp/", ExpireDays: 1, Disabled: true})
	e.rules("c", api.LifecycleRule{ID: "1", ExpireDays: 1})
	e.want(e.run("b"), "a", "logs/1", "logs/2", "tmp/1")
	e.clock = time.Date(2026, 3, 6, 23, 59, 59, 0, time.UTC) // a second before the midnight after two days
	e.want(e.run("b"), "a", "logs/1", "logs/2", "tmp/1")
	e.put("b", "logs/2")
	e.clock = e.clock.Add(time.Second)
	e.want(e.run("b"), "a", "logs/2", "tmp/1")
	e.want(e.run("c"), "logs/1") // its group is led elsewhere
}

// TestExpireChangedMeanwhile: what is written over between the listing and the removal stays.
func TestExpireChangedMeanwhile(t *testing.T) {
	e := newExpiring(t)
	e.put("b", "a", "b", "c")
	e.rules("b", api.LifecycleRule{ID: "1", ExpireDays: 1})
	e.clock = e.clock.Add(3 * day)
	e.between = func() { e.between = nil; e.put("b", "b") }
	e.want(e.run("b"), "b")
}

// TestExpireOnceADay: a bucket is looked through once a day, and again when its rules change; a group
// that has not moved is not asked at all.
func TestExpireOnceADay(t *testing.T) {
	e := newExpiring(t)
	e.put("b", "a")
	asked := 0
	e.places = func() (map[consensus.GroupID][]string, error) {
		asked++
		return map[consensus.GroupID][]string{1: {"b"}}, nil
	}
	e.rules("b", api.LifecycleRule{ID: "1", ExpireDays: 9})
	for _, step := range []struct {
		name           string
		change         func()
		listed, places int // since the beginning
	}{
		{"first", func() {}, 1, 1},
		{"nothing moved", func() {}, 1, 1},
		{"the group moved", func() { e.at++ }, 1, 2},
		{"the rules changed", func() { e.rules("b", api.LifecycleRule{ID: "2", ExpireDays: 8}) }, 2, 3},
		{"a day began", func() { e.clock = e.clock.Add(day) }, 3, 4},
		{"nothing moved since", func() {}, 3, 4},
		{"a pass failed", func() { e.refuse, e.clock = errors.New("no"), e.clock.Add(day) }, 4, 5},
		{"it is tried again", func() { e.refuse = nil }, 5, 6},
	} {
		step.change()
		if err := e.cycle(t.Context()); (err != nil) != (e.refuse != nil) {
			t.Errorf("%s: %v", step.name, err)
		}
		if e.listed != step.listed || asked != step.places {
			t.Errorf("%s: %d listings and %d looks at buckets, want %d and %d", step.name, e.listed, asked, step.listed, step.places)
		}
	}
}

// TestExpireMany removes more than one batch and page.
func TestExpireMany(t *testing.T) {
	e := newExpiring(t)
	for i := range 2*api.MaxListObjects + expireBatch/2 {
		e.put("b", fmt.Sprintf("k/%05d", i))
	}
	e.put("b", "z")
	e.rules("b", api.LifecycleRule{ID: "1", Prefix: "k/", ExpireDate: e.clock.Truncate(day)})
	e.want(e.run("b"), "z")
}

// TestExpireBatches: what is due goes in large commands, but what was found does not wait for long: its tags may change.
func TestExpireBatches(t *testing.T) {
	e := newExpiring(t)
	for i := range api.MaxListObjects {
		e.put("b", fmt.Sprintf("k/%05d", i))
	}
	e.put("b", "k/99999")
	e.clock = e.clock.Add(3 * day)
	e.put("b", "z")
	e.rules("b", api.LifecycleRule{ID: "1", Prefix: "k/", ExpireDays: 1})
	if e.run("b"); !slices.Equal(e.removals, []int{250, 250, 250, 250, 1}) {
		t.Errorf("removed in commands of %v", e.removals)
	}
	e.put("b", "k/00000", "k/99999")
	for i := range api.MaxListObjects {
		e.put("b", fmt.Sprintf("other/%05d", i))
	}
	e.clock = e.clock.Add(3 * day)
	e.removals, e.between = nil, func() { e.clock = e.clock.Add(expireHold) }
	e.rules("b", api.LifecycleRule{ID: "1", Tags: []api.Tag{{Key: "a", Value: "1"}}, ExpireDays: 1})
	for _, key := range []string{"k/00000", "z"} { // on the first page and on the second
		if _, err := e.SetTags(t.Context(), &api.ObjectRef{Bucket: "b", Key: key}, []api.Tag{{Key: "a", Value: "1"}}); err != nil {
			t.Fatal(err)
		}
	}
	if e.run("b"); !slices.Equal(e.removals, []int{1, 1}) {
		t.Errorf("removed in commands of %v", e.removals)
	}
}

// TestExpireEnds: a pass ends when it is told to, also while it gives way to others.
func TestExpireEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := paced(ctx, newExpiring(t).expirer, func() (int, error) { cancel(); return 1, nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestExpireHeld: in a bucket that is read-only rules wait, which is no error, and are carried out once it ends.
func TestExpireHeld(t *testing.T) {
	e := newExpiring(t)
	e.put("b", "old")
	e.rules("b", api.LifecycleRule{ExpireDays: 1})
	e.clock = e.clock.Add(3 * day)
	e.readOnly = true
	for range 2 {
		if left := e.run("b"); len(left) != 1 {
			t.Fatalf("left %v", left)
		}
	}
	e.readOnly = false
	e.at++ // the order that ends it
	if left := e.run("b"); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestAbortUploads(t *testing.T) {
	e := newExpiring(t)
	begin := func(key string) {
		if _, err := e.CreateUpload(t.Context(), &api.CreateUpload{Bucket: "b", Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (keys []string) {
		if err := e.cycle(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := e.ListUploads(t.Context(), &api.ListUploads{Bucket: "b", Max: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Uploads {
			keys = append(keys, u.Key)
		}
		return keys
	}
	begin("a")
	begin("tmp/a")
	e.rules("b", api.LifecycleRule{ID: "1", Prefix: "tmp/", AbortDays: 1})
	e.want(left(), "a", "tmp/a")
	e.clock = e.clock.Add(2 * day)
	begin("tmp/b")
	e.want(left(), "a", "tmp/b")
}

func TestExpirePrefixes(t *testing.T) {
	rules := []api.LifecycleRule{{Prefix: "b/", ExpireDays: 1}, {Prefix: "b/c/", ExpireDays: 1}, {Prefix: "a", ExpireDays: 1}, {Prefix: "x", Disabled: true, ExpireDays: 1}, {Prefix: "y", AbortDays: 1}}
	all := func(r *api.LifecycleRule) bool { return r.ExpireDays > 0 }
	if got := prefixes(rules, all); !slices.Equal(got, []string{"a", "b/"}) {
		t.Errorf("prefixes %q", got)
	}
	if got := prefixes(append(rules, api.LifecycleRule{ExpireDays: 1}), all); !slices.Equal(got, []string{""}) {
		t.Errorf("prefixes %q", got)
	}
}

// A bucket that is deleted while it is looked through is no failure.
func TestExpireDeletedBucket(t *testing.T) {
	e := newExpiring(t)
	e.rules("b", api.LifecycleRule{ID: "1", ExpireDays: 1})
	e.refuse = &api.Error{Kind: api.NoSuchBucket}
	if err := e.cycle(t.Context()); err != nil {
		t.Error(err)
	}
}

// history lists a bucket: keys in order, newest version first, with - for a delete marker.
func (e *expiring) history(bucket string) []string {
	e.t.Helper()
	if err := e.cycle(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
	page, err := e.ListVersions(e.t.Context(), &api.ListVersions{Bucket: bucket, Max: 1000})
	if err != nil {
		e.t.Fatal(err)
	}
	var out []string
	for _, v := range page.Versions {
		line := fmt.Sprintf("%s %d", v.Key, v.Size)
		if v.DeleteMarker {
			line = v.Key + " -"
		}
		out = append(out, line)
	}
	return out
}

// versioned turns versioning on in b and gives a put of so many bytes, and a deletion.
func (e *expiring) versioned() (put func(key string, size int), remove func(key string)) {
	e.t.Helper()
	if err := e.SetVersioning(e.t.Context(), "b", api.VersioningEnabled); err != nil {
		e.t.Fatal(err)
	}
	put = func(key string, size int) {
		e.t.Helper()
		if _, err := e.Put(e.t.Context(), &api.PutObject{Bucket: "b", Key: key, Size: int64(size), Body: strings.NewReader(strings.Repeat("x", size))}); err != nil {
			e.t.Fatal(err)
		}
	}
	return put, func(key string) {
		e.t.Helper()
		if _, err := e.Delete(e.t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: key}}); err != nil {
			e.t.Fatal(err)
		}
	}
}

// TestExpireNoncurrent: a version's days begin when another takes its place, and the newest of those
// that are noncurrent stay as long as a rule says.
func TestExpireNoncurrent(t *testing.T) {
	e := newExpiring(t)
	put, remove := e.versioned()
	put("k", 1)
	e.clock = e.clock.Add(9 * day) // the first stays current for long
	put("k", 2)
	put("k", 3)
	put("l", 4)
	remove("l")
	e.rules("b", api.LifecycleRule{ID: "1", NoncurrentDays: 1, NoncurrentNewer: 1})
	e.want(e.history("b"), "k 3", "k 2", "k 1", "l -", "l 4")
	e.clock = e.clock.Add(2 * day)
	e.want(e.history("b"), "k 3", "k 2", "l -", "l 4")
	e.rules("b", api.LifecycleRule{ID: "1", NoncurrentDays: 1})
	e.want(e.history("b"), "k 3", "l -")
}

// TestExpireMarkers: a delete marker goes when nothing is below it.
func TestExpireMarkers(t *testing.T) {
	e := newExpiring(t)
	put, remove := e.versioned()
	remove("alone")
	put("k", 1)
	remove("k")
	remove("z")
	e.rules("b", api.LifecycleRule{ID: "1", ExpireMarkers: true})
	e.want(e.history("b"), "k -", "k 1")
	e.rules("b", api.LifecycleRule{ID: "1", ExpireDays: 1})
	remove("z")
	e.want(e.history("b"), "k -", "k 1", "z -")
	e.clock = e.clock.Add(2 * day)
	e.want(e.history("b"), "k -", "k 1")
}

// TestExpireCurrentOfVersioned: the object is deleted, and its version stays.
func TestExpireCurrentOfVersioned(t *testing.T) {
	e := newExpiring(t)
	put, _ := e.versioned()
	put("k", 1)
	e.rules("b", api.LifecycleRule{ID: "1", ExpireDays: 1})
	e.clock = e.clock.Add(2 * day)
	e.want(e.history("b"), "k -", "k 1")
	e.clock = e.clock.Add(9 * day)
	e.want(e.history("b"), "k -", "k 1")
}

// TestExpireUndeleted: what has become current again between the listing and the removal stays.
func TestExpireUndeleted(t *testing.T) {
	e := newExpiring(t)
	put, remove := e.versioned()
	put("k", 1)
	remove("k")
	e.rules("b", api.LifecycleRule{ID: "1", NoncurrentDays: 1})
	e.clock = e.clock.Add(3 * day)
	undone := false
	e.versionsListed = func(page *api.VersionPage) {
		if undone {
			return
		}
		undone = true
		if _, err := e.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k", VersionID: page.Versions[0].VersionID}}); err != nil {
			t.Error(err)
		}
	}
	e.want(e.history("b"), "k 1")
}

// TestExpireLocked: a lock is stronger than a rule, and no reason to stop.
func TestExpireLocked(t *testing.T) {
	e := newExpiring(t)
	put, remove := e.versioned()
	if err := e.SetObjectLock(t.Context(), "b", api.DefaultRetention{}); err != nil {
		t.Fatal(err)
	}
	put("held", 1)
	put("k", 2)
	if err := e.SetLegalHold(t.Context(), &api.ObjectRef{Bucket: "b", Key: "held"}, true); err != nil {
		t.Fatal(err)
	}
	remove("held")
	remove("k")
	e.rules("b", api.LifecycleRule{ID: "1", NoncurrentDays: 1})
	e.clock = e.clock.Add(3 * day)
	e.want(e.history("b"), "held -", "held 1", "k -")
}

// TestExpireTagged removes only what has all tags of the rule.
func TestExpireTagged(t *testing.T) {
	e := newExpiring(t)
	e.put("b", "both", "none", "one")
	for key, tags := range map[string][]api.Tag{"both": {{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}, "one": {{Key: "a", Value: "1"}}} {
		if _, err := e.SetTags(t.Context(), &api.ObjectRef{Bucket: "b", Key: key}, tags); err != nil {
			t.Fatal(err)
		}
	}
	e.rules("b", api.LifecycleRule{ID: "1", Tags: []api.Tag{{Key: "a", Value: "1"}, {Key: "b", Value: "2"}}, ExpireDays: 1})
	e.clock = e.clock.Add(2 * day)
	e.want(e.run("b"), "none", "one")
}

// putSized puts objects of a size and gives nothing back.
func (e *expiring) putSized(bucket string, size int64, keys ...string) {
	e.t.Helper()
	for _, k := range keys {
		if _, err := e.Put(e.t.Context(), &api.PutObject{Bucket: bucket, Key: k, Size: size, Body: strings.NewReader(strings.Repeat("x", int(size)))}); err != nil {
			e.t.Fatal(err)
		}
	}
}

// reduced runs a cycle and gives the versions of bucket b that are REDUCED_REDUNDANCY, as key or key@version.
func (e *expiring) reduced() (out []string) {
	e.t.Helper()
	if err := e.cycle(e.t.Context()); err != nil {
		e.t.Fatal(err)
	}
	page, err := e.Memory.ListVersions(e.t.Context(), &api.ListVersions{Bucket: "b", Max: 1000})
	if err != nil {
		e.t.Fatal(err)
	}
	nth := make(map[string]int)
	for _, v := range page.Versions {
		nth[v.Key]++
		if v.Class == api.ReducedRedundancy {
			out = append(out, fmt.Sprintf("%s/%d", v.Key, nth[v.Key]))
		}
	}
	return out
}

func toReduced(days int) *api.LifecycleTransition {
	return &api.LifecycleTransition{Class: api.ReducedRedundancy, Days: days}
}

// TestTransitObjects: current versions get their class at the midnight after so many days, if they are large enough; the
// recoder is told of their group, once.
func TestTransitObjects(t *testing.T) {
	e := newExpiring(t)
	e.putSized("b", api.TransitionSizeMin, "logs/1", "logs/2", "other")
	e.putSized("b", api.TransitionSizeMin-1, "logs/small", "any/small")
	zero := int64(0)
	e.rules("b",
		api.LifecycleRule{ID: "1", Prefix: "logs/", Transition: toReduced(2)}, api.LifecycleRule{ID: "2", Prefix: "any/", Above: &zero, Transition: toReduced(2)},
		api.LifecycleRule{ID: "3", Prefix: "other", Transition: toReduced(0), Disabled: true})
	e.want(e.reduced())
	e.clock = time.Date(2026, 3, 6, 23, 59, 59, 0, time.UTC)
	e.want(e.reduced())
	e.clock = e.clock.Add(time.Second)
	e.want(e.reduced(), "any/small/1", "logs/1/1", "logs/2/1")
	if len(e.recoded) != 1 || e.recoded[0] != 1 {
		t.Errorf("told to recode %v", e.recoded)
	}
	e.clock = e.clock.Add(day)
	e.want(e.reduced(), "any/small/1", "logs/1/1", "logs/2/1")
	if len(e.recoded) != 1 {
		t.Errorf("told to recode %v", e.recoded)
	}
}

// TestTransitByDate: on a date all go; what expires as well expires instead, and tags decide as for expiration.
func TestTransitByDate(t *testing.T) {
	e := newExpiring(t)
	e.putSized("b", api.TransitionSizeMin, "a", "gone", "tagged")
	if _, err := e.SetTags(t.Context(), &api.ObjectRef{Bucket: "b", Key: "tagged"}, []api.Tag{{Key: "k", Value: "v"}}); err != nil {
		t.Fatal(err)
	}
	at := e.clock.Truncate(day).Add(day)
	e.rules("b",
		api.LifecycleRule{ID: "1", Tags: []api.Tag{{Key: "k", Value: "v"}}, Transition: &api.LifecycleTransition{Class: api.ReducedRedundancy, Date: at}},
		api.LifecycleRule{ID: "2", Prefix: "gone", ExpireDate: at, Transition: &api.LifecycleTransition{Class: api.ReducedRedundancy, Date: at.Add(-day)}})
	e.want(e.reduced(), "gone/1")
	e.clock = at
	e.want(e.reduced(), "tagged/1")
	e.want(e.run("b"), "a", "tagged")
}

// TestTransitChangedMeanwhile: what is written over between the listing and the transition keeps its class.
func TestTransitChangedMeanwhile(t *testing.T) {
	e := newExpiring(t)
	e.putSized("b", api.TransitionSizeMin, "a", "b", "c")
	e.rules("b", api.LifecycleRule{ID: "1", Transition: toReduced(0)})
	e.clock = e.clock.Add(3 * day)
	e.between = func() {
		e.between = nil
		e.putSized("b", api.TransitionSizeMin, "b")
		if _, err := e.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "c"}}); err != nil {
			t.Fatal(err)
		}
	}
	e.want(e.reduced(), "a/1")
}

// TestTransitMany gives more than one batch and page their class.
func TestTransitMany(t *testing.T) {
	e := newExpiring(t)
	n := api.MaxListObjects + expireBatch/2
	for i := range n {
		e.put("b", fmt.Sprintf("k/%05d", i))
	}
	zero := int64(0)
	e.rules("b", api.LifecycleRule{ID: "1", Above: &zero, Transition: &api.LifecycleTransition{Class: api.ReducedRedundancy, Date: e.clock.Truncate(day)}})
	if err := e.cycle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e.transitioned != n {
		t.Errorf("%d were transitioned, want %d", e.transitioned, n)
	}
}

// TestTransitNoncurrent: noncurrent versions go by when they became so, but for the newest few; the current one stays.
func TestTransitNoncurrent(t *testing.T) {
	e := newExpiring(t)
	if err := e.SetVersioning(t.Context(), "b", api.VersioningEnabled); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		e.putSized("b", api.TransitionSizeMin, "k")
		e.clock = e.clock.Add(day)
	}
	if _, err := e.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k"}}); err != nil {
		t.Fatal(err)
	}
	move := toReduced(1)
	move.Newer = 1
	e.rules("b", api.LifecycleRule{ID: "1", NoncurrentTransition: move, NoncurrentDays: 9})
	// The versions, the newest first: a marker, then those of days 4 to 1, noncurrent since days 5, 4, 3 and 2.
	e.want(e.reduced(), "k/4", "k/5")
	e.clock = e.clock.Add(day)
	e.want(e.reduced(), "k/3", "k/4", "k/5")
	e.clock = e.clock.Add(3 * day)
	e.want(e.reduced(), "k/3", "k/4", "k/5") // one is kept
	e.versionsListed = func(page *api.VersionPage) {
		// The newest of them becomes current again before the transition.
		e.versionsListed = nil
		for _, v := range page.Versions {
			if v.DeleteMarker {
				if _, err := e.Delete(t.Context(), &api.DeleteObject{Bucket: "b", DeleteItem: api.DeleteItem{Key: "k", VersionID: v.VersionID}}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	e.rules("b", api.LifecycleRule{ID: "1", NoncurrentTransition: toReduced(1)})
	e.want(e.reduced(), "k/2", "k/3", "k/4")
}
