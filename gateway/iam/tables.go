package iam

import (
	"maps"
	"strings"
	"sync"

	"shoal/acl"
	"shoal/acl/policy"
	"shoal/node/api"
)

// tables are users, groups and policies at an epoch. They never change once they are in use.
type tables struct {
	epoch    uint64
	users    map[string]*user
	groups   map[string]*api.UserGroup
	policies map[string]acl.Policy
	// canonical holds the names of users by their canonical IDs.
	canonical map[string]string
}

// user is a user with the policies of its own and of its groups.
type user struct {
	api.User
	canonical string
	rules     []acl.Policy
}

func newTables() *tables {
	t := &tables{users: map[string]*user{}, groups: map[string]*api.UserGroup{}, policies: map[string]acl.Policy{}}
	for _, name := range policy.CannedNames() {
		text, _ := policy.Canned(name)
		t.policies[name] = read(name, string(text))
	}
	return t
}

// apply gives the tables after changes.
func (t *tables) apply(c *api.IdentityChanges) *tables {
	if !c.Whole && c.Epoch == t.epoch {
		return t
	}
	out := newTables()
	if !c.Whole {
		out = &tables{users: maps.Clone(t.users), groups: maps.Clone(t.groups), policies: maps.Clone(t.policies)}
	}
	out.epoch = c.Epoch
	for i := range c.Policies {
		out.policies[c.Policies[i].Name] = read(c.Policies[i].Name, c.Policies[i].Document)
	}
	for i := range c.Groups {
		out.groups[c.Groups[i].Name] = &c.Groups[i]
	}
	for i := range c.Users {
		out.users[c.Users[i].Name] = &user{User: c.Users[i], canonical: acl.CanonicalID(api.UserPrincipal + c.Users[i].Name)}
	}
	remove(out.users, c.GoneUsers)
	remove(out.groups, c.GoneGroups)
	remove(out.policies, c.GonePolicies)
	out.canonical = make(map[string]string, len(out.users))
	for name, u := range out.users {
		out.users[name] = &user{User: u.User, canonical: u.canonical, rules: out.rulesOf(&u.User)}
		out.canonical[u.canonical] = name
	}
	return out
}

func remove[V any](m map[string]V, names []string) {
	for _, name := range names {
		delete(m, name)
	}
}

// rulesOf lists the policies that speak of a user, each once. One that is not known denies: what it may have
// denied is not known either.
func (t *tables) rulesOf(u *api.User) []acl.Policy {
	var out []acl.Policy
	seen := make(map[string]bool)
	add := func(names []string) {
		for _, name := range names {
			if seen[name] {
				continue
			}
			seen[name] = true
			out = append(out, t.policy(name))
		}
	}
	add(u.Policies)
	for _, g := range u.Groups {
		if group := t.groups[g]; group != nil {
			add(group.Policies)
		} else {
			out = append(out, unreadable(g))
		}
	}
	return out
}

// policy gives a policy by its name; one that is not known denies.
func (t *tables) policy(name string) acl.Policy {
	if p := t.policies[name]; p != nil {
		return p
	}
	return unreadable(name)
}

// unreadable is a policy of which it is not known what it says.
type unreadable string

// Evaluate denies everything.
func (u unreadable) Evaluate(*acl.Request) acl.Verdict {
	return acl.Verdict{Effect: acl.Deny, Policy: string(u), Statement: "unreadable"}
}

func read(name, text string) acl.Policy {
	p, err := policy.ParseIdentity(name, []byte(text))
	if err != nil {
		return unreadable(name)
	}
	return p
}

// NeedsTags tells whether a policy looks at the tags of the object asked for.
func NeedsTags(policies ...acl.Policy) bool {
	for _, p := range policies {
		if p, ok := p.(*policy.Policy); ok && p.NeedsTags() {
			return true
		}
	}
	return false
}

func cutUser(principal string) (name string, ok bool) {
	name, ok = strings.CutPrefix(principal, api.UserPrincipal)
	return name, ok && name != ""
}

// sessionsMax bounds the session policies that are kept.
const sessionsMax = 4096

// sessionCache keeps session policies by the access keys that have them.
type sessionCache struct {
	mu   sync.RWMutex // guards byID
	byID map[string]session
}

type session struct {
	text   string
	policy acl.Policy
}

func (k *sessionCache) get(accessKeyID, text string) acl.Policy {
	k.mu.RLock()
	hit, ok := k.byID[accessKeyID]
	k.mu.RUnlock()
	if ok && hit.text == text {
		return hit.policy
	}
	p := read("session", text)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.byID == nil || len(k.byID) >= sessionsMax {
		k.byID = make(map[string]session)
	}
	k.byID[strings.Clone(accessKeyID)] = session{text, p}
	return p
}
