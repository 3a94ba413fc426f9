package api

import (
	"context"
	"encoding/json"
	"math"
)

// Quota bounds what a bucket may hold. 0 is for no bound.
type Quota struct {
	Bytes   int64 `json:"bytes,omitempty"`   // of all versions that are not deleted, parts of open uploads not counted
	Objects int64 `json:"objects,omitempty"` // keys with a current version
}

// Usage is what a bucket holds, and what it may hold.
type Usage struct {
	Bucket   string `json:"bucket"`
	Owner    string `json:"owner"`
	Objects  int64  `json:"objects"` // keys with a current version
	Versions int64  `json:"versions"`
	Uploads  int64  `json:"uploads"` // open
	Bytes    int64  `json:"bytes"`   // of all versions
	// PartBytes are what parts of open uploads hold beside Bytes. Both together are held against the quota.
	PartBytes int64 `json:"part_bytes"`
	Quota     Quota `json:"quota"`
}

// Quotas bounds buckets.
type Quotas interface {
	// Usage tells what a bucket holds. NoSuchBucket.
	Usage(ctx context.Context, bucket string) (Usage, error)
	// SetQuota bounds what a bucket may hold from now on, parts of open uploads included: a write that would exceed it is refused with
	// QuotaExceeded. What is there already stays. NoSuchBucket, InvalidArgument.
	SetQuota(ctx context.Context, bucket string, q Quota) error
}

// AppendQuota encodes a quota as the document ConfigQuota; nothing for no bound at all.
func AppendQuota(dst []byte, q Quota) []byte {
	if q == (Quota{}) {
		return dst
	}
	text, err := json.Marshal(q)
	if err != nil {
		panic("api: a quota cannot be encoded: " + err.Error())
	}
	return append(dst, text...)
}

// ParseQuota decodes what AppendQuota made. InvalidArgument for anything else.
func ParseQuota(doc []byte) (q Quota, err error) {
	if len(doc) == 0 {
		return q, nil
	}
	if err := json.Unmarshal(doc, &q); err != nil || q.Bytes < 0 || q.Objects < 0 || q == (Quota{}) {
		return Quota{}, Invalid("api.ParseQuota", "The quota is malformed.")
	}
	return q, nil
}

// Admits tells whether a bucket that holds objects and bytes may take more of each. What makes nothing
// grow is always admitted.
func (q Quota) Admits(objects, bytes, moreObjects, moreBytes int64) bool {
	fits := func(most, have, more int64) bool {
		return most == 0 || more <= 0 || have <= most-min(more, math.MaxInt64) && more <= most
	}
	return fits(q.Objects, objects, moreObjects) && fits(q.Bytes, bytes, moreBytes)
}
