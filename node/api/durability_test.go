package api

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// key makes the key of a version.
func key(n byte) []byte { return append(bytes.Repeat([]byte{0}, VersionKeyLen-1), n) }

func TestDurabilityMerge(t *testing.T) {
	at := time.Unix(1000, 0)
	a := Durability{
		Epoch: 5, Complete: true, Nodes: 1, Checked: at, Stripes: 3, Bytes: 30, Strays: 1, Widths: []int{4},
		Tolerance: []Tolerance{{0, 1, 10}, {2, 2, 20}}, ToleranceNodes: []Tolerance{{1, 3, 30}}, ToleranceSites: []Tolerance{{0, 3, 30}}, Unhealed: 1,
		Profiles:     []ProfileStripes{{"2+2", 3, 30}},
		BelowPromise: Affected{Stripes: 2, Bytes: 20, Versions: 2, Keys: append(key(1), key(3)...)},
		IfLost:       []LossOf{{"node", "x", 1, 10}},
		WhatIf:       &WhatIf{Site: "s", Unreadable: Affected{Stripes: 1, Versions: 1, Keys: key(1)}},
	}
	b := Durability{
		Epoch: 5, Complete: true, Nodes: 1, Checked: at.Add(-time.Second), Stripes: 2, Bytes: 20, Widths: []int{3, 4},
		Tolerance: []Tolerance{{1, 1, 10}, {2, 1, 10}}, ToleranceNodes: []Tolerance{{0, 2, 20}}, ToleranceSites: []Tolerance{{0, 1, 10}, {1, 1, 10}},
		Unhealed: 2, Homeless: 4,
		Profiles:     []ProfileStripes{{"10+2", 1, 10}, {"2+2", 1, 10}},
		BelowPromise: Affected{Stripes: 1, Bytes: 10, Versions: 2, Keys: append(key(2), key(3)...)},
		Unreadable:   Affected{Stripes: 1, Bytes: 5, Versions: 9, AtLeast: true},
		IfLost:       []LossOf{{"node", "x", 1, 10}, {"site", "x", 2, 20}},
		WhatIf:       &WhatIf{Site: "s", Unreadable: Affected{Stripes: 1, Versions: 1, Keys: key(1)}},
	}
	var got Durability
	got.Merge(&a)
	got.Merge(&b)
	want := Durability{
		Epoch: 5, Complete: true, Nodes: 2, Checked: at.Add(-time.Second), Stripes: 5, Bytes: 50, Strays: 1, Widths: []int{3, 4},
		Tolerance: []Tolerance{{0, 1, 10}, {1, 1, 10}, {2, 3, 30}}, ToleranceNodes: []Tolerance{{0, 2, 20}, {1, 3, 30}},
		ToleranceSites: []Tolerance{{0, 4, 40}, {1, 1, 10}}, Unhealed: 3, Homeless: 4,
		Profiles:     []ProfileStripes{{"10+2", 1, 10}, {"2+2", 4, 40}},
		BelowPromise: Affected{Stripes: 3, Bytes: 30, Versions: 3, Keys: bytes.Join([][]byte{key(1), key(2), key(3)}, nil)},
		Unreadable:   Affected{Stripes: 1, Bytes: 5, Versions: 9, AtLeast: true},
		IfLost:       []LossOf{{"node", "x", 2, 20}, {"site", "x", 2, 20}},
		WhatIf:       &WhatIf{Site: "s", Unreadable: Affected{Stripes: 2, Versions: 1, Keys: key(1)}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("merged\n%+v, want\n%+v", got, want)
	}
	if a.WhatIf.Unreadable.Stripes != 1 || len(a.Tolerance) != 2 || len(a.ToleranceNodes) != 1 || a.ToleranceSites[0].Stripes != 3 || len(a.Profiles) != 1 || a.Profiles[0].Stripes != 3 || a.IfLost[0].Stripes != 1 {
		t.Error("merging changed what was merged")
	}
	got.Merge(&Durability{Epoch: 4, Complete: true, Nodes: 1})
	if got.Complete || got.Epoch != 4 {
		t.Errorf("reports of different epochs are complete: %+v", got)
	}
	got.Strip()
	if got.BelowPromise.Keys != nil || got.WhatIf.Unreadable.Keys != nil || got.BelowPromise.Versions != 3 {
		t.Errorf("stripped: %+v", got)
	}
}

func TestDurabilityConclude(t *testing.T) {
	gone := Affected{Stripes: 2, Bytes: 20, Versions: 1, Keys: key(7)}
	reports := []Durability{
		{Complete: true, Nodes: 1, BeganAgo: 9, Walks: []GroupStripes{
			{Group: 1, Age: 50, Current: true, Gone: gone}, {Group: 2, Age: 1}, {Group: 3, Age: 9, Gone: gone},
		}},
		{Complete: true, Nodes: 1, BeganAgo: 5, MovedAgo: 10, Unreadable: Affected{Stripes: 1, Versions: 1, Keys: key(7)}, Walks: []GroupStripes{
			{Group: 1, Age: 2}, {Group: 2, Age: 90, Current: true, Away: Affected{Stripes: 1, Versions: 1, Keys: key(8)}}, {Group: 3, Age: 3},
		}},
	}
	var d Durability
	for i := range reports {
		d.Merge(&reports[i])
	}
	d.Conclude(4)
	if d.Groups != 4 || d.Compared != 2 || d.Counting {
		t.Errorf("%d of %d groups, counting %v", d.Compared, d.Groups, d.Counting)
	}
	if d.Gone.Stripes != 2 || d.Unreadable.Stripes != 4 || d.Unreadable.Versions != 2 {
		t.Errorf("gone %+v, unreadable %+v", d.Gone, d.Unreadable)
	}
	for what, o := range map[string]Durability{
		"a pass is not ended":      {Nodes: 1},
		"shards lie elsewhere":     {Nodes: 1, Complete: true, Strays: 1},
		"a pass began before that": {Nodes: 1, Complete: true, BeganAgo: 3, MovedAgo: 2},
	} {
		for _, first := range []bool{true, false} {
			a, b := Durability{Nodes: 1, Complete: true, BeganAgo: 1, MovedAgo: 20}, o
			if first {
				a, b = b, a
			}
			var d Durability
			d.Merge(&a)
			d.Merge(&b)
			if d.Conclude(0); !d.Counting {
				t.Errorf("%s, and the counts are exact", what)
			}
		}
	}
}
