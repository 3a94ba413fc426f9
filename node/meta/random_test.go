package meta

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
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
// answer and hold. SHOAL_META_SEEDS says how many runs there are.
func TestRandomOps(t *testing.T) {
	for seed := range envCount(t, "SHOAL_META_SEEDS", 6) {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) {
			w := newWalk(t, uint64(seed))
			for range 400 {
				w.step()
			}
			w.compare()
			w.replay()
		})
	}
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
	last     *Command
	lastRes  *Result
}

var walkKeys = []string{"a", "a/b", "a/c", "b/1", "b/2", "b", "\x00", "a\x00b", "a/\xff", "ü", "zz/zz/zz"}

func newWalk(t *testing.T, seed uint64) *walk {
	w := &walk{rig: newRig(t, Config{FeedMax: 1000, FeedIdle: 100, ResultsMax: 50}), model: *newModel(),
		rnd: rand.New(rand.NewPCG(seed, 1)), done: map[string]int{}}
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
	switch n := w.rnd.IntN(118); {
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
	case n < 98:
		w.again()
	case n < 100:
		w.compare()
	case n < 103:
		w.lockBucket()
	case n < 109:
		w.alter()
	case n < 111:
		w.limit()
	default:
		w.rename()
	}
}

// forget is for when more than an hour has passed: what ended before it may or may not be
// forgotten by the state machine, so its IDs and streams are not used again.
func (w *walk) forget() {
	w.versions = slices.DeleteFunc(w.versions, func(id []byte) bool { return w.ended[string(id)] })
	w.era += 100
}

// run applies a command and checks the kind of its result.
func (w *walk) run(op isCommand_Op, want api.Kind) *Result {
	w.t.Helper()
	c := &Command{Op: op, Agreed: w.agreed}
	if w.chance(50) {
		c.RequestId = make([]byte, 16)
		for i := range c.RequestId {
			c.RequestId[i] = byte(w.rnd.Uint32())
		}
	}
	res := w.doOn(testGroup, c)
	w.expect(op, res.Code, want)
	w.last, w.lastRes = c, res
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

// again repeats the last command that had a request ID: the first result must come back.
func (w *walk) again() {
	if w.last == nil || w.last.RequestId == nil {
		return
	}
	before := w.modelLess()
	w.last.Stamp = 0
	res := w.doOn(testGroup, w.last)
	if written := res.GetWritten(); written != nil { // that of the bucket may have changed meanwhile
		written.ConfigEpoch = w.lastRes.GetWritten().GetConfigEpoch()
	}
	if !proto.Equal(res, w.lastRes) {
		w.t.Fatalf("repeat of %v: got %v, want %v", w.last, res, w.lastRes)
	}
	if after := w.modelLess(); before != after {
		w.t.Fatalf("repeat of %v changed counters: %v, %v", w.last, before, after)
	}
}

func (w *walk) modelLess() string {
	a := w.ask(&Query_Counters{&CountersQuery{}}).GetCounters()
	return fmt.Sprint(a.Group, a.Garbage)
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
	c := &PutVersion{Bucket: id, Key: w.pick(walkKeys), Version: w.freshID(), Size: uint64(w.rnd.IntN(5)), Etag: w.etag(), Metadata: []byte("m")}
	w.conditions(&c.IfNoneMatch, &c.IfMatch)
	if w.chance(50) {
		c.Manifest, c.Streams = fmt.Appendf(nil, "manifest %x", c.Version), []uint64{uint64(1 + w.rnd.IntN(3))}
		if w.chance(20) {
			c.Streams = append(c.Streams, 9)
		}
	} else {
		c.Inline, c.WrappedDek = fmt.Appendf(nil, "inline %x", c.Version), []byte("dek")
	}
	if w.chance(10) {
		c.Source = &Source{Bucket: w.bucketID(), Key: w.pick(walkKeys), Version: w.oldID()}
	}
	c.Lock, c.Tags = w.someLock(w.bucket(id)), w.someTags()
	want := w.model.put(w.bucket(id), c)
	res := w.run(&Command_PutVersion{c}, want)
	w.noteTime(id, c.Key, c.Version, res)
}

// noteTime tells the model the time of a commit.
func (w *walk) noteTime(bucket uint64, key, id []byte, res *Result) {
	if res.Code != 0 {
		return
	}
	for _, v := range w.bucket(bucket).keys[string(key)] {
		if v.id == string(id) {
			wr := res.GetWritten()
			v.mtime = wr.Mtime
			if wr.NullVersion != v.null || !bytes.Equal(wr.Version, id) || wr.Size != v.size || !sameBytes(wr.Etag, v.etag) {
				w.t.Fatalf("written %v, model has %+v", wr, v)
			}
		}
	}
}

func (w *walk) remove() {
	id := w.bucketID()
	c := &DeleteObjects{Bucket: id}
	for range 1 + w.rnd.IntN(3) {
		c.Items = append(c.Items, w.deleteItem(id))
	}
	b := w.bucket(id)
	if b.fenced {
		w.run(&Command_DeleteObjects{c}, api.NoSuchBucket)
		return
	}
	res := w.run(&Command_DeleteObjects{c}, ok)
	for i, d := range res.GetDeleted().GetItems() {
		want, gone := w.model.delete(b, c.Items[i], d.Version)
		w.expect(c.Items[i], d.Code, want)
		if want == ok && string(d.Version) != gone {
			w.t.Fatalf("%v: deleted %x, want %x", c.Items[i], d.Version, gone)
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

func (w *walk) create() {
	id := w.bucketID()
	w.nextID++
	c := &CreateUpload{Bucket: id, Key: w.pick(walkKeys), Upload: vid(w.nextID), Metadata: []byte("up"), Initiator: "me"}
	b := w.bucket(id)
	c.Lock, c.Tags = w.someLock(b), w.someTags()
	want := ok
	if b.fenced {
		want = api.NoSuchBucket
	} else if c.Lock != nil && !b.locks {
		want = api.NoObjectLock
	} else {
		b.uploads = append(b.uploads, &modelUpload{id: string(c.Upload), key: string(c.Key), parts: map[uint32]*modelPart{}, lock: c.Lock, tags: string(c.Tags)})
		w.versions = append(w.versions, c.Upload)
	}
	w.run(&Command_CreateUpload{c}, want)
}

// anyUpload names an open upload, or one that is not.
func (w *walk) anyUpload() (bucket uint64, key, id []byte, u *modelUpload) {
	bucket = w.bucketID()
	b := w.bucket(bucket)
	if len(b.uploads) == 0 || w.chance(8) {
		return bucket, w.pick(walkKeys), w.oldID(), nil
	}
	u = b.uploads[w.rnd.IntN(len(b.uploads))]
	return bucket, []byte(u.key), []byte(u.id), u
}

func md5Of(s string) []byte { return []byte((s + "................")[:16]) }

func (w *walk) part() {
	bucket, key, id, _ := w.anyUpload()
	sizes := []uint64{api.MinPartSize, api.MinPartSize + 1, 77}
	c := &PutPart{
		Bucket: bucket, Key: key, Upload: id, Number: uint32(1 + w.rnd.IntN(4)), Stream: w.era + uint64(10+w.rnd.IntN(30)),
		Size: sizes[w.rnd.IntN(len(sizes))], Etag: md5Of(fmt.Sprint(w.rnd.IntN(3))),
	}
	c.Manifest = fmt.Appendf(nil, "part %x %d", id, c.Stream)
	w.run(&Command_PutPart{c}, w.putPart(w.bucket(bucket), c))
}

func (w *walk) finish() {
	bucket, key, id, u := w.anyUpload()
	c := &CompleteUpload{Bucket: bucket, Key: key, Upload: id, Manifest: fmt.Appendf(nil, "whole %x", id), Etag: []byte("etag1-n")}
	if u != nil {
		for _, n := range slices.Sorted(maps.Keys(u.parts)) {
			p := u.parts[n]
			if w.chance(15) {
				continue
			}
			part := &CompletePart{Number: n, Etag: []byte(p.etag), Stream: p.stream}
			if w.chance(3) {
				part.Stream++
			}
			if w.chance(3) {
				part.Etag = md5Of("x")
			}
			c.Size += p.size
			c.Parts = append(c.Parts, part)
		}
	}
	if len(c.Parts) == 0 {
		c.Parts = []*CompletePart{{Number: 1, Etag: md5Of("0"), Stream: w.era + 10}}
	}
	if w.chance(4) {
		c.Size++
	}
	if w.chance(4) {
		c.Parts = append(c.Parts, c.Parts[0])
	}
	if w.chance(30) {
		c.Streams = []uint64{w.era + uint64(40+w.rnd.IntN(3))}
	}
	w.conditions(&c.IfNoneMatch, &c.IfMatch)
	want := w.model.complete(w.bucket(bucket), c)
	res := w.run(&Command_CompleteUpload{c}, want)
	w.noteTime(bucket, key, id, res)
}

func (w *walk) giveUp() {
	bucket, key, id, _ := w.anyUpload()
	c := &AbortUpload{Bucket: bucket, Key: key, Upload: id}
	w.run(&Command_AbortUpload{c}, w.abort(w.bucket(bucket), c))
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
	w.run(&Command_FenceBucket{&FenceBucket{Bucket: id, Epoch: epoch}}, w.fence(b, epoch))
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
	if got := string(g.Manifest); got != want && got != fmt.Sprintf("whole %x", g.Version) {
		w.t.Fatalf("garbage %v has manifest %q, want %q", g, got, want)
	}
	for _, s := range g.Streams {
		into[ownerName(string(g.Version), s)]++
	}
}
