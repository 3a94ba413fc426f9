package apitest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"shoal/acl/policy"
	"shoal/node/api"
)

// Identities keeps users, groups, policies and access keys in memory: api.Identities, api.IdentityAdmin and
// api.Credentials. The zero value has none.
type Identities struct {
	mu       sync.Mutex // guards what follows
	epoch    uint64
	users    map[string]api.User
	groups   map[string]api.UserGroup
	policies map[string]api.NamedPolicy
	keys     map[string]api.IssuedKey
	sessions map[string]api.Session // by token
	settings []api.Setting
	set      int // how often settings were set
	asked    int // how often Identities has answered
	failing  error
}

// Fail makes questions fail, until it is called with nil.
func (m *Identities) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = err
}

// PutSettings sets all settings. They are given to whoever asks for what has changed.
func (m *Identities) PutSettings(settings ...api.Setting) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settings = settings
	m.set++
}

// Asked tells how often Identities has answered.
func (m *Identities) Asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// PutKey adds an access key with a secret that the test knows.
func (m *Identities) PutKey(k api.IssuedKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.init()
	m.keys[k.AccessKeyID] = k
}

// init runs under mu.
func (m *Identities) init() {
	if m.users == nil {
		m.users, m.groups = make(map[string]api.User), make(map[string]api.UserGroup)
		m.policies, m.keys = make(map[string]api.NamedPolicy), make(map[string]api.IssuedKey)
		m.epoch = 1
	}
}

// Credential implements api.Credentials.
func (m *Identities) Credential(_ context.Context, id string) (api.Credential, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.keys[id]
	if !ok || k.Disabled {
		return api.Credential{}, &api.Error{Kind: api.NoSuchCredential, Op: "apitest.Credential"}
	}
	return api.Credential{AccessKeyID: id, Secret: k.Secret, Principal: k.Principal, Expires: k.Expires, SessionPolicy: k.SessionPolicy}, nil
}

// Identities implements api.Identities. It always gives all identities.
func (m *Identities) Identities(_ context.Context, known api.Known) (*api.IdentityChanges, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.init()
	if m.failing != nil {
		return nil, m.failing
	}
	m.asked++
	c := &api.IdentityChanges{Epoch: m.epoch, SettingsSum: strconv.Itoa(m.set)}
	if c.SettingsSum != known.SettingsSum {
		c.Settings = append([]api.Setting{}, m.settings...)
	}
	if known.Epoch != m.epoch {
		c.Whole = true
		c.Users = sorted(m.users, func(u api.User) string { return u.Name })
		c.Groups = sorted(m.groups, func(g api.UserGroup) string { return g.Name })
		c.Policies = sorted(m.policies, func(p api.NamedPolicy) string { return p.Name })
	}
	return c, nil
}

func sorted[V any](m map[string]V, name func(V) string) []V {
	return slices.SortedFunc(maps.Values(m), func(a, b V) int { return cmp.Compare(name(a), name(b)) })
}

// IdentityList implements api.IdentityAdmin.
func (m *Identities) IdentityList(ctx context.Context) (api.IdentityList, error) {
	c, err := m.Identities(ctx, api.Known{})
	if err != nil {
		return api.IdentityList{}, err
	}
	return api.IdentityList{Users: c.Users, Groups: c.Groups, Policies: c.Policies}, nil
}

// ChangeIdentity implements api.IdentityAdmin.
func (m *Identities) ChangeIdentity(_ context.Context, c api.IdentityChange) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.init()
	m.epoch++
	switch c.Kind {
	case api.KindUser:
		return m.changeUser(&c)
	case api.KindGroup:
		g := m.groups[c.Name]
		g.Name, g.Policies = c.Name, alter(g.Policies, c.Do == api.DoAttach, c.Do == api.DoDetach, c.Policy)
		if m.groups[c.Name] = g; c.Do == api.DoDelete {
			delete(m.groups, c.Name)
		}
		return nil
	}
	if _, err := policy.ParseIdentity(c.Name, []byte(c.Document)); err != nil && c.Do != api.DoDelete {
		return api.Invalid("apitest.ChangeIdentity", err.Error())
	}
	if m.policies[c.Name] = (api.NamedPolicy{Name: c.Name, Document: c.Document}); c.Do == api.DoDelete {
		delete(m.policies, c.Name)
	}
	return nil
}

// changeUser runs under mu.
func (m *Identities) changeUser(c *api.IdentityChange) error {
	u, ok := m.users[c.Name]
	if !ok && c.Do != api.DoCreate {
		return &api.Error{Kind: api.NoSuchIdentity, Op: "apitest.ChangeIdentity"}
	}
	u.Name = c.Name
	u.Policies = alter(u.Policies, c.Do == api.DoAttach, c.Do == api.DoDetach, c.Policy)
	u.Groups = alter(u.Groups, c.Do == api.DoJoin, c.Do == api.DoLeave, c.Group)
	u.Disabled = c.Do == api.DoDisable || u.Disabled && c.Do != api.DoEnable
	m.users[c.Name] = u
	if c.Do == api.DoDelete {
		delete(m.users, c.Name)
		maps.DeleteFunc(m.keys, func(_ string, k api.IssuedKey) bool { return k.Principal == api.UserPrincipal+c.Name })
	}
	return nil
}

// alter gives a list with a name more or less; the old one stays as it is.
func alter(names []string, add, remove bool, name string) []string {
	out := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return (add || remove) && n == name })
	if add {
		out = append(out, name)
	}
	return out
}

// AccessKeys implements api.IdentityAdmin.
func (m *Identities) AccessKeys(context.Context) ([]api.AccessKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []api.AccessKey
	for _, k := range sorted(m.keys, func(k api.IssuedKey) string { return k.AccessKeyID }) {
		out = append(out, k.AccessKey)
	}
	return out, nil
}

// CreateKey implements api.IdentityAdmin.
func (m *Identities) CreateKey(_ context.Context, req api.NewKey) (api.IssuedKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.init()
	m.epoch++
	k := api.IssuedKey{Secret: fmt.Sprintf("secret-%030d", m.epoch), AccessKey: api.AccessKey{
		AccessKeyID: fmt.Sprintf("SHOLTEST%012d", m.epoch), Principal: req.Principal, SessionPolicy: req.SessionPolicy, Description: req.Description,
	}}
	m.keys[k.AccessKeyID] = k
	return k, nil
}

// IssueSession implements api.Sessions. The token stands for what is kept here.
func (m *Identities) IssueSession(_ context.Context, req api.NewSession) (api.IssuedSession, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.keys[req.Parent]
	mark := ""
	if req.Parent == "" && req.User != "" {
		u, known := m.users[req.User]
		if !known || u.Disabled {
			return api.IssuedSession{}, &api.Error{Kind: api.NoSuchIdentity, Op: "apitest.IssueSession"}
		}
		if k, ok = m.keys["SHOU"+req.User]; !ok {
			k, ok = api.IssuedKey{Secret: fmt.Sprintf("mark-%d", m.epoch), AccessKey: api.AccessKey{AccessKeyID: "SHOU" + req.User, Principal: api.UserPrincipal + req.User}}, true
			m.keys[k.AccessKeyID] = k
		}
		mark = api.MarkOf(k.Secret)
	}
	if !ok || k.Disabled {
		return api.IssuedSession{}, &api.Error{Kind: api.NoSuchCredential, Op: "apitest.IssueSession"}
	}
	m.epoch++
	now := time.Now()
	s := api.IssuedSession{Token: fmt.Sprintf("token-%d", m.epoch), Session: api.Session{
		AccessKeyID: fmt.Sprintf("SHOTTEST%012d", m.epoch), Secret: fmt.Sprintf("secret-%030d", m.epoch), Parent: k.AccessKeyID, ParentMark: mark, Principal: k.Principal,
		Name: req.Name, Role: req.Role, Policy: req.Policy, Issued: now, Expires: now.Add(req.Life),
	}}
	if !req.Until.IsZero() && req.Until.Before(s.Expires) {
		s.Expires = req.Until
	}
	if m.sessions == nil {
		m.sessions = make(map[string]api.Session)
	}
	m.sessions[s.Token] = s.Session
	return s, nil
}

// OpenSession implements api.Sessions.
func (m *Identities) OpenSession(_ context.Context, token string) (api.Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[token]
	if !ok {
		return s, &api.Error{Kind: api.NoSuchCredential, Op: "apitest.OpenSession"}
	}
	return s, nil
}

// RevokeAllKeys implements api.IdentityAdmin. It keeps root's when they are not asked for.
func (m *Identities) RevokeAllKeys(_ context.Context, req api.RevokeAll) (out api.RevokedKeys, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	for _, id := range slices.Sorted(maps.Keys(m.keys)) {
		if id == req.Spare || m.keys[id].Principal == api.RootPrincipal && !req.Root {
			out.Kept = append(out.Kept, id)
			continue
		}
		out.Revoked = append(out.Revoked, id)
		delete(m.keys, id)
	}
	return out, nil
}

// ReplaceRoot implements api.RootAdmin. The old access key ends at once, and no file holds it.
func (m *Identities) ReplaceRoot(ctx context.Context, req api.ReplaceRoot) (out api.ReplacedRoot, err error) {
	if out.IssuedKey, err = m.CreateKey(ctx, api.NewKey{Principal: api.RootPrincipal}); err == nil {
		err = m.ChangeKey(ctx, api.KeyChange{AccessKeyID: req.AccessKeyID, Do: api.DoRevoke})
	}
	return out, err
}

// SwitchRoot implements api.RootAdmin.
func (m *Identities) SwitchRoot(_ context.Context, disabled bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch++
	for id, k := range m.keys {
		if k.Principal == api.RootPrincipal {
			k.Disabled = disabled
			m.keys[id] = k
		}
	}
	return nil
}

// ChangeKey implements api.IdentityAdmin.
func (m *Identities) ChangeKey(_ context.Context, c api.KeyChange) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.keys[c.AccessKeyID]
	if !ok {
		return &api.Error{Kind: api.NoSuchCredential, Op: "apitest.ChangeKey"}
	}
	m.epoch++
	k.Disabled = c.Do == api.DoDisable
	if m.keys[c.AccessKeyID] = k; c.Do == api.DoRevoke {
		delete(m.keys, c.AccessKeyID)
	}
	return nil
}
