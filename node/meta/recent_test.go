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
