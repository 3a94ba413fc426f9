package meta

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"shoal/node/consensus"
)

// largeKey is the key of an object: half of them are of a data lake of 50 tables, with days below months below years and parts below days, the
// others of 5,000 users.
func largeKey(i, n int) []byte {
	if i%2 == 1 {
		return fmt.Appendf(nil, "user-%05d/object-%08x", i/2%5000, uint32(i)*2654435761)
	}
	i, n = i/2, n/2
	perDay := max(n/(50*3*12*28), 1)
	part, day := i%perDay, i/perDay
	return fmt.Appendf(nil, "table-%02d/year=%d/month=%02d/day=%02d/part-%05d-%08x.parquet",
		day/(28*12*3), 2023+day/(28*12)%3, 1+day/28%12, 1+day%28, part, uint32(i)*2654435761)
}

// BenchmarkListLarge lists pages of a bucket of SHOAL_BENCH_KEYS (200,000) keys in a database on disk. The median and the 99th percentile
// of a page are printed beside the mean, in milliseconds, and its processor time, which says more on a busy machine.
func BenchmarkListLarge(b *testing.B) {
	n := 200_000
	if text := os.Getenv("SHOAL_BENCH_KEYS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	db, err := pebble.Open(b.TempDir(), consensus.PebbleOptions(consensus.PebbleConfig{}))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	r := &rig{t: b, m: New(Config{}), db: db, now: testEpoch}
	begun := time.Now()
	fillLarge(b, r, n)
	b.Logf("%d keys in %v", n, time.Since(begun).Round(time.Second))
	rnd := rand.New(rand.NewPCG(1, 2))
	somewhere := func() []byte { return largeKey(rnd.IntN(n), n) }
	lake := func() []byte { return largeKey(rnd.IntN(n/2)*2, n) }
	cut := func(key []byte, slashes int) []byte { // the folder at that depth
		at := 0
		for range slashes {
			at += bytes.IndexByte(key[at:], '/') + 1
		}
		return key[:at]
	}
	slash := []byte("/")
	for _, c := range []struct {
		name  string
		query func() *ListQuery
	}{
		{"first page", func() *ListQuery { return &ListQuery{} }},
		{"page anywhere", func() *ListQuery { return &ListQuery{After: somewhere()} }},
		{"1000 folders of the bucket", func() *ListQuery { return &ListQuery{Delimiter: slash} }},
		{"1000 folders from anywhere", func() *ListQuery {
			return &ListQuery{Delimiter: slash, After: fmt.Appendf(nil, "user-%05d", rnd.IntN(4000))}
		}},
		{"folders of a table", func() *ListQuery { return &ListQuery{Delimiter: slash, Prefix: cut(lake(), 1)} }},
		{"folders of a month", func() *ListQuery { return &ListQuery{Delimiter: slash, Prefix: cut(lake(), 3)} }},
		{"keys of a day", func() *ListQuery { return &ListQuery{Delimiter: slash, Prefix: cut(lake(), 4)} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			stop := startCPU(b)
			for b.Loop() {
				q := c.query()
				q.Bucket, q.Max = 7, 1000
				begun := time.Now()
				p, err := r.m.List(r.db, testGroup, q)
				took = append(took, time.Since(begun))
				if err != nil || len(p.Entries)+len(p.Prefixes) == 0 && len(q.After) == 0 {
					b.Fatal(len(p.Entries), len(p.Prefixes), err)
				}
			}
			stop()
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
			b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
			b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
		})
	}
}

// fillLarge writes the heads of n objects as the state machine writes them, in no order. What else it writes for an object lies elsewhere in the
// database, and no listing reads it.
func fillLarge(b *testing.B, r *rig, n int) {
	b.Helper()
	order := rand.New(rand.NewPCG(3, 4)).Perm(n)
	v := &view{r: r.db, g: testGroup}
	h := head{
		size: 1 << 20, mtime: r.now, etag: []byte("d41d8cd98f00b204e9800998ecf8427e"), algorithm: 32, sum: []byte("AAAAAAAAAAA="),
		metadata: []byte("0123456789abcdef"),
	}
	var value []byte
	for len(order) > 0 {
		some := order[:min(4096, len(order))]
		order = order[len(some):]
		batch := r.db.NewBatch()
		for _, i := range some {
			h.version, h.seq = versionID(vid(uint64(i))), uint64(i)+1
			value = h.append(value[:0])
			if err := batch.Set(v.objectKey(spaceCurrent, 7, largeKey(i, n)), value, nil); err != nil {
				b.Fatal(err)
			}
		}
		if err := batch.Commit(pebble.NoSync); err != nil {
			b.Fatal(err)
		}
	}
	if err := r.db.Flush(); err != nil {
		b.Fatal(err)
	}
}
