package peer

import (
	"maps"
	"slices"

	"shoal/chunker/erasure"
	"shoal/node/consensus"
	"shoal/p2p"
	"shoal/p2p/placement"
)

func tablesToWire(tables []*placement.Table) [][]byte {
	var out [][]byte
	for _, t := range tables {
		out = append(out, t.Append(nil))
	}
	return out
}

// DecodeTables decodes placement tables.
func DecodeTables(encoded [][]byte) ([]*placement.Table, error) {
	var out []*placement.Table
	for _, b := range encoded {
		t, err := placement.Decode(b)
		if err != nil {
			return nil, malformed("placement table")
		}
		out = append(out, t)
	}
	return out, nil
}

// request asks for a layout that is newer than this one, which may be nil.
func (l *Layout) request() *LayoutRequest {
	if l == nil {
		return &LayoutRequest{}
	}
	return &LayoutRequest{Epoch: l.Epoch, GroupsVersion: l.GroupsVersion, Earlier: uint32(len(l.Earlier))}
}

func layoutToWire(l *Layout) *LayoutAnswer {
	a := &LayoutAnswer{
		Epoch: l.Epoch, Cluster: l.Cluster[:], Partitions: l.Partitions, K: uint32(l.Profile.K), M: uint32(l.Profile.M),
		InlineMax: uint32(l.InlineMax), Region: l.Region, Table: l.Table.Append(nil), Others: tablesToWire(l.Others), GroupsVersion: l.GroupsVersion,
	}
	a.Sites = sitesToWire(l.Sites)
	for i := range l.Earlier {
		e := &l.Earlier[i]
		a.Earlier = append(a.Earlier, &EpochTables{Epoch: e.Epoch, Tables: tablesToWire(e.Tables), Sites: sitesToWire(e.Sites)})
	}
	for _, g := range slices.Sorted(maps.Keys(l.Groups)) {
		nodes := l.Groups[g]
		p := &GroupPlace{Group: uint32(g), Site: l.Bound[g]}
		for _, n := range nodes {
			p.Nodes = append(p.Nodes, string(n))
		}
		a.Groups = append(a.Groups, p)
	}
	return a
}

func layoutFromWire(a *LayoutAnswer) (*Layout, error) {
	if len(a.Cluster) != 16 || a.Partitions == 0 || a.K == 0 || a.K > 255 || a.M > 255 {
		return nil, malformed("layout")
	}
	l := &Layout{
		Epoch: a.Epoch, Cluster: [16]byte(a.Cluster), Partitions: a.Partitions,
		Profile: erasure.Profile{K: uint8(a.K), M: uint8(a.M)}, InlineMax: int(a.InlineMax), Region: a.Region,
		Groups: make(map[consensus.GroupID][]p2p.NodeID), GroupsVersion: a.GroupsVersion, Bound: make(map[consensus.GroupID]string),
	}
	var err error
	if l.Table, err = placement.Decode(a.Table); err != nil || l.Table.Width() != l.Profile.Width() {
		return nil, malformed("placement table")
	}
	if l.Others, err = DecodeTables(a.Others); err != nil {
		return nil, err
	}
	for _, e := range a.Earlier {
		tables, err := DecodeTables(e.GetTables())
		if err != nil {
			return nil, err
		}
		sites, err := sitesFromWire(e.GetSites())
		if err != nil {
			return nil, err
		}
		l.Earlier = append(l.Earlier, EarlierEpoch{Epoch: e.GetEpoch(), Tables: tables, Sites: sites})
	}
	if l.Sites, err = sitesFromWire(a.Sites); err != nil {
		return nil, err
	}
	for _, p := range a.Groups {
		if p.GetSite() != "" {
			l.Bound[consensus.GroupID(p.GetGroup())] = p.GetSite()
		}
		for _, n := range p.GetNodes() {
			l.Groups[consensus.GroupID(p.GetGroup())] = append(l.Groups[consensus.GroupID(p.GetGroup())], p2p.NodeID(n))
		}
	}
	l.Divide()
	return l, nil
}

func sitesToWire(sites []SiteTables) []*SitePlacement {
	var out []*SitePlacement
	for i := range sites {
		s := &sites[i]
		out = append(out, &SitePlacement{
			Site: s.Site, K: uint32(s.Profile.K), M: uint32(s.Profile.M), Table: s.Table.Append(nil), Others: tablesToWire(s.Others),
		})
	}
	return out
}

func sitesFromWire(sites []*SitePlacement) ([]SiteTables, error) {
	var out []SiteTables
	for _, w := range sites {
		s, err := DecodeSite(w.GetSite(), w.GetK(), w.GetM(), w.GetTable(), w.GetOthers())
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// DecodeSite decodes the tables of a site.
func DecodeSite(site string, k, m uint32, table []byte, others [][]byte) (SiteTables, error) {
	s := SiteTables{Site: site, Profile: erasure.Profile{K: uint8(k), M: uint8(m)}}
	if site == "" || k == 0 || k > 255 || m > 255 {
		return s, malformed("placement of a site")
	}
	var err error
	if s.Table, err = placement.Decode(table); err != nil || s.Table.Width() != s.Profile.Width() {
		return s, malformed("placement table of a site")
	}
	s.Others, err = DecodeTables(others)
	return s, err
}
