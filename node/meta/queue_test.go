package meta

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
	"shoal/node/consensus"
)

// TestRequestID: a repeat gets the first answer, be it a refusal, and does nothing.
func TestRequestID(t *testing.T) {
	r := newRig(t, Config{ResultsMax: 5})
	send := func(id uint64, op isCommand_Op) *Result {
		return r.doOn(testGroup, &Command{RequestId: vid(id), Op: op})
	}
	none := func(c *PutVersion) { c.IfNoneMatch = true }
	first := r.must(send(1, object("k", 1, none)))
	lost := send(2, object("k", 2, none))
	r.refused(lost, api.PreconditionFailed)
	r.must(r.do(deletion(&DeleteItem{Key: []byte("k")})))
	if again := send(2, object("k", 2, none)); !proto.Equal(again, lost) {
		t.Fatalf("412 became %v", again)
	}
	if again := send(1, object("k", 1, none)); !proto.Equal(again, first) {
		t.Fatalf("%v became %v", first, again)
	}
	if c := r.ask(&Query_Counters{&CountersQuery{}}).GetCounters(); c.Group.Versions != 0 {
		t.Fatalf("a repeat wrote: %v", c)
	}
	// One batch with a command and its repeat.
	c := encode(t, &Command{Stamp: r.now, RequestId: vid(3), Op: object("k", 3)})
	rs := r.apply(testGroup, c, c)
	if !proto.Equal(rs[0], rs[1]) {
		t.Fatalf("%v, then %v", rs[0], rs[1])
	}
	// Beyond the bound the oldest go, and with time all go.
	for n := range uint64(5) {
		r.must(send(10+n, object("other", 10+n)))
	}
	r.must(send(1, object("k", 20)))
	r.now += int64(2 * resultTTL)
	for n := range uint64(8) {
		r.must(r.do(object("other", 30+n)))
	}
	v := &view{r: r.db, g: testGroup}
	for _, space := range []byte{spaceResult, spaceQueue} {
		if empty, err := v.empty(v.key(space)); err != nil || !empty {
			t.Fatalf("space %c is not empty: %v", space, err)
		}
	}
	r.refused(r.doOn(testGroup, &Command{RequestId: []byte("short"), Op: object("k", 4)}), api.InvalidArgument)
}

// TestClock: group time rises with each command, whatever the stamps say.
func TestClock(t *testing.T) {
	r := newRig(t, Config{})
	var last int64
	for i, stamp := range []int64{testEpoch, testEpoch, testEpoch - int64(time.Hour), 1, testEpoch + 10, testEpoch + 11} {
		res := r.must(r.doOn(testGroup, &Command{Stamp: stamp, Op: object("k", uint64(i+1))}))
		if at := res.GetWritten().Mtime; at <= last || at < stamp {
			t.Fatalf("command %d at %d, the one before at %d, stamp %d", i, at, last, stamp)
		}
		last = res.GetWritten().Mtime
	}
	if last != testEpoch+11 {
		t.Fatalf("the clock is %d ns ahead of the stamps", last-testEpoch-11)
	}
	for _, stamp := range []int64{-1, stampMax + 1} {
		r.refused(r.doOn(testGroup, &Command{Stamp: stamp, Op: object("k", 50)}), api.InvalidArgument)
	}
	if c := r.ask(&Query_Counters{&CountersQuery{}}).GetCounters(); c.Clock != last {
		t.Fatalf("a refused stamp moved the clock to %d", c.Clock)
	}
}

func TestMalformedCommands(t *testing.T) {
	r := newRig(t, Config{})
	for name, c := range map[string][]byte{
		"empty": nil, "noise": []byte("\xff\xff\xff"), "too long": make([]byte, MaxCommandBytes+1),
		"another release's": {0xfa, 0x3f, 0x00},
	} {
		for _, g := range []consensus.GroupID{0, testGroup} {
			if res := r.apply(g, c)[0]; api.KindOf(res.Err(name)) != api.InvalidArgument {
				t.Errorf("%s: %v", name, res)
			}
		}
	}
	r.refused(r.sys(object("k", 1)), api.InvalidArgument)
	r.refused(r.do(&Command_NextSequence{&NextSequence{Name: "n"}}), api.InvalidArgument)
	for _, g := range []consensus.GroupID{0, testGroup} {
		a, err := r.m.Query(r.db, g, &Query{})
		if err != nil || api.KindOf(a.Err("test")) != api.InvalidArgument {
			t.Errorf("empty query: %v, %v", a, err)
		}
	}
}

// TestBrokenState: records that contradict one another stop the node; they are not papered over.
func TestBrokenState(t *testing.T) {
	owner := (&view{g: testGroup}).idKey(spaceOwner, versionID(vid(1)))
	current := (&view{g: testGroup}).objectKey(spaceCurrent, 7, []byte("k"))
	header := (&view{g: testGroup}).key(spaceHeader)
	for name, key := range map[string][]byte{"owner": owner, "current": current, "header": header} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{})
			r.must(r.do(object("k", 1, sharded(1))))
			if err := r.db.Set(key, []byte{0xff}, nil); err != nil {
				t.Fatal(err)
			}
			b := r.db.NewIndexedBatch()
			defer b.Close()
			c := encode(t, &Command{Stamp: r.now, Op: deletion(&DeleteItem{Key: []byte("k")})})
			_, err := r.m.Apply(b, testGroup, []consensus.Entry{{Data: c}})
			if err == nil || !bytes.Contains([]byte(err.Error()), []byte("contradicts")) {
				t.Fatalf("apply: %v", err)
			}
		})
	}
}

// TestFeed: events come in order, are trimmed behind the slowest cursor, and never pile up.
func TestFeed(t *testing.T) {
	r := newRig(t, Config{FeedMax: 4000, FeedIdle: 1000})
	n := uint64(0)
	put := func(count int) {
		var cmds [][]byte
		for range count {
			n++
			cmds = append(cmds, encode(t, &Command{Stamp: r.now, Op: object(fmt.Sprint("k", n%10), n)}))
		}
		r.apply(testGroup, cmds...)
	}
	feed := func(after uint64) *FeedAnswer {
		return r.ask(&Query_Feed{&FeedQuery{After: after, Max: 500}}).GetFeed()
	}
	cursor := func(name string, seq uint64) {
		r.must(r.do(&Command_SetCursor{&SetCursor{Name: name, Seq: seq}}))
	}
	put(900)
	a := feed(0)
	if a.First != 1 || a.Last != 900 || len(a.Events) != 500 || a.Events[0].Seq != 1 || a.Events[0].Kind != Event_CREATED {
		t.Fatalf("first page: %d %d %d %v", a.First, a.Last, len(a.Events), a.Events[0])
	}
	if a = feed(899); len(a.Events) != 1 || string(a.Events[0].Key) != "k0" || !bytes.Equal(a.Events[0].Version, vid(900)) {
		t.Fatalf("last page %v", a)
	}
	put(2200) // 3,100: with nobody reading, 1,000 to 2,000 stay
	if a = feed(0); a.First != 2000 || a.Events[0].Seq != a.First {
		t.Fatalf("idle: first %d, event %d", a.First, a.Events[0].Seq)
	}
	cursor("slow", 2500)
	cursor("fast", 3000)
	put(1000) // 4,100
	if a = feed(0); a.First != 2000 {
		t.Fatalf("500 events can go, which is too few to bother: first %d", a.First)
	}
	put(3000) // 7,100: behind the cursor, but no more than 4,000 are kept
	if a = feed(0); a.First != 3000 {
		t.Fatalf("the slow consumer is cut off: first %d", a.First)
	}
	r.must(r.do(&Command_SetCursor{&SetCursor{Name: "slow", Remove: true}}))
	cursor("fast", n)
	put(1000)
	if a = feed(0); a.First != 7101 {
		t.Fatalf("all read: first %d", a.First)
	}
	if c := r.ask(&Query_Cursors{&CursorsQuery{}}).GetCursors().Cursors; len(c) != 1 || c[0].Name != "fast" {
		t.Fatalf("cursors %v", c)
	}
	r.refused(r.do(&Command_SetCursor{&SetCursor{Name: "ahead", Seq: n + 1}}), api.InvalidArgument)
	r.refused(r.do(&Command_SetCursor{&SetCursor{}}), api.InvalidArgument)
	for i := range cursorsMax - 1 {
		cursor(fmt.Sprint("c", i), 1)
	}
	r.refused(r.do(&Command_SetCursor{&SetCursor{Name: "another", Seq: 1}}), api.InvalidArgument)
	cursor("fast", n)
}
