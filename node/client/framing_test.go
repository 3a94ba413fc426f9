package client

import (
	"bytes"
	"maps"
	"testing"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// TestFramings writes while some member is of a release before that of fine frames, and after: each stream has the frames that all can read, and is read
// with them, also as a part of an object whose other parts have others, and of a copy of that.
func TestFramings(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		level := uint32(meta.LevelFraming - 1)
		fc.client() // makes the bucket
		c := New(Config{Directory: fc, Alive: fc.alive, Level: func() uint32 { return level }})
		body := large()
		check(t, put(t, c, "before", body, api.Condition{}))
		u := beginUpload(t, c)
		u.put(t, c, 1)
		level++
		check(t, put(t, c, "after", body, api.Condition{}))
		u.put(t, c, 2)
		check(t, u.complete(t, c))
		_, err := c.Copy(t.Context(), &api.CopyObject{Bucket: "b", Key: "copy", Source: api.ObjectRef{Bucket: "b", Key: "up"}})
		check(t, err)

		framings := func(m *chunker.Manifest) map[envelope.Framing]int {
			n := make(map[envelope.Framing]int)
			for i := range m.Segments {
				n[m.Segments[i].Framing] += len(m.Segments[i].Chunks)
			}
			return n
		}
		found := make(map[int]int) // by the number of chunks with fine frames, how many versions
		for g := consensus.GroupID(1); g <= fakePartitions; g++ {
			a, err := c.Manifests(t.Context(), g, nil, 100)
			check(t, err)
			for _, v := range a.GetManifests() {
				m, err := chunker.ParseManifest(v.GetManifest())
				check(t, err)
				n := framings(m)
				if n[envelope.Fine]+n[envelope.Coarse] == 0 || len(n) > 2 {
					t.Errorf("frames %v", n)
				}
				found[10*n[envelope.Coarse]+n[envelope.Fine]]++
			}
		}
		if want := map[int]int{20: 1, 2: 1, 22: 2}; !maps.Equal(found, want) {
			t.Errorf("versions by chunks with coarse (tens) and fine frames: %v, want %v", found, want)
		}
		for key, want := range map[string][]byte{"before": body, "after": body, "up": u.body, "copy": u.body} {
			o, err := c.Open(t.Context(), &api.ObjectRef{Bucket: "b", Key: key})
			check(t, err)
			const seam = api.MinPartSize // of the parts
			for _, r := range [][2]int{{0, len(want)}, {1000, 70_000}, {chunker.ChunkSize - 5, chunker.ChunkSize + 5}, {len(want) - 1, len(want)}, {seam - 100_000, seam + 200_000}} {
				if r[1] > len(want) {
					continue
				}
				var out bytes.Buffer
				if check(t, o.WriteRange(t.Context(), &out, int64(r[0]), int64(r[1]-r[0]))); !bytes.Equal(out.Bytes(), want[r[0]:r[1]]) {
					t.Errorf("%s: bytes %d to %d differ", key, r[0], r[1])
				}
			}
			o.Close()
		}
	})
}
