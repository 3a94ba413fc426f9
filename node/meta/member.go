package meta

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"shoal/node/api"
)

const (
	memberListMax  = 64 // roles, addresses
	memberDriveMax = 256
	weightMax      = 1000 // percent
	signedMax      = 4096 // bytes of a signed revocation
	inviteTTLMax   = 7 * 24 * time.Hour
	inviteKept     = 24 * time.Hour // after it expired
	invitesMax     = 10_000
)

// putMember adds a member, or takes over what a member says of itself, and gives it the next member
// epoch. What others decide about a member stays as it is: roles, site, weight, and that it is being
// drained.
func (t *tx) putMember(m *Member) (*Result, error) {
	if r := checkMember(m); r != nil {
		return r, nil
	}
	var old Member
	known, err := t.getMessage(t.nameKey(spaceMember, m.PeerId), &old)
	if err != nil {
		return nil, err
	}
	if known {
		m.Roles, m.Site = old.Roles, old.Site
	}
	return t.storeMember(m, &old, known)
}

// storeMember writes a member's row. old is the one before, if known.
func (t *tx) storeMember(m, old *Member, known bool) (*Result, error) {
	m.Joined = t.now()
	if known {
		m.Weight, m.Joined, m.Serial = old.Weight, old.Joined, max(m.Serial, old.Serial)
		m.State = old.State
	}
	if m.State == MemberState_MEMBER_LOST {
		m.State = MemberState_MEMBER_ACTIVE // it is back
	}
	for _, d := range m.Drives {
		d.Node, d.Site = m.PeerId, m.Site
	}
	var gone Revocation
	ok, err := t.getMessage(t.nameKey(spaceRevocation, m.PeerId), &gone)
	if err != nil {
		return nil, err
	}
	if ok && m.Serial <= gone.Serial {
		return refuse(api.AccessDenied, "The member's credential was revoked."), nil
	}
	return t.writeMember(m)
}

// renewSerial gives one who is invited anew a serial above that of its revocation, whatever the clock
// was that numbered it.
func (t *tx) renewSerial(m *Member) error {
	var gone Revocation
	ok, err := t.getMessage(t.nameKey(spaceRevocation, m.PeerId), &gone)
	if ok && m.Serial <= gone.Serial {
		m.Serial = gone.Serial + 1
	}
	return err
}

// writeMember gives a row the next epoch.
func (t *tx) writeMember(m *Member) (*Result, error) {
	epoch, err := t.take(spaceCounter, counterMember, 1)
	if err != nil {
		return nil, err
	}
	m.Epoch = epoch
	return &Result{Payload: &Result_Member{Member: m}}, t.setMessage(t.nameKey(spaceMember, m.PeerId), m)
}

// setMember changes what others decide about a member.
func (t *tx) setMember(c *SetMember) (*Result, error) {
	m := new(Member)
	ok, err := t.getMessage(t.nameKey(spaceMember, c.PeerId), m)
	if err != nil {
		return nil, err
	}
	switch {
	case !ok:
		return invalid("No member has this peer ID."), nil
	case c.Site != nil && (len(*c.Site) == 0 || len(*c.Site) > nameMax):
		return invalid("The site's name is empty or too long."), nil
	case c.Weight != nil && (*c.Weight < 1 || *c.Weight > weightMax):
		return invalid("The weight must be 1 to 1,000 percent."), nil
	case c.State != nil && MemberState_name[int32(*c.State)] == "":
		return invalid("The state is not known."), nil
	}
	old := proto.Clone(m)
	if c.Site != nil {
		m.Site = *c.Site
		for _, d := range m.Drives {
			d.Site = m.Site
		}
	}
	if c.Weight != nil {
		m.Weight = *c.Weight
	}
	if c.State != nil {
		m.State = *c.State
	}
	if proto.Equal(old, m) {
		return &Result{Payload: &Result_Member{Member: m}}, nil
	}
	return t.writeMember(m)
}

func checkMember(m *Member) *Result {
	ok := m != nil && len(m.PeerId) > 0 && len(m.PeerId) <= peerIDMax && len(m.Roles) <= memberListMax && len(m.Addrs) <= memberListMax &&
		len(m.Drives) <= memberDriveMax && len(m.Site) <= nameMax
	if !ok {
		return invalid("The member's description is out of range.")
	}
	for _, d := range m.Drives {
		if len(d.GetId()) != 16 {
			return invalid("A drive ID must have 16 bytes.")
		}
	}
	return nil
}

// removeMember takes a member out and revokes its credentials so far.
func (t *tx) removeMember(c *RemoveMember) (*Result, error) {
	m := new(Member)
	ok, err := t.getMessage(t.nameKey(spaceMember, c.PeerId), m)
	if err != nil {
		return nil, err
	}
	switch {
	case !ok:
		return invalid("No member has this peer ID."), nil
	case c.Serial != 0 && c.Serial < m.Serial:
		return refuse(api.ConditionalConflict, "The member's credential is a newer one."), nil
	case len(c.Signed) > signedMax:
		return invalid("The revocation is too long."), nil
	}
	if m.Epoch, err = t.take(spaceCounter, counterMember, 1); err != nil {
		return nil, err
	}
	if err := t.delete(t.nameKey(spaceMember, c.PeerId)); err != nil {
		return nil, err
	}
	return &Result{Payload: &Result_Member{Member: m}}, t.setMessage(t.nameKey(spaceRevocation, c.PeerId), &Revocation{
		PeerId: c.PeerId, Serial: max(m.Serial, c.Serial), Epoch: m.Epoch, Time: t.now(), Signed: c.Signed,
	})
}

// queryMembers gives the whole member table.
func (v *view) queryMembers() (*MembersAnswer, error) {
	next, _, err := v.getUint(v.nameKey(spaceCounter, counterMember))
	if err != nil {
		return nil, err
	}
	a := &MembersAnswer{Epoch: max(next, 1) - 1}
	err = v.scan(v.keep(v.key(spaceMember)), func(_, val []byte) (bool, error) {
		m := new(Member)
		a.Members = append(a.Members, m)
		return true, unmarshal(val, m)
	})
	if err != nil {
		return nil, err
	}
	err = v.scan(v.keep(v.key(spaceRevocation)), func(_, val []byte) (bool, error) {
		r := new(Revocation)
		a.Revocations = append(a.Revocations, r)
		return true, unmarshal(val, r)
	})
	return a, err
}

func (v *view) inviteKey(id []byte) []byte { return v.keep(append(v.key(spaceInvite), id...)) }

// putInvite stores an invite and forgets those that expired long ago.
func (t *tx) putInvite(i *Invite, life int64) (*Result, error) {
	if i != nil && life > 0 && life <= int64(inviteTTLMax) {
		// The group's clock may be ahead of that of whoever invites.
		i.Expires = max(i.GetExpires(), t.now()+life)
	}
	switch {
	case i == nil || len(i.TokenId) == 0 || len(i.TokenId) > nameMax || len(i.SecretHash) != 32 && i.PeerId == "":
		return invalid("The invite's token or hash is malformed."), nil
	case i.PeerId != "" && i.PeerId != string(i.TokenId):
		return invalid("The invite of a peer must have the peer's ID as its token ID."), nil
	case len(i.Roles) > memberListMax || len(i.Site) > nameMax:
		return invalid("The invite's roles or site are out of range."), nil
	case i.Expires <= t.now() || i.Expires > t.now()+int64(inviteTTLMax+time.Hour):
		return invalid("An invite lives up to 7 days."), nil
	}
	known, err := t.has(t.inviteKey(i.TokenId))
	if err != nil {
		return nil, err
	}
	if known && i.PeerId == "" {
		return refuse(api.ConditionalConflict, "The token ID is in use."), nil
	}
	left, err := t.pruneInvites()
	if err != nil {
		return nil, err
	}
	if left >= invitesMax {
		return refuse(api.SlowDown, "There are too many open invites."), nil
	}
	i.UsedBy, i.Used = "", 0
	return &Result{}, t.setMessage(t.inviteKey(i.TokenId), i)
}

// pruneInvites forgets old invites and counts those that stay.
func (t *tx) pruneInvites() (left int, err error) {
	var old [][]byte
	err = t.scan(t.keep(t.key(spaceInvite)), func(id, val []byte) (bool, error) {
		var i Invite
		if err := unmarshal(val, &i); err != nil {
			return false, err
		}
		if i.Expires+int64(inviteKept) < t.now() {
			old = append(old, bytes.Clone(id))
		} else {
			left++
		}
		return true, nil
	})
	if err != nil {
		return 0, err
	}
	for _, id := range old {
		if err := t.delete(t.inviteKey(id)); err != nil {
			return 0, err
		}
	}
	return left, nil
}

// useInvite spends an invite and adds the member, both or neither.
func (t *tx) useInvite(c *UseInvite) (*Result, error) {
	denied := refuse(api.AccessDenied, "The invite does not admit this peer.")
	i := new(Invite)
	if len(c.TokenId) == 0 || len(c.TokenId) > nameMax || checkMember(c.Member) != nil {
		return denied, nil
	}
	ok, err := t.getMessage(t.inviteKey(c.TokenId), i)
	if err != nil {
		return nil, err
	}
	if !ok || !bytes.Equal(i.SecretHash, c.SecretHash) || i.Expires <= t.now() ||
		i.Site != c.Member.Site || !slices.Equal(i.Roles, c.Member.Roles) {
		return denied, nil
	}
	if i.PeerId != "" && i.PeerId != c.Member.PeerId {
		return denied, nil
	}
	if i.UsedBy != "" {
		return refuse(api.AccessDenied, "The invite was used."), nil
	}
	if err := t.renewSerial(c.Member); err != nil {
		return nil, err
	}
	var old Member
	known, err := t.getMessage(t.nameKey(spaceMember, c.Member.PeerId), &old)
	if err != nil {
		return nil, err
	}
	r, err := t.storeMember(c.Member, &old, known)
	if err != nil || r.Code != 0 {
		return r, err
	}
	i.UsedBy, i.Used = c.Member.PeerId, t.now()
	return r, t.setMessage(t.inviteKey(c.TokenId), i)
}

func (v *view) queryInvite(q *InviteQuery) (*Invite, *Result, error) {
	i := new(Invite)
	ok, err := v.getMessage(v.inviteKey(q.TokenId), i)
	if err == nil && !ok {
		return nil, refuse(api.NoSuchCredential, "No such invite."), nil
	}
	return i, nil, err
}

// Bounds of an access key beside its name and secret.
const (
	descriptionMax = 256
	credentialsMax = 100_000
)

// putCredential adds or replaces an access key.
func (t *tx) putCredential(c *PutCredential) (*Result, error) {
	k := c.Credential
	if r, err := t.checkCredential(k); r != nil || err != nil {
		return r, err
	}
	var have Credential
	ok, err := t.getMessage(t.nameKey(spaceCredential, k.AccessKeyId), &have)
	if err != nil {
		return nil, err
	}
	switch {
	case ok && c.CreateOnly:
		return refuse(api.ConditionalConflict, "The access key exists."), nil
	case !ok && c.IfEpoch != 0:
		return refuse(api.NoSuchCredential, ""), nil
	case c.IfEpoch != 0 && c.IfEpoch != have.Epoch:
		return refuse(api.ConditionalConflict, "The access key has changed."), nil
	}
	if !ok {
		if full, err := t.hasCredentials(credentialsMax); full || err != nil {
			return refuse(api.SlowDown, "There are too many access keys."), err
		}
	}
	if r, err := t.endCredential(c); r != nil || err != nil {
		return r, err
	}
	k.Created = t.now()
	if ok {
		k.Created = have.Created
	}
	return &Result{Payload: &Result_Credential{Credential: k}}, t.storeCredential(k)
}

// storeCredential keeps an access key with the next epoch.
func (t *tx) storeCredential(k *Credential) (err error) {
	if k.Epoch, err = t.take(spaceCounter, counterIAM, 1); err != nil {
		return err
	}
	k.Used = 0
	return t.setMessage(t.nameKey(spaceCredential, k.AccessKeyId), k)
}

// endCredential gives the access key that a new one replaces its end, or refuses both.
func (t *tx) endCredential(c *PutCredential) (*Result, error) {
	e := c.Ends
	if e == nil {
		return nil, nil
	}
	if !c.CreateOnly || e.Expires <= 0 || e.Expires > stampMax || e.AccessKeyId == c.Credential.AccessKeyId {
		return invalid("Only a new access key takes the place of another, which ends then."), nil
	}
	var old Credential
	ok, err := t.getMessage(t.nameKey(spaceCredential, e.AccessKeyId), &old)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return refuse(api.NoSuchCredential, ""), nil
	case e.IfEpoch != old.Epoch:
		return refuse(api.ConditionalConflict, "The access key has changed."), nil
	case old.Expires != 0 && old.Expires <= e.Expires:
		return nil, nil
	}
	old.Expires = e.Expires
	return nil, t.storeCredential(&old)
}

// checkCredential holds an access key against its bounds. The user that it acts for must exist.
func (t *tx) checkCredential(k *Credential) (*Result, error) {
	n := len(k.GetAccessKeyId())
	if n == 0 || n > 128 || len(k.Sealed) == 0 || len(k.Sealed) > sealedBytesMax || len(k.Principal) > principalMax ||
		len(k.SessionPolicy) > documentMax || len(k.Description) > descriptionMax || k.Expires < 0 || k.Expires > stampMax {
		return invalid("The credential is out of range."), nil
	}
	name, ok := strings.CutPrefix(k.Principal, api.UserPrincipal)
	if !ok {
		return nil, nil
	}
	known, err := t.has(t.identityKey(IdentityKind_IDENTITY_USER, name))
	if err == nil && !known {
		return refuse(api.NoSuchIdentity, "The access key's user does not exist."), nil
	}
	return nil, err
}

// hasCredentials tells whether there are n access keys or more.
func (v *view) hasCredentials(n int) (bool, error) {
	err := v.scan(v.keep(v.key(spaceCredential)), func(_, _ []byte) (bool, error) {
		n--
		return n > 0, nil
	})
	return n <= 0, err
}

// deleteCredential removes an access key.
func (t *tx) deleteCredential(c *DeleteCredential) (*Result, error) {
	ok, err := t.has(t.nameKey(spaceCredential, c.AccessKeyId))
	if err != nil {
		return nil, err
	}
	if !ok {
		return refuse(api.NoSuchCredential, ""), nil
	}
	if _, err := t.take(spaceCounter, counterIAM, 1); err != nil {
		return nil, err
	}
	return &Result{}, t.forgetKey(c.AccessKeyId)
}

func (v *view) queryCredential(q *CredentialQuery) (*Credential, *Result, error) {
	k := new(Credential)
	ok, err := v.getMessage(v.nameKey(spaceCredential, q.AccessKeyId), k)
	if err == nil && !ok {
		return nil, refuse(api.NoSuchCredential, ""), nil
	}
	if err != nil {
		return nil, nil, err
	}
	return k, nil, v.applyRoot(k)
}

func (v *view) queryCredentials(q *CredentialsQuery) (*CredentialsAnswer, error) {
	a, most := new(CredentialsAnswer), pageMax(q.Max, 1000)
	w := &view{r: v.r, g: v.g} // reads while the scan holds v's buffers
	var from []byte
	if q.After != "" {
		from = append([]byte(q.After), 0)
	}
	err := v.scanFrom(v.keep(v.key(spaceCredential)), from, func(_, val []byte) (bool, error) {
		if len(a.Credentials) == most {
			a.Truncated = true
			return false, nil
		}
		k := new(Credential)
		a.Credentials = append(a.Credentials, k)
		if err := unmarshal(val, k); err != nil {
			return false, err
		}
		used, _, err := w.getUint(w.nameKey(spaceUsed, k.AccessKeyId))
		k.Used = int64(used)
		return true, errors.Join(err, w.applyRoot(k))
	})
	return a, err
}
