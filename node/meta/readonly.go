package meta

import (
	"encoding/binary"

	"shoal/node/api"
	"shoal/node/consensus"
)

const readOnlyPageMax = 1000

// held refuses a command of a client while the group, or the bucket that it would change, is read-only.
func (t *tx) held(c *Command) (*Result, error) {
	bucket, writes := c.writes()
	if !writes {
		return nil, nil
	}
	var s *bucketState
	if t.h.readOnly == 0 {
		if bucket == 0 {
			return nil, nil
		}
		var refused *Result
		var err error
		if s, refused, err = t.bucket(bucket); err != nil || refused != nil || s.readOnly == 0 {
			return nil, err // of a bucket that is not there the command itself tells
		}
	}
	why, err := t.whyReadOnly(&t.h, s)
	if err != nil {
		return nil, err
	}
	return refuse(api.ReadOnly, why), nil
}

// writes says whether a command changes what clients see, and in which bucket; 0 is for the directory. What is not
// listed is work in the background that keeps what is stored, or what operators do.
func (c *Command) writes() (bucket uint64, writes bool) {
	switch op := c.Op.(type) {
	case *Command_CreateBucket, *Command_BeginDeleteBucket, *Command_FinishDeleteBucket:
		return 0, true
	case *Command_PutVersion:
		return op.PutVersion.GetBucket(), true
	case *Command_DeleteObjects:
		return op.DeleteObjects.GetBucket(), true
	case *Command_CreateUpload:
		return op.CreateUpload.GetBucket(), true
	case *Command_PutPart:
		return op.PutPart.GetBucket(), true
	case *Command_CompleteUpload:
		return op.CompleteUpload.GetBucket(), true
	case *Command_AbortUpload:
		return op.AbortUpload.GetBucket(), true
	case *Command_SetBucketConfig:
		return op.SetBucketConfig.GetBucket(), op.SetBucketConfig.GetName() != api.ConfigReadOnly
	case *Command_FenceBucket:
		return op.FenceBucket.GetBucket(), !op.FenceBucket.GetForget() // the name is gone by then
	case *Command_SetObjectLock:
		return op.SetObjectLock.GetBucket(), !op.SetObjectLock.GetInitial() // a read may have to bring it
	case *Command_AlterVersion:
		return op.AlterVersion.GetBucket(), true
	case *Command_RenameObject:
		return op.RenameObject.GetBucket(), true
	case *Command_Transition:
		return op.Transition.GetBucket(), true
	}
	return 0, false
}

// whyReadOnly says why no writes are taken, by the group's header and, unless s is nil, by the bucket itself; ""
// where they are.
func (v *view) whyReadOnly(h *header, s *bucketState) (string, error) {
	if h.readOnly != 0 {
		order, err := v.order()
		return "The store is read-only: " + order.GetReason(), err
	}
	if s == nil || s.readOnly == 0 {
		return "", nil
	}
	doc, _, err := v.get(v.configKey(s.id, api.ConfigReadOnly))
	if err != nil {
		return "", err
	}
	ro, err := api.ParseReadOnly(doc)
	if err != nil {
		return "", broken("the order by which bucket %d is read-only", s.id)
	}
	return "The bucket is read-only: " + ro.Reason, nil
}

// order reads the last order that the group was given; an empty one when there was none.
func (v *view) order() (*ReadOnly, error) {
	order := new(ReadOnly)
	_, err := v.getMessage(v.keep(v.key(spaceOrder)), order)
	return order, err
}

// setReadOnly gives the group an order. The system group numbers a new one; the same as the last gets that one's
// number, so that it can be carried on where it did not reach all groups.
func (t *tx) setReadOnly(order *ReadOnly) (*Result, error) {
	if order == nil || len(order.Reason) > api.ReasonMax {
		return invalid("The order is missing, or its reason is longer than 256 bytes."), nil
	}
	have, err := t.order()
	if err != nil {
		return nil, err
	}
	switch {
	case order.Epoch == 0 && t.g != consensus.SystemGroup:
		return invalid("The order has no number."), nil
	case order.Epoch == 0 && have.Epoch != 0 && have.On == order.On && have.Reason == order.Reason:
		return &Result{Payload: &Result_ReadOnly{ReadOnly: have}}, nil
	case order.Epoch == 0:
		order.Epoch, order.Since = have.Epoch+1, t.now()
	case order.Epoch < have.Epoch:
		return refuse(api.OperationAborted, "A later order makes the store read-only, or ends that."), nil
	}
	t.h.readOnly = 0
	if order.On {
		t.h.readOnly = 1
	}
	return &Result{Payload: &Result_ReadOnly{ReadOnly: order}}, t.setMessage(t.keep(t.key(spaceOrder)), order)
}

// setBucketReadOnly keeps that a bucket is read-only where every write sees it.
func setBucketReadOnly(s *bucketState, c *SetBucketConfig) *Result {
	if c.Remove {
		s.readOnly = 0
		return nil
	}
	if ro, err := api.ParseReadOnly(c.Value); err != nil || !ro.On {
		return invalid("The order that makes the bucket read-only is malformed.")
	}
	s.readOnly = 1
	return nil
}

// queryReadOnly gives the group's order, and the buckets that are read-only by themselves.
func (v *view) queryReadOnly(q *ReadOnlyQuery) (*ReadOnlyAnswer, error) {
	order, err := v.order()
	if err != nil {
		return nil, err
	}
	a, most := &ReadOnlyAnswer{Order: order}, pageMax(q.GetMax(), readOnlyPageMax)
	if q.GetAfter() == ^uint64(0) {
		return a, nil
	}
	from := binary.BigEndian.AppendUint64(nil, q.GetAfter()+1)
	err = v.scanFrom(v.keep(v.key(spaceBucket)), from, func(id, val []byte) (bool, error) {
		if len(id) != 8 {
			return false, broken("bucket key of %d bytes in group %d", len(id), v.g)
		}
		s := bucketState{id: binary.BigEndian.Uint64(id)}
		if !s.parse(val) {
			return false, broken("record of bucket %d of group %d", s.id, v.g)
		}
		if s.readOnly == 0 || s.fenced != 0 {
			return true, nil
		}
		if len(a.Buckets) == most {
			a.Truncated = true
			return false, nil
		}
		a.Buckets = append(a.Buckets, s.id)
		return true, nil
	})
	return a, err
}
