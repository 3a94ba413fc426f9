package api

import (
	"context"
	"time"

	"shoal/chunker/checksum"
)

// Versions is the family of versioning, object lock, tags and ACLs of objects. A ref without VersionID means the current
// version. Errors of all that name a version: NoSuchBucket, NoSuchKey, NoSuchVersion, DeleteMarker for a
// version that is one (also when it is current), InvalidArgument for what is no version ID.
type Versions interface {
	// Versioning tells how a bucket keeps versions. NoSuchBucket.
	Versioning(ctx context.Context, bucket string) (BucketVersioning, error)
	// SetVersioning turns versioning on or suspends it. InvalidBucketState for a suspension while the
	// bucket has object lock.
	SetVersioning(ctx context.Context, bucket string, state VersioningState) error
	// SetObjectLock turns object lock on, for good, with the retention that new versions get.
	// InvalidBucketState while versioning is not on.
	SetObjectLock(ctx context.Context, bucket string, def DefaultRetention) error
	// ListVersions lists all versions by key, the newest of each key first: in the order in which the
	// store made them, whatever any clock said. NoSuchBucket, InvalidArgument.
	ListVersions(ctx context.Context, req *ListVersions) (*VersionPage, error)
	// SetTags replaces the tags of a version and gives the version's ID.
	SetTags(ctx context.Context, ref *ObjectRef, tags []Tag) (string, error)
	// SetACL replaces the ACL of a version, encoded as in PutObject, and gives the version's ID. No lock stands
	// against it.
	SetACL(ctx context.Context, ref *ObjectRef, acl []byte) (string, error)
	// SetRetention replaces the retention of a version. NoObjectLock, AccessDenied when the one that it
	// has forbids it.
	SetRetention(ctx context.Context, req *SetRetention) error
	// SetLegalHold puts a legal hold on a version or takes it off. NoObjectLock.
	SetLegalHold(ctx context.Context, ref *ObjectRef, on bool) error
	// Rename gives an object another key of its bucket, at one instant. With versioning the old key gets a
	// delete marker. NoSuchKey, PreconditionFailed, AccessDenied when the version is locked.
	Rename(ctx context.Context, req *RenameObject) (Written, error)
}

// VersioningState is whether a bucket keeps versions.
type VersioningState uint8

const (
	// Unversioned: versioning was never turned on.
	Unversioned VersioningState = iota
	// VersioningEnabled: every write makes a version.
	VersioningEnabled
	// VersioningSuspended: versions are kept, and writes replace the one called "null".
	VersioningSuspended
)

// BucketVersioning is how a bucket keeps versions.
type BucketVersioning struct {
	State      VersioningState
	ObjectLock bool
	Default    DefaultRetention // with object lock
}

// LockMode is how strictly a version is retained.
type LockMode uint8

const (
	// NoRetention is none.
	NoRetention LockMode = iota
	// Governance can be bypassed with a permission.
	Governance
	// Compliance can be bypassed by nobody.
	Compliance
)

// DefaultRetention is what a bucket's new versions get: days or years, or neither for none.
type DefaultRetention struct {
	Mode        LockMode
	Days, Years int
}

// Lock is what locks one version.
type Lock struct {
	Mode      LockMode
	Until     time.Time // with a mode
	LegalHold bool
	// HoldSet says, of a version that is read, that a legal hold was put on or taken off at any time.
	HoldSet bool
}

// TagsMax is how many tags an object may have.
const TagsMax = 10

// Tag is one tag.
type Tag struct{ Key, Value string }

// SetRetention is a change of a version's retention.
type SetRetention struct {
	ObjectRef
	Mode  LockMode // NoRetention removes it
	Until time.Time
	// Bypass says that the caller asked to bypass governance retention, and may.
	Bypass bool
}

// RenameObject gives From, a key of Bucket, the key To.
type RenameObject struct {
	Bucket, From, To string
	Source, Target   RenameCondition
	// Token makes the request one that is carried out once, however often it comes; "" is none.
	Token string
}

// RenameCondition guards one side of a rename. The zero value is no condition.
type RenameCondition struct {
	IfMatch, IfNoneMatch string     // ETags without quotes; "*" is any
	IfModified           *time.Time // changed since; second precision
	IfUnmodified         *time.Time // not changed since; second precision
}

// ListVersions asks for one page of versions.
type ListVersions struct {
	Bucket    string
	Prefix    string
	Delimiter string
	AfterKey  string
	// AfterVersion, with AfterKey, asks for the versions of that key that are older; "" skips the key.
	// It need not exist any more.
	AfterVersion string
	Max          int  // 0 to 1,000
	Tags         bool // versions with tags
	// History leaves out keys that have nothing but an object: no other version, and no delete marker. A page may then be truncated before it
	// is full.
	History bool
}

// ListedVersion is a version in a listing.
type ListedVersion struct {
	Key          string
	VersionID    string
	Latest       bool
	DeleteMarker bool
	Size         int64
	ETag         string
	LastModified time.Time
	Checksum     checksum.Set // algorithm only
	Type         ChecksumType
	Class        StorageClass
	Tags         []Tag // when asked for
}

// VersionPage is one page of versions.
type VersionPage struct {
	Versions       []ListedVersion
	CommonPrefixes []string
	Truncated      bool
	// NextKey and NextVersion are where the next page begins behind, when Truncated.
	NextKey     string
	NextVersion string
}
