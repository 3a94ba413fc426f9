package node

import (
	"context"
	"strings"
	"time"

	"shoal/acl/policy"
	"shoal/node/api"
	"shoal/node/meta"
)

// Bounds of what an operator says of an access key.
const (
	keyLifeMin    = time.Minute
	keyLifeMax    = 10 * 365 * 24 * time.Hour
	keyOverlapMax = 30 * 24 * time.Hour
)

// createKey makes an access key and tells its secret, which is kept sealed alone.
func (n *Node) createKey(ctx context.Context, req api.NewKey) (api.IssuedKey, error) {
	k, old, err := n.keyToMake(ctx, &req)
	if err != nil {
		return api.IssuedKey{}, err
	}
	made := newRootCredential() // keys of users look like root's
	k.AccessKeyId = made.accessKeyID
	if k.Sealed, err = n.keys.SealSecret(made.accessKeyID, made.secret); err != nil {
		return api.IssuedKey{}, err
	}
	put := &meta.PutCredential{Credential: k, CreateOnly: true}
	if old != nil { // one command, so that there is never the new one beside an old one without an end
		put.Ends = &meta.EndCredential{AccessKeyId: old.AccessKeyId, IfEpoch: old.Epoch, Expires: n.cfg.Now().Add(req.Overlap).UnixNano()}
	}
	res, err := n.client.ProposeSystem(ctx, "node.createKey", putKey(put))
	if err != nil {
		return api.IssuedKey{}, err
	}
	return api.IssuedKey{AccessKey: res.GetCredential().Describe(), Secret: made.secret}, nil
}

func putKey(put *meta.PutCredential) *meta.Command {
	return &meta.Command{Op: &meta.Command_PutCredential{PutCredential: put}}
}

// keyToMake judges what was asked for. old is the access key whose place the new one takes, nil for none.
func (n *Node) keyToMake(ctx context.Context, req *api.NewKey) (k, old *meta.Credential, err error) {
	const op = "node.createKey"
	if req.Life != 0 && (req.Life < keyLifeMin || req.Life > keyLifeMax) || req.Overlap < 0 || req.Overlap > keyOverlapMax {
		return nil, nil, api.Invalid(op, "An access key lives for a minute to ten years; an old one goes on for at most 30 days.")
	}
	k = &meta.Credential{Principal: req.Principal, Description: req.Description, SessionPolicy: []byte(req.SessionPolicy)}
	if req.Replaces != "" {
		a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Credential{Credential: &meta.CredentialQuery{AccessKeyId: req.Replaces}}})
		if err != nil {
			return nil, nil, err
		}
		old = a.GetCredential()
		if req.Principal != "" || req.SessionPolicy != "" || req.Description != "" {
			return nil, nil, api.Invalid(op, "The new access key is for whom the old one was, with the same policy and description.")
		}
		k.Principal, k.SessionPolicy, k.Description = old.Principal, old.SessionPolicy, old.Description
	}
	if len(k.SessionPolicy) > 0 {
		if _, err := policy.ParseIdentity("session", k.SessionPolicy); err != nil {
			return nil, nil, api.Invalid(op, err.Error())
		}
	}
	if user, ok := strings.CutPrefix(k.Principal, api.UserPrincipal); k.Principal != api.RootPrincipal && (!ok || user == "") {
		return nil, nil, api.Invalid(op, "An access key is root's or a user's.")
	}
	if req.Life != 0 {
		k.Expires = n.cfg.Now().Add(req.Life).UnixNano()
	}
	return k, old, nil
}
