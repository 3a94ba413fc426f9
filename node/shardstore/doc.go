// Package shardstore keeps shards on one local disk: crash-safe put, read, verify, list, delete.
//
// A Store owns one directory of one drive. Shards are appended to segment files by a single writer,
// which takes whatever puts are waiting, writes them by one vectored write and makes them durable by
// one fdatasync. An index in Pebble says where each shard lies and who owns it. The segments are
// the truth: the index is written without waiting for syncs, replayed from where it ends when the
// store is opened, and rebuilt from the segments when it is missing or damaged.
//
// What holds:
//   - A Put, AddOwner, DropOwner or MarkCorrupt that returned nil survives a crash.
//   - One that returned an error leaves nothing visible to this process. After ErrFailed or a crash
//     the next process may find it done, wholly or not at all.
//   - A shard lives while it has an owner. When the last is dropped its blocks are given back, but
//     only after the drop is durable.
//   - ReadVerified never returns bytes that do not belong to the shard; ReadAt returns what the
//     disk holds, for readers that authenticate the bytes themselves.
//   - After a failed fdatasync nothing is written to the drive again by this Store.
//
// It does not encrypt (shards arrive sealed), does not decide what may be dropped, and does not
// talk to other drives. The format of segments is described in docs/formats/shard-segment.md.
package shardstore
