package api

import (
	"context"
	"time"
)

// Account is the number of the one account that a store is, in policies and ARNs.
const Account = "000000000000"

// Principal IDs: RootPrincipal is the store's owner, and owns all buckets; that of a user is
// UserPrincipal and its name.
const (
	RootPrincipal = "root"
	UserPrincipal = "user:"
)

// Identities gives gateways users, groups and policies, and settings.
type Identities interface {
	// Identities gives what has changed since what is known, all identities when that is nothing or too long
	// ago, and the settings when they are others. What was acknowledged before the call is in the answer, unless
	// that says as of when it is: in a site that is cut off.
	Identities(ctx context.Context, known Known) (*IdentityChanges, error)
}

// Known is what an answer said last; the zero value knows nothing.
type Known struct {
	Epoch       uint64
	SettingsSum string
}

// IdentityChanges are identities as they are at an epoch.
type IdentityChanges struct {
	Epoch    uint64
	Whole    bool // these are all there are
	Users    []User
	Groups   []UserGroup
	Policies []NamedPolicy
	// Gone are the names of those that were deleted.
	GoneUsers, GoneGroups, GonePolicies []string
	// Settings are all that there are, nil when they are those that are known. SettingsSum tells them from others.
	Settings    []Setting
	SettingsSum string
	// AsOf is when the store has last confirmed them; zero says that it just has.
	AsOf time.Time
}

// User is who may have access keys.
type User struct {
	Name string `json:"name"`
	// CanonicalID is what ACLs call the user, see acl.CanonicalID.
	CanonicalID string    `json:"canonical_id"`
	Disabled    bool      `json:"disabled,omitempty"`
	Groups      []string  `json:"groups"`
	Policies    []string  `json:"policies"` // attached to the user itself
	Created     time.Time `json:"created"`
	Epoch       uint64    `json:"epoch"`
}

// UserGroup gives its members policies.
type UserGroup struct {
	Name     string    `json:"name"`
	Policies []string  `json:"policies"`
	Members  []string  `json:"members,omitempty"` // in lists for operators alone
	Created  time.Time `json:"created"`
	Epoch    uint64    `json:"epoch"`
}

// NamedPolicy is a policy document that can be attached.
type NamedPolicy struct {
	Name     string    `json:"name"`
	Document string    `json:"document"`
	Canned   bool      `json:"canned,omitempty"` // every store has it
	Created  time.Time `json:"created,omitzero"`
	Epoch    uint64    `json:"epoch,omitempty"`
}

// AccessKey is an access key without its secret.
type AccessKey struct {
	AccessKeyID   string    `json:"access_key_id"`
	Principal     string    `json:"principal"`
	Disabled      bool      `json:"disabled,omitempty"`
	Created       time.Time `json:"created"`
	Expires       time.Time `json:"expires,omitzero"`
	SessionPolicy string    `json:"session_policy,omitempty"` // that narrows what the principal may do
	Description   string    `json:"description,omitempty"`
	// LastUsed is when it, or a session of it, last signed a request that was accepted as signed, to within KeyUseEvery and what
	// gateways have not told yet; zero is for never.
	LastUsed time.Time `json:"last_used,omitzero"`
}

// KeyUseEvery is how often the use of an access key is noted at most.
const KeyUseEvery = 5 * time.Minute

// KeyUseMax is how many uses are told at a time.
const KeyUseMax = 1000

// KeyUses hears from gateways when access keys were used.
type KeyUses interface {
	// NoteKeyUses tells of at most KeyUseMax access keys, by their IDs, when each last signed a request. One that does not
	// exist is passed over. It may be called again.
	NoteKeyUses(ctx context.Context, uses map[string]time.Time) error
}

// IdentityAdmin is what operators do with users, groups, policies and access keys. What was changed is in force
// on every gateway within a second.
type IdentityAdmin interface {
	// IdentityList lists users, groups and policies, those that every store has included, by name.
	IdentityList(ctx context.Context) (IdentityList, error)
	// ChangeIdentity changes one. NoSuchIdentity, IdentityExists, IdentityInUse, InvalidArgument.
	ChangeIdentity(ctx context.Context, c IdentityChange) error
	// AccessKeys lists all access keys by their IDs.
	AccessKeys(ctx context.Context) ([]AccessKey, error)
	// CreateKey makes an access key. NoSuchIdentity, NoSuchCredential.
	CreateKey(ctx context.Context, req NewKey) (IssuedKey, error)
	// RevokeAllKeys revokes access keys for good, and with them their sessions. It may be called again.
	RevokeAllKeys(ctx context.Context, req RevokeAll) (RevokedKeys, error)
	RootAdmin
	// ChangeKey disables, enables or revokes an access key. NoSuchCredential, InvalidArgument for root's last one.
	ChangeKey(ctx context.Context, c KeyChange) error
}

// RootAdmin replaces what root signs with, or keeps root from signing.
type RootAdmin interface {
	// ReplaceRoot makes an access key in the place of one of root's, which ends after the overlap, and has the nodes that keep
	// that one in their root.credentials write the new one there. The secret crosses no network for that: each node opens what
	// the system group keeps sealed. NoSuchCredential, InvalidArgument.
	ReplaceRoot(ctx context.Context, req ReplaceRoot) (ReplacedRoot, error)
	// SwitchRoot disables or enables all access keys of root, and so all its sessions, within a second. Whether anybody else can
	// run the store is for the caller to know.
	SwitchRoot(ctx context.Context, disabled bool) error
}

// ReplaceRoot names the access key of root that is replaced.
type ReplaceRoot struct {
	AccessKeyID string        `json:"access_key_id"`
	Overlap     time.Duration `json:"overlap"` // for which it goes on, at most 30 days; 0 ends it at once
}

// ReplacedRoot is root's new access key.
type ReplacedRoot struct {
	IssuedKey
	Files  []RootFile `json:"files"`            // that hold the new one now
	Failed []RootFile `json:"failed,omitempty"` // that could not be written; without a path where the node did not answer
}

// RootFile is a root.credentials of a node.
type RootFile struct {
	Node string `json:"node"`
	Path string `json:"path,omitempty"`
}

// NewRootFile tells a node which access key takes the place of which.
type NewRootFile struct {
	Old string `json:"old"`
	New string `json:"new"`
}

// IdentityList is all of them.
type IdentityList struct {
	Users    []User        `json:"users"`
	Groups   []UserGroup   `json:"groups"`
	Policies []NamedPolicy `json:"policies"`
}

// Kinds of identities.
const (
	KindUser   = "user"
	KindGroup  = "group"
	KindPolicy = "policy"
)

// What can be done with identities and access keys.
const (
	DoCreate  = "create"
	DoDelete  = "delete"
	DoSet     = "set"    // a policy's document
	DoAttach  = "attach" // a policy to a user or group
	DoDetach  = "detach"
	DoJoin    = "join" // a user to a group
	DoLeave   = "leave"
	DoEnable  = "enable"
	DoDisable = "disable"
	DoRevoke  = "revoke" // an access key, for good
)

// IdentityChange says what becomes of an identity.
type IdentityChange struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Do       string `json:"do"`
	Policy   string `json:"policy,omitempty"`   // to attach or detach
	Group    string `json:"group,omitempty"`    // to join or leave
	Document string `json:"document,omitempty"` // of a policy
}

// NewKey says which access key is to be made.
type NewKey struct {
	// Principal is whom it acts for, unless Replaces is set.
	Principal string `json:"principal,omitempty"`
	// SessionPolicy narrows what it may do; "" does not.
	SessionPolicy string        `json:"session_policy,omitempty"`
	Description   string        `json:"description,omitempty"`
	Life          time.Duration `json:"life,omitempty"` // after which it ends, in nanoseconds; 0 is never
	// Replaces is the access key whose place the new one takes, with the same principal, policy and
	// description; the old one ends after Overlap.
	Replaces string        `json:"replaces,omitempty"`
	Overlap  time.Duration `json:"overlap,omitempty"`
}

// IssuedKey is an access key with its secret, which is told this once.
type IssuedKey struct {
	AccessKey
	Secret string `json:"secret_access_key"`
}

// String hides the secret.
func (k IssuedKey) String() string { return "access key " + k.AccessKeyID }

// GoString hides the secret.
func (k IssuedKey) GoString() string { return k.String() }

// RevokeAll says which access keys are revoked: all but some.
type RevokeAll struct {
	Spare string // the ID of one that stays
	Root  bool   // root's too, but for the last that is good for all time
}

// RevokedKeys says what became of the access keys, by their IDs.
type RevokedKeys struct {
	Revoked []string `json:"revoked"`
	Kept    []string `json:"kept"`
}

// KeyChange says what becomes of an access key.
type KeyChange struct {
	AccessKeyID string `json:"access_key_id"`
	Do          string `json:"do"`
}
