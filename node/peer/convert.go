package peer

import (
	"fmt"
	"time"

	"shoal/chunker"
	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/shardstore"
	"shoal/p2p/placement"
)

// batchMax is how many shards one OwnersRequest names.
const batchMax = 4096

func malformed(what string) error {
	return &api.Error{Kind: api.InvalidArgument, Op: "peer.decode", Err: fmt.Errorf("malformed %s", what)}
}

func ownerToWire(o shardstore.Owner) *Owner {
	return &Owner{Group: o.Group, Bucket: o.Bucket, Version: o.Version[:], Stream: o.Stream}
}

func ownerFromWire(o *Owner) (shardstore.Owner, error) {
	if len(o.GetVersion()) != 16 {
		return shardstore.Owner{}, malformed("owner")
	}
	return shardstore.Owner{Group: o.Group, Bucket: o.Bucket, Version: [16]byte(o.Version), Stream: o.Stream}, nil
}

func refToWire(d DriveID, id shardstore.ID) *ShardRef {
	return &ShardRef{Drive: d[:], Chunk: id.Chunk[:], Index: uint32(id.Index)}
}

func refFromWire(r *ShardRef) (DriveID, shardstore.ID, error) {
	if len(r.GetDrive()) != 16 || len(r.GetChunk()) != 32 || r.GetIndex() >= shardstore.ShardsMax {
		return DriveID{}, shardstore.ID{}, malformed("shard reference")
	}
	return DriveID(r.Drive), shardstore.ID{Chunk: chunker.ChunkID(r.Chunk), Index: uint8(r.Index)}, nil
}

func hashesToWire(hs []chunker.ShardHash) []byte {
	out := make([]byte, 0, len(hs)*32)
	for i := range hs {
		out = append(out, hs[i][:]...)
	}
	return out
}

func hashesFromWire(b []byte) ([]chunker.ShardHash, error) {
	if len(b)%32 != 0 || len(b) > 32*shardstore.ShardsMax {
		return nil, malformed("shard hashes")
	}
	hs := make([]chunker.ShardHash, len(b)/32)
	for i := range hs {
		hs[i] = chunker.ShardHash(b[i*32:])
	}
	return hs, nil
}

func ownersToWire(d DriveID, ids []shardstore.ID, o shardstore.Owner) *OwnersRequest {
	req := &OwnersRequest{Drive: d[:], Owner: ownerToWire(o)}
	for i := range ids {
		req.Chunks = append(req.Chunks, ids[i].Chunk[:]...)
		req.Indexes = append(req.Indexes, ids[i].Index)
	}
	return req
}

func ownersFromWire(req *OwnersRequest) (DriveID, []shardstore.ID, shardstore.Owner, error) {
	n := len(req.Indexes)
	if len(req.Drive) != 16 || n > batchMax || len(req.Chunks) != 32*n {
		return DriveID{}, nil, shardstore.Owner{}, malformed("list of shards")
	}
	ids := make([]shardstore.ID, n)
	for i := range ids {
		ids[i] = shardstore.ID{Chunk: chunker.ChunkID(req.Chunks[i*32:]), Index: req.Indexes[i]}
	}
	o, err := ownerFromWire(req.Owner)
	return DriveID(req.Drive), ids, o, err
}

func infoToWire(in *shardstore.Info) *StatShardAnswer {
	a := &StatShardAnswer{
		K: uint32(in.K), M: uint32(in.M), ChunkLen: in.ChunkLen, Hashes: hashesToWire(in.Hashes),
		Corrupt: in.Corrupt, Written: in.WriteTime.UnixNano(),
	}
	for _, o := range in.Owners {
		a.Owners = append(a.Owners, ownerToWire(o))
	}
	return a
}

func infoFromWire(id shardstore.ID, a *StatShardAnswer) (shardstore.Info, error) {
	hs, err := hashesFromWire(a.Hashes)
	if err != nil || a.K > 255 || a.M > 255 {
		return shardstore.Info{}, malformed("shard description")
	}
	in := shardstore.Info{ID: id, K: uint8(a.K), M: uint8(a.M), ChunkLen: a.ChunkLen, Hashes: hs,
		Corrupt: a.Corrupt, WriteTime: time.Unix(0, a.Written)}
	for _, w := range a.Owners {
		o, err := ownerFromWire(w)
		if err != nil {
			return shardstore.Info{}, err
		}
		in.Owners = append(in.Owners, o)
	}
	return in, nil
}

func layoutToWire(l *Layout) *LayoutAnswer {
	a := &LayoutAnswer{
		Epoch: l.Epoch, Cluster: l.Cluster[:], Partitions: l.Partitions, K: uint32(l.Profile.K), M: uint32(l.Profile.M),
		InlineMax: uint32(l.InlineMax), Region: l.Region, Table: l.Table.Append(nil),
	}
	return a
}

func layoutFromWire(a *LayoutAnswer) (*Layout, error) {
	if len(a.Cluster) != 16 || a.Partitions == 0 || a.K == 0 || a.K > 255 || a.M > 255 {
		return nil, malformed("layout")
	}
	l := &Layout{
		Epoch: a.Epoch, Cluster: [16]byte(a.Cluster), Partitions: a.Partitions,
		Profile: erasure.Profile{K: uint8(a.K), M: uint8(a.M)}, InlineMax: int(a.InlineMax), Region: a.Region,
	}
	var err error
	l.Table, err = placement.Decode(a.Table)
	if err != nil {
		return nil, malformed("placement table")
	}
	return l, nil
}
