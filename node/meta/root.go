package meta

import "shoal/node/api"

// switchRoot disables or enables root.
func (t *tx) switchRoot(c *SwitchRoot) (*Result, error) {
	if _, err := t.take(spaceCounter, counterIAM, 1); err != nil {
		return nil, err
	}
	t.h.rootOff = 0
	if c.GetDisabled() {
		t.h.rootOff = 1
	}
	return &Result{}, nil
}

// applyRoot makes an access key of root one that is disabled while root is.
func (v *view) applyRoot(k *Credential) error {
	if k.GetPrincipal() != api.RootPrincipal {
		return nil
	}
	var h header
	err := v.header(&h)
	k.Disabled = k.Disabled || h.rootOff != 0
	return err
}
