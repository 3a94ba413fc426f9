package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"shoal/chunker/envelope"
	"shoal/node/api"
	"shoal/node/meta"
	"shoal/node/network"
	"shoal/node/trouble"
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
	steps := []func(context.Context) error{n.awaitSystem, n.patient(n.openKeyring), n.patient(n.net.FetchMembers), n.patient(n.putMember)}
	switch {
	case n.desc.Ready && n.alone():
		steps = []func(context.Context) error{n.awaitLeaders, n.openKeyring, n.putMember, n.net.FetchMembers}
	case !n.desc.Ready && !n.desc.Joined:
		steps = []func(context.Context) error{n.awaitLeaders, n.initCluster, n.makeKEK, n.openKeyring, n.makeCredential, n.putMember, n.placeDrives, n.pinErasure, n.net.FetchMembers}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if n.desc.Ready {
		if err := n.patient(n.recoverRoot)(ctx); err != nil {
			return err
		}
		return n.recordRecoveries(ctx)
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

// awaitSystem waits until the system group answers, for as long as it takes: the other nodes may be
// starting too.
func (n *Node) awaitSystem(ctx context.Context) error {
	return n.await(ctx, func(ctx context.Context) error {
		_, err := n.query(ctx, &meta.Query{Q: &meta.Query_Settings{Settings: &meta.SettingsQuery{}}})
		return err
	}, func(error) bool { return true })
}

// patient repeats a step for as long as the other nodes cannot be reached: that they have just been is
// no promise.
func (n *Node) patient(step func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error { return n.await(ctx, step, passing) }
}

// passing tells whether what failed may go well without anybody doing something about it.
func passing(err error) bool {
	switch api.KindOf(err) {
	case api.Unavailable, api.Canceled, api.SlowDown, api.OutcomeUnknown:
		return true
	}
	return false
}

// await repeats a step until it has gone well, or fails in a way that does not pass.
func (n *Node) await(ctx context.Context, step func(context.Context) error, passes func(error) bool) error {
	log, began := trouble.New(n.cfg.Logger, nil), time.Now()
	for {
		err := step(ctx)
		if ctx.Err() == nil && (err == nil || time.Since(began) > awaitQuietly) {
			log.Note(err, "waiting for the store's metadata: a majority of the nodes that keep it must run", "")
		}
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if !passes(err) {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(awaitPause):
		}
	}
}

const (
	awaitPause   = 100 * time.Millisecond
	awaitQuietly = 5 * time.Second // before the log is told
)

func (n *Node) propose(ctx context.Context, cmd *meta.Command) (*meta.Result, error) {
	return n.client.ProposeSystem(ctx, "node.propose", cmd)
}

func (n *Node) query(ctx context.Context, q *meta.Query) (*meta.Answer, error) {
	return n.client.System(ctx, q)
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

// pinErasure keeps a profile that was asked for by name from following the number of drives.
func (n *Node) pinErasure(ctx context.Context) error {
	if n.cfg.Erasure == "" {
		return nil
	}
	_, err := n.propose(ctx, &meta.Command{Op: &meta.Command_SetSetting{SetSetting: &meta.SetSetting{Name: api.SettingErasure, Value: n.profile.String()}}})
	return err
}

// putMember writes the node's own row of the member table when it is not what it should be.
func (n *Node) putMember(ctx context.Context) error {
	own := &meta.Member{
		PeerId: string(n.ID()), Roles: network.RoleNames(n.issuer.own.Roles), Site: n.issuer.own.Site, Addrs: n.net.Host.Addrs(), Serial: n.issuer.own.Serial,
	}
	a, err := n.query(ctx, &meta.Query{Q: &meta.Query_Members{Members: &meta.MembersQuery{}}})
	if err != nil {
		return err
	}
	own.Drives = n.driveRows(a.GetMembers().GetMembers())
	for _, m := range a.GetMembers().GetMembers() {
		if m.GetPeerId() == own.PeerId && slices.Equal(m.GetAddrs(), own.Addrs) && sameDrives(m.GetDrives(), own.Drives) && m.GetState() != meta.MemberState_MEMBER_LOST {
			return nil
		}
	}
	_, err = n.propose(ctx, &meta.Command{Op: &meta.Command_PutMember{PutMember: &meta.PutMember{Member: own}}})
	return err
}

// driveRows describes the drives of this node. One that is missing keeps the weight that it has in the table.
func (n *Node) driveRows(members []*meta.Member) (rows []*meta.Drive) {
	known := make(map[string]uint32)
	for _, m := range members {
		for _, d := range m.GetDrives() {
			known[string(d.GetId())] = d.GetWeight()
		}
	}
	for _, dd := range n.describedDrives() {
		row := &meta.Drive{Id: dd.ID[:], Node: string(n.ID()), Site: n.issuer.own.Site, Weight: weightOf(dd.Path), Path: dd.Path}
		if w := known[string(dd.ID[:])]; w > 0 && !n.holdsDrive(dd.id()) {
			row.Weight = w
		}
		rows = append(rows, row)
	}
	return rows
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
