package api

import (
	"context"
	"time"
)

// Collections gives back, now, what deleted versions take. Without it the same happens by itself, within seconds to hours.
type Collections interface {
	// Collect begins a collection on every node, one at a time: what is deleted is dropped from all drives, shards
	// that nobody owns are looked for, drives and metadata give back what is free. A node at work goes on, and gives
	// its status. Unavailable when no node answers.
	Collect(ctx context.Context) (Collection, error)
	// Collection tells how far the last one is.
	Collection(ctx context.Context) (Collection, error)
	// VerifyDropped tells whether shards of deleted versions are left, see Dropped. NoSuchBucket.
	VerifyDropped(ctx context.Context, bucket, prefix string) (Dropped, error)
}

// CollectionSteps are the steps of a collection on a node, in their order.
var CollectionSteps = []string{"drop", "sweep", "reclaim", "compact"}

// Collection is how far the nodes are.
type Collection struct {
	Running bool `json:"running"` // on any node
	// Done counts the steps that the nodes have taken, of Total.
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
	// FreedBytes is what the drives gave back to their file systems since it began, by whatever was deleted.
	FreedBytes   int64            `json:"freed_bytes"`
	PendingDrops int64            `json:"pending_drops"` // deleted versions whose shards are not yet dropped, also those on nodes that are away
	Nodes        []NodeCollection `json:"nodes"`
	Silent       []string         `json:"silent,omitempty"` // nodes that do not answer
	// Verified is the answer to verify, where it was asked.
	Verified *Dropped `json:"verified,omitempty"`
}

// NodeCollection is how far one node is. Its process forgets it when it ends.
type NodeCollection struct {
	Node       string    `json:"node"`
	Step       string    `json:"step,omitempty"` // one of CollectionSteps while it runs
	Steps      int       `json:"steps"`          // taken
	Began      time.Time `json:"began,omitzero"` // zero: none since the process began
	Ended      time.Time `json:"ended,omitzero"`
	FreedBytes int64     `json:"freed_bytes"`
	LastError  string    `json:"last_error,omitempty"` // what one of its steps could not do
}

// Dropped tells whether shards are left of versions and parts that were deleted below a prefix of a bucket.
//
// What it says: every node was asked, for each of its drives, which shards it has whose owners are of the bucket, and
// the bucket's group was asked, linearizably, whether each of those owners lives, and whether its key begins with the prefix. The group
// remembers the key of what was deleted while its shards wait to be dropped, and for an hour after the deletion. What is left of a key that it
// does not remember counts below every prefix, as does what was renamed, since it had two keys: so the answer
// may be not clean on account of what lay elsewhere, but is never clean where something below the prefix is left. It does not know of
// drives that are out of the cluster, of backups, or of what a drive's controller keeps of bytes that were given back.
// What an object of up to 16 KiB held lies in the metadata alone, is deleted there at once, and leaves the disk when the
// database compacts; a collection's last step does that.
type Dropped struct {
	Bucket string `json:"bucket"`
	Prefix string `json:"prefix"`
	// Clean: all nodes answered with all drives, and Pending, Dead and Unknown are 0.
	Clean   bool  `json:"clean"`
	Living  int   `json:"living"`  // versions and delete markers below the prefix that are not deleted, counted to 1,000
	Pending int64 `json:"pending"` // deleted versions below the prefix whose shards wait to be dropped
	// PendingUnnamed are those of Pending whose key is not remembered.
	PendingUnnamed int64 `json:"pending_unnamed"`
	Leftovers
	Silent  []string `json:"silent,omitempty"`  // nodes that do not answer
	Missing []string `json:"missing,omitempty"` // drives that their nodes run without
}

// Leftovers are shards that no living version owns, below a prefix of a bucket.
type Leftovers struct {
	Looked    int64 `json:"looked"`     // shards of whatever bucket
	Dead      int64 `json:"dead"`       // shards of deleted versions
	DeadBytes int64 `json:"dead_bytes"` // that they take
	// Unknown are shards of which the group knows nothing: of a version deleted long ago that did not hear of it, or of
	// an upload that broke off.
	Unknown      int64 `json:"unknown"`
	UnknownBytes int64 `json:"unknown_bytes"`
	// Unnamed are those of Dead and Unknown whose key is not remembered.
	Unnamed int64 `json:"unnamed"`
	// Fresh are shards of which the group knows nothing that are younger than the memory of a deletion: they are of uploads under way, or broken off.
	Fresh int64 `json:"fresh"`
}

// Add adds what another node has.
func (l *Leftovers) Add(o *Leftovers) {
	l.Looked += o.Looked
	l.Dead += o.Dead
	l.DeadBytes += o.DeadBytes
	l.Unknown += o.Unknown
	l.UnknownBytes += o.UnknownBytes
	l.Unnamed += o.Unnamed
	l.Fresh += o.Fresh
}

// BucketOwner says whose shards are looked for.
type BucketOwner struct {
	Group  uint32 `json:"group"`
	Bucket uint64 `json:"bucket"`
	Prefix []byte `json:"prefix,omitempty"` // of the keys, whatever bytes they have; a node of an earlier release looks for those of the whole bucket
}

// NodeLeftovers is what one node has. What only a pending entry of the group lists is left out unless the prefix is empty: whoever asks knows those entries.
type NodeLeftovers struct {
	Leftovers
	MissingDrives []string `json:"missing_drives,omitempty"`
}
