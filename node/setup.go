package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/p2p/placement"
)

// Limits of what the system group is asked while a node starts.
const (
	setUpAttempts = 600
	setUpPause    = 10 * time.Millisecond
)

// rootPrincipal is the principal of the root credential.
const rootPrincipal = "root"

// setUp brings the system group to where this node can serve: at the first start it is filled, at
// later ones the node's own row is brought up to date. Each step may be repeated.
func (n *Node) setUp(ctx context.Context) error {
	if err := n.awaitLeaders(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{n.openKeyring, n.putMember}
	if !n.desc.Ready {
		steps = []func(context.Context) error{n.initCluster, n.makeKEK, n.openKeyring, n.makeCredential, n.putMember, n.placeDrives}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if n.desc.Ready {
		return nil
	}
	n.desc.Ready = true
	return n.desc.write(n.cfg.DataDir)
}

// awaitLeaders waits until every group of this node answers: a group of one voter does within
// milliseconds.
func (n *Node) awaitLeaders(ctx context.Context) error {
	for _, g := range n.groups() {
		var err error
		for range setUpAttempts {
			if err = n.host.ReadBarrier(ctx, g); err == nil || ctx.Err() != nil {
				break
			}
			select {
			case <-ctx.Done():
			case <-time.After(setUpPause):
			}
		}
		if err != nil {
			return fmt.Errorf("group %d does not answer: %w", g, err)
		}
	}
	return nil
}

func (n *Node) propose(ctx context.Context, cmd *meta.Command) (*meta.Result, error) {
	res, err := n.server.Propose(ctx, consensus.SystemGroup, cmd)
	if err != nil {
		return nil, err
	}
	return res, res.Err("node.setUp")
}

func (n *Node) query(ctx context.Context, q *meta.Query) (*meta.Answer, error) {
	return n.server.Query(ctx, consensus.SystemGroup, q)
}

func (n *Node) initCluster(ctx context.Context) error {
	_, err := n.propose(ctx, &meta.Command{Op: &meta.Command_InitCluster{InitCluster: &meta.InitCluster{Settings: &meta.Settings{
		Cluster: n.desc.Cluster[:], Partitions: uint32(n.desc.Partitions), DataShards: uint32(n.profile.K), ParityShards: uint32(n.profile.M),
		InlineMax: inlineMax, Region: n.desc.Region, PlacementGroups: placement.GroupCount,
	}}}})
	return err
}

// inlineMax is how many bytes of an object are kept with its version at most.
const inlineMax = 16 << 10

func (n *Node) makeKEK(ctx context.Context) error {
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Keyring{Keyring: &meta.KeyringQuery{}}})
	if err != nil || len(a.GetKeyring().GetKeks()) > 0 {
		return err
	}
	kek := envelope.NewKEK(1)
	sealed, err := n.keys.SealKEK(kek)
	if err != nil {
		return err
	}
	_, err = n.propose(ctx, &meta.Command{Op: &meta.Command_PutKek{PutKek: &meta.PutKEK{
		Kek: &meta.KEK{Id: kek.ID, Sealed: sealed}, Current: true,
	}}})
	return err
}

func (n *Node) openKeyring(ctx context.Context) error {
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Keyring{Keyring: &meta.KeyringQuery{}}})
	if err != nil {
		return err
	}
	ring := a.GetKeyring()
	for _, k := range ring.GetKeks() {
		if err := n.keys.Add(k.GetId(), k.GetSealed(), k.GetId() == ring.GetCurrent()); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) makeCredential(ctx context.Context) error {
	sealed, err := n.keys.SealSecret(n.root.accessKeyID, n.root.secret)
	if err != nil {
		return err
	}
	_, err = n.propose(ctx, &meta.Command{Op: &meta.Command_PutCredential{PutCredential: &meta.PutCredential{
		Credential: &meta.Credential{AccessKeyId: n.root.accessKeyID, Sealed: sealed, Principal: rootPrincipal}, CreateOnly: true,
	}}})
	if err != nil && api.KindOf(err) == api.ConditionalConflict {
		return nil // made by a start that did not end
	}
	return err
}

// putMember writes the node's own row of the member table when it is not what it should be.
func (n *Node) putMember(ctx context.Context) error {
	own := &meta.Member{
		PeerId: string(n.ID()), Roles: []string{"node", "gateway"}, Site: n.cfg.Site, Addrs: n.net.host.Addrs(), Serial: n.net.serial,
	}
	for i := range n.desc.Drives {
		dd := &n.desc.Drives[i]
		own.Drives = append(own.Drives, &meta.Drive{
			Id: dd.ID[:], Node: own.PeerId, Site: own.Site, Weight: weightOf(dd.Path), Path: dd.Path,
		})
	}
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
	if err != nil {
		return err
	}
	for _, m := range a.GetMembers().GetMembers() {
		if m.GetPeerId() == own.PeerId && slices.Equal(m.GetAddrs(), own.Addrs) && sameDrives(m.GetDrives(), own.Drives) {
			return nil
		}
	}
	_, err = n.propose(ctx, &meta.Command{Op: &meta.Command_PutMember{PutMember: &meta.PutMember{Member: own}}})
	return err
}

func sameDrives(a, b []*meta.Drive) bool {
	return slices.EqualFunc(a, b, func(x, y *meta.Drive) bool {
		return string(x.GetId()) == string(y.GetId()) && x.GetPath() == y.GetPath()
	})
}

// placeDrives makes the first placement table.
func (n *Node) placeDrives(ctx context.Context) error {
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Placements{Placements: &meta.PlacementsQuery{CurrentOnly: true}}})
	if err != nil || len(a.GetPlacements().GetPlacements()) > 0 {
		return err
	}
	var drives []placement.Drive
	for i := range n.desc.Drives {
		dd := &n.desc.Drives[i]
		drives = append(drives, placement.Drive{ID: placement.DriveID(dd.ID), Node: string(n.ID()), Site: n.cfg.Site, Weight: weightOf(dd.Path)})
	}
	table, err := placement.Build(1, drives, n.profile.Width(), nil, placement.Limits{})
	if err != nil {
		return err
	}
	_, err = n.propose(ctx, &meta.Command{Op: &meta.Command_PutPlacement{PutPlacement: &meta.PutPlacement{
		Placement: &meta.Placement{Epoch: 1, Table: table.Append(nil)},
	}}})
	return err
}

// weightOf is the size of a drive's file system in GiB, at least 1.
func weightOf(path string) uint32 {
	_, size, err := room(path)
	if err != nil {
		return 1
	}
	return uint32(max(size>>30, 1))
}
