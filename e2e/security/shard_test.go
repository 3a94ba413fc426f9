package security

import (
	"bytes"
	"net/http"
	"slices"
	"testing"

	"shoal/chunker"
	"shoal/node/consensus"
	"shoal/node/peer"
	"shoal/node/shardstore"
	"shoal/p2p"
)

// A node drops no shard because it is told to: it asks the group of each owner, and keeps what lives.

func shardAttacks() []ringAttack {
	return []ringAttack{
		{"A18 gateway has shards of a locked version dropped", func(t *testing.T, r *ring) { dropShards(t, r, r.gateway, "a18-drop-by-gateway") }},
		{"A18 node has shards of a locked version dropped", func(t *testing.T, r *ring) { dropShards(t, r, r.node, "a18-drop-by-node") }},
		{"A18 dead owner taken off a locked version's shards", dropDead},
		{"A31 other bytes put in the place of a shard", overwriteShards},
		{"A28 nonsense about shards", nonsenseShards},
		{"A35 content that somebody else has stored too", sameContent},
	}
}

// shardAt is where a shard lies.
type shardAt struct {
	node  *peer.Remote
	drive peer.DriveID
	info  shardstore.Info
}

// shards finds the shards of a large version, on all nodes that run.
func (v *vault) shards(t *testing.T, manifest []byte) (found []shardAt) {
	t.Helper()
	m, err := chunker.ParseManifest(manifest)
	must(t, err)
	drives := v.gateway.layout(t).Table.Drives()
	for _, s := range m.Segments {
		for _, c := range s.Chunks {
			for index := range s.K + s.M {
				id := shardstore.ID{Chunk: c.ID, Index: index}
				for _, d := range drives {
					n := v.gateway.nodes[p2p.NodeID(d.Node)]
					if n == nil {
						continue
					}
					if info, err := n.StatShard(t.Context(), peer.DriveID(d.ID), id); err == nil {
						found = append(found, shardAt{n, peer.DriveID(d.ID), info})
					}
				}
			}
		}
	}
	if len(found) == 0 {
		t.Fatal("no shard was found")
	}
	return found
}

func (v *vault) large() *lockedVersion { return &v.locked[1] }

// remain checks that shards have the owners that they had.
func remain(t *testing.T, shards []shardAt) {
	t.Helper()
	for _, s := range shards {
		now, err := s.node.StatShard(t.Context(), s.drive, s.info.ID)
		if err != nil {
			t.Errorf("shard %v is gone: %v", s.info.ID, err)
			continue
		}
		for _, o := range s.info.Owners {
			if !slices.Contains(now.Owners, o) {
				t.Errorf("shard %v has lost the owner %+v", s.info.ID, o)
			}
		}
	}
}

// on gives the way that an impostor has to the node of a shard.
func (i *impostor) on(t *testing.T, r *ring, s shardAt) *peer.Remote {
	t.Helper()
	for id, n := range r.gateway.nodes {
		if n == s.node {
			return i.nodes[id]
		}
	}
	t.Fatal("the node is not known")
	return nil
}

func dropShards(t *testing.T, r *ring, by *impostor, name string) {
	v := r.vault(t, name)
	shards := v.shards(t, v.large().manifest)
	for _, s := range shards {
		n := by.on(t, r, s)
		for _, o := range s.info.Owners {
			var all []peer.Drop
			for _, change := range []func(*shardstore.Owner){
				func(*shardstore.Owner) {},
				func(o *shardstore.Owner) { o.Bucket++ },
				func(o *shardstore.Owner) { o.Stream ^= 1 },
				func(o *shardstore.Owner) { o.Group++ },
				func(o *shardstore.Owner) { o.Group = uint32(consensus.SystemGroup) },
				func(o *shardstore.Owner) { o.Version = [16]byte{} },
			} {
				changed := o
				change(&changed)
				err := peer.DropOwner(t.Context(), n, s.drive, []shardstore.ID{s.info.ID}, changed)
				if changed == o {
					refused(t, "the owner of a locked version dropped", err)
				}
				all = append(all, peer.Drop{Owner: changed, IDs: []shardstore.ID{s.info.ID}})
			}
			// Among others it is no different; what the shard is not owned by may go.
			if done, err := n.DropOwners(t.Context(), s.drive, all); err == nil && done[0] {
				t.Errorf("the owner of a locked version dropped among others")
			}
		}
	}
	remain(t, shards)
	v.intact(t)
}

// dropDead gives the shards another owner, which is dead, and takes that one off: the shards stay with the one that lives.
func dropDead(t *testing.T, r *ring) {
	v := r.vault(t, "a18-dead")
	path := "/" + v.bucket + "/passing"
	a := r.is(t, &request{method: http.MethodPut, path: path, as: r.root, body: v.large().content, head: map[string]string{"content-md5": md5Of(string(v.large().content))}}, 200, "")
	dead := v.shards(t, v.lookup(t, "passing").GetManifest())[0].info.Owners[0]
	r.is(t, &request{method: http.MethodDelete, path: path, query: "versionId=" + a.header.Get("X-Amz-Version-Id"), as: r.root}, 204, "")
	shards := v.shards(t, v.large().manifest)
	for _, s := range shards {
		n := r.gateway.on(t, r, s)
		must(t, n.AddOwner(t.Context(), s.drive, []shardstore.ID{s.info.ID}, dead))
		_ = peer.DropOwner(t.Context(), n, s.drive, []shardstore.ID{s.info.ID}, dead) // refused while it may be read still
	}
	remain(t, shards)
	v.intact(t)
}

func overwriteShards(t *testing.T, r *ring) {
	v := r.vault(t, "a31-overwrite")
	shards := v.shards(t, v.large().manifest)
	for _, s := range shards {
		payload := bytes.Repeat([]byte("x"), 4096)
		for _, hashes := range [][]chunker.ShardHash{s.info.Hashes, make([]chunker.ShardHash, len(s.info.Hashes)), nil} {
			for _, n := range []*peer.Remote{r.gateway.on(t, r, s), r.node.on(t, r, s)} {
				refused(t, "other bytes", n.PutShard(t.Context(), s.drive, &shardstore.Shard{
					ID: s.info.ID, K: s.info.K, M: s.info.M, ChunkLen: s.info.ChunkLen, Hashes: hashes, Owner: s.info.Owners[0], Payload: payload,
				}))
			}
		}
	}
	remain(t, shards)
	v.intact(t)
}

func nonsenseShards(t *testing.T, r *ring) {
	v := r.vault(t, "a28-shards")
	shards := v.shards(t, v.large().manifest)
	for _, s := range shards {
		n := r.gateway.on(t, r, s)
		for _, width := range []int{0, 1, 2, 31, 32, 33, 1 << 30} {
			_ = n.Heal(t.Context(), s.info.ID.Chunk, width) // finds nothing to do, or is refused
		}
		_ = n.Heal(t.Context(), chunker.ChunkID{1}, 3)
		buf := make([]byte, 100)
		for _, off := range []int64{-1, 1 << 40, 1<<63 - 1} {
			refused(t, "a read beyond the shard", n.ReadShard(t.Context(), s.drive, s.info.ID, buf, off, peer.AsStored))
		}
		_, err := n.StatShard(t.Context(), peer.DriveID{}, s.info.ID)
		refused(t, "a drive that is none", err)
	}
	remain(t, shards)
	v.intact(t)
}

// sameContent stores one content twice. Nothing that peers can be asked for tells that it is the same.
func sameContent(t *testing.T, r *ring) {
	a, b := r.vault(t, "a35-one"), r.vault(t, "a35-two")
	have := map[chunker.ChunkID]bool{}
	for _, s := range a.shards(t, a.large().manifest) {
		have[s.info.ID.Chunk] = true
	}
	for _, s := range b.shards(t, b.large().manifest) {
		if have[s.info.ID.Chunk] {
			t.Errorf("chunk %v is in both", s.info.ID.Chunk)
		}
	}
}
