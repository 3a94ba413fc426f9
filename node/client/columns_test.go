package client

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
)

// readRanges reads short ranges all over an object, and gives how many bytes of shards that took for each.
func readRanges(t *testing.T, fc *fakeCluster, c *Client, key string, want []byte, n int) int {
	t.Helper()
	o, err := c.Open(t.Context(), &api.ObjectRef{Bucket: "b", Key: key})
	check(t, err)
	defer o.Close()
	fc.mu.Lock()
	before := fc.read
	fc.mu.Unlock()
	reads := 0
	for off := 1000; off+n <= len(want); off += 250_000 {
		var out bytes.Buffer
		check(t, o.WriteRange(t.Context(), &out, int64(off), int64(n)))
		if !bytes.Equal(out.Bytes(), want[off:off+n]) {
			t.Fatalf("%d bytes at %d differ", n, off)
		}
		reads++
	}
	fc.mu.Lock()
	defer fc.mu.Unlock()
	return (fc.read - before) / reads
}

// A short read of a shard that is away reads as much of k others, and no chunk.
func TestShortReadsOfWhatIsAway(t *testing.T) {
	const n = 10_000
	p := erasure.Profile{K: 2, M: 2}
	most := 2 * (int(envelope.Fine) + envelope.Overhead) // frames that a range lies in
	for name, harm := range map[string]func(fc *fakeCluster, i int){
		"dead":  func(fc *fakeCluster, i int) { fc.node(i).kill(); fc.suspect(i) },
		"empty": func(fc *fakeCluster, i int) { clear(fc.node(i).drives[fc.node(i).order[0]].shards) },
	} {
		for lost := 1; lost < 4; lost++ {
			t.Run(name, func(t *testing.T) {
				bubble(t, 4, 1, p, func(t *testing.T, fc *fakeCluster) {
					c := fc.client()
					body := large()
					check(t, put(t, c, "k", body, api.Condition{}))
					harm(fc, lost)
					if got := readRanges(t, fc, c, "k", body, n); got > int(p.K)*most {
						t.Errorf("node %d: %d bytes of shards for a range of %d", lost, got, n)
					}
				})
			})
		}
	}
}

// A short read that is late is hedged with short reads of k others. One that is longer may be hedged with the chunk.
func TestShortReadsOfWhatIsLate(t *testing.T) {
	p := erasure.Profile{K: 2, M: 2}
	frame := int(envelope.Fine) + envelope.Overhead
	for _, tc := range []struct {
		n, most, least int
		within         time.Duration
	}{
		{10_000, 2 * 2 * frame, 2 * frame, hedgeMin},
		{64 << 10, 2 * 5 * frame, 2 * frame, hedgeMin},
		{448 << 10, 3 * chunker.ChunkSize, 4 * frame, 6 * hedgeMin}, // of two shards, or of a chunk one of whose shards is late too
	} {
		for slow := range 4 {
			t.Run(fmt.Sprintf("%d bytes, node %d", tc.n, slow), func(t *testing.T) {
				bubble(t, 4, 1, p, func(t *testing.T, fc *fakeCluster) {
					c := fc.client()
					body := large()
					check(t, put(t, c, "k", body, api.Condition{}))
					for off := 1000; off+tc.n <= len(body); off += 1_000_000 {
						c.health.good(fc.node(slow).id) // late twice, it would not be asked
						fc.node(slow).away = time.Minute
						began := time.Now()
						sent, asked := fc.fetched(t, c, slow, body, off, tc.n)
						switch took := time.Since(began); {
						case took > tc.within:
							t.Errorf("%d bytes at %d took %v", tc.n, off, took)
						case took == 0: // of another node
						case sent > tc.most || sent < tc.least || asked == 0:
							t.Errorf("%d bytes in %d reads for %d that were late", sent, asked, tc.n)
						}
					}
				})
			})
		}
	}
}

// Columns of a damaged shard do not open: the chunk is then rebuilt from shards that are right.
func TestShortReadsBesideDamage(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		body := large()
		check(t, put(t, c, "k", body, api.Condition{}))
		fc.node(3).kill()
		fc.suspect(3)
		fc.mu.Lock()
		for _, sh := range fc.node(1).drives[fc.node(1).order[0]].shards {
			sh.Payload[len(sh.Payload)/2] ^= 1
		}
		fc.mu.Unlock()
		readRanges(t, fc, c, "k", body, 10_000)
	})
}
