package api

import (
	"context"
	"time"
)

// Reports say how the store is. They are put together of what the nodes say that answer.
type Reports interface {
	// Space reports what is stored and what it takes on the drives of all nodes.
	Space(ctx context.Context) (Space, error)
	// Workers reports the background workers of all nodes.
	Workers(ctx context.Context) ([]Worker, error)
	// Groups reports every metadata group as its leader sees it.
	Groups(ctx context.Context) ([]Group, error)
	// Placement reports where shards belong, and how many are still on their way there.
	Placement(ctx context.Context) (Placement, error)
	// Durability reports how many more losses the stripes survive.
	Durability(ctx context.Context, q DurabilityQuery) (Durability, error)
	// Cluster says whether everything is as it should be.
	Cluster(ctx context.Context) (ClusterHealth, error)
}

// Space says where bytes are. All sizes in bytes.
type Space struct {
	Objects      int64        `json:"objects"`
	ObjectBytes  int64        `json:"object_bytes"`  // plaintext of live versions
	Uploads      int64        `json:"uploads"`       // open multipart uploads
	PendingDrops int64        `json:"pending_drops"` // deleted versions whose shards are not yet dropped
	MetaBytes    int64        `json:"meta_bytes"`    // metadata on disk, without log files kept to be written again
	Drives       []DriveSpace `json:"drives"`
	// Silent are the nodes that did not answer: their drives and metadata are not counted.
	Silent []string `json:"silent,omitempty"`
	// Uncounted are the metadata groups that did not answer: what is in them is not in the four numbers
	// at the top.
	Uncounted []uint32 `json:"uncounted,omitempty"`
}

// DriveSpace is one drive's part.
type DriveSpace struct {
	Node         string `json:"node,omitempty"` // peer ID
	Path         string `json:"path"`
	DriveID      string `json:"drive_id"`
	State        string `json:"state"`
	Shards       int64  `json:"shards"`
	ShardBytes   int64  `json:"shard_bytes"`   // payload of live shards
	SegmentBytes int64  `json:"segment_bytes"` // blocks that segments take on disk
	FreeBytes    int64  `json:"free_bytes"`
	TotalBytes   int64  `json:"total_bytes"`
}

// WorkerUnknown is the state under which a node is listed that did not answer.
const WorkerUnknown = "unknown"

// WorkerStalled is the state of a worker that can do nothing until somebody acts; LastError says what to do.
const WorkerStalled = "stalled"

// Worker is the state of one background worker.
type Worker struct {
	Node      string    `json:"node,omitempty"` // peer ID
	Name      string    `json:"name"`
	State     string    `json:"state"` // busy, throttled, idle, done, WorkerStalled
	Done      int64     `json:"done"`  // in this cycle
	Total     int64     `json:"total"` // 0 when not known
	LastError string    `json:"last_error,omitempty"`
	LastRun   time.Time `json:"last_run"`

	BytesPerSecond int64 `json:"bytes_per_second,omitempty"` // of this cycle; 0 when not known
	ETASeconds     int64 `json:"eta_seconds,omitempty"`      // to the end of this cycle; 0 when not known
}

// Group is one metadata group. Nodes are named by peer ID.
type Group struct {
	ID       uint32   `json:"id"`
	Leader   string   `json:"leader"` // "" when the group has none
	Term     uint64   `json:"term"`
	Applied  uint64   `json:"applied"`
	Voters   []string `json:"voters"`
	Learners []string `json:"learners,omitempty"`
	// Lag is how many entries the slowest replica, Slowest, is behind. Only the leader knows.
	Lag     uint64 `json:"lag"`
	Slowest string `json:"slowest,omitempty"`
	Quiet   bool   `json:"quiet"`             // idle: no ticks, no heartbeats
	Pending string `json:"pending,omitempty"` // change of membership under way, in words
	Broken  string `json:"broken,omitempty"`  // why the replica that says this is out of service
	// Refused are members whose replicas the one that says this does not listen to: their log came back without what it had called durable.
	Refused []string `json:"refused,omitempty"`
	// Recovered is when the group last went on from one replica alone, after a majority was lost or out of a backup; zero for never.
	Recovered time.Time `json:"recovered,omitzero"`
}

// Placement says where shards belong.
type Placement struct {
	Epoch   uint64 `json:"epoch"`
	Profile string `json:"profile"` // k+m of new chunks
	// Reduced is k+m of new chunks of REDUCED_REDUNDANCY.
	Reduced string `json:"reduced"`
	// Widths are those for which there is a table: the profile's, and those of older chunks.
	Widths []int `json:"widths"`
	// Earlier are the epochs whose shards may not all have moved.
	Earlier []uint64         `json:"earlier,omitempty"`
	Drives  []PlacementDrive `json:"drives"`
	Moving  Moving           `json:"moving"`
	// Silent are the nodes that did not say what they have still to move.
	Silent []string `json:"silent,omitempty"`
}

// PlacementDrive is a drive's part in the placement of the epoch.
type PlacementDrive struct {
	DriveID string  `json:"drive_id"`
	Node    string  `json:"node"` // peer ID
	Site    string  `json:"site"`
	Weight  uint32  `json:"weight"` // GiB
	Share   float64 `json:"share"`  // of all shards of new chunks, 0 to 1
}

// Moving is what lies elsewhere than where it belongs.
type Moving struct {
	Shards int64 `json:"shards"`
	Bytes  int64 `json:"bytes"`
}

// DurabilityQuery says what a report on durability is to imagine.
type DurabilityQuery struct {
	LostSite string `json:"lost_site,omitempty"` // asks for Durability.WhatIf
}

// ClusterHealth says whether everything is as it should be: no stripe below its promise, every
// group led and all its voters alive, no member dead.
type ClusterHealth struct {
	Whole bool `json:"whole"`
	// Reasons are at most ClusterReasonsMax of what is wrong; More counts the others.
	Reasons []string `json:"reasons,omitempty"`
	More    int      `json:"more,omitempty"`
}

// ClusterReasonsMax bounds ClusterHealth.Reasons.
const ClusterReasonsMax = 16
