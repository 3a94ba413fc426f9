package meta

import (
	"bytes"

	"shoal/node/api"
)

// acmeItemsMax bounds how many items there are; api has the other bounds.
const acmeItemsMax = 500

// putACMEItem adds or replaces an item, and forgets those that have expired.
func (t *tx) putACMEItem(c *PutAcmeItem) (*Result, error) {
	item := c.Item
	if n := len(item.GetName()); n == 0 || n > api.ACMENameMax || len(item.Sealed) == 0 || len(item.Sealed) > api.ACMESealedMax || item.Expires < 0 {
		return invalid("The item's name, content or end is out of range."), nil
	}
	var have AcmeItem // as it is without those that have expired
	var gone [][]byte
	count := 0
	err := t.scan(t.keep(t.key(spaceACME)), func(name, val []byte) (bool, error) {
		var i AcmeItem
		if err := unmarshal(val, &i); err != nil {
			return false, err
		}
		switch {
		case i.Expires != 0 && i.Expires <= t.now():
			gone = append(gone, bytes.Clone(name))
		case i.Name == item.Name:
			have.Epoch = i.Epoch
		default:
			count++
		}
		return true, nil
	})
	switch {
	case err != nil:
		return nil, err
	case c.CreateOnly && have.Epoch != 0, c.IfEpoch != 0 && c.IfEpoch != have.Epoch:
		return refuse(api.ConditionalConflict, "The item is another by now."), nil
	case count >= acmeItemsMax:
		return refuse(api.SlowDown, "There are too many items of ACME."), nil
	}
	for _, name := range gone {
		if err := t.delete(t.nameKey(spaceACME, string(name))); err != nil {
			return nil, err
		}
	}
	item.Epoch = t.h.clock
	return &Result{Payload: &Result_AcmeItem{&AcmeItem{Name: item.Name, Epoch: item.Epoch}}}, t.setMessage(t.nameKey(spaceACME, item.Name), item)
}
