package peer

import (
	"fmt"
	"time"

	"shoal/chunker"
	"shoal/node/api"
	"shoal/node/shardstore"
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
	if len(req.Drive) != 16 {
		return DriveID{}, nil, shardstore.Owner{}, malformed("list of shards")
	}
	ids, err := idsOf(req.Chunks, req.Indexes)
	if err != nil {
		return DriveID{}, nil, shardstore.Owner{}, err
	}
	o, err := ownerFromWire(req.Owner)
	return DriveID(req.Drive), ids, o, err
}

func dropsToWire(d DriveID, drops []Drop) *DropOwnersRequest {
	req := &DropOwnersRequest{Drive: d[:]}
	for _, o := range drops {
		one := ownersToWire(d, o.IDs, o.Owner)
		one.Drive = nil
		req.Drops = append(req.Drops, one)
	}
	return req
}

func dropsFromWire(req *DropOwnersRequest) (DriveID, []Drop, error) {
	if len(req.Drive) != 16 || len(req.Drops) > batchMax {
		return DriveID{}, nil, malformed("list of drops")
	}
	shards := 0
	drops := make([]Drop, len(req.Drops))
	for i, one := range req.Drops {
		ids, err := idsOf(one.Chunks, one.Indexes)
		if err != nil {
			return DriveID{}, nil, err
		}
		if shards += len(ids); shards > batchMax {
			return DriveID{}, nil, malformed("list of drops")
		}
		o, err := ownerFromWire(one.Owner)
		if err != nil {
			return DriveID{}, nil, err
		}
		drops[i] = Drop{Owner: o, IDs: ids}
	}
	return DriveID(req.Drive), drops, nil
}

func haveToWire(d DriveID, ids []shardstore.ID) *HaveShardsRequest {
	o := ownersToWire(d, ids, shardstore.Owner{})
	return &HaveShardsRequest{Drive: o.Drive, Chunks: o.Chunks, Indexes: o.Indexes}
}

func haveFromWire(req *HaveShardsRequest) (DriveID, []shardstore.ID, error) {
	if len(req.Drive) != 16 {
		return DriveID{}, nil, malformed("list of shards")
	}
	ids, err := idsOf(req.Chunks, req.Indexes)
	return DriveID(req.Drive), ids, err
}

// idsOf reads shard IDs as ownersToWire lists them.
func idsOf(chunks, indexes []byte) ([]shardstore.ID, error) {
	if len(indexes) > batchMax || len(chunks) != 32*len(indexes) {
		return nil, malformed("list of shards")
	}
	ids := make([]shardstore.ID, len(indexes))
	for i := range ids {
		ids[i] = shardstore.ID{Chunk: chunker.ChunkID(chunks[i*32:]), Index: indexes[i]}
	}
	return ids, nil
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
