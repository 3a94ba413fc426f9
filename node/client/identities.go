package client

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"shoal/acl"
	"shoal/acl/policy"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
)

// askIdentities asks the system group for what has changed.
func (c *Client) askIdentities(ctx context.Context, known api.Known) (*api.IdentityChanges, error) {
	out, err := c.identitiesSince(ctx, known)
	if err == nil && out.SettingsSum == "" { // a node of an earlier release leads
		out.Settings, err = c.Settings(ctx)
	}
	return out, err
}

func (c *Client) identitiesSince(ctx context.Context, known api.Known) (*api.IdentityChanges, error) {
	after, out := known.Epoch, &api.IdentityChanges{Epoch: known.Epoch}
	var from []byte
	for first := true; ; first = false {
		q := &meta.IdentitiesQuery{After: out.Epoch, From: from}
		if first {
			q.Settings, q.SettingsSum = true, []byte(known.SettingsSum)
		}
		a, err := c.System(ctx, &meta.Query{Q: &meta.Query_Identities{Identities: q}})
		if err != nil {
			return nil, err
		}
		p := a.GetIdentities()
		if first {
			out.SettingsSum = string(p.GetSettingsSum())
			if p.GetSettings() != nil {
				out.Settings = mergeSettings(p.GetSettings().GetValues())
			}
		}
		if p.GetWhole() && from == nil {
			*out = api.IdentityChanges{Whole: true, Settings: out.Settings, SettingsSum: out.SettingsSum}
			after = p.GetEpoch() // what changes while the pages come is asked for next time
		}
		for _, i := range p.GetIdentities() {
			addIdentity(out, i)
		}
		for _, g := range p.GetGone() {
			addGone(out, g)
		}
		switch from = p.GetNext(); {
		case !p.GetWhole():
			out.Epoch = p.GetEpoch()
		case !p.GetTruncated():
			out.Epoch = after
		}
		if !p.GetTruncated() {
			return out, nil
		}
	}
}

func addIdentity(out *api.IdentityChanges, i *meta.Identity) {
	at := time.Unix(0, i.GetCreated()).UTC()
	switch {
	case i.GetUser() != nil:
		u := i.GetUser()
		out.Users = append(out.Users, api.User{Name: i.Name, CanonicalID: acl.CanonicalID(api.UserPrincipal + i.Name), Disabled: u.Disabled, Groups: listed(u.Groups), Policies: listed(u.Policies), Created: at, Epoch: i.Epoch})
	case i.GetGroup() != nil:
		out.Groups = append(out.Groups, api.UserGroup{Name: i.Name, Policies: listed(i.GetGroup().Policies), Created: at, Epoch: i.Epoch})
	case i.GetPolicy() != nil:
		out.Policies = append(out.Policies, api.NamedPolicy{Name: i.Name, Document: string(i.GetPolicy().Document), Created: at, Epoch: i.Epoch})
	}
}

// listed makes a list that JSON shows as one.
func listed(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}

func addGone(out *api.IdentityChanges, g *meta.IdentityName) {
	switch g.GetKind() {
	case meta.IdentityKind_IDENTITY_USER:
		out.GoneUsers = append(out.GoneUsers, g.Name)
	case meta.IdentityKind_IDENTITY_GROUP:
		out.GoneGroups = append(out.GoneGroups, g.Name)
	case meta.IdentityKind_IDENTITY_POLICY:
		out.GonePolicies = append(out.GonePolicies, g.Name)
	}
}

// IdentityList implements api.IdentityAdmin.
func (c *Client) IdentityList(ctx context.Context) (api.IdentityList, error) {
	all, err := c.identitiesSince(ctx, api.Known{})
	if err != nil {
		return api.IdentityList{}, err
	}
	members := make(map[string][]string)
	for _, u := range all.Users {
		for _, g := range u.Groups {
			members[g] = append(members[g], u.Name)
		}
	}
	for i := range all.Groups {
		all.Groups[i].Members = members[all.Groups[i].Name]
	}
	for _, name := range policy.CannedNames() {
		text, _ := policy.Canned(name)
		all.Policies = append(all.Policies, api.NamedPolicy{Name: name, Document: string(text), Canned: true})
	}
	slices.SortFunc(all.Policies, func(a, b api.NamedPolicy) int { return cmp.Compare(a.Name, b.Name) })
	list := api.IdentityList{Users: all.Users, Groups: all.Groups, Policies: all.Policies}
	if list.Users == nil {
		list.Users = []api.User{}
	}
	if list.Groups == nil {
		list.Groups = []api.UserGroup{}
	}
	return list, nil
}

// AccessKeys implements api.IdentityAdmin.
func (c *Client) AccessKeys(ctx context.Context) ([]api.AccessKey, error) {
	all := []api.AccessKey{}
	for after := ""; ; {
		a, err := c.System(ctx, &meta.Query{Q: &meta.Query_Credentials{Credentials: &meta.CredentialsQuery{After: after, Max: 1000}}})
		if err != nil {
			return nil, err
		}
		page := a.GetCredentials().GetCredentials()
		for _, k := range page {
			all = append(all, k.Describe())
			after = k.GetAccessKeyId()
		}
		if !a.GetCredentials().GetTruncated() || len(page) == 0 {
			return all, nil
		}
	}
}

// NoteKeyUses implements api.KeyUses.
func (c *Client) NoteKeyUses(ctx context.Context, uses map[string]time.Time) error {
	cmd := new(meta.NoteKeyUses)
	for _, id := range slices.Sorted(maps.Keys(uses)) {
		cmd.Uses = append(cmd.Uses, &meta.KeyUse{AccessKeyId: id, Time: uses[id].UnixNano()})
	}
	_, err := c.ProposeSystem(ctx, "client.NoteKeyUses", &meta.Command{Op: &meta.Command_NoteKeyUses{NoteKeyUses: cmd}})
	return err
}

// attempts is how often a change is tried again that met another.
const attempts = 5

// ChangeIdentity implements api.IdentityAdmin.
func (c *Client) ChangeIdentity(ctx context.Context, ch api.IdentityChange) error {
	kind, ok := map[string]meta.IdentityKind{
		api.KindUser: meta.IdentityKind_IDENTITY_USER, api.KindGroup: meta.IdentityKind_IDENTITY_GROUP, api.KindPolicy: meta.IdentityKind_IDENTITY_POLICY,
	}[ch.Kind]
	if !ok {
		return api.Invalid("client.ChangeIdentity", "kind must be user, group or policy.")
	}
	if ch.Do == api.DoDelete {
		_, err := c.ProposeSystem(ctx, "client.ChangeIdentity", &meta.Command{Op: &meta.Command_DeleteIdentity{
			DeleteIdentity: &meta.DeleteIdentity{Kind: kind, Name: ch.Name},
		}})
		return err
	}
	if ch.Kind == api.KindPolicy {
		if _, err := policy.ParseIdentity(ch.Name, []byte(ch.Document)); err != nil {
			return api.Invalid("client.ChangeIdentity", err.Error())
		}
	}
	if ch.Do == api.DoCreate {
		return c.putIdentity(ctx, &meta.PutIdentity{Identity: newIdentity(&ch), CreateOnly: true})
	}
	var err error
	for range attempts {
		if err = c.alterIdentity(ctx, kind, &ch); err == nil || api.KindOf(err) != api.ConditionalConflict {
			break
		}
	}
	return err
}

func newIdentity(ch *api.IdentityChange) *meta.Identity {
	i := &meta.Identity{Name: ch.Name}
	switch ch.Kind {
	case api.KindUser:
		i.Kind = &meta.Identity_User{User: &meta.UserIdentity{}}
	case api.KindGroup:
		i.Kind = &meta.Identity_Group{Group: &meta.GroupIdentity{}}
	default:
		i.Kind = &meta.Identity_Policy{Policy: &meta.PolicyIdentity{Document: []byte(ch.Document)}}
	}
	return i
}

func (c *Client) putIdentity(ctx context.Context, put *meta.PutIdentity) error {
	_, err := c.ProposeSystem(ctx, "client.ChangeIdentity", &meta.Command{Op: &meta.Command_PutIdentity{PutIdentity: put}})
	return err
}

// alterIdentity reads an identity, changes it and puts it back, unless it was changed meanwhile.
func (c *Client) alterIdentity(ctx context.Context, kind meta.IdentityKind, ch *api.IdentityChange) error {
	a, err := c.System(ctx, &meta.Query{Q: &meta.Query_Identity{Identity: &meta.IdentityQuery{Kind: kind, Name: ch.Name}}})
	if err != nil {
		return err
	}
	i := a.GetIdentity()
	if err := alter(i, ch); err != nil {
		return err
	}
	return c.putIdentity(ctx, &meta.PutIdentity{Identity: i, IfEpoch: i.GetEpoch()})
}

func alter(i *meta.Identity, ch *api.IdentityChange) error {
	u, g, p := i.GetUser(), i.GetGroup(), i.GetPolicy()
	switch {
	case ch.Do == api.DoAttach && u != nil:
		u.Policies = with(u.Policies, ch.Policy)
	case ch.Do == api.DoAttach && g != nil:
		g.Policies = with(g.Policies, ch.Policy)
	case ch.Do == api.DoDetach && u != nil:
		u.Policies = without(u.Policies, ch.Policy)
	case ch.Do == api.DoDetach && g != nil:
		g.Policies = without(g.Policies, ch.Policy)
	case ch.Do == api.DoJoin && u != nil:
		u.Groups = with(u.Groups, ch.Group)
	case ch.Do == api.DoLeave && u != nil:
		u.Groups = without(u.Groups, ch.Group)
	case (ch.Do == api.DoEnable || ch.Do == api.DoDisable) && u != nil:
		u.Disabled = ch.Do == api.DoDisable
	case ch.Do == api.DoSet && p != nil:
		p.Document = []byte(ch.Document)
	default:
		return api.Invalid("client.ChangeIdentity", "That cannot be done with a "+ch.Kind+".")
	}
	return nil
}

// with adds a name to a list in ascending order.
func with(names []string, name string) []string {
	at, found := slices.BinarySearch(names, name)
	if found {
		return names
	}
	return slices.Insert(names, at, name)
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(names, func(n string) bool { return n == name })
}

// CreateKey implements api.IdentityAdmin. A node does it: it has the key that secrets are sealed under.
func (c *Client) CreateKey(ctx context.Context, req api.NewKey) (api.IssuedKey, error) {
	return act[api.IssuedKey](ctx, c, "create-key", req)
}

// ReplaceRoot implements api.RootAdmin.
func (c *Client) ReplaceRoot(ctx context.Context, req api.ReplaceRoot) (out api.ReplacedRoot, err error) {
	a, err := c.System(ctx, &meta.Query{Q: &meta.Query_Credential{Credential: &meta.CredentialQuery{AccessKeyId: req.AccessKeyID}}})
	if err != nil {
		return out, err
	}
	if a.GetCredential().GetPrincipal() != api.RootPrincipal {
		return out, api.Invalid("client.ReplaceRoot", "The access key is not root's.")
	}
	out.Files = []api.RootFile{}
	if out.IssuedKey, err = c.CreateKey(ctx, api.NewKey{Replaces: req.AccessKeyID, Overlap: req.Overlap}); err != nil {
		return out, err
	}
	answers, err := askAll[string](ctx, c, "write-root", api.NewRootFile{Old: req.AccessKeyID, New: out.AccessKeyID})
	if err != nil { // The key is made, and its secret must be told.
		c.logger.Warn("no node has written root's new access key to a file", "err", err)
	}
	for i := range answers {
		f := api.RootFile{Node: string(answers[i].node), Path: answers[i].value}
		switch {
		case answers[i].err != nil:
			out.Failed = append(out.Failed, f)
		case f.Path != "":
			out.Files = append(out.Files, f)
		}
	}
	return out, nil
}

// SwitchRoot implements api.RootAdmin. A node does it.
func (c *Client) SwitchRoot(ctx context.Context, disabled bool) error {
	_, err := act[struct{}](ctx, c, "switch-root", disabled)
	return err
}

// IssueSession implements api.Sessions. A node does it: it has the key that tokens are sealed under.
func (c *Client) IssueSession(ctx context.Context, req api.NewSession) (api.IssuedSession, error) {
	if req.User != "" {
		return act[api.IssuedSession](ctx, c, "issue-user-session", req)
	}
	return act[api.IssuedSession](ctx, c, "issue-session", req)
}

// OpenSession implements api.Sessions.
func (c *Client) OpenSession(ctx context.Context, token string) (api.Session, error) {
	if len(token) > api.SessionTokenMax {
		return api.Session{}, &api.Error{Kind: api.NoSuchCredential, Op: "client.OpenSession"}
	}
	return ask[api.Session](ctx, c, "open-session", token)
}

// ChangeKey implements api.IdentityAdmin.
func (c *Client) ChangeKey(ctx context.Context, ch api.KeyChange) error {
	a, err := c.System(ctx, &meta.Query{Q: &meta.Query_Credential{Credential: &meta.CredentialQuery{AccessKeyId: ch.AccessKeyID}}})
	if err != nil {
		return err
	}
	k := a.GetCredential()
	if k.GetPrincipal() == api.RootPrincipal && ch.Do != api.DoEnable {
		if err := c.keepRoot(ctx, ch.AccessKeyID); err != nil {
			return err
		}
	}
	cmd := &meta.Command{Op: &meta.Command_PutCredential{PutCredential: &meta.PutCredential{Credential: k, IfEpoch: k.GetEpoch()}}}
	switch ch.Do {
	case api.DoEnable, api.DoDisable:
		k.Disabled = ch.Do == api.DoDisable
	case api.DoRevoke:
		cmd.Op = &meta.Command_DeleteCredential{DeleteCredential: &meta.DeleteCredential{AccessKeyId: ch.AccessKeyID}}
	default:
		return api.Invalid("client.ChangeKey", "An access key can be enabled, disabled or revoked.")
	}
	_, err = c.propose(ctx, consensus.SystemGroup, "client.ChangeKey", cmd)
	return err
}

// revokeRounds is how often RevokeAllKeys looks for access keys that were made meanwhile.
const revokeRounds = 5

// RevokeAllKeys implements api.IdentityAdmin.
func (c *Client) RevokeAllKeys(ctx context.Context, req api.RevokeAll) (api.RevokedKeys, error) {
	out := api.RevokedKeys{Revoked: []string{}}
	for range revokeRounds {
		keys, err := c.AccessKeys(ctx)
		if err != nil {
			return out, err
		}
		out.Kept = []string{}
		last := lastRoot(keys, req.Spare)
		revoked := 0
		for i := range keys {
			k := &keys[i]
			if k.AccessKeyID == req.Spare || k.Principal == api.RootPrincipal && (!req.Root || k.AccessKeyID == last) {
				out.Kept = append(out.Kept, k.AccessKeyID)
				continue
			}
			err := c.ChangeKey(ctx, api.KeyChange{AccessKeyID: k.AccessKeyID, Do: api.DoRevoke})
			if err != nil && api.KindOf(err) != api.NoSuchCredential {
				return out, err
			}
			out.Revoked = append(out.Revoked, k.AccessKeyID)
			revoked++
		}
		if revoked == 0 {
			return out, nil
		}
	}
	return out, &api.Error{Kind: api.SlowDown, Op: "client.RevokeAllKeys", Detail: "Access keys are made as fast as they are revoked. Please try again."}
}

// lastRoot is the access key of root that must stay so that one is left: "" when the spared one is such.
func lastRoot(keys []api.AccessKey, spare string) string {
	last := ""
	for i := range keys {
		k := &keys[i]
		if !lasting(k) {
			continue
		}
		if k.AccessKeyID == spare {
			return ""
		}
		if last == "" {
			last = k.AccessKeyID
		}
	}
	return last
}

// lasting says whether an access key is root's and good for all time.
func lasting(k *api.AccessKey) bool {
	return k.Principal == api.RootPrincipal && !k.Disabled && k.Expires.IsZero() && k.SessionPolicy == ""
}

// keepRoot refuses to take root's last access key that is good for all time.
func (c *Client) keepRoot(ctx context.Context, accessKeyID string) error {
	keys, err := c.AccessKeys(ctx)
	if err != nil {
		return err
	}
	for i := range keys {
		if k := &keys[i]; k.AccessKeyID != accessKeyID && lasting(k) {
			return nil
		}
	}
	return api.Invalid("client.ChangeKey", "It is root's last access key: make another one before.")
}
