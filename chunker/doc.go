// Package chunker cuts an object's stream of bytes into chunks and describes them in a manifest.
//
// A chunk is ChunkSize bytes of plaintext (the last one of an object may be shorter). It is sealed
// by package chunker/envelope, cut and coded into k data and m parity shards by package
// chunker/erasure, and named here: a shard by the BLAKE3 hash of its bytes, a chunk by the BLAKE3
// hash over the list of its shards' hashes, so that anybody can check any one shard alone and
// nothing is hashed twice. A manifest lists the chunks of an object, or the chunks that hold a
// further manifest, so that objects of any size are described in pieces of bounded size.
//
// The package does no I/O of its own, holds no key and knows nothing of nodes or buckets. Large
// buffers come from a Pool with a budget in bytes, which is what bounds the memory of a transfer.
package chunker

const (
	// ChunkSize is the plaintext length in bytes of every chunk but the last of a stream.
	ChunkSize = 4 << 20
	// InlineMax is the largest object in bytes that lives in its version record without shards.
	InlineMax = 16 << 10
	// ObjectSizeMax is the largest object in bytes: 5 TiB, the limit of S3.
	ObjectSizeMax = 5 << 40
)
