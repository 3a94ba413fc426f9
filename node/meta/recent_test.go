package meta

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

// TestRecentNeverForgets: whatever result is kept, its request ID is known, through generations,
// after a restart and after a snapshot.
func TestRecentNeverForgets(t *testing.T) {
	r := newRig(t, Config{ResultsMax: 100})
	n := uint64(0)
	send := func(count int) {
		var cmds [][]byte
		for range count {
			n++
			r.now++
			cmds = append(cmds, encode(t, &Command{Stamp: r.now, RequestId: vid(n), Op: object("k", n)}))
		}
		r.apply(testGroup, cmds...)
	}
	check := func(when string) {
		t.Helper()
		kept := 0
		v := &view{r: r.db, g: testGroup}
		set, _ := r.m.recent.of(testGroup, 100)
		err := v.scan(v.key(spaceResult), func(id, _ []byte) (bool, error) {
			kept++
			if set.now != nil && !set.mayHold(id) {
				t.Fatalf("%s: request %x is forgotten", when, id)
			}
			return true, nil
		})
		if err != nil || kept > 101 || kept < 1 {
			t.Fatalf("%s: %d results are kept, %v", when, kept, err)
		}
	}
	for _, count := range []int{1, 3, 96, 1, 63, 1, 1, 64, 200, 7, 1000} {
		send(count)
		check("running")
	}
	for name, forget := range map[string]func(){
		"restarted": func() { r.m = New(r.m.cfg) },
		"restored":  func() { r.m.Restored(testGroup) },
	} {
		c := &Command{Stamp: r.now, RequestId: vid(n), Op: object("k", n)}
		want := r.apply(testGroup, encode(t, c))[0]
		forget()
		if got := r.apply(testGroup, encode(t, c))[0]; !proto.Equal(got, want) {
			t.Fatalf("%s: %v became %v", name, want, got)
		}
		send(90)
		check(name)
	}
}

// TestRecentFewFalse: a full set mistakes few IDs for known ones, however alike they are.
func TestRecentFewFalse(t *testing.T) {
	s := &recentSet{most: 10_000}
	for n := range uint64(20_000) {
		s.add(vid(n))
	}
	wrong := 0
	for n := range uint64(20_000) {
		if !s.mayHold(vid(n)) {
			t.Fatalf("%d is forgotten", n)
		}
		if s.mayHold(vid(1<<40 + n)) {
			wrong++
		}
	}
	if wrong > 400 {
		t.Fatalf("%d of 20,000 unknown IDs pass for known", wrong)
	}
}

// TestKeptResultsAreShort: a repeat is told all that the first one was, of which little is kept.
func TestKeptResultsAreShort(t *testing.T) {
	r := newRig(t, Config{})
	size := func(id uint64) int {
		t.Helper()
		v := &view{r: r.db, g: testGroup}
		b, _, err := v.getInto(nil, v.resultKey(vid(id)))
		if err != nil || len(b) == 0 {
			t.Fatalf("no result is kept: %v", err)
		}
		return len(b)
	}
	full := func(p *PutVersion) {
		p.Etag, p.ChecksumAlgorithm, p.ChecksumValue = []byte("d41d8cd98f00b204e9800998ecf8427e"), 32, []byte("AAAAAAAAAAA=")
	}
	put := &Command{RequestId: vid(100), Op: object("k", 1, full)}
	first := r.must(r.doOn(testGroup, put))
	if n := size(100); n > 24 {
		t.Errorf("%d bytes are kept of a put", n)
	}
	r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
	if again := r.must(r.doOn(testGroup, put)); !proto.Equal(again, first) {
		t.Errorf("%v, then %v", first, again)
	}

	r = uploading(t)
	done := &Command{RequestId: vid(101), Op: completionOf()}
	first = r.must(r.doOn(testGroup, done))
	// Whoever does not know all of the version is told what it did not say.
	other := &Command{RequestId: vid(102), Op: completionOf(func(c *CompleteUpload) { c.Size = 0 })}
	if res := r.must(r.doOn(testGroup, other)); !proto.Equal(res, first) || size(102) <= size(101) {
		t.Errorf("%v, then %v; %d and %d bytes are kept", first, res, size(101), size(102))
	}
	r.must(r.do(object("k", 2)))
	for _, c := range []*Command{done, other} {
		if again := r.must(r.doOn(testGroup, c)); !proto.Equal(again, first) {
			t.Errorf("%v, then %v", first, again)
		}
	}
}
