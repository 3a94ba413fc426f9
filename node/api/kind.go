package api

// Kind says what went wrong, as far as code may decide by it. The list is
// append-only: numbers travel between releases.
type Kind uint32

const (
	// Internal is every error that has no better kind. Clients see no detail.
	Internal Kind = iota
	// InvalidArgument: a request that cannot mean anything; Detail says which part.
	InvalidArgument
	// NoSuchBucket: the bucket does not exist.
	NoSuchBucket
	// NoSuchKey: the key has no current version.
	NoSuchKey
	// NoSuchVersion: the key has no version of that ID.
	NoSuchVersion
	// NoSuchUpload: the multipart upload does not exist, was completed or aborted.
	NoSuchUpload
	// BucketExists: the name is taken by another owner.
	BucketExists
	// BucketOwned: the bucket exists already and belongs to the caller.
	BucketOwned
	// BucketNotEmpty: a bucket with keys, versions or uploads cannot be deleted.
	BucketNotEmpty
	// OperationAborted: a conflicting operation on the bucket is in progress.
	OperationAborted
	// PreconditionFailed: a condition of the request does not hold.
	PreconditionFailed
	// ConditionalConflict: a conflicting write won while a conditional write was under way.
	ConditionalConflict
	// InvalidPart: a part named at completion does not exist or differs.
	InvalidPart
	// InvalidPartOrder: the parts named at completion are not in ascending order.
	InvalidPartOrder
	// EntityTooSmall: a part other than the last is below the least size.
	EntityTooSmall
	// EntityTooLarge: an object or part is above the greatest size.
	EntityTooLarge
	// IncompleteBody: the body ended before the declared length.
	IncompleteBody
	// BadDigest: a digest sent by the client does not match the bytes received.
	BadDigest
	// DeleteMarker: the version asked for is a delete marker.
	DeleteMarker
	// AccessDenied: the caller may not do this.
	AccessDenied
	// NoSuchCredential: no credential has that access key ID.
	NoSuchCredential
	// SlowDown: a bounded queue is full; the caller should come back later.
	SlowDown
	// Unavailable: too few parts of the store answer; nothing was changed.
	Unavailable
	// StorageFull: no drive has room for the write; nothing was changed.
	StorageFull
	// Corrupt: stored bytes failed their check and could not be rebuilt.
	Corrupt
	// OutcomeUnknown: the write was handed over, but no answer came back.
	OutcomeUnknown
	// NotImplemented: the store has no such operation.
	NotImplemented
	// Canceled: the caller gave up.
	Canceled
	// TooManyBuckets: the owner has as many buckets as allowed.
	TooManyBuckets
	// UploadExpired: the writer was so slow that its space was given back.
	UploadExpired
	// NoSuchSite: no node is in the site that a bucket was to be bound to.
	NoSuchSite
	// InvalidBucketState: the request does not fit the bucket's versioning or object lock.
	InvalidBucketState
	// NoObjectLock: a lock was asked for in a bucket that has no object lock.
	NoObjectLock
	// NoSuchIdentity: no user, group or policy has that name.
	NoSuchIdentity
	// IdentityExists: a user, group or policy has that name already.
	IdentityExists
	// IdentityInUse: a group has members, or a policy is attached.
	IdentityInUse
	// CustomerKeyMissing: the object is sealed under a customer's key, and none came with the request.
	CustomerKeyMissing
	// CustomerKeyWrong: the object is sealed under another customer's key than came with the request.
	CustomerKeyWrong
	// CustomerKeyUnused: a customer's key came with a request for an object that is not sealed under one.
	CustomerKeyUnused
	// QuotaExceeded: the bucket would hold more than its quota.
	QuotaExceeded
	// ReadOnly: an operator has made the store, or the bucket, read-only; Detail says why. Nothing was changed.
	ReadOnly

	kindEnd // keep last
)

var kindNames = [...]string{
	Internal: "Internal", InvalidArgument: "InvalidArgument", NoSuchBucket: "NoSuchBucket",
	NoSuchKey: "NoSuchKey", NoSuchVersion: "NoSuchVersion", NoSuchUpload: "NoSuchUpload",
	BucketExists: "BucketExists", BucketOwned: "BucketOwned", BucketNotEmpty: "BucketNotEmpty",
	OperationAborted: "OperationAborted", PreconditionFailed: "PreconditionFailed",
	ConditionalConflict: "ConditionalConflict", InvalidPart: "InvalidPart",
	InvalidPartOrder: "InvalidPartOrder", EntityTooSmall: "EntityTooSmall",
	EntityTooLarge: "EntityTooLarge", IncompleteBody: "IncompleteBody", BadDigest: "BadDigest",
	DeleteMarker: "DeleteMarker", AccessDenied: "AccessDenied", NoSuchCredential: "NoSuchCredential",
	SlowDown: "SlowDown", Unavailable: "Unavailable", StorageFull: "StorageFull", Corrupt: "Corrupt",
	OutcomeUnknown: "OutcomeUnknown", NotImplemented: "NotImplemented", Canceled: "Canceled",
	TooManyBuckets: "TooManyBuckets", UploadExpired: "UploadExpired", NoSuchSite: "NoSuchSite",
	InvalidBucketState: "InvalidBucketState", NoObjectLock: "NoObjectLock",
	NoSuchIdentity: "NoSuchIdentity", IdentityExists: "IdentityExists", IdentityInUse: "IdentityInUse",
	CustomerKeyMissing: "CustomerKeyMissing", CustomerKeyWrong: "CustomerKeyWrong", CustomerKeyUnused: "CustomerKeyUnused",
	QuotaExceeded: "QuotaExceeded", ReadOnly: "ReadOnly",
}

// String is the kind's name, or "Kind?" for a number of a later release.
func (k Kind) String() string {
	if k < kindEnd {
		return kindNames[k]
	}
	return "Kind?"
}

// Kinds lists every kind of this release.
func Kinds() []Kind {
	all := make([]Kind, kindEnd)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}
