package placement

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func mustFold(t testing.TB, epoch uint64, drives []Drive, width int, prev *Table) *Table {
	t.Helper()
	table, err := Fold(epoch, drives, width, prev, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	checkTable(t, table)
	checkFolds(t, table)
	return table
}

// checkFolds checks that no drive holds two shards of a group more than another, where all drives are nodes of one site.
func checkFolds(t testing.TB, table *Table) {
	t.Helper()
	for g := range GroupCount {
		on := make([]int, len(table.drives))
		for _, drive := range table.Targets(uint16(g)) {
			on[drive]++
		}
		if slices.Max(on)-slices.Min(on) > 1 {
			t.Fatalf("group %d: the drives hold %v shards", g, on)
		}
	}
}

func TestFold(t *testing.T) {
	for _, c := range []struct{ from, to, width int }{{4, 3, 4}, {6, 5, 6}, {6, 4, 6}, {3, 1, 3}, {12, 11, 12}, {12, 3, 12}} {
		t.Run(fmt.Sprintf("%d shards on %d drives", c.width, c.to), func(t *testing.T) {
			all := layout(1, c.from, 1, mild)
			whole := mustBuild(t, 1, all, c.width, nil)
			folded := mustFold(t, 2, all[:c.to], c.width, whole)
			if !folded.Folded() || whole.Folded() {
				t.Errorf("folded %v, and before %v", folded.Folded(), whole.Folded())
			}
			// Shards whose drives stay do not move but for an even share.
			gone := 0
			for i, n := range whole.Counts() {
				if !slices.ContainsFunc(all[:c.to], func(d Drive) bool { return d.ID == whole.drives[i].ID }) {
					gone += n
				}
			}
			if moved := folded.Moved(whole); moved > gone+gone/2 {
				t.Errorf("%d shards move, where %d have to", moved, gone)
			}
			for _, counts := range [][]int{folded.Counts(), mustFold(t, 2, all[:c.to], c.width, nil).Counts()} {
				if slices.Min(counts)*2 < slices.Max(counts) {
					t.Errorf("the drives hold %v shards", counts)
				}
			}
			encoded := folded.Append(nil)
			again, err := Decode(encoded)
			if err != nil || !bytes.Equal(again.Append(nil), encoded) {
				t.Errorf("decodes to something else, %v", err)
			}
			if ranked := folded.Ranked(nil, 7); len(ranked) != c.width {
				t.Errorf("%d drives ranked, want the %d targets alone", len(ranked), c.width)
			}
			if !bytes.Equal(mustBuild(t, 3, all, c.width, nil).Append(nil), mustFold(t, 3, all, c.width, nil).Append(nil)) {
				t.Error("with drives enough the table is another one")
			}
			back := mustBuild(t, 3, all, c.width, folded)
			if moved := back.Moved(folded); moved > gone+gone/2 {
				t.Errorf("%d shards move back, where %d had moved", moved, gone)
			}
		})
	}
}

func TestFoldRefuses(t *testing.T) {
	if _, err := Fold(1, nil, 2, nil, Limits{}); !errors.Is(err, ErrTooFewDrives) {
		t.Errorf("no drives: %v", err)
	}
	if _, err := Fold(1, layout(1, 2, 1, equal), WidthMax+1, nil, Limits{}); !errors.Is(err, ErrDrives) {
		t.Errorf("too wide: %v", err)
	}
}

func TestDecodeRefusesFolds(t *testing.T) {
	valid := mustFold(t, 1, layout(1, 3, 1, equal), 4, nil).Append(nil)
	for _, c := range []struct {
		name   string
		change func([]byte)
	}{
		{"as a table that is not folded", func(b []byte) { b[4] = 1 }},
		{"with one drive too often", func(b []byte) { clear(b[len(b)-crcSize-8 : len(b)-crcSize]) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bytes.Clone(valid)
			c.change(b)
			if _, err := Decode(reseal(b)); !errors.Is(err, ErrTable) {
				t.Errorf("error %v, want %v", err, ErrTable)
			}
		})
	}
	whole := mustBuild(t, 1, layout(1, 3, 1, equal), 2, nil).Append(nil)
	whole[4] = 2
	if _, err := Decode(reseal(whole)); !errors.Is(err, ErrTable) {
		t.Errorf("a table that is not folded as one that is: %v", err)
	}
}
