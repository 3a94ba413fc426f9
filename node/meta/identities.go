package meta

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"shoal/node/api"
)

const (
	// changesKept is for how many epochs it is known what has changed in each.
	changesKept        = 10_000
	identitiesPage     = 1000
	identitiesPageSize = 1 << 20 // bytes
)

// queryIdentities gives what has changed since an epoch, or all.
func (v *view) queryIdentities(q *IdentitiesQuery) (*IdentitiesAnswer, error) {
	next, _, err := v.getUint(v.nameKey(spaceCounter, counterIAM))
	if err != nil {
		return nil, err
	}
	a := &IdentitiesAnswer{Epoch: max(next, 1) - 1}
	if q.Settings {
		if err := v.changedSettings(a, q.SettingsSum); err != nil {
			return nil, err
		}
	}
	known := q.After != 0 && q.After <= a.Epoch && a.Epoch-q.After < changesKept
	switch {
	case !known || len(q.From) > 0:
		a.Whole = true
		return a, v.allIdentities(a, q.From)
	case q.After == a.Epoch:
		return a, nil
	}
	return a, v.changedIdentities(a, q.After)
}

// changedSettings fills in the settings and their sum, or the sum alone when it is that of those that are known. A sum says what is
// set and not when: with settings that were changed and put back between two questions, what is known is right.
func (v *view) changedSettings(a *IdentitiesAnswer, known []byte) error {
	settings := &DynamicAnswer{Values: make(map[string]string)}
	sum := sha256.New()
	err := v.scan(v.keep(v.key(spaceSetting)), func(name, val []byte) (bool, error) {
		for _, b := range [...][]byte{name, val} {
			sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
			sum.Write(b)
		}
		settings.Values[string(name)] = string(val)
		return true, nil
	})
	if a.SettingsSum = sum.Sum(nil); !bytes.Equal(a.SettingsSum, known) {
		a.Settings = settings
	}
	return err
}

// allIdentities fills a page of all.
func (v *view) allIdentities(a *IdentitiesAnswer, from []byte) error {
	size := 0
	return v.scanFrom(v.keep(v.key(spaceIdentity)), from, func(suffix, val []byte) (bool, error) {
		if len(a.Identities) == identitiesPage || size > identitiesPageSize {
			a.Truncated, a.Next = true, bytes.Clone(suffix)
			return false, nil
		}
		size += len(val)
		i := new(Identity)
		a.Identities = append(a.Identities, i)
		return true, unmarshal(val, i)
	})
}

// changedIdentities fills a page of what changed after an epoch.
func (v *view) changedIdentities(a *IdentitiesAnswer, after uint64) error {
	type change struct {
		epoch uint64
		kind  IdentityKind
		name  string
	}
	var changes []change
	err := v.scanFrom(v.keep(v.key(spaceChanged)), binary.BigEndian.AppendUint64(nil, after+1), func(suffix, val []byte) (bool, error) {
		if len(suffix) != 8 || len(val) == 0 {
			return false, broken("change %x of identities", suffix)
		}
		changes = append(changes, change{binary.BigEndian.Uint64(suffix), IdentityKind(val[0]), string(val[1:])})
		return len(changes) <= identitiesPage, nil
	})
	if err != nil {
		return err
	}
	size, last := 0, after
	for n, c := range changes {
		if n == identitiesPage || size > identitiesPageSize {
			a.Truncated, a.Epoch = true, last
			return nil
		}
		i := new(Identity)
		ok, err := v.getMessage(v.identityKey(c.kind, c.name), i)
		if err != nil {
			return err
		}
		switch last = c.epoch; {
		case !ok:
			a.Gone = append(a.Gone, &IdentityName{Kind: c.kind, Name: c.name})
		case i.Epoch == c.epoch:
			size += len(i.GetPolicy().GetDocument())
			a.Identities = append(a.Identities, i)
		}
	}
	return nil
}

// WithSecret gives the credential as package api has it.
func (k *Credential) WithSecret(secret string) api.Credential {
	return api.Credential{
		AccessKeyID: k.GetAccessKeyId(), Secret: secret, Principal: k.GetPrincipal(), Expires: optionalTime(k.GetExpires()), SessionPolicy: string(k.GetSessionPolicy()),
	}
}

// Describe gives the credential without its secret.
func (k *Credential) Describe() api.AccessKey {
	return api.AccessKey{
		AccessKeyID: k.GetAccessKeyId(), Principal: k.GetPrincipal(), Disabled: k.GetDisabled(), Created: optionalTime(k.GetCreated()),
		Expires: optionalTime(k.GetExpires()), SessionPolicy: string(k.GetSessionPolicy()), Description: k.GetDescription(),
		LastUsed: optionalTime(k.GetUsed()),
	}
}

// optionalTime is the zero time for 0.
func optionalTime(unixNano int64) time.Time {
	if unixNano == 0 {
		return time.Time{}
	}
	return time.Unix(0, unixNano).UTC()
}
