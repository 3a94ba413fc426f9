package meta

import (
	"bytes"
	"slices"
	"strings"

	"shoal/node/api"
)

// Bounds of identities. What a user names is bounded, and with it what a request must be held against.
const (
	identityNameMax = 64
	documentMax     = 20 << 10 // bytes
	attachedMax     = 20       // policies of a user or a group
	memberOfMax     = 20       // groups of a user
	usersMax        = 100_000
	groupsMax       = 10_000
	policiesMax     = 10_000
)

// cannedPolicies are the policies that every store has. They are part of what a command means, and so the
// list stays as it is.
var cannedPolicies = []string{"admin", "readonly", "readwrite", "writeonly"}

// identityKey is the key of an identity: kind, then name.
func (v *view) identityKey(kind IdentityKind, name string) []byte {
	return v.keep(append(append(v.key(spaceIdentity), byte(kind)), name...))
}

// kindOf says what an identity is.
func (i *Identity) kindOf() IdentityKind {
	switch i.GetKind().(type) {
	case *Identity_User:
		return IdentityKind_IDENTITY_USER
	case *Identity_Group:
		return IdentityKind_IDENTITY_GROUP
	case *Identity_Policy:
		return IdentityKind_IDENTITY_POLICY
	}
	return IdentityKind_IDENTITY_NONE
}

// attached are the policies that an identity names.
func (i *Identity) attached() []string {
	if u := i.GetUser(); u != nil {
		return u.Policies
	}
	return i.GetGroup().GetPolicies()
}

// putIdentity adds or replaces an identity.
func (t *tx) putIdentity(c *PutIdentity) (*Result, error) {
	i := c.Identity
	if r := checkIdentity(i); r != nil {
		return r, nil
	}
	if r, err := t.checkNamed(i); r != nil || err != nil {
		return r, err
	}
	kind := i.kindOf()
	have := new(Identity)
	ok, err := t.getMessage(t.identityKey(kind, i.Name), have)
	if err != nil {
		return nil, err
	}
	switch {
	case ok && c.CreateOnly:
		return refuse(api.IdentityExists, ""), nil
	case !ok && c.IfEpoch != 0:
		return refuse(api.NoSuchIdentity, ""), nil
	case c.IfEpoch != 0 && c.IfEpoch != have.Epoch:
		return refuse(api.ConditionalConflict, "It was changed by somebody else."), nil
	}
	i.Created = t.now()
	if ok {
		i.Created = have.Created
	} else if r, err := t.countIdentity(kind, 1); r != nil || err != nil {
		return r, err
	}
	if i.Epoch, err = t.noteIdentity(kind, i.Name, have.Epoch); err != nil {
		return nil, err
	}
	return &Result{Payload: &Result_Identity{Identity: i}}, t.setMessage(t.identityKey(kind, i.Name), i)
}

func checkIdentity(i *Identity) *Result {
	if !validIdentityName(i.GetName()) {
		return invalid("A name has 1 to 64 letters, digits and +=,.@_-.")
	}
	switch i.kindOf() {
	case IdentityKind_IDENTITY_USER:
		if g := i.GetUser().Groups; len(g) > memberOfMax || !ascending(g) {
			return invalid("A user is in at most 20 groups, named once each in ascending order.")
		}
	case IdentityKind_IDENTITY_GROUP:
	case IdentityKind_IDENTITY_POLICY:
		if slices.Contains(cannedPolicies, i.Name) {
			return refuse(api.IdentityExists, "Every store has a policy of this name.")
		}
		if n := len(i.GetPolicy().Document); n == 0 || n > documentMax {
			return invalid("A policy has 1 byte to 20 KiB.")
		}
	default:
		return invalid("An identity is a user, a group or a policy.")
	}
	if p := i.attached(); len(p) > attachedMax || !ascending(p) {
		return invalid("At most 20 policies can be attached, named once each in ascending order.")
	}
	return nil
}

func ascending(names []string) bool {
	for i := 1; i < len(names); i++ {
		if names[i-1] >= names[i] {
			return false
		}
	}
	return true
}

func validIdentityName(name string) bool {
	if len(name) == 0 || len(name) > identityNameMax {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("+=,.@_-", c) >= 0) {
			return false
		}
	}
	return true
}

// checkNamed refuses an identity that names what does not exist.
func (t *tx) checkNamed(i *Identity) (*Result, error) {
	for _, name := range i.attached() {
		if slices.Contains(cannedPolicies, name) {
			continue
		}
		ok, err := t.has(t.identityKey(IdentityKind_IDENTITY_POLICY, name))
		if err != nil {
			return nil, err
		}
		if !ok {
			return refuse(api.NoSuchIdentity, "A policy that was named does not exist."), nil
		}
	}
	for _, name := range i.GetUser().GetGroups() {
		ok, err := t.has(t.identityKey(IdentityKind_IDENTITY_GROUP, name))
		if err != nil {
			return nil, err
		}
		if !ok {
			return refuse(api.NoSuchIdentity, "A group that was named does not exist."), nil
		}
	}
	return nil, nil
}

// countIdentity keeps the number of identities of a kind within its bound.
func (t *tx) countIdentity(kind IdentityKind, by int) (*Result, error) {
	bound := [...]struct {
		counter string
		most    uint64
	}{
		IdentityKind_IDENTITY_USER:   {"users", usersMax},
		IdentityKind_IDENTITY_GROUP:  {"groups", groupsMax},
		IdentityKind_IDENTITY_POLICY: {"policies", policiesMax},
	}[kind]
	n, _, err := t.getUint(t.nameKey(spaceCounter, bound.counter))
	switch {
	case err != nil:
		return nil, err
	case by > 0 && n >= bound.most:
		return refuse(api.SlowDown, "There are too many of them."), nil
	case by < 0 && n == 0:
		return nil, broken("there are no %s left to count down", bound.counter)
	}
	return nil, t.setUint(t.nameKey(spaceCounter, bound.counter), n+uint64(by))
}

// deleteIdentity removes an identity.
func (t *tx) deleteIdentity(c *DeleteIdentity) (*Result, error) {
	have := new(Identity)
	if _, ok := IdentityKind_name[int32(c.Kind)]; !ok || c.Kind == IdentityKind_IDENTITY_NONE {
		return invalid("An identity is a user, a group or a policy."), nil
	}
	ok, err := t.getMessage(t.identityKey(c.Kind, c.Name), have)
	if err != nil {
		return nil, err
	}
	if !ok {
		return refuse(api.NoSuchIdentity, ""), nil
	}
	if c.Kind == IdentityKind_IDENTITY_USER {
		if err := t.deleteKeysOf(api.UserPrincipal + c.Name); err != nil {
			return nil, err
		}
	} else if user, err := t.userOf(c.Kind, c.Name); user != "" || err != nil {
		return refuse(api.IdentityInUse, "It is in use by "+user+"."), err
	}
	if r, err := t.countIdentity(c.Kind, -1); r != nil || err != nil {
		return r, err
	}
	if _, err := t.noteIdentity(c.Kind, c.Name, have.Epoch); err != nil {
		return nil, err
	}
	return &Result{}, t.delete(t.identityKey(c.Kind, c.Name))
}

// deleteKeysOf removes the access keys that act for a principal.
func (t *tx) deleteKeysOf(principal string) error {
	var ids []string
	err := t.scan(t.keep(t.key(spaceCredential)), func(id, val []byte) (bool, error) {
		var k Credential
		if err := unmarshal(val, &k); err != nil {
			return false, err
		}
		if k.Principal == principal {
			ids = append(ids, string(id))
		}
		return true, nil
	})
	for _, id := range ids {
		if err == nil {
			err = t.forgetKey(id)
		}
	}
	return err
}

// userOf finds one that names a group or a policy: "" for none.
func (v *view) userOf(kind IdentityKind, name string) (user string, err error) {
	err = v.scan(v.keep(v.key(spaceIdentity)), func(_, val []byte) (bool, error) {
		var i Identity
		if err := unmarshal(val, &i); err != nil {
			return false, err
		}
		names, what := i.attached(), "group "
		if kind == IdentityKind_IDENTITY_GROUP {
			names = i.GetUser().GetGroups()
		}
		if i.GetUser() != nil {
			what = "user "
		}
		if slices.Contains(names, name) {
			user = what + i.Name
		}
		return user == "", nil
	})
	return user, err
}

func (v *view) queryIdentity(q *IdentityQuery) (*Identity, *Result, error) {
	i := new(Identity)
	ok, err := v.getMessage(v.identityKey(q.Kind, q.Name), i)
	if err == nil && !ok {
		return nil, refuse(api.NoSuchIdentity, ""), nil
	}
	return i, nil, err
}

// noteIdentity takes the next epoch for a change of an identity, whose last one was at the epoch old.
func (t *tx) noteIdentity(kind IdentityKind, name string, old uint64) (uint64, error) {
	epoch, err := t.take(spaceCounter, counterIAM, 1)
	if err != nil {
		return 0, err
	}
	if old != 0 {
		if err := t.delete(t.uintKey(spaceChanged, old)); err != nil {
			return 0, err
		}
	}
	if epoch > changesKept {
		if err := t.delete(t.uintKey(spaceChanged, epoch-changesKept)); err != nil {
			return 0, err
		}
	}
	entry := append([]byte{byte(kind)}, name...)
	return epoch, t.set(bytes.Clone(t.uintKey(spaceChanged, epoch)), entry)
}
