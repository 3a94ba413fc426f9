package api

import (
	"context"
	"time"
)

// Credentials finds the secret that belongs to an access key.
type Credentials interface {
	// Credential gives the credential of an access key ID. NoSuchCredential. It is
	// called for every request, so implementations cache.
	Credential(ctx context.Context, accessKeyID string) (Credential, error)
}

// Credential is an access key with its secret. It prints itself without the secret.
type Credential struct {
	AccessKeyID string
	Secret      string
	Principal   string // principal ID; "root" is the store's own
}

// String hides the secret.
func (c Credential) String() string { return "credential " + c.AccessKeyID }

// GoString hides the secret.
func (c Credential) GoString() string { return c.String() }

// Health says whether requests can be served.
type Health interface {
	// Ready is nil once S3 requests are served; else it says what is missing.
	Ready(ctx context.Context) error
}

// Admin is what the operator's tool asks of a running node.
type Admin interface {
	// Space reports what is stored and what it takes on the drives.
	Space(ctx context.Context) (Space, error)
	// Workers reports the background workers.
	Workers(ctx context.Context) ([]Worker, error)
	// Groups reports this node's metadata groups.
	Groups(ctx context.Context) ([]Group, error)
	// Scrub checks every shard of every drive of this node now and heals what is damaged.
	Scrub(ctx context.Context) (ScrubReport, error)
	// Invite makes a one-time token with which a peer joins.
	Invite(ctx context.Context, req Invite) (string, error)
	// Members lists the members of the cluster.
	Members(ctx context.Context) ([]Member, error)
}

// Space says where bytes are. All sizes in bytes.
type Space struct {
	Objects      int64        `json:"objects"`
	ObjectBytes  int64        `json:"object_bytes"`  // plaintext of live versions
	Uploads      int64        `json:"uploads"`       // open multipart uploads
	PendingDrops int64        `json:"pending_drops"` // deleted versions whose shards are not yet dropped
	MetaBytes    int64        `json:"meta_bytes"`    // metadata on disk, without log files kept to be written again
	Drives       []DriveSpace `json:"drives"`
}

// DriveSpace is one drive's part.
type DriveSpace struct {
	Path         string `json:"path"`
	DriveID      string `json:"drive_id"`
	State        string `json:"state"`
	Shards       int64  `json:"shards"`
	ShardBytes   int64  `json:"shard_bytes"`   // payload of live shards
	SegmentBytes int64  `json:"segment_bytes"` // blocks that segments take on disk
	FreeBytes    int64  `json:"free_bytes"`
	TotalBytes   int64  `json:"total_bytes"`
}

// Worker is the state of one background worker.
type Worker struct {
	Name      string    `json:"name"`
	State     string    `json:"state"` // busy, throttled, idle, done
	Done      int64     `json:"done"`  // in this cycle
	Total     int64     `json:"total"` // 0 when not known
	LastError string    `json:"last_error,omitempty"`
	LastRun   time.Time `json:"last_run"`
}

// Group is one metadata group as this node sees it.
type Group struct {
	ID      uint32   `json:"id"`
	Leader  string   `json:"leader"`
	Term    uint64   `json:"term"`
	Applied uint64   `json:"applied"`
	Voters  []string `json:"voters"`
}

// ScrubReport says what a scrub found and mended.
type ScrubReport struct {
	Shards    int64 `json:"shards"`    // checked
	Bytes     int64 `json:"bytes"`     // read
	Corrupt   int64 `json:"corrupt"`   // shards whose bytes were wrong
	Missing   int64 `json:"missing"`   // shards that should be here and were not
	Healed    int64 `json:"healed"`    // rebuilt and written again
	Unhealed  int64 `json:"unhealed"`  // too few good shards are left
	Unindexed int64 `json:"unindexed"` // records found in segments that the index did not know
}

// Invite says who may join with the token.
type Invite struct {
	Role string        // "node" or "gateway"
	Site string        // site name, "default" when empty
	TTL  time.Duration // 1 minute to 7 days
}

// Member is one member of the cluster.
type Member struct {
	PeerID string   `json:"peer_id"`
	Roles  []string `json:"roles"`
	Site   string   `json:"site"`
	Addrs  []string `json:"addrs"`
	Epoch  uint64   `json:"epoch"`
}
