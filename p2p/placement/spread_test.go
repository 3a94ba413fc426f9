package placement

import (
	"errors"
	"testing"
)

func TestSpread(t *testing.T) {
	small := layout(1, 5, 1, equal)[:4] // four nodes, and a fifth that is a site of its own
	small = append(small, Drive{ID: DriveID{1}, Node: "away", Site: "away", Weight: 1000})
	for _, c := range []struct {
		name       string
		drives     []Drive
		width      int
		site, node int
	}{
		{"one drive", layout(1, 1, 1, equal), 1, 1, 1},
		{"one node", layout(1, 1, 4, equal), 4, 4, 4},
		{"six nodes in three sites", layout(3, 2, 1, equal), 6, 2, 1},
		{"three nodes in one site", layout(1, 3, 2, equal), 6, 6, 2},
		{"a site that can hold one only", small, 5, 4, 1},
	} {
		site, node, err := Spread(c.drives, c.width)
		if err != nil || site != c.site || node != c.node {
			t.Errorf("%s: %d in a site, %d on a node, %v, want %d and %d", c.name, site, node, err, c.site, c.node)
		}
		table := mustBuild(t, 1, c.drives, c.width, nil)
		for group := range GroupCount {
			onNode, onSite := map[string]int{}, map[string]int{}
			for _, i := range table.Targets(uint16(group)) {
				d := table.Drives()[i]
				onNode[d.Node]++
				onSite[d.Site]++
				if onNode[d.Node] > node || onSite[d.Site] > site {
					t.Fatalf("%s: group %d is spread worse than that", c.name, group)
				}
			}
		}
	}
	if _, _, err := Spread(layout(1, 1, 2, equal), 3); !errors.Is(err, ErrTooFewDrives) {
		t.Errorf("too few drives: %v", err)
	}
	if _, _, err := Spread(nil, 0); !errors.Is(err, ErrDrives) {
		t.Errorf("no width: %v", err)
	}
}
