package client

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"shoal/chunker"
	"shoal/chunker/envelope"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/shardstore"
)

// longManifest names so many chunks, which are nowhere, that it becomes a tree.
func longManifest(t *testing.T) *chunker.Manifest {
	t.Helper()
	seg := chunker.Segment{Kind: chunker.SegmentData, WrappedDEK: make([]byte, 60), K: 2, M: 1}
	for i := range 6000 {
		var id chunker.ChunkID
		binary.BigEndian.PutUint32(id[:], uint32(i+1))
		seg.Chunks = append(seg.Chunks, chunker.ChunkRef{ID: id, Index: uint32(i), Size: 1000, Len: 1000})
		seg.Size += 1000
	}
	m, err := chunker.NewManifest(seg)
	check(t, err)
	return m
}

// Stripes tells of all chunks of a tree, the nodes' own included, and of what is above a node that is lost.
func TestStripes(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		l, err := c.getLayout(t.Context())
		check(t, err)
		text, nodes, err := c.storeManifest(t.Context(), l, longManifest(t), shardstore.Owner{Group: 1, Bucket: 1, Version: [16]byte{1}})
		check(t, err)
		if len(nodes) == 0 || len(text) > manifestBytes {
			t.Fatalf("%d nodes, %d bytes", len(nodes), len(text))
		}
		count := func(most int) (counts map[erasure.Profile]int, err error) {
			counts = make(map[erasure.Profile]int)
			err = c.Stripes(t.Context(), 1, text, func(s Stripe) bool {
				counts[erasure.Profile{K: s.K, M: s.M}]++
				if s.M == 1 && s.Sealed != envelope.Coarse.SealedLen(1000) {
					t.Errorf("a chunk of 1000 bytes has %d sealed", s.Sealed)
				}
				most--
				return most > 0
			})
			return counts, err
		}
		tree := 0
		for _, n := range nodes {
			tree += len(n.stripes)
		}
		if got, err := count(1 << 20); err != nil || got[erasure.Profile{K: 2, M: 1}] != 6000 || got[erasure.Profile{K: 2, M: 2}] != tree {
			t.Errorf("%v, %v; want 6000 chunks and %d of the tree", got, err, tree)
		}
		if got, err := count(tree + 10); err != nil || got[erasure.Profile{K: 2, M: 1}] > 10 {
			t.Errorf("was not stopped: %v, %v", got, err)
		}
		fc.take()
		got, err := count(1 << 20)
		wantKind(t, err, api.Corrupt)
		if len(got) != 1 || got[erasure.Profile{K: 2, M: 2}] == 0 {
			t.Errorf("with the tree lost: %v", got)
		}
		wantKind(t, c.Stripes(t.Context(), 1, []byte("no manifest"), func(Stripe) bool { return true }), api.Corrupt)
	})
}

// What cannot be read is named by bucket and key; a version that is gone is left out. An open upload is named by its ID.
func TestLostVersions(t *testing.T) {
	bubble(t, 4, 1, erasure.Profile{K: 2, M: 2}, func(t *testing.T, fc *fakeCluster) {
		c := fc.client()
		for _, key := range []string{"one", "two"} {
			check(t, put(t, c, key, large(), api.Condition{}))
		}
		var keys []byte
		var ids []string
		for g, list := range fc.manifests(t, c) {
			for _, v := range list {
				keys = append(binary.BigEndian.AppendUint32(keys, uint32(g)), v.GetVersion()...)
				ids = append(ids, hex.EncodeToString(v.GetVersion()))
			}
		}
		u := beginUpload(t, c)
		u.put(t, c, 7)
		for _, p := range fc.parts(t, c) {
			keys = append(binary.BigEndian.AppendUint32(keys, uint32(p.g)), p.v.GetVersion()...)
			ids = append(ids, u.ref.UploadID)
		}
		keys = append(binary.BigEndian.AppendUint32(keys, 1), make([]byte, 16)...)
		lost := c.lostVersions(t.Context(), keys)
		var names []string
		for _, v := range lost {
			if v.Bucket != "b" || !slices.Contains(ids, v.Version) || v.Upload != (v.Version == u.ref.UploadID) {
				t.Errorf("%+v", v)
			}
			names = append(names, v.Key)
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"one", "two", "up"}) {
			t.Errorf("%v are lost", names)
		}
	})
}

func TestVersionBefore(t *testing.T) {
	for id, want := range map[string]string{"0001": "0000", "0100": "00ff", "0000": "", "ffff": "fffe"} {
		b, err := hex.DecodeString(id)
		check(t, err)
		if got := hex.EncodeToString(versionBefore(b)); got != want {
			t.Errorf("before %s is %s, want %s", id, got, want)
		}
	}
}
