package api

import (
	"context"
	"time"
)

// Buckets is the directory of buckets.
type Buckets interface {
	// CreateBucket makes an empty bucket. BucketOwned when the caller has it already,
	// BucketExists when another owner has it, NoSuchSite when no node is in its site.
	CreateBucket(ctx context.Context, req CreateBucket) (BucketInfo, error)
	// HeadBucket finds a bucket by name. NoSuchBucket.
	HeadBucket(ctx context.Context, name string) (BucketInfo, error)
	// DeleteBucket removes a bucket that is empty at that instant. NoSuchBucket,
	// BucketNotEmpty, OperationAborted while another deletion of it is under way.
	DeleteBucket(ctx context.Context, name string) error
	// ListBuckets lists buckets in ascending order of their names.
	ListBuckets(ctx context.Context, req ListBuckets) (BucketPage, error)
	// Configuration gives all that is set for a bucket: what SetConfiguration has set on
	// any gateway before the call is in it. Where epoch is not 0, a copy of that epoch will
	// do, as for a caller who has just read it in a description of an object. NoSuchBucket.
	Configuration(ctx context.Context, bucket string, epoch uint64) (*Configuration, error)
	// SetConfiguration changes one document. Removing what is not there is a success.
	// NoSuchBucket, ConditionalConflict when IfEpoch does not hold, OutcomeUnknown.
	SetConfiguration(ctx context.Context, req *SetConfiguration) error
}

// CreateBucket names the bucket to make. Names are checked by the gateway.
type CreateBucket struct {
	Name     string
	Owner    string // principal ID
	Location string // LocationConstraint as sent; "" is the store's own region
	// Site binds the bucket to a site: what is in it, and what is known of it, stays there. "" spans
	// all sites.
	Site string
	// ObjectLock turns versioning and object lock on from the start.
	ObjectLock bool
	// Documents are settings that the bucket has from the start, by name as in SetConfiguration, of 64 KiB together. There is
	// no moment in which it can be used without them.
	Documents map[string][]byte
}

// BucketInfo describes a bucket.
type BucketInfo struct {
	Name     string
	ID       uint64 // never reused
	Owner    string // principal ID
	Location string
	Created  time.Time
}

// ListBuckets asks for one page of an owner's buckets.
type ListBuckets struct {
	Owner  string // "" lists all owners' buckets
	Prefix string
	After  string // exclusive
	Max    int    // 1 to 10,000
}

// BucketPage is one page of buckets.
type BucketPage struct {
	Buckets   []BucketInfo
	Truncated bool
	Next      string // After of the next page, when Truncated
}
