package api

import (
	"context"
	"encoding/json"
	"time"
)

// ReasonMax bounds, in bytes, why something is read-only.
const ReasonMax = 256

// ReadOnlyOrder says whether writes are refused, and why.
type ReadOnlyOrder struct {
	On     bool      `json:"on"`
	Reason string    `json:"reason,omitempty"` // why it was turned on, or off; at most ReasonMax bytes
	Since  time.Time `json:"since,omitzero"`   // zero where nobody ever turned it on
}

// BucketReadOnly is whether a bucket refuses writes by itself.
type BucketReadOnly struct {
	Bucket string `json:"bucket"`
	ReadOnlyOrder
}

// ReadOnlyStatus is the order for the whole store, how far it is in force, and which buckets are read-only beside it.
type ReadOnlyStatus struct {
	ReadOnlyOrder
	// Groups is how many groups of metadata keep buckets, InForce how many of them hold to the order.
	Groups  int `json:"groups"`
	InForce int `json:"in_force"`
	// Behind are the IDs of the others: those that do not answer, or hold to an earlier order. Of their buckets it
	// is not known which are read-only.
	Behind []uint32 `json:"behind,omitempty"`
	// Buckets are read-only by themselves. The answer to an order has none.
	Buckets []BucketReadOnly `json:"buckets,omitempty"`
}

// ReadOnlySwitch makes the store, or a bucket, refuse writes with ReadOnly. Reads go on, as does all that keeps what is
// stored; lifecycle rules remove nothing meanwhile.
type ReadOnlySwitch interface {
	// ReadOnlyStatus tells what is in force, by asking each group.
	ReadOnlyStatus(ctx context.Context) (ReadOnlyStatus, error)
	// SetReadOnly turns it on or off for the whole store. On success every group holds to it: what was not
	// acknowledged before is never written. Unavailable where some may not yet, with a detail that says which; the
	// order stands, and the same once more reaches the others. OperationAborted when another order came after it.
	SetReadOnly(ctx context.Context, on bool, reason string) (ReadOnlyStatus, error)
	// BucketReadOnly tells it of a bucket by itself. NoSuchBucket.
	BucketReadOnly(ctx context.Context, bucket string) (BucketReadOnly, error)
	// SetBucketReadOnly turns it on or off for one bucket. NoSuchBucket.
	SetBucketReadOnly(ctx context.Context, bucket string, on bool, reason string) (BucketReadOnly, error)
}

// AppendReadOnly encodes an order as the document ConfigReadOnly of a bucket; nothing where writes are taken.
func AppendReadOnly(dst []byte, ro ReadOnlyOrder) []byte {
	if !ro.On {
		return dst
	}
	text, err := json.Marshal(ro)
	if err != nil {
		panic("api: an order cannot be encoded: " + err.Error())
	}
	return append(dst, text...)
}

// ParseReadOnly decodes what AppendReadOnly made. InvalidArgument for anything else.
func ParseReadOnly(doc []byte) (ro ReadOnlyOrder, err error) {
	if len(doc) == 0 {
		return ro, nil
	}
	if err := json.Unmarshal(doc, &ro); err != nil || !ro.On || len(ro.Reason) > ReasonMax {
		return ReadOnlyOrder{}, Invalid("api.ParseReadOnly", "The order that makes a bucket read-only is malformed.")
	}
	return ro, nil
}
