package meta

import "shoal/node/api"

// noteKeyUses keeps when access keys were last used. It is no change of them.
func (t *tx) noteKeyUses(c *NoteKeyUses) (*Result, error) {
	if len(c.Uses) == 0 || len(c.Uses) > api.KeyUseMax {
		return invalid("Uses are told of 1 to 1,000 access keys."), nil
	}
	for _, u := range c.Uses {
		known, err := t.has(t.nameKey(spaceCredential, u.GetAccessKeyId()))
		if err != nil {
			return nil, err
		}
		have, _, err := t.getUint(t.nameKey(spaceUsed, u.GetAccessKeyId()))
		if err != nil {
			return nil, err
		}
		at := uint64(max(min(u.GetTime(), t.now()), 0))
		if !known || at <= have {
			continue
		}
		if err := t.setUint(t.nameKey(spaceUsed, u.GetAccessKeyId()), at); err != nil {
			return nil, err
		}
	}
	return &Result{}, nil
}

// forgetKey removes an access key and when it was used.
func (t *tx) forgetKey(accessKeyID string) error {
	if err := t.delete(t.nameKey(spaceUsed, accessKeyID)); err != nil {
		return err
	}
	return t.delete(t.nameKey(spaceCredential, accessKeyID))
}
