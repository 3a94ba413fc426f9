package node

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"strings"
	"time"

	"shoal/acl/policy"
	"shoal/node/api"
	"shoal/node/meta"
)

// sessionKeyPrefix begins the access key IDs of sessions, so that they are not taken for access keys.
const sessionKeyPrefix = "SHOT"

// userKeyPrefix begins the IDs of access keys that are parents of users' sessions.
const userKeyPrefix = "SHOU"

// sessionNameMax bounds what a client calls a session, in bytes.
const sessionNameMax = 64

// issueSession makes a session of an access key, with which it ends at the latest, or of a user.
func (n *Node) issueSession(ctx context.Context, req api.NewSession) (api.IssuedSession, error) {
	const op = "node.issueSession"
	if req.Life < api.SessionMin || req.Life > api.SessionMax || len(req.Policy) > api.SessionPolicyMax || len(req.Name) > sessionNameMax || len(req.Role) > sessionNameMax {
		return api.IssuedSession{}, api.Invalid(op, "A session lives for 15 minutes to 12 hours; its policy has 2,048 bytes at most, its name 64.")
	}
	if req.Policy != "" {
		if _, err := policy.ParseIdentity("session", []byte(req.Policy)); err != nil {
			return api.IssuedSession{}, api.Invalid(op, err.Error())
		}
	}
	now := n.cfg.Now().UTC()
	parent, mark, err := n.parentOf(ctx, &req, now)
	if err != nil {
		return api.IssuedSession{}, err
	}
	made := newRootCredential()
	s := api.Session{
		AccessKeyID: sessionKeyPrefix + strings.TrimPrefix(made.accessKeyID, accessKeyPrefix), Secret: made.secret, Parent: parent.AccessKeyID, Principal: parent.Principal, ParentMark: mark,
		Name: req.Name, Role: req.Role, Policy: req.Policy, Issued: now, Expires: now.Add(req.Life),
	}
	for _, end := range []time.Time{parent.Expires, req.Until} {
		if !end.IsZero() && end.Before(s.Expires) {
			s.Expires = end.UTC()
		}
	}
	if !now.Before(s.Expires) {
		return api.IssuedSession{}, api.Invalid(op, "The session would have ended before it begins.")
	}
	text, err := json.Marshal(s)
	if err != nil {
		return api.IssuedSession{}, err
	}
	token, err := n.keys.SealSession(text)
	return api.IssuedSession{Session: s, Token: token}, err
}

// parentOf is the access key that a session is asked for with, in force. Of one that is asked for by a user there is a
// mark, since it comes back under the same ID.
func (n *Node) parentOf(ctx context.Context, req *api.NewSession, now time.Time) (parent api.AccessKey, mark string, err error) {
	kept, secret, err := n.keptParent(ctx, req)
	if err != nil {
		return api.AccessKey{}, "", err
	}
	parent = kept.Describe()
	if parent.Disabled || !parent.Expires.IsZero() && !now.Before(parent.Expires) {
		return api.AccessKey{}, "", &api.Error{Kind: api.NoSuchCredential, Op: "node.issueSession"}
	}
	if req.User == "" {
		return parent, "", nil
	}
	if secret == "" {
		secret, err = n.keys.OpenSecret(parent.AccessKeyID, kept.Sealed)
	}
	return parent, api.MarkOf(secret), err
}

// keptParent finds the access key, or makes that of a user. secret is told of one that was made.
func (n *Node) keptParent(ctx context.Context, req *api.NewSession) (kept *meta.Credential, secret string, err error) {
	const op = "node.issueSession"
	id := req.Parent
	if req.User != "" {
		if req.Parent != "" {
			return nil, "", api.Invalid(op, "A session is an access key's or a user's.")
		}
		a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Identity{Identity: &meta.IdentityQuery{Kind: meta.IdentityKind_IDENTITY_USER, Name: req.User}}})
		if err != nil {
			return nil, "", err
		}
		if a.GetIdentity().GetUser().GetDisabled() {
			return nil, "", &api.Error{Kind: api.NoSuchIdentity, Op: op}
		}
		id = userParentID(req.User)
	}
	find := func() (*meta.Credential, error) {
		a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Credential{Credential: &meta.CredentialQuery{AccessKeyId: id}}})
		return a.GetCredential(), err
	}
	kept, err = find()
	if err == nil || req.User == "" || api.KindOf(err) != api.NoSuchCredential {
		return kept, "", err
	}
	secret = newRootCredential().secret // nobody is told
	k := &meta.Credential{AccessKeyId: id, Principal: api.UserPrincipal + req.User, Description: "sessions by certificate"}
	if k.Sealed, err = n.keys.SealSecret(id, secret); err != nil {
		return nil, "", err
	}
	_, err = n.client.ProposeSystem(ctx, op, putKey(&meta.PutCredential{Credential: k, CreateOnly: true}))
	if api.KindOf(err) == api.ConditionalConflict { // another one was faster
		kept, err = find()
		return kept, "", err
	}
	return k, secret, err
}

// userParentID is the ID of the access key of a user whose sessions are asked for without one. It looks like no other.
func userParentID(user string) string {
	sum := sha256.Sum256([]byte("sessions of " + user))
	return userKeyPrefix + base32.StdEncoding.EncodeToString(sum[:10])
}

// openSession tells what a token holds.
func (n *Node) openSession(token string) (s api.Session, err error) {
	text, err := n.keys.OpenSession(token)
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return api.Session{}, &api.Error{Kind: api.NoSuchCredential, Op: "node.openSession", Err: err}
	}
	return s, nil
}
