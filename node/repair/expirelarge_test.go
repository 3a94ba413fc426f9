package repair

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

const (
	largeGroup  consensus.GroupID = 3
	largeBucket uint64            = 7
)

// largeStore is one versioned bucket of many keys in a database on disk, as the group that keeps it has it: commands are applied one after the
// other, each with a sync of its own.
type largeStore struct {
	Expirable // what the worker does not use
	b         *testing.B
	m         *meta.Machine
	db        *pebble.DB
	n         int
	now       time.Time
	rules     []api.LifecycleRule
	removed   int

	mu    sync.Mutex // guards what follows
	index uint64
	clock time.Time
}

// BenchmarkExpireLarge carries out lifecycle rules in a versioned bucket of SHOAL_BENCH_KEYS (100,000) keys: objects expire by days and a prefix,
// and by days and a tag; noncurrent versions by days; delete markers when they are alone. 5 % of the keys have a noncurrent version, 1 % a delete
// marker on top of one, a fifth of the objects is old enough and lacks the tag. A client writes and reads meanwhile.
func BenchmarkExpireLarge(b *testing.B) {
	n := 100_000
	if text := os.Getenv("SHOAL_BENCH_KEYS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	s := openLarge(b, n)
	b.Run("client alone", func(b *testing.B) {
		for b.Loop() {
			s.client(b, func() bool { return false })
		}
	})
	s.rules = []api.LifecycleRule{
		{ID: "1", Prefix: "table-0", ExpireDays: 365}, {ID: "2", Tags: []api.Tag{{Key: "temporary", Value: "yes"}}, ExpireDays: 30},
		{ID: "3", NoncurrentDays: 30}, {ID: "4", ExpireMarkers: true},
	}
	b.Run("nothing due", s.pass)
	s.age()
	b.Run("1 % due", s.pass)
	s.rules = []api.LifecycleRule{{ID: "1", Prefix: "table-49", ExpireDate: s.now}}
	b.Run("a table of 2 % due", s.pass)
}

func openLarge(b *testing.B, n int) *largeStore {
	b.Helper()
	db, err := pebble.Open(b.TempDir(), consensus.PebbleOptions(consensus.PebbleConfig{}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	s := &largeStore{b: b, m: meta.New(meta.Config{}), db: db, n: n, now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}
	s.clock = s.now
	begun := time.Now()
	s.fill()
	b.Logf("%d keys in %v, %d MiB", n, time.Since(begun).Round(time.Second), db.Metrics().DiskSpaceUsage()>>20)
	return s
}

// space is what the group's keys of a kind begin with, as docs/formats/metadata.md says.
func space(kind byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{'s'}, uint32(largeGroup)), 1, kind)
}

// key is where a record of an object key lies.
func (s *largeStore) key(kind byte, key string, more ...byte) []byte {
	k := append(append(binary.BigEndian.AppendUint64(space(kind), largeBucket), key...), 0, 1)
	return append(k, more...)
}

func largeName(i int) string {
	return fmt.Sprintf("table-%02d/day=%04d/part-%08x", i%50, i/50%3000, uint32(i)*2654435761)
}

func largeID(i, version int) []byte {
	id := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(version+1))
	return binary.BigEndian.AppendUint64(id, uint64(i))
}

// fill writes the heads of all versions as the state machine writes them, in the order of their keys' numbers, and what leads to noncurrent ones.
func (s *largeStore) fill() {
	s.b.Helper()
	seq := uint64(s.n)*4 + 20
	// Format, clock, next version, first event, next garbage; then versioning, objects, bytes, versions.
	s.numbers(space('h'), 1, uint64(s.now.UnixNano()), seq, seq, 1)
	s.numbers(binary.BigEndian.AppendUint64(space('b'), largeBucket), 0, 0, 0, 1, uint64(s.n), uint64(s.n)*2000, uint64(s.n)*2)
	for i := 0; i < s.n; {
		batch := s.db.NewBatch()
		for end := min(i+4096, s.n); i < end; i++ {
			s.put(batch, i, 10*day)
		}
		s.commit(batch, pebble.NoSync)
	}
	if err := s.db.Flush(); err != nil {
		s.b.Fatal(err)
	}
}

// put writes the versions of one key, the oldest of which is of that age.
func (s *largeStore) put(batch *pebble.Batch, i int, age time.Duration) {
	name, seq := largeName(i), uint64(i)*4+10
	h := &meta.Head{
		Version: largeID(i, 0), Size: 1000, Mtime: s.now.Add(-age).UnixNano(), Etag: []byte("d41d8cd98f00b204e9800998ecf8427e"), Flags: 2, Seq: seq,
		Metadata: []byte("0123456789abcdef"), Tags: meta.AppendTags(nil, []api.Tag{{Key: "project", Value: "p1"}}),
	}
	if i%5 == 1 && age == 10*day { // old enough, and without the tag
		h.Mtime = s.now.Add(-40 * day).UnixNano()
	}
	if i%50 == 2 && age > 10*day {
		h.Tags = meta.AppendTags(nil, []api.Tag{{Key: "temporary", Value: "yes"}})
	}
	switch {
	case i%20 == 3 || i%100 == 4:
		below := proto.CloneOf(h)
		below.Version, below.Seq = largeID(i, 1), seq-1
		s.set(batch, s.key('v', name, binary.BigEndian.AppendUint64(nil, ^below.Seq)...), below)
		s.must(batch.Set(s.key('i', name, below.Version...), binary.BigEndian.AppendUint64(nil, below.Seq), nil))
	}
	if i%100 == 4 {
		h = &meta.Head{Version: h.Version, Mtime: h.Mtime, Flags: 1, Seq: seq}
		s.set(batch, s.key('z', name), h)
		return
	}
	s.set(batch, s.key('k', name), h)
}

// age makes 1 % of the keys older: a fifth of the noncurrent ones, and objects with the tag.
func (s *largeStore) age() {
	s.b.Helper()
	batch := s.db.NewBatch()
	for i := range s.n {
		if i%200 == 2 || i%200 == 3 {
			s.put(batch, i, 40*day)
		}
		if batch.Len() > 1<<20 || i == s.n-1 {
			s.commit(batch, pebble.NoSync)
			batch = s.db.NewBatch()
		}
	}
	if err := s.db.Flush(); err != nil {
		s.b.Fatal(err)
	}
}

// numbers writes a record of numbers, the first of which is field 1.
func (s *largeStore) numbers(key []byte, fields ...uint64) {
	var v []byte
	for i, n := range fields {
		v = protowire.AppendVarint(protowire.AppendTag(v, protowire.Number(i+1), protowire.VarintType), n)
	}
	s.must(s.db.Set(key, v, pebble.NoSync))
}

func (s *largeStore) set(batch *pebble.Batch, key []byte, m proto.Message) {
	v, err := proto.Marshal(m)
	s.must(err)
	s.must(batch.Set(key, v, nil))
}

func (s *largeStore) must(err error) {
	if err != nil {
		s.b.Helper()
		s.b.Fatal(err)
	}
}

func (s *largeStore) commit(batch *pebble.Batch, o *pebble.WriteOptions) {
	s.b.Helper()
	s.must(batch.Commit(o))
	s.must(batch.Close())
}

// apply runs one command, alone.
func (s *largeStore) apply(c *meta.Command) *meta.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.index++
	s.clock = s.clock.Add(time.Millisecond)
	c.Stamp = s.clock.UnixNano()
	data, err := proto.Marshal(c)
	s.must(err)
	batch := s.db.NewIndexedBatch()
	out, err := s.m.Apply(batch, largeGroup, []consensus.Entry{{Group: largeGroup, Index: s.index, Term: 1, Data: data}})
	s.must(err)
	s.commit(batch, pebble.Sync)
	res := out[0].(*meta.Result)
	s.must(res.Err("apply"))
	return res
}

func (s *largeStore) query(q *meta.Query) *meta.Answer {
	a, err := s.m.Query(s.db, largeGroup, q)
	if err == nil {
		err = a.Err("query")
	}
	s.must(err)
	return a
}

func (s *largeStore) Places(context.Context) (map[consensus.GroupID][]string, error) {
	return map[consensus.GroupID][]string{largeGroup: {"large"}}, nil
}

func (s *largeStore) Configuration(context.Context, string, uint64) (*api.Configuration, error) {
	doc, err := api.AppendLifecycle(nil, s.rules)
	return &api.Configuration{Epoch: 1, Documents: map[string][]byte{api.ConfigLifecycle: doc}}, err
}

func (s *largeStore) Versioning(context.Context, string) (api.BucketVersioning, error) {
	return api.BucketVersioning{State: api.VersioningEnabled}, nil
}

func (s *largeStore) List(_ context.Context, req *api.ListObjects) (*api.ListPage, error) {
	p, err := s.m.List(s.db, largeGroup, &meta.ListQuery{Bucket: largeBucket, Prefix: []byte(req.Prefix), After: []byte(req.After), Max: uint32(req.Max), Tags: req.Tags})
	if err != nil {
		return nil, err
	}
	out := &api.ListPage{Objects: make([]api.ListedObject, len(p.Entries)), Truncated: p.Truncated, Next: string(p.Next)}
	for i := range p.Entries {
		e := &p.Entries[i]
		out.Objects[i] = api.ListedObject{Key: string(e.Key), Size: int64(e.Size), ETag: string(e.ETag), LastModified: time.Unix(0, e.Mtime)}
		if out.Objects[i].Tags, err = meta.ParseTags(e.Tags); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *largeStore) ListVersions(_ context.Context, req *api.ListVersions) (*api.VersionPage, error) {
	q := &meta.VersionsQuery{Bucket: largeBucket, Prefix: []byte(req.Prefix), AfterKey: []byte(req.AfterKey), Max: uint32(req.Max), Tags: req.Tags, History: req.History}
	q.AfterSeq, _ = strconv.ParseUint(req.AfterVersion, 10, 64)
	a := s.query(&meta.Query{Q: &meta.Query_Versions{Versions: q}}).GetVersions()
	out := &api.VersionPage{Versions: make([]api.ListedVersion, len(a.Versions)), Truncated: a.Truncated, NextKey: string(a.NextKey), NextVersion: fmt.Sprint(a.NextSeq)}
	for i, v := range a.Versions {
		h := v.Head
		out.Versions[i] = api.ListedVersion{
			Key: string(v.Key), VersionID: hex.EncodeToString(h.Version), Latest: v.Latest, DeleteMarker: h.DeleteMarker(), Size: int64(h.Size),
			ETag: string(h.Etag), LastModified: time.Unix(0, h.Mtime),
		}
		var err error
		if out.Versions[i].Tags, err = meta.ParseTags(h.Tags); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *largeStore) DeleteMany(_ context.Context, _ string, items []api.DeleteItem) ([]api.Deleted, error) {
	c := &meta.DeleteObjects{Bucket: largeBucket}
	for i := range items {
		in := &items[i]
		item := &meta.DeleteItem{Key: []byte(in.Key), IfMatch: []byte(in.If.IfMatch), Noncurrent: in.Noncurrent}
		if in.VersionID != "" {
			item.Version, _ = hex.DecodeString(in.VersionID)
		}
		if in.IfSize != nil {
			item.IfSize = proto.Uint64(uint64(*in.IfSize))
		}
		if in.IfModified != nil {
			item.IfModified = proto.Int64(in.IfModified.Unix())
		}
		c.Items = append(c.Items, item)
	}
	done := s.apply(&meta.Command{Op: &meta.Command_DeleteObjects{DeleteObjects: c}}).GetDeleted().GetItems()
	out := make([]api.Deleted, len(items))
	for i, d := range done {
		if out[i].Err = d.Err("delete"); out[i].Err == nil {
			s.removed++
		}
	}
	return out, nil
}

// client writes and reads small objects, 2,000 of each at least, until it is told that it is enough, and reports how long they took.
func (s *largeStore) client(b *testing.B, more func() bool) {
	b.Helper()
	var puts, gets []time.Duration
	body := bytes.Repeat([]byte("x"), 1000)
	for i := 0; i < 2000 || more(); i++ {
		key := fmt.Appendf(nil, "zz-client/%05d", i%1000)
		begun := time.Now()
		s.apply(&meta.Command{Op: &meta.Command_PutVersion{PutVersion: &meta.PutVersion{
			Bucket: largeBucket, Key: key, Version: largeID(i, int(s.index)+1), Size: 1000, Etag: []byte("e"), Inline: body, WrappedDek: body[:60],
		}}})
		puts = append(puts, time.Since(begun))
		begun = time.Now()
		if _, err := s.m.Lookup(s.db, largeGroup, &meta.LookupQuery{Bucket: largeBucket, Key: []byte(largeName(i * 7919 % s.n)), Body: false}); err != nil && api.KindOf(err) != api.NoSuchKey {
			b.Fatal(err)
		}
		gets = append(gets, time.Since(begun))
	}
	for name, took := range map[string][]time.Duration{"put": puts, "get": gets} {
		slices.Sort(took)
		b.ReportMetric(took[len(took)/2].Seconds()*1000, name+"-p50-ms")
		b.ReportMetric(took[len(took)*99/100].Seconds()*1000, name+"-p99-ms")
	}
}

// pass runs the worker over the bucket alone, and once more beside a client. What is due goes in the first.
func (s *largeStore) pass(b *testing.B) {
	b.Helper()
	e := &expirer{
		c: s, leads: func() []consensus.GroupID { return []consensus.GroupID{largeGroup} }, now: func() time.Time { return s.now.Add(day) }, log: quiet,
		worker: newWorker("lifecycle"), met: newMetrics(nil),
	}
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		peak, stop := watchHeap()
		s.removed = 0
		cpu, begun := cpuTime(b), time.Now()
		if err := e.cycle(b.Context()); err != nil {
			b.Fatal(err)
		}
		took, used := time.Since(begun), cpuTime(b)-cpu
		stop()
		runtime.ReadMemStats(&after)
		millions := float64(s.n) / 1e6
		b.ReportMetric(took.Seconds(), "pass-s")
		b.ReportMetric(used.Seconds(), "pass-cpu-s")
		b.ReportMetric(float64(after.Mallocs-before.Mallocs)/millions, "allocs/Mkeys")
		b.ReportMetric(float64(peak.Load()-before.HeapAlloc)/(1<<20), "heap-MiB")
		b.ReportMetric(float64(s.removed), "expired")
		b.ReportMetric(float64(s.removed)/took.Seconds(), "expired/s")
		var done atomic.Bool
		go func() {
			defer done.Store(true)
			doc, err := api.AppendLifecycle(nil, s.rules)
			if err == nil {
				err = e.bucket(b.Context(), "large", doc)
			}
			if err != nil {
				b.Error(err)
			}
		}()
		s.client(b, func() bool { return !done.Load() })
	}
}

// watchHeap notes the greatest heap until it is stopped.
func watchHeap() (peak *atomic.Uint64, stop func()) {
	peak = new(atomic.Uint64)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(20 * time.Millisecond)
		defer t.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			select {
			case <-end:
				return
			case <-t.C:
			}
		}
	}()
	return peak, func() { close(end); <-ended }
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
