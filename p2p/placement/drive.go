package placement

import (
	"bytes"
	"fmt"
	"slices"
)

// DriveID names a drive for its lifetime, whichever node it is in.
type DriveID [16]byte

// Drive is a drive as placement sees it.
type Drive struct {
	ID   DriveID
	Node string // the node that the drive is in; it fails as one
	Site string // the site that the node is in; it fails as one
	// Weight is the drive's share of the data, in GiB of its capacity; at least 1.
	Weight uint32
}

// sortDrives returns a copy in the order of the IDs, or ErrDrives when it makes no sense.
func sortDrives(drives []Drive) ([]Drive, error) {
	if len(drives) > DrivesMax {
		return nil, fmt.Errorf("%w: %d, at most %d", ErrDrives, len(drives), DrivesMax)
	}
	sorted := slices.Clone(drives)
	slices.SortFunc(sorted, func(a, b Drive) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return sorted, checkDrives(sorted)
}

// checkDrives checks drives in strictly ascending order of their IDs.
func checkDrives(drives []Drive) error {
	siteOf := make(map[string]string, len(drives))
	for i := range drives {
		d := &drives[i]
		if i > 0 && bytes.Compare(drives[i-1].ID[:], d.ID[:]) >= 0 {
			return fmt.Errorf("%w: drive %x twice or out of order", ErrDrives, d.ID)
		}
		if d.Weight == 0 {
			return fmt.Errorf("%w: drive %x has no weight", ErrDrives, d.ID)
		}
		if len(d.Node) > NameMax || len(d.Site) > NameMax {
			return fmt.Errorf("%w: name of %d bytes, at most %d", ErrDrives, max(len(d.Node), len(d.Site)), NameMax)
		}
		if site, ok := siteOf[d.Node]; ok && site != d.Site {
			return fmt.Errorf("%w: node %q in sites %q and %q", ErrDrives, d.Node, site, d.Site)
		}
		siteOf[d.Node] = d.Site
	}
	return nil
}

// domains numbers the nodes and sites of drives in the order in which they first occur.
type domains struct {
	node, site []int // of each drive
	siteOfNode []int
	sites      int
}

func domainsOf(drives []Drive) domains {
	var d domains
	nodes, sites := map[string]int{}, map[string]int{}
	for i := range drives {
		s, ok := sites[drives[i].Site]
		if !ok {
			s = len(sites)
			sites[drives[i].Site] = s
		}
		n, ok := nodes[drives[i].Node]
		if !ok {
			n = len(nodes)
			nodes[drives[i].Node] = n
			d.siteOfNode = append(d.siteOfNode, s)
		}
		d.node, d.site = append(d.node, n), append(d.site, s)
	}
	d.sites = len(sites)
	return d
}
