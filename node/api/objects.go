package api

import (
	"context"
	"io"
	"time"

	"shoal/chunker/checksum"
)

// Objects reads and writes objects.
type Objects interface {
	// Put stores one object from Body. It reads Body to its end, even one byte past
	// Size to find a body that is too long, then calls Verify, and only then makes the
	// version visible. NoSuchBucket, IncompleteBody, PreconditionFailed, NoSuchKey
	// (IfMatch on a key that does not exist), StorageFull, EntityTooLarge, NoObjectLock, whatever
	// Body.Read or Verify returned (as it is), OutcomeUnknown.
	Put(ctx context.Context, req *PutObject) (Written, error)
	// Open finds an object for reading. The caller closes the result. While it is
	// open its bytes stay readable even when the version is deleted. NoSuchBucket,
	// NoSuchKey, NoSuchVersion, DeleteMarker; InvalidArgument for what is no version ID; errors of Metadata.OpensWith.
	Open(ctx context.Context, req *ObjectRef) (Object, error)
	// Head finds an object's description. Errors as Open, but that no customer's key is asked for: Metadata.OpensWith tells.
	Head(ctx context.Context, req *ObjectRef) (*ObjectInfo, error)
	// Delete removes the current version (in a versioned bucket: puts a delete marker)
	// or the one named. Deleting what does not exist is a success. PreconditionFailed,
	// AccessDenied when the version is locked.
	Delete(ctx context.Context, req *DeleteObject) (Deleted, error)
	// DeleteMany removes up to 1,000 keys of one bucket. Results are in the order of
	// items; each has its own error. The error of the call itself is NoSuchBucket or
	// one that concerns all items.
	DeleteMany(ctx context.Context, bucket string, items []DeleteItem) ([]Deleted, error)
	// Copy makes a new version from an existing one, without moving bytes unless key, site or class
	// demand it. Errors as Open for the source and as Put for the target, and whatever Check
	// returned.
	Copy(ctx context.Context, req *CopyObject) (Written, error)
	// List lists keys in ascending order of their bytes. NoSuchBucket.
	List(ctx context.Context, req *ListObjects) (*ListPage, error)
}

// Condition guards a write. The zero value is no condition. It is decided in the
// state machine at the instant of the write.
type Condition struct {
	IfNoneMatch bool   // the key must have no current version
	IfMatch     string // the current version must have this ETag (no quotes); "*" is any
}

// Metadata is what a client said of an object.
type Metadata struct {
	ContentType        string
	CacheControl       string
	ContentDisposition string
	ContentEncoding    string
	ContentLanguage    string
	Expires            string // as sent
	WebsiteRedirect    string
	// User holds x-amz-meta-* without the prefix, names in lower case.
	User map[string]string
	// KeyCheck is set by the store: of the customer's key that the content is sealed under, none without.
	KeyCheck []byte
}

// ChecksumType says over what a stored checksum was computed.
type ChecksumType uint8

const (
	// FullObject is a checksum of all bytes.
	FullObject ChecksumType = iota
	// Composite is a checksum of the parts' checksums.
	Composite
)

// Checksum is one stored S3 checksum.
type Checksum struct {
	Algorithm checksum.Set // exactly one bit, or 0 for none
	Type      ChecksumType
	Value     string // base64, with "-N" for a composite
}

// PutObject is one whole object to store.
type PutObject struct {
	Bucket, Key string
	Size        int64 // bytes of Body, 0 to 5 GiB
	Body        io.Reader
	Metadata    Metadata
	// Digests to compute beside MD5, which is the ETag and always computed.
	Digests checksum.Set
	// Store names the one digest of Digests that is kept as the object's checksum; 0 keeps none.
	Store checksum.Set
	// Verify sees all digests after the last byte of Body. An error ends the put with nothing stored.
	Verify func(checksum.Sums) error
	If     Condition
	Tags   []Tag  // at most TagsMax, with keys that differ
	ACL    []byte // of the version, as package acl/grant encodes it; nil is private
	Lock   Lock   // of the version; the zero value leaves it to the bucket's default
	// CustomerKey seals the content beside the store's own keys; nil for none. The ETag is then no MD5.
	CustomerKey *CustomerKey
	// Class is that of the version.
	Class StorageClass
}

// Written describes the version that a write made.
type Written struct {
	ETag         string // no quotes
	VersionID    string // "" in a bucket that was never versioned
	Size         int64
	LastModified time.Time
	Checksum     Checksum
	// ConfigEpoch is that of the bucket's configuration at the write.
	ConfigEpoch uint64
}

// ObjectRef names an object, or one version of it.
type ObjectRef struct {
	Bucket, Key string
	VersionID   string // "" is the current version
	Parts       bool   // fill ObjectInfo.Parts
	// CustomerKey is the key that the object was put with, for Open and as the source of a copy; nil for none.
	CustomerKey *CustomerKey
}

// ObjectInfo describes one version of an object.
type ObjectInfo struct {
	Key          string
	VersionID    string
	Size         int64
	ETag         string // no quotes
	LastModified time.Time
	Metadata     Metadata
	Checksum     Checksum
	PartsCount   int        // 0 for an object that was not uploaded in parts
	Parts        []PartInfo // when asked for
	DeleteMarker bool
	Tags         []Tag  // in ascending order of their keys
	ACL          []byte // as in PutObject
	Lock         Lock
	Class        StorageClass
	// ConfigEpoch is that of the bucket's configuration.
	ConfigEpoch uint64
}

// Object is an object that is open for reading.
type Object interface {
	// Info describes the version. It does not change.
	Info() *ObjectInfo
	// WriteRange writes the n bytes from off to w. Every byte was verified before it
	// is written. Corrupt, Unavailable, or an error of w as it is; what was written
	// before an error was right.
	WriteRange(ctx context.Context, w io.Writer, off, n int64) error
	// Close gives the object's pins back. It may be called twice.
	Close()
}

// DeleteItem names what to delete.
type DeleteItem struct {
	Key       string
	VersionID string // "" puts a delete marker or removes the null version, by the bucket's state
	If        Condition
	// IfSize and IfModified further guard the deletion, when set.
	IfSize     *int64
	IfModified *time.Time // second precision
	// Bypass says that the caller asked to bypass governance retention, and may.
	Bypass bool
	// Noncurrent, with VersionID, demands that the version is not the current one:
	// PreconditionFailed.
	Noncurrent bool
}

// DeleteObject is one deletion.
type DeleteObject struct {
	Bucket string
	DeleteItem
}

// Deleted is the outcome for one key.
type Deleted struct {
	VersionID    string // the version removed, or that of the delete marker put
	DeleteMarker bool   // a delete marker was put or removed
	Err          error  // in DeleteMany only
}

// CopyObject makes Bucket/Key from Source.
type CopyObject struct {
	Bucket, Key string
	Source      ObjectRef
	// Check sees the source version before anything is done; an error ends the copy.
	Check func(*ObjectInfo) error
	// Replace takes the place of the source's metadata, when set.
	Replace *Metadata
	// ReplaceTags puts Tags in the place of the source's tags.
	ReplaceTags bool
	Tags        []Tag
	// ACL as in PutObject: that of the source is not taken over.
	ACL []byte
	// Lock as in PutObject: that of the source is not taken over.
	Lock Lock
	// Store asks for this checksum on the copy; 0 keeps the source's. One that the
	// source does not have in full-object form is computed by reading the source.
	Store checksum.Set
	If    Condition
	// CustomerKey is that of the copy. One that is not the source's makes the bytes be sealed anew.
	CustomerKey *CustomerKey
	// Class is that of the copy, whatever the source's is. One that has another erasure profile makes the
	// bytes be coded anew.
	Class StorageClass
}

// ListObjects asks for one page of keys.
type ListObjects struct {
	Bucket    string
	Prefix    string
	Delimiter string
	After     string // exclusive; a common prefix is listed only when it is greater than After
	Max       int    // 0 to 1,000 keys and common prefixes together
	Tags      bool   // keys with tags
}

// ListedObject is a key in a listing.
type ListedObject struct {
	Key          string
	Size         int64
	ETag         string
	LastModified time.Time
	Checksum     checksum.Set // algorithm only
	Type         ChecksumType
	Class        StorageClass
	Tags         []Tag // when asked for
}

// ListPage is one page of keys.
type ListPage struct {
	Objects        []ListedObject
	CommonPrefixes []string
	Truncated      bool
	Next           string // After of the next page: the last key or common prefix of this one
}
