package node

import (
	"context"
	"encoding/json"
	"strings"

	"shoal/acl/policy"
	"shoal/node/api"
	"shoal/node/meta"
)

// sessionKeyPrefix begins the access key IDs of sessions, so that they are not taken for access keys.
const sessionKeyPrefix = "SHOT"

// sessionNameMax bounds what a client calls a session, in bytes.
const sessionNameMax = 64

// issueSession makes a session of an access key. It ends with the key at the latest.
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
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Credential{Credential: &meta.CredentialQuery{AccessKeyId: req.Parent}}})
	if err != nil {
		return api.IssuedSession{}, err
	}
	parent, now := a.GetCredential().Describe(), n.cfg.Now().UTC()
	if parent.Disabled || !parent.Expires.IsZero() && !now.Before(parent.Expires) {
		return api.IssuedSession{}, &api.Error{Kind: api.NoSuchCredential, Op: op}
	}
	made := newRootCredential()
	s := api.Session{
		AccessKeyID: sessionKeyPrefix + strings.TrimPrefix(made.accessKeyID, accessKeyPrefix), Secret: made.secret, Parent: req.Parent, Principal: parent.Principal,
		Name: req.Name, Role: req.Role, Policy: req.Policy, Issued: now, Expires: now.Add(req.Life),
	}
	if !parent.Expires.IsZero() && parent.Expires.Before(s.Expires) {
		s.Expires = parent.Expires
	}
	text, err := json.Marshal(s)
	if err != nil {
		return api.IssuedSession{}, err
	}
	token, err := n.keys.SealSession(text)
	return api.IssuedSession{Session: s, Token: token}, err
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
