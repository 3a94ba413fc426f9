package api

import (
	"context"
	"time"
)

// Bounds of an item of ACME.
const (
	// ACMENameMax bounds a name, in bytes: a host name of 253 and what is put before and behind it.
	ACMENameMax = 300
	// ACMESealedMax bounds what is kept of one, in bytes.
	ACMESealedMax = 16 << 10
	// ACMEContentMax bounds a content, in bytes: what sealing adds is left out.
	ACMEContentMax = ACMESealedMax - 128
)

// ACMEItems are what gateways share of the certificates that they obtain by ACME (RFC 8555): account keys,
// certificates with their keys, answers to challenges. They are sealed under the root key, and lie in the system group.
type ACMEItems interface {
	// ACMEItem gives an item, as it is at the time of the call. Its Epoch is 0 where there is none.
	ACMEItem(ctx context.Context, name string) (ACMEItem, error)
	// PutACMEItem adds or replaces an item and tells its epoch. ConditionalConflict, and nothing has changed;
	// SlowDown when there are too many; InvalidArgument. On any other error it may have been put.
	PutACMEItem(ctx context.Context, put PutACMEItem) (epoch uint64, err error)
	// DeleteACMEItem removes an item. One that is not there is no error.
	DeleteACMEItem(ctx context.Context, name string) error
}

// ACMEItem is something that gateways share. It prints itself without its content.
type ACMEItem struct {
	Name    string    `json:"name"`
	Content []byte    `json:"content"`
	Expires time.Time `json:"expires"` // when it may be forgotten; zero is never
	Epoch   uint64    `json:"epoch"`   // another one with each put
}

// PutACMEItem says what is put, and when.
type PutACMEItem struct {
	ACMEItem        // but for its epoch
	CreateOnly bool `json:"create_only"` // only when there is none
	// IfEpoch puts only in the place of the item of this epoch; 0 is any.
	IfEpoch uint64 `json:"if_epoch"`
}

// String hides the content.
func (i ACMEItem) String() string { return "item " + i.Name + " of ACME" }

// GoString hides the content.
func (i ACMEItem) GoString() string { return i.String() }
