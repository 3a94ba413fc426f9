package meta

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/sys/unix"

	"shoal/node/consensus"
)

// startCPU begins to measure; the function it gives reports the CPU time of the whole process for
// one operation, flushes and compactions included. It says more than time on a busy machine.
func startCPU(b *testing.B) (stop func()) {
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

const benchBatch = 32 // commands of one call of Apply, as under load

// benchApply applies b.N commands in batches that are committed to a database in memory.
func benchApply(b *testing.B, r *rig, next func(i int) *Command) {
	b.Helper()
	cmds := make([]consensus.Entry, b.N)
	for i := range cmds {
		c := next(i)
		c.Stamp = r.now + int64(i)*1e6
		cmds[i] = consensus.Entry{Group: testGroup, Index: uint64(i + 1), Data: encode(b, c)}
	}
	defer startCPU(b)()
	for len(cmds) > 0 {
		n := min(benchBatch, len(cmds))
		batch := r.db.NewIndexedBatch()
		out, err := r.m.Apply(batch, testGroup, cmds[:n])
		if err != nil {
			b.Fatal(err)
		}
		for _, res := range out {
			if err := res.(*Result).Err("bench"); err != nil {
				b.Fatal(err)
			}
		}
		if err := batch.Commit(pebble.NoSync); err != nil {
			b.Fatal(err)
		}
		cmds = cmds[n:]
	}
}

func benchKey(i int) []byte { return fmt.Appendf(nil, "folder-%03d/object-%08d", i%100, i) }

func benchPut(i int) *Command {
	sealed := make([]byte, 1024+16)
	binary.BigEndian.PutUint64(sealed, uint64(i))
	return &Command{RequestId: vid(uint64(i)), Op: &Command_PutVersion{&PutVersion{
		Bucket: 7, Key: benchKey(i), Version: vid(uint64(i)), Size: 1024, Etag: []byte("d41d8cd98f00b204e9800998ecf8427e"),
		ChecksumAlgorithm: 32, ChecksumValue: []byte("AAAAAAAAAAA="), Metadata: []byte("0123456789abcdef"),
		Inline: sealed, WrappedDek: make([]byte, 64),
	}}}
}

func BenchmarkPutVersion(b *testing.B) {
	b.Run("new", func(b *testing.B) { benchApply(b, newRig(b, Config{}), benchPut) })
	b.Run("overwrite", func(b *testing.B) {
		benchApply(b, newRig(b, Config{}), func(i int) *Command {
			c := benchPut(i)
			c.GetPutVersion().Key = benchKey(i % 100)
			return c
		})
	})
	b.Run("manifest", func(b *testing.B) {
		benchApply(b, newRig(b, Config{}), func(i int) *Command {
			c := benchPut(i)
			p := c.GetPutVersion()
			p.Inline, p.WrappedDek, p.Manifest, p.Streams = nil, nil, make([]byte, 300), []uint64{1}
			return c
		})
	})
}

func BenchmarkDelete(b *testing.B) {
	r := newRig(b, Config{})
	fill(b, r, b.N)
	benchApply(b, r, func(i int) *Command {
		return &Command{RequestId: vid(uint64(i) | 1<<60), Op: &Command_DeleteObjects{&DeleteObjects{
			Bucket: 7, Items: []*DeleteItem{{Key: benchKey(i)}},
		}}}
	})
}

// fill puts n objects.
func fill(b *testing.B, r *rig, n int) {
	b.Helper()
	for i := 0; i < n; {
		var cmds [][]byte
		for ; i < n && len(cmds) < 256; i++ {
			c := benchPut(i)
			c.RequestId, c.Stamp = nil, r.now
			cmds = append(cmds, encode(b, c))
		}
		r.apply(testGroup, cmds...)
	}
	if err := r.db.Flush(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkLookup(b *testing.B) {
	r := newRig(b, Config{})
	fill(b, r, 100_000)
	defer startCPU(b)()
	for i := range b.N {
		q := &LookupQuery{Bucket: 7, Key: benchKey(i * 7919 % 100_000), Body: true}
		if _, err := r.m.Lookup(r.db, testGroup, q); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	r := newRig(b, Config{})
	fill(b, r, 100_000)
	for _, c := range []struct {
		name string
		q    *ListQuery
		want int
	}{
		{"keys", &ListQuery{Bucket: 7, After: benchKey(50), Max: 1000}, 1000},
		{"folder", &ListQuery{Bucket: 7, Prefix: []byte("folder-042/"), Delimiter: []byte("/"), Max: 1000}, 1000},
		{"delimiter", &ListQuery{Bucket: 7, Delimiter: []byte("/"), Max: 1000}, 100},
	} {
		b.Run(c.name, func(b *testing.B) {
			defer startCPU(b)()
			for range b.N {
				p, err := r.m.List(r.db, testGroup, c.q)
				if err != nil || len(p.Entries)+len(p.Prefixes) != c.want {
					b.Fatal(len(p.Entries), len(p.Prefixes), err)
				}
			}
		})
	}
}

// BenchmarkListTravels makes a page, encodes it and decodes it.
func BenchmarkListTravels(b *testing.B) {
	r := newRig(b, Config{})
	fill(b, r, 2000)
	q := &Query{Q: &Query_List{List: &ListQuery{Bucket: 7, Max: 1000}}}
	b.ReportAllocs()
	for b.Loop() {
		a, err := r.m.Query(r.db, testGroup, q)
		if err != nil {
			b.Fatal(err)
		}
		if p, err := ParseListPage(a.GetListPage()); err != nil || len(p.Entries) != 1000 {
			b.Fatal(err)
		}
	}
}

// BenchmarkListBehindMarkers lists a folder of 1,000 objects behind 100,000 deleted keys.
func BenchmarkListBehindMarkers(b *testing.B) {
	r := newRig(b, Config{})
	r.do(versioning(7, "enabled"))
	for i := 0; i < 100_000; i += 1000 {
		items := make([]*DeleteItem, 1000)
		for j := range items {
			items[j] = &DeleteItem{Key: fmt.Appendf(nil, "a-%08d", i+j)}
		}
		r.must(r.do(deletion(items...)))
	}
	fill(b, r, 1000)
	for _, old := range []bool{false, true} {
		name := "space of their own"
		if old {
			r.exhume()
			name = "among the objects"
		}
		b.Run(name, func(b *testing.B) {
			defer startCPU(b)()
			for range b.N {
				p, err := r.m.List(r.db, testGroup, &ListQuery{Bucket: 7, Max: 1000})
				if err != nil || len(p.Entries) != 1000 && !old {
					b.Fatal(len(p.Entries), err)
				}
			}
		})
	}
}
