package meta

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

// envCount reads how long a loop is from the environment.
func envCount(t testing.TB, name string, def int) int {
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q", name, s)
	}
	return n
}

// TestRandomOps runs random commands on the state machine and on the model and compares what both
// answer and hold, with crashes in between. SHOAL_META_SEEDS says how many runs there are, SHOAL_META_FIRST the seed of the first.
// SHOAL_META_STOP names a file that ends the test when it is there.
func TestRandomOps(t *testing.T) {
	first, stop := envCount(t, "SHOAL_META_FIRST", 0), os.Getenv("SHOAL_META_STOP")
	for seed := range envCount(t, "SHOAL_META_SEEDS", 6) {
		seed += first
		if _, err := os.Stat(stop); err == nil {
			fmt.Printf("stopped before seed %d\n", seed)
			return
		}
		if stop != "" && seed%1000 == 0 {
			fmt.Printf("seed %d\n", seed)
		}
		if !t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) { walkSeed(t, uint64(seed)) }) {
			fmt.Printf("seed %d fails\n", seed)
		}
	}
}

// walkSeed runs up to 200 commands, and in every tenth run 400 more.
func walkSeed(t *testing.T, seed uint64) {
	t.Helper()
	w := newWalk(t, seed)
	n := 20 + w.rnd.IntN(181)
	if w.chance(10) {
		n += 400
	}
	for range n {
		w.step()
	}
	w.compare()
	w.replay()
}

// walk drives the state machine and the model beside it.
type walk struct {
	*rig
	model
	rnd      *rand.Rand
	nextID   uint64
	era      uint64         // streams of parts count from here
	done     map[string]int // version/stream -> garbage entries taken away
	versions [][]byte
	recent   []repeatable
	said     []isCommand_Op // the last commands, to be said again
	fed      int            // events compared
	other    *Machine
}

// repeatable is a command with a request ID, and its result.
type repeatable struct {
	c   *Command
	res *Result
}

var walkKeys = []string{"a", "a/b", "a/c", "b/1", "b/2", "b", "\x00", "a\x00b", "a/\xff", "ü", "zz/zz/zz"}

func newWalk(t *testing.T, seed uint64) *walk {
	cfg := Config{FeedMax: 1000, FeedIdle: 100, ResultsMax: 50}
	w := &walk{rig: newRig(t, cfg), model: *newModel(), rnd: rand.New(rand.NewPCG(seed, 1)), done: map[string]int{}, other: New(cfg)}
	w.keep = true
	return w
}

func (w *walk) pick(s []string) []byte  { return []byte(s[w.rnd.IntN(len(s))]) }
func (w *walk) chance(percent int) bool { return w.rnd.IntN(100) < percent }
func (w *walk) bucketID() uint64        { return 1 + uint64(w.rnd.IntN(2)) }

// freshID makes a version ID, now and then one that was used before.
func (w *walk) freshID() []byte {
	if len(w.versions) > 0 && w.chance(4) {
		return w.oldID()
	}
	w.nextID++
	id := vid(w.nextID)
	w.versions = append(w.versions, id)
	return id
}

func (w *walk) oldID() []byte {
	if len(w.versions) == 0 {
		return vid(1 << 40)
	}
	return w.versions[w.rnd.IntN(len(w.versions))]
}

// step runs one random command.
func (w *walk) step() {
	w.t.Helper()
	w.tick()
	if w.chance(2) {
		w.now += int64(time.Duration(61+w.rnd.IntN(120)) * time.Minute)
		w.forget()
		w.tick()
	}
	switch n := w.rnd.IntN(137); {
	case n < 30:
		w.put()
	case n < 50:
		w.remove()
	case n < 58:
		w.create()
	case n < 72:
		w.part()
	case n < 80:
		w.finish()
	case n < 83:
		w.giveUp()
	case n < 86:
		w.version()
	case n < 89:
		w.closeBucket()
	case n < 93:
		w.condemnSome()
	case n < 96:
		w.collect()
	case n < 97:
		w.again()
	case n < 98:
		w.sayAgain()
	case n < 100:
		w.compare()
	case n < 103:
		w.lockBucket()
	case n < 109:
		w.alter()
	case n < 111:
		w.limit()
	case n < 118:
		w.rename()
	case n < 122:
		w.recode()
	case n < 125:
		w.lifecycle()
	case n < 126:
		w.crash()
	case n < 130:
		w.transition()
	case n < 136:
		w.recodePart()
	default:
		w.handOver()
	}
}

// forget is for when more than an hour has passed: what ended before it may or may not be
// forgotten by the state machine, so its IDs and streams are not used again.
func (w *walk) forget() {
	w.recent, w.said = nil, nil
	w.versions = slices.DeleteFunc(w.versions, func(id []byte) bool { return w.ended[string(id)] })
	w.era += 100
}

// run applies a command and checks the kind of its result.
func (w *walk) run(op isCommand_Op, want api.Kind) *Result {
	w.t.Helper()
	c := &Command{Op: op, Agreed: w.agreed, Level: w.level}
	if _, renames := op.(*Command_RenameObject); renames {
		c.Level = Level // the model knows of all names
	}
	if w.chance(50) {
		c.RequestId = make([]byte, 16)
		for i := range c.RequestId {
			c.RequestId[i] = byte(w.rnd.Uint32())
		}
	}
	res := w.doOn(testGroup, c)
	w.expect(op, res.Code, want)
	w.said = append(w.said[max(0, len(w.said)-30):], op)
	if c.RequestId != nil {
		w.recent = append(w.recent, repeatable{c, res})
	}
	return res
}

func (w *walk) expect(op any, code uint32, want api.Kind) {
	w.t.Helper()
	got := ok
	if code != 0 {
		got, _ = api.KindFromWire(code)
	}
	if got != want {
		w.t.Fatalf("%v: got %v, want %v", op, got, want)
	}
}

// sayAgain says one of the last commands once more, in a request of its own.
func (w *walk) sayAgain() {
	if len(w.said) == 0 {
		return
	}
	switch op := w.said[w.rnd.IntN(len(w.said))].(type) {
	case *Command_PutVersion:
		w.runPut(op.PutVersion)
	case *Command_CreateUpload:
		w.runCreate(op.CreateUpload)
	case *Command_PutPart:
		w.run(op, w.putPart(w.bucket(op.PutPart.Bucket), op.PutPart))
	case *Command_CompleteUpload:
		w.runComplete(op.CompleteUpload)
	case *Command_AbortUpload:
		w.run(op, w.abort(w.bucket(op.AbortUpload.Bucket), op.AbortUpload))
	case *Command_DeleteObjects:
		w.deleteAll(op.DeleteObjects)
	case *Command_RenameObject:
		w.run(op, w.model.rename(w.bucket(op.RenameObject.Bucket), op.RenameObject))
	case *Command_RecodePart:
		w.run(op, w.model.recodePart(op.RecodePart))
	case *Command_Recode:
		if !op.Recode.Begin { // nobody announces streams that were used before
			w.run(op, w.model.recode(op.Recode))
		}
	}
}

// again repeats one of the last commands that had a request ID: the first result must come back.
func (w *walk) again() {
	if len(w.recent) == 0 {
		return
	}
	w.recent = w.recent[max(0, len(w.recent)-20):] // the state machine remembers 50
	last := w.recent[w.rnd.IntN(len(w.recent))]
	before := w.modelLess()
	last.c.Stamp = 0
	res := proto.CloneOf(w.doOn(testGroup, last.c))
	if written := res.GetWritten(); written != nil { // that of the bucket may have changed meanwhile
		written.ConfigEpoch = last.res.GetWritten().GetConfigEpoch()
	}
	if !proto.Equal(res, last.res) {
		w.t.Fatalf("repeat of %v: got %v, want %v", last.c, res, last.res)
	}
	if after := w.modelLess(); before != after {
		w.t.Fatalf("repeat of %v changed counters: %v, %v", last.c, before, after)
	}
}

func (w *walk) modelLess() string {
	a := w.ask(&Query_Counters{&CountersQuery{}}).GetCounters()
	return fmt.Sprint(a.Group, a.Garbage)
}

func (w *walk) metadata() []byte { return fmt.Appendf(nil, "metadata%d", w.rnd.IntN(9)) }

// checksum gives a checksum, or none.
func (w *walk) checksum() (algorithm, kind uint32, value []byte) {
	if w.chance(50) {
		return 0, 0, nil
	}
	return 1 << w.rnd.IntN(4), uint32(1 + w.rnd.IntN(2)), fmt.Appendf(nil, "sum%d", w.rnd.IntN(9))
}

func (w *walk) etag() []byte { return fmt.Appendf(nil, "etag%d", w.rnd.IntN(4)) }

func (w *walk) conditions(none *bool, match *[]byte) {
	switch w.rnd.IntN(8) {
	case 0:
		*none = true
	case 1:
		*match = []byte("*")
	case 2:
		*match = w.etag()
	}
}

func (w *walk) put() {
	id := w.bucketID()
	c := &PutVersion{Bucket: id, Key: w.pick(walkKeys), Version: w.freshID(), Size: uint64(w.rnd.IntN(5)), Etag: w.etag(), Metadata: w.metadata()}
	c.ChecksumAlgorithm, c.ChecksumType, c.ChecksumValue = w.checksum()
	w.conditions(&c.IfNoneMatch, &c.IfMatch)
	if w.chance(50) {
		c.Manifest, c.Streams = fmt.Appendf(nil, "manifest %x", c.Version), []uint64{uint64(1 + w.rnd.IntN(3))}
		if w.chance(20) {
			c.Streams = append(c.Streams, 9)
		}
		if w.chance(10) {
			c.Streams = nil
		}
	} else {
		c.Inline, c.WrappedDek = fmt.Appendf(nil, "inline %x", c.Version), []byte("dek")
	}
	c.Source = w.source()
	c.Lock, c.Tags, c.Acl = w.someLock(w.bucket(id)), w.someTags(), w.someACL()
	c.StorageClass = uint32(w.rnd.IntN(2))
	w.runPut(c)
}

func (w *walk) runPut(c *PutVersion) {
	w.t.Helper()
	res := w.run(&Command_PutVersion{c}, w.model.put(w.bucket(c.Bucket), c))
	w.sameWritten(c.Bucket, c.Key, c.Version, res)
}

// source names a version that is copied from, now and then.
func (w *walk) source() *Source {
	if w.chance(85) {
		return nil
	}
	src := &Source{Bucket: w.bucketID(), Key: w.pick(walkKeys), Version: w.oldID()}
	if vs := w.bucket(src.Bucket).keys[string(src.Key)]; len(vs) > 0 && w.chance(70) {
		src.Version = []byte(vs[w.rnd.IntN(len(vs))].id)
	}
	return src
}

// sameWritten compares what a writer is told with what the model has.
func (w *walk) sameWritten(bucket uint64, key, id []byte, res *Result) {
	w.t.Helper()
	if res.Code != 0 {
		return
	}
	for _, v := range w.bucket(bucket).keys[string(key)] {
		wr := res.GetWritten()
		if v.id == string(id) && (wr.Mtime != v.mtime || wr.Seq != v.seq || wr.NullVersion != v.null || !bytes.Equal(wr.Version, id) ||
			wr.Size != v.size || !sameBytes(wr.Etag, v.etag) || sumName(wr.ChecksumAlgorithm, wr.ChecksumType, wr.ChecksumValue) != v.sum) {
			w.t.Fatalf("written %v, model has %+v", wr, v)
		}
	}
}

func (w *walk) remove() {
	id := w.bucketID()
	c := &DeleteObjects{Bucket: id}
	for range 1 + w.rnd.IntN(3) {
		c.Items = append(c.Items, w.deleteItem(id))
	}
	w.deleteAll(c)
}

// deleteAll runs a deletion and compares the outcome of each item.
func (w *walk) deleteAll(c *DeleteObjects) {
	w.t.Helper()
	b := w.bucket(c.Bucket)
	if b.fenced {
		w.run(&Command_DeleteObjects{c}, api.NoSuchBucket)
		return
	}
	res := w.run(&Command_DeleteObjects{c}, ok)
	for i, d := range res.GetDeleted().GetItems() {
		item := c.Items[i]
		kind, v := w.model.delete(b, item)
		w.expect(item, d.Code, kind)
		if kind != ok {
			continue
		}
		want := &Deleted{Versioned: b.mode != "", Version: item.Version, NullVersion: item.NullVersion}
		if len(item.Version) > 0 || item.NullVersion {
			want.Seq = item.Seq
		}
		if v != nil {
			want.Version, want.NullVersion, want.DeleteMarker, want.Seq = []byte(v.id), v.null, v.marker, v.seq
		}
		if !proto.Equal(d, want) {
			w.t.Fatalf("%v: deleted %v, want %v", item, d, want)
		}
	}
}

func (w *walk) deleteItem(bucket uint64) *DeleteItem {
	item := &DeleteItem{Key: w.pick(walkKeys), Bypass: w.chance(20)}
	vs := w.bucket(bucket).keys[string(item.Key)]
	switch w.rnd.IntN(6) {
	case 0:
		item.NullVersion = true
	case 1:
		item.Version = w.oldID()
	case 2, 3:
		if len(vs) > 0 {
			item.Version = []byte(vs[w.rnd.IntN(len(vs))].id)
		}
	}
	if len(item.Version) > 0 || item.NullVersion {
		item.Noncurrent = w.chance(20)
		if w.chance(20) {
			item.Seq = w.someSeq(vs)
		}
	}
	if w.chance(15) {
		var none bool
		w.conditions(&none, &item.IfMatch)
	}
	if w.chance(10) {
		item.IfSize = proto.Uint64(uint64(w.rnd.IntN(5)))
	}
	if w.chance(10) && len(vs) > 0 {
		item.IfModified = proto.Int64(vs[0].mtime/1e9 + int64(w.rnd.IntN(2)))
	}
	return item
}

// someSeq is the place of one of a key's versions, or no place at all.
func (w *walk) someSeq(vs []*modelVersion) uint64 {
	if len(vs) == 0 || w.chance(20) {
		return math.MaxUint64
	}
	return vs[w.rnd.IntN(len(vs))].seq
}

func (w *walk) version() {
	id := w.bucketID()
	b, want := w.bucket(id), ok
	value := []string{"enabled", "suspended"}[w.rnd.IntN(2)]
	if b.fenced {
		want = api.NoSuchBucket
	} else if w.chance(40) { // leave unversioned buckets alone for a while
		if b.locks && value != "enabled" {
			want = api.InvalidBucketState
		} else {
			b.mode = value
		}
	} else {
		return
	}
	w.run(&Command_SetBucketConfig{&SetBucketConfig{Bucket: id, Name: "versioning", Value: []byte(value)}}, want)
}

// limit sets a quota, takes it away, or tries one that is none.
func (w *walk) limit() {
	id := w.bucketID()
	b, want := w.bucket(id), ok
	var q api.Quota
	if w.chance(60) {
		q = api.Quota{Bytes: int64(w.rnd.IntN(40 << 20)), Objects: int64(w.rnd.IntN(8))}
	}
	c := &SetBucketConfig{Bucket: id, Name: api.ConfigQuota, Value: api.AppendQuota(nil, q)}
	c.Remove = len(c.Value) == 0
	switch {
	case b.fenced:
		want = api.NoSuchBucket
	case w.chance(10):
		c.Value, c.Remove, want = []byte(`{"bytes":-1}`), false, api.InvalidArgument
	default:
		b.quota = q
	}
	w.run(&Command_SetBucketConfig{c}, want)
}

func (w *walk) closeBucket() {
	id := w.bucketID()
	b := w.bucket(id)
	epoch := b.epoch + uint64(w.rnd.IntN(3)) - min(b.epoch, 1)
	if b.fenced && w.chance(70) || w.chance(30) {
		w.run(&Command_UnfenceBucket{&UnfenceBucket{Bucket: id, Epoch: epoch}}, w.unfence(b, epoch))
		return
	}
	c := &FenceBucket{Bucket: id, Epoch: epoch, Forget: w.chance(20), Final: w.chance(3)}
	w.run(&Command_FenceBucket{c}, w.fence(b, c))
}

func (w *walk) condemnSome() {
	c := new(Condemn)
	for range 1 + w.rnd.IntN(3) {
		id := w.oldID()
		if w.chance(30) { // of an upload that is still on its way
			w.nextID++
			id = vid(w.nextID)
			w.versions = append(w.versions, id)
		}
		c.Owners = append(c.Owners, &StreamOwner{Version: id, Stream: w.era*uint64(w.rnd.IntN(2)) + uint64(1+w.rnd.IntN(45))})
	}
	res := w.run(&Command_Condemn{c}, ok)
	for i, o := range c.Owners {
		w.track(string(o.Version), o.Stream)
		want := OwnerState_OWNER_DEAD
		if w.live[string(o.Version)][o.Stream] {
			want = OwnerState_OWNER_LIVE
		} else if w.unknown(string(o.Version), o.Stream) {
			w.closed[ownerName(string(o.Version), o.Stream)] = true
		}
		if got := res.GetOwners().States[i]; got != want {
			w.t.Fatalf("condemn %v: %v, want %v", o, got, want)
		}
	}
}

// unknown says that nothing was ever heard of an owner, so that condemning it must close it.
func (w *walk) unknown(id string, stream uint64) bool {
	finished := w.live[id] != nil && !w.anywhere(id)
	return !finished && !w.ended[id] && !w.everUsed[ownerName(id, stream)]
}

// collect takes some garbage away.
func (w *walk) collect() {
	a := w.ask(&Query_Garbage{&GarbageQuery{Max: uint32(1 + w.rnd.IntN(10))}}).GetGarbage()
	c := new(GarbageDone)
	for _, g := range a.Garbage {
		w.noteGarbage(w.done, g)
		c.Seqs = append(c.Seqs, g.Seq)
	}
	w.run(&Command_GarbageDone{c}, ok)
}

func (w *walk) noteGarbage(into map[string]int, g *Garbage) {
	want := fmt.Sprintf("manifest %x", g.Version)
	if g.Part {
		want = fmt.Sprintf("part %x %d", g.Version, g.Streams[0])
	}
	if got := string(g.Manifest); got != want && got != fmt.Sprintf("whole %x", g.Version) && (g.Part && got != fmt.Sprintf("recoded %x %d", g.Version, g.Streams[0]) || !g.Part && !strings.HasPrefix(got, fmt.Sprintf("recoded %x ", g.Version))) {
		w.t.Fatalf("garbage %v has manifest %q, want %q", g, got, want)
	}
	for _, s := range g.Streams {
		into[ownerName(string(g.Version), s)]++
	}
}
