package server

import (
	"context"

	"shoal/chunker/erasure"
	"shoal/node/api"
	"shoal/node/consensus"
	"shoal/node/meta"
	"shoal/node/peer"
	"shoal/p2p"
	"shoal/p2p/placement"
)

// Layout implements peer.Node.
func (s *Server) Layout(ctx context.Context, _ *peer.Layout) (*peer.Layout, error) {
	sa, err := s.Query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Settings{Settings: &meta.SettingsQuery{}}})
	if err != nil {
		return nil, err
	}
	pa, err := s.Query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Placements{Placements: &meta.PlacementsQuery{}}})
	if err != nil {
		return nil, err
	}
	ga, err := s.Query(ctx, consensus.SystemGroup, &meta.Query{Q: &meta.Query_Groups{Groups: &meta.GroupsQuery{}}})
	if err != nil {
		return nil, err
	}
	set, ps := sa.GetSettings(), pa.GetPlacements().GetPlacements()
	if set == nil || len(ps) == 0 {
		return nil, &api.Error{Kind: api.Unavailable, Op: "server.Layout", Detail: "The store is not set up yet."}
	}
	if l := s.layout.Load(); l != nil && l.Epoch == ps[0].GetEpoch() && l.GroupsVersion == ga.GetGroups().GetVersion() && len(l.Earlier) == len(ps)-1 {
		return l, nil
	}
	l, err := makeLayout(set, ps, ga.GetGroups())
	if err != nil {
		return nil, &api.Error{Kind: api.Corrupt, Op: "server.Layout", Err: err}
	}
	s.layout.Store(l)
	return l, nil
}

// makeLayout decodes what the system group has of a layout; ps is not empty.
func makeLayout(set *meta.Settings, ps []*meta.Placement, groups *meta.GroupsAnswer) (*peer.Layout, error) {
	l := &peer.Layout{
		Epoch: ps[0].GetEpoch(), Cluster: [16]byte(set.GetCluster()), Partitions: set.GetPartitions(),
		Profile:   erasure.Profile{K: uint8(set.GetDataShards()), M: uint8(set.GetParityShards())},
		InlineMax: int(set.GetInlineMax()), Region: set.GetRegion(),
		Groups: make(map[consensus.GroupID][]p2p.NodeID), GroupsVersion: groups.GetVersion(),
		Bound: make(map[consensus.GroupID]string),
	}
	if k := ps[0].GetDataShards(); k != 0 {
		l.Profile = erasure.Profile{K: uint8(k), M: uint8(ps[0].GetParityShards())}
	}
	var err error
	if l.Table, err = placement.Decode(ps[0].GetTable()); err != nil {
		return nil, err
	}
	if l.Others, err = peer.DecodeTables(ps[0].GetOthers()); err != nil {
		return nil, err
	}
	for _, p := range ps[1:] {
		tables, err := peer.DecodeTables(append([][]byte{p.GetTable()}, p.GetOthers()...))
		if err != nil {
			return nil, err
		}
		sites, err := siteTables(p)
		if err != nil {
			return nil, err
		}
		l.Earlier = append(l.Earlier, peer.EarlierEpoch{Epoch: p.GetEpoch(), Tables: tables, Sites: sites})
	}
	if l.Sites, err = siteTables(ps[0]); err != nil {
		return nil, err
	}
	for _, p := range groups.GetPlaces() {
		if p.GetSite() != "" {
			l.Bound[consensus.GroupID(p.GetGroup())] = p.GetSite()
		}
		for _, n := range p.GetVoters() {
			l.Groups[consensus.GroupID(p.GetGroup())] = append(l.Groups[consensus.GroupID(p.GetGroup())], p2p.NodeID(n))
		}
	}
	l.Divide()
	return l, nil
}

func siteTables(p *meta.Placement) ([]peer.SiteTables, error) {
	var out []peer.SiteTables
	for _, s := range p.GetSites() {
		t, err := peer.DecodeSite(s.GetSite(), s.GetDataShards(), s.GetParityShards(), s.GetTable(), s.GetOthers())
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}
