package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"shoal/node/api"
	"shoal/node/keyring"
	"shoal/node/meta"
)

// writeRoot writes root's new access key where the old one is kept, and says where that is: "" where it is not.
func (n *Node) writeRoot(ctx context.Context, req api.NewRootFile) (path string, err error) {
	path = n.path(credentialsFile)
	have, err := loadRootCredential(path, false)
	if err != nil {
		return "", err
	}
	if have.accessKeyID == "" || have.accessKeyID != req.Old {
		return "", nil
	}
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Credential{Credential: &meta.CredentialQuery{AccessKeyId: req.New}}})
	if err != nil {
		return "", err
	}
	k := a.GetCredential()
	if k.GetPrincipal() != rootPrincipal || len(k.GetSessionPolicy()) > 0 {
		return "", api.Invalid("node.writeRoot", "The access key is not one of root with all its rights.")
	}
	secret, err := n.keys.OpenSecret(req.New, k.GetSealed())
	if err != nil {
		return "", &api.Error{Kind: api.Corrupt, Op: "node.writeRoot", Err: err}
	}
	n.cfg.Logger.Info("root's access key was replaced", "path", path, "access_key_id", req.New)
	return path, keyring.WritePrivate(path, []byte(rootCredential{accessKeyID: req.New, secret: secret}.ini()))
}

func (n *Node) switchRoot(ctx context.Context, disabled bool) error {
	_, err := n.propose(ctx, &meta.Command{Op: &meta.Command_SwitchRoot{SwitchRoot: &meta.SwitchRoot{Disabled: disabled}}})
	return err
}

// RecoverRoot has the stopped node of a data directory enable root at its next start, with a new access key, which it then
// writes to root.credentials. Whoever may write to that directory has the root key, and with it all secrets of the store
// anyway. It says where the credential will be.
func RecoverRoot(dir string) (path string, err error) {
	lock, err := lockDir(dir)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	d, err := readDescription(dir)
	if err != nil {
		return "", err
	}
	if d == nil || !d.Ready {
		return "", fmt.Errorf("%s is not the data directory of a node that has served: name one with --data", dir)
	}
	if _, err := keyring.LoadOrCreateRootKey(filepath.Join(dir, rootKeyFile), false); err != nil {
		return "", err
	}
	r := newRootCredential()
	return filepath.Join(dir, credentialsFile), keyring.WritePrivate(filepath.Join(dir, rootRecovery), []byte(r.ini()))
}

// recoverRoot does what RecoverRoot has asked for, if it has. Each step may be repeated.
func (n *Node) recoverRoot(ctx context.Context) error {
	asked := n.path(rootRecovery)
	text, err := keyring.ReadPrivate(asked)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r := parseINI(string(text))
	if r.accessKeyID == "" || r.secret == "" {
		return fmt.Errorf("%s is damaged: remove it, and run shoal admin root recover again", asked)
	}
	if err := refuseKnown(r); err != nil {
		return fmt.Errorf("%s: %w: remove it, and run shoal admin root recover again", asked, err)
	}
	sealed, err := n.keys.SealSecret(r.accessKeyID, r.secret)
	if err != nil {
		return err
	}
	put := &meta.PutCredential{Credential: &meta.Credential{AccessKeyId: r.accessKeyID, Sealed: sealed, Principal: rootPrincipal, Description: "recovered"}, CreateOnly: true}
	if _, err := n.propose(ctx, putKey(put)); err != nil && api.KindOf(err) != api.ConditionalConflict { // made by a start that did not end
		return err
	}
	if err := n.switchRoot(ctx, false); err != nil {
		return err
	}
	if err := keyring.WritePrivate(n.path(credentialsFile), []byte(r.ini())); err != nil {
		return err
	}
	n.record(ctx, api.Act{
		Kind: api.ActOnCredential, Operation: "RecoverRoot", Target: rootPrincipal,
		After: map[string]any{"access_key_id": r.accessKeyID, "disabled": false},
	})
	n.cfg.Logger.Warn("root was recovered from this node's disk: it is enabled and has a new access key", "path", n.path(credentialsFile), "access_key_id", r.accessKeyID)
	return os.Remove(asked)
}
