package network

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"shoal/node/keyring"
	"shoal/p2p"
	"shoal/p2p/member"
	"shoal/p2p/transport"
)

// MembershipFile is the name of the file of a Membership in a data directory.
const MembershipFile = "membership.json"

// Membership is what a process keeps of having joined a cluster, in one file of mode 0600.
type Membership struct {
	Cluster    member.Cluster
	Credential []byte
	Nodes      map[p2p.NodeID][]string // where the nodes were last reached

	path string
}

// membershipFile is how a Membership lies on disk.
type membershipFile struct {
	Cluster    string                  `json:"cluster"`
	RootKey    string                  `json:"root_key"`   // base64 of the cluster's public key
	Credential string                  `json:"credential"` // base64
	Nodes      map[p2p.NodeID][]string `json:"nodes"`
}

// LoadMembership reads the file at path. A missing one is fs.ErrNotExist.
func LoadMembership(path string) (*Membership, error) {
	text, err := keyring.ReadPrivate(path)
	if err != nil {
		return nil, err
	}
	var f membershipFile
	damaged := fmt.Errorf("%s is damaged: remove it and join again with --join TOKEN", path)
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, damaged
	}
	m := &Membership{Nodes: f.Nodes, path: path}
	var errs [3]error
	m.Cluster.ID, errs[0] = member.ParseClusterID(f.Cluster)
	m.Cluster.RootKey, errs[1] = base64.StdEncoding.DecodeString(f.RootKey)
	m.Credential, errs[2] = base64.StdEncoding.DecodeString(f.Credential)
	if errors.Join(errs[:]...) != nil {
		return nil, damaged
	}
	return m, nil
}

// Save writes the file, durably.
func (m *Membership) Save() error {
	text, err := json.MarshalIndent(&membershipFile{
		Cluster: m.Cluster.ID.String(), RootKey: base64.StdEncoding.EncodeToString(m.Cluster.RootKey),
		Credential: base64.StdEncoding.EncodeToString(m.Credential), Nodes: m.Nodes,
	}, "", "  ")
	if err != nil {
		return err
	}
	return keyring.WritePrivate(m.path, append(text, '\n'))
}

// LoadOrJoin reads the membership at path, or joins as join and token say and keeps it there.
// fs.ErrNotExist when there is none and join is empty.
func LoadOrJoin(ctx context.Context, path, join, token string, id *transport.Identity) (*Membership, error) {
	m, err := LoadMembership(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || join == "" {
		return m, err
	}
	joined, err := Join(ctx, join, token, id)
	if err != nil {
		return nil, err
	}
	m = &Membership{Cluster: joined.Cluster, Credential: joined.Credential, Nodes: joined.Peers, path: path}
	return m, m.Save()
}

// joinBy joins with a token, at an address with a token for it, or at an address alone: then the
// member there must have been told to allow this peer.
func joinBy(ctx context.Context, join, token string, id *transport.Identity) (*transport.Joined, error) {
	if !strings.HasPrefix(join, "/") {
		t, err := member.ParseToken(join)
		if err != nil {
			return nil, err
		}
		return transport.Join(ctx, t, id)
	}
	if token == "" {
		return transport.JoinAt(ctx, join, id)
	}
	t, err := member.ParseToken(token)
	if err != nil {
		return nil, err
	}
	return transport.Join(ctx, t, id, join)
}

// Join makes the peer a member: with a token, at an address with a token for it, or at an address
// alone, where the peer must have been allowed or be a member already.
func Join(ctx context.Context, join, token string, id *transport.Identity) (*transport.Joined, error) {
	joined, err := joinBy(ctx, join, token, id)
	if err != nil {
		return nil, fmt.Errorf("join the store: %w", err)
	}
	return joined, nil
}
