package api

import (
	"context"
	"time"
)

// Credentials finds the secret that belongs to an access key.
type Credentials interface {
	// Credential gives the credential of an access key ID. NoSuchCredential, also of one that is disabled;
	// the caller looks at when it ends. It is called for every request, so implementations cache.
	Credential(ctx context.Context, accessKeyID string) (Credential, error)
}

// Credential is an access key with its secret. It prints itself without the secret.
type Credential struct {
	AccessKeyID string
	Secret      string
	Principal   string // principal ID; "root" is the store's own
	// Expires is when it ends; zero is never.
	Expires time.Time
	// SessionPolicy narrows what the principal may do; "" does not.
	SessionPolicy string
	// Session is set where the credential is that of a session; SessionPolicy is then that of its parent.
	Session *Session
	// AsOf is when the store has last confirmed the credential; zero says that it just has.
	AsOf time.Time
}

// String hides the secret.
func (c Credential) String() string { return "credential " + c.AccessKeyID }

// GoString hides the secret.
func (c Credential) GoString() string { return c.String() }

// Health says whether requests can be served.
type Health interface {
	// Ready gives no error once S3 requests are served; else the error says what is missing. limits
	// say, in words, what is not served although the process is ready: a site that is cut off
	// serves the buckets that are bound to it.
	Ready(ctx context.Context) (limits []string, err error)
}

// Admin is what the operator's tool asks of the store.
type Admin interface {
	Reports
	Membership
	Tuning
	Quotas
	ReadOnlySwitch
	Collections
	IdentityAdmin
	// Scrub checks every shard of every drive of all nodes now and heals what is damaged.
	Scrub(ctx context.Context) (ScrubReport, error)
}

// Tuning changes what may be changed while the store runs.
type Tuning interface {
	// Settings lists every setting with its value.
	Settings(ctx context.Context) ([]Setting, error)
	// SetSetting changes one. InvalidArgument when CheckSetting refuses it, or when it is a rule for addresses that
	// cuts off a member: a few may be, by force, but not so many that it could not be taken back.
	SetSetting(ctx context.Context, c SettingChange) error
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

	Nodes int `json:"nodes"` // that have scrubbed
	// Silent are the nodes that did not answer, or broke off: it is not known what they have checked.
	Silent []string `json:"silent,omitempty"`
}
