package meta

import (
	"shoal/node/api"
)

const transitionItemsMax = 1000

// transition gives versions another storage class. Locks do not stand against it: what a version holds
// does not change.
func (t *tx) transition(c *Transition) (*Result, error) {
	if len(c.Items) == 0 || len(c.Items) > transitionItemsMax {
		return invalid("A transition names 1 to 1,000 versions."), nil
	}
	if r := checkClass(c.StorageClass); r != nil {
		return r, nil
	}
	s, r, err := t.bucket(c.Bucket)
	if r != nil || err != nil {
		return r, err
	}
	list := &TransitionedList{Codes: make([]uint32, len(c.Items))}
	for i, item := range c.Items {
		r, err := t.transitionItem(s, item, c.StorageClass)
		if err != nil {
			return nil, err
		}
		list.Codes[i] = r.GetCode()
	}
	return &Result{Payload: &Result_Transitioned{Transitioned: list}}, nil
}

// transitionItem gives one version its class, if it is still the one that was meant.
func (t *tx) transitionItem(s *bucketState, item *TransitionItem, class uint32) (*Result, error) {
	named := &AlterVersion{Key: item.GetKey(), Version: item.GetVersion(), NullVersion: item.GetNullVersion(), Seq: item.GetSeq()}
	if r := checkAlter(named); r != nil {
		return r, nil
	}
	h, current, r, err := t.named(s, named)
	if r != nil || err != nil {
		return r, err
	}
	switch {
	case h.mtime != item.GetMtime() || item.GetNoncurrent() && current:
		return refuse(api.PreconditionFailed, ""), nil
	case h.class() == class:
		return nil, nil
	case h.class() > class:
		return invalid("A transition leads to a storage class with less redundancy."), nil
	}
	return nil, t.setClass(s, item.Key, h, current, class)
}

// setClass writes a version's class into its head, and for those who recode it beside its owner.
func (t *tx) setClass(s *bucketState, key []byte, h *head, current bool, class uint32) error {
	h.flags = h.flags&^classMask | classFlags(class)
	if err := t.rewrite(s, key, h, current); err != nil {
		return err
	}
	if err := t.announce(Event_TRANSITIONED, s.id, key, h); err != nil || h.inline() {
		return err
	}
	var o OwnerRecord
	ok, err := t.getMessage(t.idKey(spaceOwner, h.version), &o)
	if err != nil {
		return err
	}
	if !ok || o.State != OwnerRecord_LIVE {
		return broken("version %x in bucket %d has no live owner", h.version, s.id)
	}
	o.StorageClass = class
	return t.setMessage(t.idKey(spaceOwner, h.version), &o)
}

// checkClass refuses a class that this release does not know.
func checkClass(class uint32) *Result {
	if class > 0xff || !api.StorageClass(class).Valid() {
		return invalid("The storage class is not known.")
	}
	return nil
}
